// Package meter counts what the models of a server do: tokens and the time they took, in all and in the last seconds.
//
// It must not know requests, models or how its numbers are shown.
package meter

import (
	"sync"
	"sync/atomic"
	"time"
)

// Meter counts. The zero value is ready; safe for concurrent use.
type Meter struct {
	PromptTokens, CachedTokens, Tokens atomic.Int64 // computed, known from earlier requests, generated
	PromptTime, DecodeTime             atomic.Int64 // nanoseconds, summed over requests
	Answers, Cancelled, Failed         atomic.Int64 // ended requests
	DraftedTokens, AcceptedTokens      atomic.Int64

	prefill, decode window
}

// Prompt counts a computed prompt.
func (m *Meter) Prompt(tokens, cached int, took time.Duration) {
	m.PromptTokens.Add(int64(tokens))
	m.CachedTokens.Add(int64(cached))
	m.PromptTime.Add(int64(took))
	m.prefill.add(time.Now(), tokens)
}

// Token counts one generated token.
func (m *Meter) Token() {
	m.Tokens.Add(1)
	m.decode.add(time.Now(), 1)
}

// Rates are the tokens per second of prompts and answers, all requests together, over the last ten seconds.
func (m *Meter) Rates() (prefill, decode float64) {
	now := time.Now()
	return m.prefill.rate(now), m.decode.rate(now)
}

// span is how many seconds a rate looks back.
const span = 10

// window counts by the second.
type window struct {
	mu     sync.Mutex
	counts [span + 1]int // guarded by mu; by second, modulo their number
	last   int64         // guarded by mu; the newest second
}

// move forgets the seconds that are over. w.mu is held.
func (w *window) move(second int64) {
	for n := 0; w.last < second && n < len(w.counts); n++ {
		w.last++
		w.counts[w.last%int64(len(w.counts))] = 0
	}
	w.last = max(w.last, second)
}

func (w *window) add(now time.Time, n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	second := now.Unix()
	w.move(second)
	if second+span >= w.last { // the clock may go back
		w.counts[second%int64(len(w.counts))] += n
	}
}

// rate leaves out the second that is not over yet.
func (w *window) rate(now time.Time) float64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.move(now.Unix())
	sum := 0
	for i, n := range w.counts {
		if int64(i) != w.last%int64(len(w.counts)) {
			sum += n
		}
	}
	return float64(sum) / span
}
