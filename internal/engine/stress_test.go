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

	"github.com/systemgemma/systemgemma/internal/decode/beam"
	"github.com/systemgemma/systemgemma/internal/decode/constrained"
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
	scoreFrom int     // not 0: score instead
	format    string  // a regular expression that holds the answer; empty: none
	other     []int32 // guidance steers away from it; nil: none
	beams     int     // not 0: search instead
	adapter   int     // number of an adapter, from 1; 0: none
	parts     *stressParts
}

// stressParts are what jobs of one test are made with.
type stressParts struct {
	tok      *tokenizer.Tokenizer
	formats  *constrained.Cache
	adapters map[*gemma2.Model][]*gemma2.AdapterSet // of each model; the first is none
	parallel int                                    // sequences that run at a time
}

func (j job) adapters(e *Engine) *gemma2.AdapterSet { return j.parts.adapters[e.model][j.adapter] }

func (j job) request(t testing.TB, e *Engine) *Request {
	s, err := sampler.New(j.params)
	if err != nil {
		t.Fatal(err)
	}
	r := &Request{Prompt: j.prompt, Sampler: s, Stop: stops, MaxTokens: j.max, Priority: j.priority, Other: j.other, Adapters: j.adapters(e)}
	if j.format != "" {
		text, err := j.parts.formats.Start(context.Background(), constrained.Source{Regex: j.format})
		if err != nil {
			t.Fatal(err)
		}
		if r.Sampler, err = constrained.New(s, text, j.parts.tok.AppendText, len(j.prompt), j.max); err != nil {
			t.Fatal(err)
		}
	}
	if j.look {
		r.Drafter = NewLookup(nil)
	}
	return r
}

// run gives the tokens and their log probabilities.
func (j job) run(t testing.TB, e *Engine) ([]Token, error) {
	var got []Token
	if j.scoreFrom > 0 {
		err := e.Score(context.Background(), j.prompt, j.scoreFrom, j.adapters(e), func(i int, logits []float32) error {
			got = append(got, Token{ID: j.prompt[i], Logprob: float64(logits[j.prompt[i]]) - sampler.LogSumExp(logits)})
			return nil
		})
		return got, err
	}
	if j.beams > 0 {
		return j.search(t, e)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	_, st, err := e.Generate(ctx, *j.request(t, e), func(tok Token) bool {
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

// search gives the tokens of all answers of a beam search.
func (j job) search(t testing.TB, e *Engine) (got []Token, err error) {
	first, err := sampler.New(j.params)
	if err != nil {
		t.Fatal(err)
	}
	s, err := beam.New(beam.Options{Beams: j.beams, LengthPenalty: 1, MaxTokens: j.max, EOS: stops}, j.prompt, first)
	if err != nil {
		t.Fatal(err)
	}
	run, err := e.Submit(context.Background(), &Request{Prompt: j.prompt, Search: s, MaxTokens: j.max, Priority: j.priority, Adapters: j.adapters(e)})
	if err != nil {
		return nil, err
	}
	_, _, err = run.Wait()
	for _, a := range s.Answers(j.beams) {
		for i, id := range a.IDs {
			got = append(got, Token{ID: id, Logprob: a.Logprobs[i]})
		}
	}
	return got, err
}

// turn makes some jobs another kind of answer.
func (p *stressParts) turn(r *rand.Rand, j *job) {
	j.parts = p
	if r.IntN(4) == 0 {
		j.adapter = r.IntN(3)
	}
	switch kind := r.IntN(8); {
	case kind == 0:
		j.format, j.max = []string{"[a-z ]{1,12}", `[0-9]{4}-[0-9]{2}`, "(yes|no), because [a-z]+\\."}[r.IntN(3)], max(j.max, 40)
		j.params.MinTokens, j.params.NoRepeatNgram, j.params.BadWords, j.params.Mirostat = 0, 0, nil, 0 // a ban may leave the format nothing
	case kind == 1 && p.parallel > 1:
		j.other = slices.Concat([]int32{2}, j.prompt[r.IntN(len(j.prompt)):])
		j.params.Guided, j.params.GuidanceScale = true, 2*r.Float64()
	case kind == 2:
		j.beams = 1 + r.IntN(min(4, p.parallel))
		j.params = sampler.Params{NoRepeatNgram: r.IntN(4), RepetitionPenalty: 1 + r.Float64()/4, Rules: sampler.Transformers}
		j.max, j.cancelAt, j.scoreFrom = 1+j.max/4, 0, 0
	}
}

// randomBreakers are of one token and of two.
func randomBreakers(r *rand.Rand) *sampler.Breakers {
	b := &sampler.Breakers{}
	b.Add(int32(r.IntN(300)), nil)
	b.Add(int32(r.IntN(300)), []int32{int32(r.IntN(300))})
	return b
}

// randomParams turns options on at random, above all those that remember tokens.
func randomParams(r *rand.Rand) sampler.Params {
	p := sampler.Params{
		Rules: []sampler.Rules{sampler.Llama, sampler.Transformers}[r.IntN(2)], Temperature: 0.5 + r.Float64(), Seed: 1 + r.Uint64N(1<<40),
		RepetitionPenalty: 1 + 0.2*r.Float64(), PenaltyWindow: r.IntN(20), EOS: slices.Sorted(maps.Keys(stops)),
	}
	for _, turn := range []func(){
		func() { p.DRYMultiplier, p.DRYWindow, p.DRYBreakers = 0.8, r.IntN(50), randomBreakers(r) },
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
func mix(r *rand.Rand, parts *stressParts, n int) []job {
	tok := parts.tok
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
		parts.turn(r, &j)
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
	alone, tok := miniWith(t, 0, Options{ContextLength: 512, Parallel: 4, PrefixBytes: -1})
	base, _ := miniWith(t, 0, Options{ContextLength: 512})
	parts := &stressParts{tok: tok, formats: constrained.NewCache(tok.Size(), func(id int32) string {
		if tok.IsControl(id) {
			return ""
		}
		return tok.Text(id)
	}, stops)}
	parts.adapters = map[*gemma2.Model][]*gemma2.AdapterSet{}
	for _, e := range []*Engine{alone, base} {
		parts.adapters[e.model] = []*gemma2.AdapterSet{nil, otherNorm(t, e, 1), otherNorm(t, e, 0.5)}
	}
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
			parts.parallel = []int{1, 3, 16, 64}[r.IntN(4)]
			var err error
			e, err = New(base.model, gemma2.NewPool(base.model.Config(), gemma2.KVF16, limit), Options{ContextLength: 512, Parallel: parts.parallel,
				StepTokens: []int{1, 7, 32, 128}[r.IntN(4)], PrefixBytes: []int64{-1, 0, 200_000}[r.IntN(3)]})
			if err != nil {
				t.Fatal(err)
			}
		}
		jobs := mix(r, parts, n)
		if n == 64 {
			for len(jobs) < 64 {
				jobs = append(jobs, mix(r, parts, 64)...)
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
