package stop_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/systemgemma/systemgemma/internal/decode/stop"
)

func mustNew(t rapid.TB, stops ...string) *stop.Matcher {
	t.Helper()
	m, err := stop.New(stops)
	if err != nil {
		t.Fatalf("New(%q): %v", stops, err)
	}
	return m
}

func TestAdd(t *testing.T) {
	for _, c := range []struct {
		name   string
		stops  []string
		pieces []string
		emits  []string
		found  string
		flush  string
	}{
		{"no stop strings", nil, []string{"a", "", "b"}, []string{"a", "", "b"}, "", ""},
		{"in one piece", []string{"END"}, []string{"one END two"}, []string{"one "}, "END", ""},
		{"over three pieces", []string{"END"}, []string{"one E", "N", "D two"}, []string{"one ", "", ""}, "END", ""},
		{"held in vain", []string{"END"}, []string{"one EN", "d"}, []string{"one ", "ENd"}, "", ""},
		{"held at the end", []string{"END"}, []string{"one EN"}, []string{"one "}, "", "EN"},
		{"a shorter beginning of it is held", []string{"aab"}, []string{"aaa"}, []string{"a"}, "", "aa"},
		{"earliest begin wins over earliest end", []string{"bc", "abcd"}, []string{"xabcd"}, []string{"x"}, "abcd", ""},
		{"but only in one piece", []string{"bc", "abcd"}, []string{"xabc", "d"}, []string{"xa", ""}, "bc", ""},
		{"longest of the same begin", []string{"ab", "abc", "a"}, []string{"xabcd"}, []string{"x"}, "abc", ""},
		{"end of another's beginning", []string{"abcX", "bc"}, []string{"ab", "c"}, []string{"", "a"}, "bc", ""},
		{"same string twice", []string{"q", "q"}, []string{"aqb"}, []string{"a"}, "q", ""},
		{"inside a character", []string{"\xac"}, []string{"€"}, []string{"\xe2\x82"}, "\xac", ""},
		{"after the stop", []string{"."}, []string{"a.", "b.", "c"}, []string{"a", "", ""}, ".", ""},
	} {
		m := mustNew(t, c.stops...)
		for i, piece := range c.pieces {
			if emit, _ := m.Add(piece); emit != c.emits[i] {
				t.Errorf("%s: Add(%q) = %q, want %q", c.name, piece, emit, c.emits[i])
			}
		}
		if got := m.Found(); got != c.found {
			t.Errorf("%s: Found() = %q, want %q", c.name, got, c.found)
		}
		if got := m.Flush(); got != c.flush {
			t.Errorf("%s: Flush() = %q, want %q", c.name, got, c.flush)
		}
	}
}

func TestNewRefusesEmpty(t *testing.T) {
	want := "stop: want strings of at least one byte, found an empty one at index 1; leave it out"
	if _, err := stop.New([]string{"a", ""}); err == nil || err.Error() != want {
		t.Errorf("New with an empty string: error %v, want %q", err, want)
	}
}

// plain is the rule of the package doc, word for word, on the whole text so far.
func plain(stops []string, text string, sent int) (emit string, found string) {
	begin := -1
	for _, s := range stops {
		if i := strings.Index(text, s); i >= 0 && (begin < 0 || i < begin || i == begin && len(s) > len(found)) {
			begin, found = i, s
		}
	}
	if found != "" {
		return text[sent:begin], found
	}
	hold := 0
	for _, s := range stops {
		for n := range len(s) {
			if n > hold && strings.HasSuffix(text, s[:n]) {
				hold = n
			}
		}
	}
	return text[sent : len(text)-hold], ""
}

// On any text cut anywhere, with stop strings that overlap as much as two letters allow, Matcher equals the plain rule.
func TestMatcherEqualsPlainRule(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		stops := rapid.SliceOfN(rapid.StringMatching(`[ab]{1,6}`), 0, 5).Draw(t, "stops")
		pieces := rapid.SliceOf(rapid.StringMatching(`[abc]{0,5}`)).Draw(t, "pieces")
		m := mustNew(t, stops...)
		text, sent := "", 0
		for _, piece := range pieces {
			text += piece
			want, found := plain(stops, text, sent)
			emit, stopped := m.Add(piece)
			if emit != want || m.Found() != found || stopped != (found != "") {
				t.Fatalf("Add(%q) after %q = %q, %v, found %q, want %q, found %q", piece, text, emit, stopped, m.Found(), want, found)
			}
			sent += len(emit)
			if stopped {
				break
			}
		}
		if rest := m.Flush(); m.Found() == "" && text[sent:] != rest {
			t.Fatalf("Flush() = %q, want %q", rest, text[sent:])
		}
	})
}

// After Flush without a stop, a new text begins: what was held does not count.
func TestFlushBeginsAnew(t *testing.T) {
	m := mustNew(t, "END")
	m.Add("EN")
	if got := m.Flush(); got != "EN" {
		t.Fatalf("Flush() = %q, want EN", got)
	}
	if emit, stopped := m.Add("D"); emit != "D" || stopped {
		t.Errorf("Add(D) = %q, %v, want D, false", emit, stopped)
	}
}

// The worst text, which holds back nearly all of a long stop string at every byte, still takes linear time: 4 MB and 1000
// stop strings in a second or so, where a search after each byte would take hours.
func TestLongTextTakesLinearTime(t *testing.T) {
	var stops []string
	for i := range 1000 {
		stops = append(stops, strings.Repeat("a", 1000+i)+"b")
	}
	m := mustNew(t, stops...)
	length := 1 << 22
	if os.Getenv("SYSTEMGEMMA_TEST_SAMPLE") != "" { // a slow leg: emulated, or with the race detector
		length = 1 << 17
	}
	start, sent := time.Now(), 0
	for range length {
		emit, _ := m.Add("a")
		sent += len(emit)
	}
	if want := length - 1999; sent != want {
		t.Errorf("sent %d bytes, want %d: all but the longest beginning", sent, want)
	}
	if d := time.Since(start); d > time.Minute {
		t.Errorf("%d bytes took %v", length, d)
	}
}

// Any stop strings and any text: no panic, what is shown and held is the text up to the stop string.
func FuzzMatcher(f *testing.F) {
	f.Add("END\x00ab", "one E\x00ND")
	f.Add("a\x00ab\x00b", "\xff\x00\x00ab")
	f.Fuzz(func(t *testing.T, stops, text string) {
		list := strings.Split(stops, "\x00")
		m, err := stop.New(list)
		if err != nil {
			return
		}
		shown := ""
		for piece := range strings.SplitSeq(text, "\x00") {
			emit, stopped := m.Add(piece)
			shown += emit
			if stopped {
				break
			}
		}
		found := m.Found()
		shown += m.Flush()
		all := strings.ReplaceAll(text, "\x00", "")
		if found == "" && shown != all || found != "" && !strings.HasPrefix(all, shown+found) {
			t.Fatalf("stops %q, text %q: shown %q, found %q", list, text, shown, found)
		}
	})
}
