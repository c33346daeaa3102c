package jinja

import (
	"strings"
	"testing"
)

// joined is the whole text of a render.
func joined(segs []Segment) string {
	var b strings.Builder
	for _, s := range segs {
		b.WriteString(s.Text)
	}
	return b.String()
}

func TestFromJSONRefuses(t *testing.T) {
	for _, s := range []string{"", "{", "[1,", "1 2", `{"a":1}{}`, "nul", strings.Repeat("[", 100000), strings.Repeat(`{"a":`, 300) + "1" + strings.Repeat("}", 300)} {
		if v, err := FromJSON([]byte(s)); err == nil {
			t.Errorf("FromJSON(%.20q) = %v, want an error", s, v)
		}
	}
}
