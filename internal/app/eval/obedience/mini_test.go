package obedience_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/systemgemma/systemgemma"
	"github.com/systemgemma/systemgemma/internal/app/eval/obedience"
)

// What the embedded model reached when it was packed (tools/mini/README.md), less 2 points. A sample, which slow legs of CI
// take, has a standard error of some 5 points: there the figure less 20 must hold.
var least = []struct {
	file, category string // category "": all that counts as obedience
	percent        float64
}{
	{"heldout.jsonl", "", 77.7},
	{"heldout_fresh.jsonl", "fresh out of domain", 74.0},
	{"heldout_fresh.jsonl", "fresh newcomer", 86.7},
}

// The int8 weights, rendered in the model's own system mode and decoded greedily, obey as the README says.
func TestMiniObeys(t *testing.T) {
	every, slack := 1, 2.0
	if os.Getenv("SYSTEMGEMMA_TEST_SAMPLE") != "" {
		every, slack = 20, 20
	}
	m, err := systemgemma.Open(systemgemma.Mini, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	tables := map[string]*obedience.Table{}
	for _, file := range []string{"heldout.jsonl", "heldout_fresh.jsonl"} {
		cases, err := obedience.Load(filepath.Join("testdata", file))
		if err != nil {
			t.Fatal(err)
		}
		table := &obedience.Table{}
		for i := 0; i < len(cases); i += every {
			table.Add(cases[i], cases[i].Check(reply(t, m, cases[i])))
		}
		t.Logf("%s:\n%v", file, table)
		tables[file] = table
	}
	for _, l := range least {
		score := tables[l.file].Category(l.category)
		if l.category == "" {
			score = tables[l.file].Obedience()
		}
		if score.Total == 0 || score.Percent() < l.percent-slack {
			t.Errorf("%s %s: %v, want at least %.1f %%", l.file, l.category, score, l.percent-slack)
		}
	}
}

func reply(t *testing.T, m *systemgemma.Model, c obedience.Case) string {
	t.Helper()
	messages := make([]systemgemma.Message, len(c.Messages))
	for i, x := range c.Messages {
		messages[i] = systemgemma.Message(x)
	}
	o := &systemgemma.ChatOptions{GenerateOptions: systemgemma.GenerateOptions{MaxTokens: 110}} // as tools/mini/evaluate.py
	var text string
	for e, err := range m.Chat(context.Background(), messages, o) {
		if err != nil {
			t.Fatalf("case %s: %v", c.ID, err)
		}
		text += e.Text
	}
	return text
}
