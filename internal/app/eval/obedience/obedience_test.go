package obedience

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/systemgemma/systemgemma/internal/testkit/golden"
)

func mustLoad(t testing.TB, path string) []Case {
	t.Helper()
	cases, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	return cases
}

func TestLoadPrompts(t *testing.T) {
	for path, want := range map[string]struct{ cases, checks int }{
		"testdata/heldout.jsonl":       {1105, 1909},
		"testdata/heldout_fresh.jsonl": {80, 95},
	} {
		cases, checks := mustLoad(t, path), 0
		for _, c := range cases {
			checks += len(c.checks)
		}
		if len(cases) != want.cases || checks != want.checks {
			t.Errorf("%s: %d cases with %d checks, want %d with %d", path, len(cases), checks, want.cases, want.checks)
		}
	}
	c := mustLoad(t, "testdata/heldout.jsonl")[0]
	if c.ID != "0" || c.Category != "held-out wording" || c.Label != "pirate" || len(c.Messages) != 2 || c.Messages[0].Role != "system" {
		t.Errorf("first case is %+v", c)
	}
}

// On a model's answers every check says what the Python checker says, and the table equals its output.
// tools/mini/verdicts.py wrote the verdicts; table.txt is what evaluate.py printed.
func TestVerdictsEqualPython(t *testing.T) {
	cases := map[string]Case{}
	for _, c := range mustLoad(t, "testdata/heldout.jsonl") {
		cases[c.ID] = c
	}
	var table Table
	n, kinds := 0, map[string]int{}
	for a := range golden.Lines[struct {
		ID               json.Number
		Answer, Verdicts string
	}](t, "testdata/verdicts/answers.jsonl") {
		c, ok := cases[a.ID.String()]
		if !ok || len(c.checks) != len(a.Verdicts) {
			t.Fatalf("no case %s with %d checks", a.ID, len(a.Verdicts))
		}
		for i, k := range c.checks {
			kinds[k.kind]++
			if got, want := k.pass(a.Answer), a.Verdicts[i] == '1'; got != want {
				t.Errorf("case %s, %s %q of %q: %v, want %v", a.ID, k.kind, k.value, a.Answer, got, want)
			}
		}
		right := !strings.Contains(a.Verdicts, "0")
		if got := c.Check(a.Answer); got != right || right != (len(c.Failed(a.Answer)) == 0) {
			t.Errorf("case %s: Check(%q) = %v, failed %v, want %v", a.ID, a.Answer, got, c.Failed(a.Answer), right)
		}
		table.Add(c, right)
		n++
	}
	if len(kinds) != 12 {
		t.Errorf("only these kinds were checked: %v", kinds)
	}
	golden.Count(t, n)
	want := strings.Replace(string(golden.Read(t, "testdata/verdicts/table.txt")), "mode fp32: ", "", 1)
	if diff := cmp.Diff(want, table.String()); diff != "" {
		t.Errorf("table (-want +got):\n%s", diff)
	}
}

// Odd answers, each with odd checks of every kind, get the Python checker's verdict.
func TestEdgesEqualPython(t *testing.T) {
	var edges struct {
		Answers  []string
		Checks   [][2]string
		Verdicts []string
	}
	if err := json.Unmarshal(golden.Read(t, "testdata/verdicts/edges.json"), &edges); err != nil {
		t.Fatal(err)
	}
	n := 0
	for i, pair := range edges.Checks {
		k, err := newCheck(pair[0], pair[1])
		if err != nil {
			t.Errorf("%q: %v", pair, err)
			continue
		}
		for j, answer := range edges.Answers {
			n++
			if got, want := k.pass(answer), edges.Verdicts[i][j] == '1'; got != want {
				t.Errorf("%s %q of %q: %v, want %v", k.kind, k.value, answer, got, want)
			}
		}
	}
	golden.Count(t, n)
}

func TestLoadRefuses(t *testing.T) {
	const head = `{"id": 1, "category": "c", "label": "l", "messages": [{"role": "user", "content": "hi"}], "checks": `
	for line, want := range map[string]string{
		`{`:                                      "line 2: unexpected end of JSON input",
		head + `null}`:                           "",
		head + `[["regex"]]}`:                    `line 2: check: want a pair of kind and value, found ["regex"]`,
		head + `[["glob", "*"]]}`:                `found "glob"`,
		head + `[["lines", "three"]]}`:           `check lines: want a number, found "three"`,
		head + `[["regex", "("]]}`:               "missing closing )",
		head + `[["regex", "(?<!x)y"]]}`:         `"(?" is not among the forms`,
		head + `[["regex", "\\bcat"]]}`:          `"\\b" is not among the forms`,
		head + `[["regex", "\\b(a|-b)\\b"]]}`:    `want words between \b, found "-b"`,
		head + `[["regex", "a\\d"]]}`:            `"\\d" is not among the forms`,
		head + `[["regex", "[\\w]"]]}`:           `"\\w" is not among the forms`,
		head + `[["not_regex", "\\s"]]}`:         `"\\s" is not among the forms`,
		`{"checks": [["upper", ""]]}`:            "line 2: want messages and checks, found none of one",
		head + `[["regex", "ırmak"]]}`:           `"ı" is not among the forms`,
		head + `[["min_words", ""], ["a","b"]]}`: "check min_words: want a number",
	} {
		_, err := read(strings.NewReader(head + `[["upper", ""]]}` + "\n" + line))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("line %s: error %v, want %q", line, err, want)
		}
	}
	if _, err := Load("testdata/none.jsonl"); !os.IsNotExist(err) {
		t.Errorf("error of a missing file is %v", err)
	}
}

// The whole-number form is equal to the lookaround that it replaces: found by looking at each place.
func TestWholeNumberEqualsLookaround(t *testing.T) {
	p, err := compile(`(?<!\d)44(?!\d)`, true)
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`[4 \n٤x]{0,12}`).Draw(t, "text")
		want, runes := false, []rune(" "+text+" ")
		for i := 1; i+2 < len(runes); i++ {
			isDigit := func(r rune) bool { return r == '4' || r == '٤' }
			want = want || runes[i] == '4' && runes[i+1] == '4' && !isDigit(runes[i-1]) && !isDigit(runes[i+2])
		}
		if got := p.search(text); got != want {
			t.Fatalf("search(%q) = %v, want %v", text, got, want)
		}
	})
}

func TestEmptyTable(t *testing.T) {
	var table Table
	if got := fmt.Sprint(table.Obedience(), table.All(), table.Category("x")); got != "0/0 = 0.0 % 0/0 = 0.0 % 0/0 = 0.0 %" {
		t.Errorf("empty table: %s", got)
	}
}

// Any file gives cases or an error, and any answer a verdict.
func FuzzRead(f *testing.F) {
	f.Add(`{"id": 1, "category": "c", "label": "l", "messages": [{}], "checks": [["regex", "\\b(a|b)\\b"], ["json", "x"]]}`, "a\n{\"x\": NaN}")
	f.Add(`{"messages": [{}], "checks": [["equals", "İΣ"], ["lines", "-1"], ["not_regex", "a$"]]}`, "İΣ\xff")
	f.Fuzz(func(t *testing.T, file, answer string) {
		cases, err := read(strings.NewReader(file))
		if err != nil {
			return
		}
		for _, c := range cases {
			if c.Check(answer) != (len(c.Failed(answer)) == 0) {
				t.Fatalf("Check and Failed differ on %q", answer)
			}
		}
	})
}
