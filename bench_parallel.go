package systemgemma

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/systemgemma/systemgemma/internal/decode/sampler"
	"github.com/systemgemma/systemgemma/internal/engine"
	"github.com/systemgemma/systemgemma/internal/gemma2"
)

const (
	parallelPrompt = 128 // tokens of each prompt, all different
	parallelAnswer = 64  // tokens of each answer, and one more for each that runs beside it: so all run at once for that long
)

// together measures n conversations at a time, through the scheduler as any request: tokens per second of all together, from
// the moment when the last one has its first token until the first one ends.
func (b *bench) together(n, threads, repeat int, yield func(BenchResult, error) bool) error {
	pool := gemma2.NewPool(&b.m.weights.Config, b.m.kv, 0)
	e, err := engine.New(b.model, pool, engine.Options{ContextLength: parallelPrompt + parallelAnswer + n, Parallel: n, PrefixBytes: -1, StepTokens: parallelPrompt})
	if err != nil {
		return err
	}
	defer e.Close() // nothing is stored
	var rates []float64
	for i := -1; i < repeat; i++ {
		rate, err := b.round(e, n, i+1)
		if err != nil {
			return err
		}
		if i >= 0 {
			rates = append(rates, rate)
		}
	}
	r := BenchResult{Test: BenchParallel, Type: b.m.weightType(), Tokens: n, Depth: parallelPrompt, Threads: threads, TokS: SpreadOf(rates)}
	if !yield(r, nil) {
		return errEnough
	}
	return nil
}

// round runs n requests and gives their common rate.
func (b *bench) round(e *engine.Engine, n, seed int) (float64, error) {
	var started, tokens atomic.Int64
	var begin, end atomic.Pointer[moment]
	var runs []*engine.Running
	for i := range n {
		greedy, err := sampler.New(sampler.Params{})
		if err != nil {
			return 0, err
		}
		prompt := make([]int32, parallelPrompt)
		for j := range prompt {
			prompt[j] = b.tokens[(seed*7919+i*613+j)%len(b.tokens)]
		}
		prompt[0], prompt[1] = int32(i%b.model.Config().VocabSize), int32(seed%b.model.Config().VocabSize)
		own := 0
		run, err := e.Submit(b.ctx, &engine.Request{Prompt: prompt, Sampler: greedy, MaxTokens: parallelAnswer + n, Token: func(engine.Token) bool {
			own++
			now := tokens.Add(1)
			if own == 1 && started.Add(1) == int64(n) {
				begin.Store(&moment{time.Now(), now})
			}
			if own == parallelAnswer+n {
				end.CompareAndSwap(nil, &moment{time.Now(), now})
			}
			return true
		}})
		if err != nil {
			return 0, err
		}
		runs = append(runs, run)
	}
	for _, r := range runs {
		if _, _, err := r.Wait(); err != nil {
			return 0, err
		}
	}
	from, to := begin.Load(), end.Load()
	if from == nil || to == nil || !to.at.After(from.at) {
		return 0, fmt.Errorf("bench: %d conversations did not run at the same time", n)
	}
	return float64(to.tokens-from.tokens) / to.at.Sub(from.at).Seconds(), nil
}

// moment is when how many tokens had come.
type moment struct {
	at     time.Time
	tokens int64
}
