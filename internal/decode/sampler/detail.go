package sampler

import (
	"math"
	"slices"
)

// Detail is what led to one token.
type Detail struct {
	// Top are the model's best tokens, by log-probability, as many as Params.TopLogprobs.
	Top []Logprob
	// Steps are the candidates before the first step (named "logits") and after each; nil without Params.Explain.
	Steps []StepDetail
}

// Logprob is a token and its natural log-probability in the model's own distribution.
type Logprob struct {
	ID      int32   `json:"id"`
	Logprob float64 `json:"logprob"`
}

// StepDetail is what a step left.
type StepDetail struct {
	Name  string      `json:"name"`
	Left  int         `json:"left"`  // candidates that can still be chosen
	Best  []Candidate `json:"best"`  // the best of them, as many as Params.Explain
	Chose *int32      `json:"chose"` // by the last step: the token
}

// Candidate is one of what a step left.
type Candidate struct {
	ID    int32   `json:"id"`
	Score float32 `json:"score"` // a logit, changed by the steps so far
	Prob  float64 `json:"p"`     // of drawing it if no step followed
}

// TopLogprobs are the n best tokens, from the best down, by log-probability. logits must be finite.
func TopLogprobs(logits []float32, n int) []Logprob {
	total := LogSumExp(logits)
	var b best
	b.reset(n)
	for i, x := range logits {
		b.add(candidate{int32(i), x})
	}
	top := make([]Logprob, 0, len(b.list))
	for _, x := range b.list {
		top = append(top, Logprob{x.id, float64(x.score) - total})
	}
	return top
}

// best keeps the n best of the candidates that it sees, sorted.
type best struct {
	n    int
	list []candidate
}

func (b *best) reset(n int) { b.n, b.list = n, b.list[:0] }

func (b *best) add(x candidate) {
	full := len(b.list) == b.n
	if b.n == 0 || full && !x.better(b.list[b.n-1]) {
		return
	}
	if full {
		b.list = b.list[:b.n-1]
	}
	i, _ := slices.BinarySearchFunc(b.list, x, func(a, x candidate) int {
		if a.better(x) {
			return -1
		}
		return 1
	})
	b.list = slices.Insert(b.list, i, x)
}

// explain describes the candidates as they are after a step.
func (c *candidates) explain(name string, n int) StepDetail {
	d := StepDetail{Name: name, Best: []Candidate{}}
	top := c.best().score
	mass := c.mass(top)
	var b best
	b.reset(n)
	for _, x := range c.list {
		if x.possible() {
			d.Left++
			b.add(x)
		}
	}
	for _, x := range b.list {
		p := weight(x.score, top) / mass
		if math.IsNaN(p) {
			p = 0
		}
		d.Best = append(d.Best, Candidate{x.id, x.score, p})
	}
	return d
}
