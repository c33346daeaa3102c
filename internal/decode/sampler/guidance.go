package sampler

import "errors"

// guidance steers away from what the model says after another prompt: classifier-free guidance (arXiv:2306.17806) in the form of
// transformers' UnbatchedClassifierFreeGuidanceLogitsProcessor. It is the first step of all, so that scores are logits.
type guidance struct {
	scale float64
	other []float32 // logits after the other prompt; nil: not given
	total float64   // LogSumExp of the model's own
}

// Against gives the logits after the other prompt and the answer so far, for the next Sample. They must stay as they are until then.
// It wants Params.Guided.
func (s *Sampler) Against(logits []float32) {
	if s.guidance != nil {
		s.guidance.other = logits
	}
}

// ready refuses a step without the other logits, and takes the sum of its own.
func (g *guidance) ready(vocabulary int, total float64) error {
	if len(g.other) != vocabulary {
		return errors.New("guidance: want the logits after the other prompt before each token, found none")
	}
	_, err := argmax(g.other)
	g.total = total
	return err
}

func (g *guidance) apply(c *candidates) {
	total := LogSumExp(g.other)
	for i := range c.list {
		own, other := float64(c.list[i].score)-g.total, float64(g.other[i])-total
		c.list[i].change(float32(other + float64(g.scale*(own-other))))
	}
}
