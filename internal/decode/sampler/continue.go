package sampler

import (
	"fmt"
	"strings"
)

// Continuation is a token that may go on with a text.
type Continuation struct {
	ID      int32
	Score   float64 // its log-probability after the rules, whose changes are not normalised
	Logprob float64 // in the model's own distribution
}

// Continue appends to dst the n best continuations, from the best down, fewer where rules leave fewer: what beam search wants. As in
// transformers, rules and penalties see log-probabilities, not logits. It wants temperature 0 and no guidance, and accepts nothing.
// The errors are those of Sample.
func (s *Sampler) Continue(dst []Continuation, logits []float32, n int) ([]Continuation, error) {
	top, err := argmax(logits)
	if err != nil {
		return dst, err
	}
	s.history.begin()
	if err := s.check(len(logits)); err != nil {
		return dst, err
	}
	total := logSumExp(logits, logits[top])
	c := &s.cand
	c.reset(logits)
	for i := range c.list {
		c.list[i].score = float32(float64(c.list[i].score) - total)
	}
	for _, x := range s.steps {
		if x.apply(c); c.err != nil {
			return dst, c.err
		}
	}
	var b best
	b.reset(n)
	for _, x := range c.list {
		if x.possible() {
			b.add(x)
		}
	}
	if len(b.list) == 0 {
		return dst, fmt.Errorf("no token is left: together, %s ban all of the vocabulary", strings.Join(s.rules, ", "))
	}
	for _, x := range b.list {
		dst = append(dst, Continuation{x.id, float64(x.score), float64(logits[x.id]) - total})
	}
	return dst, nil
}
