package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/systemgemma/systemgemma/internal/decode/sampler"
	"github.com/systemgemma/systemgemma/internal/decode/watermark"
	"github.com/systemgemma/systemgemma/internal/gemma2"
	"github.com/systemgemma/systemgemma/internal/text/tokenizer"
)

// job is a random request.
type job struct {
	prompt    []int32
	params    sampler.Params
	max       int
	priority  int
	look      bool
	cancelAt  int // cancel after that many tokens; 0: never
	wait      time.Duration
	scoreFrom int // not 0: score instead
}

func (j job) request(t testing.TB) *Request {
	s, err := sampler.New(j.params)
	if err != nil {
		t.Fatal(err)
	}
	r := &Request{Prompt: j.prompt, Sampler: s, Stop: stops, MaxTokens: j.max, Priority: j.priority}
	if j.look {
		r.Drafter = NewLookup(nil)
	}
	return r
}

// run gives the tokens and their log probabilities.
func (j job) run(t testing.TB, e *Engine) ([]Token, error) {
	var got []Token
	if j.scoreFrom > 0 {
		err := e.Score(context.Background(), j.prompt, j.scoreFrom, nil, func(i int, logits []float32) error {
			got = append(got, Token{ID: j.prompt[i], Logprob: float64(logits[j.prompt[i]]) - sampler.LogSumExp(logits)})
			return nil
		})
		return got, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	_, st, err := e.Generate(ctx, *j.request(t), func(tok Token) bool {
		got = append(got, tok)
		if len(got) == j.cancelAt {
			cancel()
		}
		return true
	})
	if err == nil && st.GeneratedTokens != len(got) {
		t.Errorf("%d tokens, statistics %+v", len(got), st)
	}
	return got, err
}

// randomParams turns options on at random, above all those that remember tokens.
func randomParams(r *rand.Rand) sampler.Params {
	p := sampler.Params{
		Rules: []sampler.Rules{sampler.Llama, sampler.Transformers}[r.IntN(2)], Temperature: 0.5 + r.Float64(), Seed: 1 + r.Uint64N(1<<40),
		RepetitionPenalty: 1 + 0.2*r.Float64(), PenaltyWindow: r.IntN(20), EOS: slices.Sorted(maps.Keys(stops)),
	}
	for _, turn := range []func(){
		func() { p.DRYMultiplier, p.DRYWindow, p.DRYBreakers = 0.8, r.IntN(50), []int32{int32(r.IntN(300))} },
		func() { p.NoRepeatNgram = 2 + r.IntN(3) },
		func() { p.EncoderRepetitionPenalty = 1.1 },
		func() { p.MinTokens = r.IntN(20) },
		func() { p.DecayFactor, p.DecayStart = 1.1, r.IntN(10) },
		func() { p.BadWords = [][]int32{{int32(r.IntN(300))}, {int32(r.IntN(300)), int32(r.IntN(300))}} },
		func() { p.DynatempRange = 0.4 },
	} {
		if r.IntN(3) == 0 {
			turn()
		}
	}
	if r.IntN(4) == 0 {
		p.Mirostat = 1 + r.IntN(2)
		return p
	}
	p.TopK = r.IntN(40)
	for _, turn := range []func(){
		func() { p.TopP = 0.95 }, func() { p.MinP = 0.02 }, func() { p.TypicalP = 0.9 }, func() { p.EtaCutoff = 0.001 }, func() { p.TopNSigma = 1 + r.Float64() },
		func() { p.XTCProbability, p.XTCThreshold = 0.5, 0.1 }, func() { p.Watermark = &watermark.Config{Keys: []int64{1, 2, 3}, ContextHistory: 8} },
	} {
		if r.IntN(4) == 0 {
			turn()
		}
	}
	return p
}

// mix makes up to n random requests, of which some share a beginning.
func mix(r *rand.Rand, tok *tokenizer.Tokenizer, n int) []job {
	words := []string{"Talk like a pirate.", "You are terse.", "What is the capital of France?", "Tell me a story.", "What is 2 + 3?", "red red red red", "Hello!", "a b c a b c"}
	system := ""
	for range r.IntN(12) {
		system += words[r.IntN(len(words))] + " "
	}
	jobs := make([]job, 1+r.IntN(n))
	for i := range jobs {
		own := system
		if r.IntN(4) == 0 {
			own = words[r.IntN(len(words))]
		}
		text := "<bos>" + own + "\n<start_of_turn>user\n" + words[r.IntN(len(words))] + "<end_of_turn>\n<start_of_turn>model\n"
		j := job{prompt: tok.AppendSpecial(nil, text), max: 1 + r.IntN(48), priority: r.IntN(3), look: r.IntN(3) == 0}
		if r.IntN(2) == 0 {
			j.params = randomParams(r)
		}
		switch r.IntN(10) {
		case 0:
			j.cancelAt = 1 + r.IntN(10)
		case 1:
			j.scoreFrom = 1 + r.IntN(len(j.prompt)-1)
		}
		j.wait = time.Duration(r.IntN(2000)) * time.Microsecond
		jobs[i] = j
	}
	return jobs
}

// Every answer is the one that the request gets alone, whatever mix it runs in.
func TestAnswersDoNotDependOnTheMix(t *testing.T) {
	rounds, batches := 1000, 3
	switch {
	case raceEnabled:
		rounds, batches = 50, 1
	case os.Getenv("SYSTEMGEMMA_TEST_SAMPLE") != "":
		rounds, batches = 3, 0
	case os.Getenv("SYSTEMGEMMA_TEST_SLOW") == "":
		rounds = 30
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	alone, tok := miniWith(t, 0, Options{ContextLength: 512, Parallel: 1, PrefixBytes: -1})
	base, _ := miniWith(t, 0, Options{ContextLength: 512})
	var e *Engine
	for round := range rounds + batches {
		n := 16
		if round >= rounds {
			n = 64
		}
		if round%20 == 0 || n == 64 { // engines share a model's weights and scratch, so one at a time
			if e != nil {
				e.Close()
			}
			limit := int64(0)
			if r.IntN(2) == 0 {
				limit = base.pool.Need(512) * int64(1+r.IntN(3))
			}
			var err error
			e, err = New(base.model, gemma2.NewPool(base.model.Config(), gemma2.KVF16, limit), Options{ContextLength: 512, Parallel: []int{1, 3, 16, 64}[r.IntN(4)],
				StepTokens: []int{1, 7, 32, 128}[r.IntN(4)], PrefixBytes: []int64{-1, 0, 200_000}[r.IntN(3)]})
			if err != nil {
				t.Fatal(err)
			}
		}
		jobs := mix(r, tok, n)
		if n == 64 {
			for len(jobs) < 64 {
				jobs = append(jobs, mix(r, tok, 64)...)
			}
			jobs = jobs[:64]
		}
		got, errs := make([][]Token, len(jobs)), make([]error, len(jobs))
		var wg sync.WaitGroup
		for i, j := range jobs {
			wg.Go(func() {
				time.Sleep(j.wait)
				got[i], errs[i] = j.run(t, e)
			})
		}
		wg.Wait()
		for i, j := range jobs {
			if err := same(t, alone, j, got[i], errs[i]); err != nil {
				t.Fatalf("round %d, request %d of %d: %v\n%+v\noptions %+v", round, i, len(jobs), err, j, e.opt)
			}
		}
	}
	e.Close()
}

// same compares a request's answer with the one that it gets alone and without guesses.
func same(t *testing.T, alone *Engine, j job, got []Token, err error) error {
	plain := j
	plain.look, plain.cancelAt = false, 0
	want, plainErr := plain.run(t, alone)
	if plainErr != nil {
		return plainErr
	}
	if j.cancelAt > 0 && j.cancelAt <= len(want) && j.scoreFrom == 0 {
		if len(got) != j.cancelAt && !slices.Equal(got, want) {
			return fmt.Errorf("%d tokens, cancelled after %d: %v", len(got), j.cancelAt, err)
		}
		if err != nil && !errors.Is(err, context.Canceled) {
			return err
		}
		want = want[:len(got)]
	} else if err != nil {
		return err
	}
	if !slices.Equal(got, want) {
		return fmt.Errorf("tokens %v, alone %v", got, want)
	}
	return nil
}
