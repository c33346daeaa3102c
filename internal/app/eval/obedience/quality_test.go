package obedience_test

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/systemgemma/systemgemma"
	"github.com/systemgemma/systemgemma/internal/app/eval/obedience"
	"github.com/systemgemma/systemgemma/internal/testkit/sample"
)

// limits are the project's targets for Mini's learned weights against bf16, on held-out prompts with bf16's own answers.
var limits = []struct {
	kind     string
	kl, top1 float64
}{
	{"w8a8", 0.001, 0.995}, {"w8a8-g64", 0.001, 0.995}, {"w8a8-rotated", 0.001, 0.995}, {"w4", 0.005, 0.99},
}

const miniSource = "../../../../tools/mini/model"

// What integers predict is what bf16 does.
func TestMiniQuality(t *testing.T) {
	sample.Skip(t) // a mean over few answers says nothing
	cases, err := obedience.Load(filepath.Join("testdata", "heldout.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	m, err := systemgemma.Open(miniSource, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	const every = 4
	var conversations [][]systemgemma.Message
	for i := 0; i < len(cases); i += every {
		var list []systemgemma.Message
		for _, x := range cases[i].Messages {
			list = append(list, systemgemma.Message(x))
		}
		conversations = append(conversations, append(list, systemgemma.Message{Role: "assistant", Content: reply(t, m, cases[i])}))
	}
	for _, l := range limits {
		path := filepath.Join(t.TempDir(), "m.gguf")
		if _, err := systemgemma.Convert(context.Background(), miniSource, &systemgemma.ConvertOptions{Output: path, Types: []string{l.kind}}); err != nil {
			t.Fatal(err)
		}
		q, err := systemgemma.Compare(context.Background(), miniSource, path, &systemgemma.CompareOptions{Conversations: conversations, PresetA: systemgemma.PresetExact})
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: %+v", l.kind, q.All)
		if q.All.KL > l.kl || q.All.Top1 < l.top1 {
			t.Errorf("%s: want KL <= %g and top-1 >= %g, found %g and %g in %d positions", l.kind, l.kl, l.top1, q.All.KL, q.All.Top1, q.All.Positions)
		}
	}
}
