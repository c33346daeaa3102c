// Package beam looks for the likeliest whole answers: beam search as Hugging Face transformers does it.
//
// It owns which beginnings of answers go on, which are whole, and when to end. It must not know models: it sees the logits after
// each beginning, in whatever order they come, and says which beginnings come next.
package beam

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"sync"

	"github.com/systemgemma/systemgemma/internal/compute/portable"
	"github.com/systemgemma/systemgemma/internal/decode/sampler"
)

// Stopping says when a search ends that has as many whole answers as beams.
type Stopping string

const (
	// Heuristic ends when the best beginning, scored at its present length, is worse than the worst whole answer.
	Heuristic Stopping = ""
	// Early ends at once.
	Early Stopping = "true"
	// Never ends when no beginning can become better, scored at MaxTokens where long answers are preferred.
	Never Stopping = "never"
)

// MaxBeams bounds Options.Beams.
const MaxBeams = 64

// Options are those of one search.
type Options struct {
	Beams         int     // beginnings that are followed at a time
	LengthPenalty float64 // a score is the sum of log-probabilities by the answer's length to this power: above 0 long ones gain
	Stopping      Stopping
	MaxTokens     int            // of an answer
	EOS           map[int32]bool // tokens that end one
	// Ends tells other ends: it is asked about beginnings with their newest token. nil: none.
	Ends func(answer []int32) bool
}

// check refuses what no search can have.
func (o *Options) check() error {
	switch {
	case o.Beams < 1 || o.Beams > MaxBeams:
		return fmt.Errorf("beams: want 1 to %d, found %d", MaxBeams, o.Beams)
	case !(math.Abs(o.LengthPenalty) <= 100):
		return fmt.Errorf("length penalty: want -100 to 100, found %v", o.LengthPenalty)
	case o.Stopping != Heuristic && o.Stopping != Early && o.Stopping != Never:
		return fmt.Errorf("early stopping: want false, true or never, found %.40q", string(o.Stopping))
	case o.MaxTokens < 1:
		return fmt.Errorf("max tokens: want at least 1, found %d", o.MaxTokens)
	}
	return nil
}

// Answer is a whole answer, or the beginning of one.
type Answer struct {
	IDs      []int32
	Logprobs []float64 // of each token under the model
	Score    float64   // what answers are ordered by: see Options.LengthPenalty
	Whole    bool      // it ended, by a token of EOS, by Ends or at MaxTokens
}

// Search is one search, of one request.
type Search struct {
	mu     sync.Mutex // held by Next and Answers
	o      Options
	prompt []int32
	keep   int // continuations that each step looks at

	running  []beginning // from the best down; the first step has one
	samplers []*sampler.Sampler
	found    [][]sampler.Continuation // after each of running
	whole    []Answer                 // from the best down, at most as many as beams
	steps    int
}

// beginning is an answer that goes on; its score is a plain sum.
type beginning struct {
	ids      []int32
	logprobs []float64
	score    float64
}

// New begins a search after a prompt. first has the rules about tokens (its temperature must be 0) and has accepted nothing.
func New(o Options, prompt []int32, first *sampler.Sampler) (*Search, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	first.Accept(prompt...)
	ends := 0
	for _, is := range o.EOS {
		if is {
			ends++
		}
	}
	return &Search{
		o: o, prompt: prompt, keep: max(2, 1+ends) * o.Beams,
		running: []beginning{{}}, samplers: []*sampler.Sampler{first}, found: make([][]sampler.Continuation, o.Beams),
	}, nil
}

// Width is the most beginnings at a time.
func (s *Search) Width() int { return s.o.Beams }

// Look sees the logits after beginning i. It may be called for different beginnings at the same time, and again with the same logits.
func (s *Search) Look(i int, logits []float32) (err error) {
	s.found[i], err = s.samplers[i].Continue(s.found[i][:0], logits, s.keep)
	return err
}

// choice is a beginning and a token after it.
type choice struct {
	from  int
	token sampler.Continuation
	score float64
}

// Next is called when all beginnings were looked at, and says which come next: number i is beginning from[i] with tokens[i] after it.
// None: the search is over.
func (s *Search) Next() (from []int, tokens []int32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.steps++
	var next []choice
	var ended []Answer
	for rank, c := range s.best() {
		b := s.running[c.from].with(c)
		switch whole := s.ends(b.ids); {
		case !whole && len(next) < s.o.Beams:
			next = append(next, c)
		case whole && rank < s.o.Beams: // others were looked at to have enough that go on
			ended = append(ended, s.answer(b, true))
		}
	}
	s.whole = append(s.whole, ended...)
	slices.SortStableFunc(s.whole, func(a, b Answer) int { return cmp.Compare(b.Score, a.Score) })
	s.whole = s.whole[:min(len(s.whole), s.o.Beams)]
	s.follow(next)
	if s.over() {
		return nil, nil
	}
	for _, c := range next {
		from, tokens = append(from, c.from), append(tokens, c.token.ID)
	}
	return from, tokens
}

// best are the best continuations of all beginnings; among equals the earlier beginning's, then the lower token.
func (s *Search) best() []choice {
	var all []choice
	for i, b := range s.running {
		for _, c := range s.found[i] {
			all = append(all, choice{i, c, b.score + c.Score})
		}
	}
	slices.SortFunc(all, func(a, b choice) int {
		return cmp.Or(cmp.Compare(b.score, a.score), cmp.Compare(a.from, b.from), cmp.Compare(a.token.ID, b.token.ID))
	})
	return all[:min(len(all), s.keep)]
}

// with is b with one more token; b stays as it is.
func (b *beginning) with(c choice) beginning {
	return beginning{append(slices.Clip(b.ids), c.token.ID), append(slices.Clip(b.logprobs), c.token.Logprob), c.score}
}

// ends reports whether an answer is whole with its newest token.
func (s *Search) ends(ids []int32) bool {
	return s.o.EOS[ids[len(ids)-1]] || len(ids) >= s.o.MaxTokens || s.o.Ends != nil && s.o.Ends(ids)
}

func (s *Search) answer(b beginning, whole bool) Answer {
	return Answer{b.ids, b.logprobs, b.score / s.penalty(len(b.ids)), whole}
}

// penalty is what the score of so many tokens is divided by.
func (s *Search) penalty(tokens int) float64 { return portable.Pow(float64(tokens), s.o.LengthPenalty) }

// over reports whether the search ends.
func (s *Search) over() bool {
	switch {
	case len(s.running) == 0:
		return true
	case len(s.whole) < s.o.Beams:
		return false
	case s.o.Stopping == Early:
		return true
	}
	length := s.steps
	if s.o.Stopping == Never && s.o.LengthPenalty > 0 {
		length = s.o.MaxTokens
	}
	return s.running[0].score/s.penalty(length) <= s.whole[len(s.whole)-1].Score
}

// follow goes on with the chosen beginnings. One of each keeps its sampler; those of beginnings that end here serve the others.
func (s *Search) follow(next []choice) {
	running, samplers := make([]beginning, len(next)), make([]*sampler.Sampler, len(next))
	old := slices.Clone(s.samplers)
	for i, c := range next {
		running[i] = s.running[c.from].with(c)
		if x := old[c.from]; x != nil {
			x.Accept(c.token.ID)
			samplers[i], old[c.from] = x, nil
		}
	}
	old = slices.DeleteFunc(old, func(x *sampler.Sampler) bool { return x == nil })
	for i := range samplers {
		if samplers[i] != nil {
			continue
		}
		if n := len(old); n > 0 {
			samplers[i], old = old[n-1], old[:n-1]
		} else {
			samplers[i] = s.samplers[0].Fresh()
		}
		samplers[i].Restart(s.prompt, running[i].ids)
	}
	s.running = running
	if len(samplers) > 0 {
		s.samplers = samplers
	}
}

// Answers are the n best, at most as many as beams: whole ones and, where they are fewer, the best beginnings.
func (s *Search) Answers(n int) []Answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := slices.Clone(s.whole)
	for _, b := range s.running {
		if len(b.ids) > 0 {
			list = append(list, s.answer(b, false))
		}
	}
	return list[:min(n, len(list), s.o.Beams)]
}
