package systemgemma

import (
	"slices"
	"testing"
)

// A breaker may begin amid a token and go on in the next ones; a repetition does not reach past it.
func TestBreakersAmidTokens(t *testing.T) {
	m := openSmall(t)
	ids := func(text string) []int32 { return m.tok.AppendText(nil, text) }
	prompt, end := ids("The king of France is here.\nThen comes the king of France"), ids(" of France")
	if !slices.Equal(prompt[len(prompt)-len(end):], end) {
		t.Fatalf("%v does not end in %v", prompt, end)
	}
	next := ids(" is")[0] // would go on with the repetition " king of France"
	for _, c := range []struct {
		breaker  string
		over     int // the least repetition that is punished, beyond " of France"
		punished bool
	}{
		{"", 0, true}, {"", 1, true},
		{"g", 0, true}, {"g", 1, false}, // a character that a token holds
		{"e king", 0, true}, {"e king", 1, false}, // begins amid a token, ends with one
		{"ng of", 0, false},          // " France" alone comes after it
		{"ng of France is", 1, true}, // its end is not there
		{"ng off", 1, true},
		{"n comes", 1, true}, // before the repetition
	} {
		s := Sampling{DRYMultiplier: 50, DRYAllowedLength: len(end) + c.over, DRYBreakers: []string{}}
		if c.breaker != "" {
			s.DRYBreakers = []string{"never said", c.breaker}
		}
		x, err := m.newSampler(s, &GenerateOptions{}, len(prompt))
		if err != nil {
			t.Fatal(err)
		}
		x.Accept(prompt...)
		logits := make([]float32, m.weights.Config.VocabSize)
		logits[next] = 1
		id, _, err := x.Sample(logits)
		if err != nil || (id != next) != c.punished {
			t.Errorf("breaker %q, %d more: token %d, %v; want the one that repeats punished: %v", c.breaker, c.over, id, err, c.punished)
		}
	}
}
