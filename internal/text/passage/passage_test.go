package passage

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestBuiltIn(t *testing.T) {
	list := BuiltIn()
	if len(list) != 6 {
		t.Fatalf("want 6 passages, found %d", len(list))
	}
	for _, p := range list {
		if p.System == "" || p.User == "" || len(p.Text) < 200 || strings.Contains(p.Text, "\n") {
			t.Errorf("want three lines, found %+v", p)
		}
	}
}

// FuzzCut: all characters but white space are kept, in order, in pieces of valid text that are not too long.
func FuzzCut(f *testing.F) {
	f.Add("one\n\ntwo")
	f.Add(strings.Repeat("word ", 1000))
	f.Add(strings.Repeat("ü", 2000) + "\n" + strings.Repeat("x", 3000))
	f.Add(strings.Repeat("\xbf", 4000))
	f.Fuzz(func(t *testing.T, text string) {
		all := ""
		for _, p := range Cut(text) {
			if p.Text == "" || len(p.Text) > pieceBytes || utf8.ValidString(text) && !utf8.ValidString(p.Text) {
				t.Errorf("want a piece of valid text of at most %d bytes, found %q", pieceBytes, p.Text)
			}
			all += p.Text
		}
		bare := func(s string) string { return strings.Join(strings.Fields(s), "") }
		if bare(all) != bare(text) {
			t.Errorf("want %q, found %q", text, all)
		}
	})
}
