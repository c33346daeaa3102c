package engine

import (
	"math/rand/v2"
	"testing"
	"time"
)

// always is a drafter of any token.
type always struct{}

func (always) Draft(dst, _ []int32, n int) []int32 { return append(dst, make([]int32, n)...) }

// pretend lets a request of that many steps generate beside nobody else, on an engine whose plain passes take a millisecond and whose passes with
// guesses take more by extra for each. It says how many tokens came and how long that took, though the engine measures
// that times noise. Of the guesses all are right or none.
func pretend(e *Engine, steps int, right bool, extra time.Duration, noise func() float64) (tokens int, took time.Duration) {
	s := &sequence{req: &Request{Drafter: always{}}, all: make([]int32, 2), prompt: 1, limit: 1 << 20}
	e.plan.seqs = []*sequence{s}
	for range steps {
		s.draft = s.draft[:0]
		n := e.guess(s, 1, maxGuesses)
		d := time.Millisecond + time.Duration(n)*extra
		s.sampled = make([]Token, 1)
		if right {
			s.sampled = make([]Token, 1+n)
		}
		tokens, took = tokens+len(s.sampled), took+d
		e.learn(time.Duration(float64(d) * noise()))
		s.all = append(s.all, make([]int32, len(s.sampled))...)
	}
	return tokens, took
}

// Wrong guesses cost 5 % at most, in one long answer and in many short ones, whatever a guess costs; right ones pay soon after them.
func TestWrongGuessesCostLittle(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	quiet := func() float64 { return 1 }
	busy := func() float64 { return 1 + 5*r.Float64()*r.Float64()*r.Float64() }
	for _, extra := range []time.Duration{50 * time.Microsecond, 300 * time.Microsecond, 2 * time.Millisecond} {
		for _, steps := range []int{8, 40, 4000} {
			for i, noise := range []func() float64{quiet, busy} {
				e := &Engine{}
				tokens, took := 0, time.Duration(0)
				for tokens < 8000 {
					n, d := pretend(e, steps, false, extra, noise)
					tokens, took = tokens+n, took+d
				}
				plain := time.Duration(tokens) * time.Millisecond
				if cost := float64(took-plain) / float64(plain); cost > 0.05 || cost == 0 {
					t.Errorf("guesses of %v each, answers of %d tokens, noise %d: they cost %.1f %%, want some, at most 5 %%", extra, steps, i, 100*cost)
				}
			}
		}
	}
	e := &Engine{}
	pretend(e, 300, false, 300*time.Microsecond, quiet)
	if tokens, took := pretend(e, 300, true, 100*time.Microsecond, quiet); float64(tokens)/took.Seconds() < 3000 { // 16 in 2.5 ms at best
		t.Errorf("right guesses after wrong ones: %d tokens in %v", tokens, took)
	}
}
