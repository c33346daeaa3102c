package sampler

import (
	"math"

	"github.com/systemgemma/systemgemma/internal/compute/portable"
	"github.com/systemgemma/systemgemma/internal/decode/watermark"
)

// marking makes the watermark's tokens likelier.
type marking struct {
	marker  *watermark.Marker
	history *history
	ids     []int32   // scratch
	probs   []float64 // scratch
}

// newMarking wants a configuration that is valid.
func newMarking(w watermark.Config, h *history) *marking {
	m, err := watermark.New(w)
	if err != nil {
		panic(err) // Validate has seen it
	}
	return &marking{marker: m, history: h}
}

func (m *marking) apply(c *candidates) {
	top := c.best().score
	mass := c.mass(top)
	m.ids, m.probs = m.ids[:0], m.probs[:0]
	for _, x := range c.list {
		m.ids, m.probs = append(m.ids, x.id), append(m.probs, weight(x.score, top)/mass)
	}
	if !m.marker.Mark(m.ids, m.probs) {
		return
	}
	for i, p := range m.probs {
		c.list[i].score = float32(math.Inf(-1))
		if p > 0 {
			c.list[i].score = float32(portable.Log(p))
		}
	}
	c.sorted = false
}

// accept takes in a token of the answer: the prompt's are not marked.
func (m *marking) accept(id int32) {
	if m.history.prompt >= 0 {
		m.marker.Accept(id)
	}
}
