package sampler

import (
	"fmt"
	"math"
	"slices"

	"github.com/systemgemma/systemgemma/internal/compute/portable"
)

// Rules about tokens. They run while list[i].id == i.

// ban makes a token impossible.
func (c *candidates) ban(id int32) { c.list[id].score = float32(math.Inf(-1)) }

// biases adds to scores of tokens that would end a sequence whose beginning stands at the end of the history.
type biases struct {
	list    []Bias
	history *history
	sums    map[int32]float64 // scratch
}

func newBiases(list []Bias, h *history) *biases {
	h.keep = h.keep || slices.ContainsFunc(list, func(b Bias) bool { return len(b.IDs) > 1 })
	return &biases{list, h, map[int32]float64{}}
}

func newBadWords(words [][]int32, eos []int32, h *history) *biases {
	var list []Bias
	for _, w := range words {
		if len(w) > 1 || !slices.Contains(eos, w[0]) {
			list = append(list, Bias{w, math.Inf(-1)})
		}
	}
	return newBiases(list, h)
}

func (b *biases) apply(c *candidates) {
	clear(b.sums)
	for _, x := range b.list {
		n := len(x.IDs) - 1
		// As transformers does, a sequence that is longer than the history counts as not begun.
		if n == 0 || len(b.history.ids) > n && slices.Equal(x.IDs[:n], b.history.ids[len(b.history.ids)-n:]) {
			b.sums[x.IDs[n]] += x.Add
		}
	}
	for id, sum := range b.sums {
		if math.IsInf(sum, -1) {
			c.ban(id)
		} else {
			c.list[id].change(float32(float64(c.list[id].score) + sum))
		}
	}
}

// encoderPenalty favours tokens of the prompt, as transformers' encoder_repetition_penalty does.
type encoderPenalty struct {
	penalty float64
	history *history
	ids     []int32 // of the prompt, each once; nil: not known yet
}

func (e *encoderPenalty) apply(c *candidates) {
	if e.ids == nil {
		e.ids = slices.Clone(e.history.promptIDs())
		slices.Sort(e.ids)
		e.ids = slices.Compact(e.ids)
	}
	for _, id := range e.ids {
		score := float64(c.list[id].score)
		if score < 0 {
			score /= e.penalty
		} else {
			score = float64(score * e.penalty)
		}
		c.list[id].change(float32(score))
	}
}

// noRepeat bans what would complete an n-gram of the history.
type noRepeat struct {
	n       int
	history *history
}

func (r noRepeat) apply(c *candidates) {
	ids := r.history.ids
	if len(ids) < r.n {
		return
	}
	end := ids[len(ids)-r.n+1:]
	for i := r.n - 1; i < len(ids); i++ {
		if slices.Equal(ids[i-r.n+1:i], end) {
			c.ban(ids[i])
		}
	}
}

// minTokens bans the end until the answer has n tokens.
type minTokens struct {
	n       int
	eos     []int32
	history *history
}

func (m minTokens) apply(c *candidates) {
	if m.history.generated() < m.n {
		suppress{m.eos, nil}.apply(c)
	}
}

// suppress bans tokens, where when says so.
type suppress struct {
	ids  []int32
	when func() bool // nil: always
}

func (s suppress) apply(c *candidates) {
	if s.when != nil && !s.when() {
		return
	}
	for _, id := range s.ids {
		c.ban(id)
	}
}

// forced bans all but some tokens, which become equally likely, where when says so.
type forced struct {
	ids  []int32
	when func() bool
}

func (f forced) apply(c *candidates) {
	if !f.when() {
		return
	}
	for i := range c.list {
		c.ban(int32(i))
	}
	for _, id := range f.ids {
		c.list[id].score = 0
	}
}

// lengthDecay makes the end likelier the longer the answer is.
type lengthDecay struct {
	start   int
	factor  float64
	eos     []int32
	history *history
}

func (d lengthDecay) apply(c *candidates) {
	n := d.history.generated() - d.start
	if n <= 0 {
		return
	}
	by := portable.Pow(d.factor, float64(n)) - 1
	for _, id := range d.eos {
		score := float64(c.list[id].score)
		c.list[id].change(float32(score + float64(math.Abs(score)*by)))
	}
}

// custom is a rule of the caller's own.
type custom struct {
	f       Processor
	history *history
	scores  []float32 // scratch
}

func (p *custom) apply(c *candidates) {
	p.scores = slices.Grow(p.scores[:0], len(c.list))[:len(c.list)]
	for i, x := range c.list {
		p.scores[i] = x.score
	}
	p.f.Process(p.history.ids, p.scores)
	for i, score := range p.scores {
		if score != score || score > math.MaxFloat32 {
			c.err = fmt.Errorf("processor %T gave token %d the score %v: want a finite number or -Inf", p.f, i, score)
			return
		}
		c.list[i].score = score
	}
}
