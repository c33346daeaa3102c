package systemgemma

import (
	"fmt"
	"sync"
	"time"

	"github.com/systemgemma/systemgemma/internal/decode/sampler"
	"github.com/systemgemma/systemgemma/internal/engine"
	"github.com/systemgemma/systemgemma/internal/gemma2"
)

const (
	parallelPrompt = 128 // tokens of each prompt, all different
	parallelAnswer = 64  // tokens of each answer, and one more for each that runs beside it: so all run at once for that long
)

// together measures n conversations at a time, through the scheduler as any request: see tally for the two rates.
func (b *bench) together(n, threads, repeat int, yield func(BenchResult, error) bool) error {
	pool := gemma2.NewPool(&b.m.weights.Config, b.m.kv, 0)
	e, err := engine.New(b.model, pool, engine.Options{ContextLength: parallelPrompt + parallelAnswer + n, Parallel: n, PrefixBytes: -1, StepTokens: parallelPrompt})
	if err != nil {
		return err
	}
	defer e.Close() // nothing is stored
	var whole, decode []float64
	for i := -1; i < repeat; i++ {
		t, err := b.round(e, n, i+1)
		if err != nil {
			return err
		}
		if i >= 0 {
			w, d, err := t.rates()
			if err != nil {
				return err
			}
			whole, decode = append(whole, w), append(decode, d)
		}
	}
	for _, x := range []struct {
		test  BenchTest
		rates []float64
	}{{BenchParallelDecode, decode}, {BenchParallelWhole, whole}} {
		if !yield(BenchResult{Test: x.test, Type: b.m.weightType(), Tokens: n, Depth: parallelPrompt, Threads: threads, TokS: SpreadOf(x.rates)}, nil) {
			return errEnough
		}
	}
	return nil
}

// round runs n requests to their end.
func (b *bench) round(e *engine.Engine, n, seed int) (*tally, error) {
	var runs []*engine.Running
	vocab := int32(b.model.Config().VocabSize)
	t := newTally(time.Now, n, parallelAnswer)
	for i := range n {
		greedy, err := sampler.New(sampler.Params{})
		if err != nil {
			return nil, err
		}
		prompt := make([]int32, parallelPrompt)
		for j := range prompt {
			prompt[j] = b.tokens[(seed*7919+i*613+j)%len(b.tokens)]
		}
		prompt[0], prompt[1] = int32(i)%vocab, int32(seed)%vocab
		run, err := e.Submit(b.ctx, &engine.Request{Prompt: prompt, Sampler: greedy, MaxTokens: parallelAnswer + n, Token: func(engine.Token) bool {
			t.token(i)
			return true
		}})
		if err != nil {
			return nil, err
		}
		runs = append(runs, run)
	}
	for _, r := range runs {
		if _, _, err := r.Wait(); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// tally times conversations that are asked for at once, each with a prompt and an answer of at least enough tokens and one for each beside it.
//
// Two rates come of it. The whole: the tokens of all, by the time from asking until each has enough of them, prompts included. Decoding alone: from
// the moment when all have their first token until the first of them has ended, a time in which every pass gives each one token and none is a prompt's.
type tally struct {
	now    func() time.Time
	enough int
	asked  time.Time

	mu      sync.Mutex
	tokens  []int       // of each conversation
	begun   int         // conversations with a token
	begin   time.Time   // when the last of them had its first token,
	before  []int       // and how many all had then
	last    time.Time   // when the last of them had enough,
	done    int         // how many conversations have,
	sum     int         // and how many tokens all had then
	changed []time.Time // when each had its last token
}

// newTally is of n conversations that are asked for now.
func newTally(now func() time.Time, n, enough int) *tally {
	return &tally{now: now, enough: enough, asked: now(), tokens: make([]int, n), changed: make([]time.Time, n)}
}

// token counts one of a conversation.
func (t *tally) token(i int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	at := t.now()
	t.tokens[i]++
	t.changed[i] = at
	if t.tokens[i] == 1 {
		if t.begun++; t.begun == len(t.tokens) {
			t.begin, t.before = at, append([]int(nil), t.tokens...)
		}
	}
	if t.tokens[i] == t.enough {
		t.done++
	}
	if t.done == len(t.tokens) && t.last.IsZero() {
		t.last = at
		for _, n := range t.tokens {
			t.sum += n
		}
	}
}

// rates are tokens per second of all together, when all have ended. A pass gives its tokens one after the other: those of the last pass count for
// every conversation, not just for the one that was told its own first.
func (t *tally) rates() (whole, decode float64, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.last.IsZero() {
		return 0, 0, fmt.Errorf("bench: %d conversations of %d tokens did not all come to their end", len(t.tokens), t.enough)
	}
	first := 0 // to end
	for i, at := range t.changed {
		if at.Before(t.changed[first]) {
			first = i
		}
	}
	passes, tokens := t.tokens[first]-t.before[first], 0
	for i, n := range t.tokens {
		tokens += min(n-t.before[i], passes)
	}
	spent := t.changed[first].Sub(t.begin)
	if spent <= 0 || t.last.Sub(t.asked) <= 0 {
		return 0, 0, fmt.Errorf("bench: %d conversations did not run at the same time", len(t.tokens))
	}
	return float64(t.sum) / t.last.Sub(t.asked).Seconds(), float64(tokens) / spent.Seconds(), nil
}
