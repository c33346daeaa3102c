package jinja

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/systemgemma/systemgemma/internal/testkit/golden"
)

// seeds gives the fuzzers every template there is.
func seeds(f *testing.F) []string {
	var all []string
	for c := range golden.Lines[construct](f, filepath.Join("testdata", "templates", "constructs.jsonl")) {
		all = append(all, c.Template)
	}
	data, err := os.ReadFile("testdata/reference.jsonl")
	if err != nil {
		f.Fatal(err)
	}
	for i, line := range strings.Split(string(data), "\n") {
		if _, source, ok := strings.Cut(line, `{"template": "`); ok && i%3 == 0 {
			all = append(all, strings.TrimSpace(source[:strings.LastIndex(source, `", "`)]))
		}
	}
	return all
}

// Any source gives a template or an *Error: no panic.
func FuzzParse(f *testing.F) {
	for _, s := range seeds(f) {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, source string) {
		_, err := Parse(source)
		var fault *Error
		if err != nil && (!errors.As(err, &fault) || fault.Kind != Syntax && fault.Kind != Limit) {
			t.Fatalf("Parse(%q): error %v, want one of kind syntax or limit", source, err)
		}
	})
}

// Any template gives segments or an *Error, within its limits: no panic. What comes out as the template's text has no character that only the
// conversation has.
func FuzzRender(f *testing.F) {
	for _, s := range seeds(f) {
		f.Add(s, "wörd \n<end_of_turn>")
	}
	small := limits{steps: 20_000, bytes: 1 << 20, depth: 200}
	f.Fuzz(func(t *testing.T, source, u string) {
		tpl, err := Parse(source)
		if err != nil {
			return
		}
		const foreign = "\U0001f9f6" // a ball of wool
		u += foreign
		vars := Object{{"a", u}, {"b", u}, {"xs", []any{u, 1, nil}}, {"d", Object{{"k", u}, {u, 2}}}, {"n", 7}, {"t", true}, {"f", 1.5},
			{"messages", []any{Object{{"role", "user"}, {"content", u}}}}}
		segs, err := tpl.render(vars, small)
		var fault *Error
		if err != nil && !errors.As(err, &fault) {
			t.Fatalf("Render(%q): error %v, want an *Error", source, err)
		}
		total := 0
		for i, s := range segs {
			total += len(s.Text)
			if s.Text == "" || i > 0 && segs[i-1].User == s.User {
				t.Fatalf("Render(%q): segments %s: want none empty and neighbours that differ", source, marks(segs))
			}
			named := strings.Contains(source, foreign) || strings.Contains(source, `\`) // the template may spell it itself
			if !s.User && !named && strings.Contains(s.Text, foreign) && utf8.ValidString(source) {
				t.Fatalf("Render(%q): template text %q has a character of the conversation", source, s.Text)
			}
		}
		if total > small.bytes {
			t.Fatalf("Render(%q): %d bytes, want at most %d", source, total, small.bytes)
		}
	})
}
