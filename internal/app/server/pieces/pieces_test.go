package pieces

import (
	"encoding/json"
	"math"
	"slices"
	"testing"

	"github.com/systemgemma/systemgemma"
)

// JSON has no infinity and no NaN: what is told of probabilities is a number, whatever was computed.
func TestClamp(t *testing.T) {
	for x, want := range map[float64]float64{
		math.Inf(-1): -1e4, -2e4: -1e4, -1e4: -1e4, -0.5: -0.5, 0: 0, 1e-7: 0, math.Inf(1): 0, -math.MaxFloat64: -1e4,
	} {
		if got := Clamp(x); got != want {
			t.Errorf("Clamp(%v) = %v, want %v", x, got, want)
		}
	}
	if got := Clamp(math.NaN()); got != -1e4 {
		t.Errorf("Clamp(NaN) = %v", got)
	}
	l := Logprob{Logprob: Clamp(math.NaN()), Top: []Logprob{{Logprob: Clamp(math.Inf(-1))}}}
	if _, err := json.Marshal(l); err != nil {
		t.Error(err)
	}
}

// The bytes of all tokens of a text are the text, those of letters that take several tokens included.
func TestBytes(t *testing.T) {
	m, err := systemgemma.Open(systemgemma.Mini, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	const text = "Hello \U0001f9ec\u0378!"
	ids, err := m.Tokenize(text, false)
	if err != nil {
		t.Fatal(err)
	}
	var all []byte
	single := 0
	for _, id := range ids {
		b := Bytes(m, id)
		for _, x := range b {
			all = append(all, byte(x))
		}
		if len(b) == 1 && b[0] >= 0x80 {
			single++
			if got := Text(m, id); len(got) != 4 || got[:2] != `\x` {
				t.Errorf("token %d is the byte %d, its text %q", id, b[0], got)
			}
		}
	}
	if string(all) != text || single == 0 {
		t.Errorf("%q of %v, want %q; %d tokens are single bytes", all, ids, text, single)
	}
	if got := Bytes(m, -1); !slices.Equal(got, []int{}) || got == nil {
		t.Errorf("of no token: %v", got)
	}
	if got := Text(m, -1); got != "" {
		t.Errorf("of no token: %q", got)
	}
}
