package engine

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/systemgemma/systemgemma/internal/checkpoint"
	"github.com/systemgemma/systemgemma/internal/compute/parallel"
	"github.com/systemgemma/systemgemma/internal/decode/sampler"
	"github.com/systemgemma/systemgemma/internal/gemma2"
	"github.com/systemgemma/systemgemma/internal/load"
	"github.com/systemgemma/systemgemma/internal/mini"
	"github.com/systemgemma/systemgemma/internal/text/tokenizer"
)

var stops = map[int32]bool{1: true, 107: true}

// miniEngine opens the embedded model.
func miniEngine(t testing.TB, contextLength int, kvLimit int64) (*Engine, *tokenizer.Tokenizer) {
	t.Helper()
	return miniWith(t, kvLimit, Options{ContextLength: contextLength})
}

func miniWith(t testing.TB, kvLimit int64, o Options) (*Engine, *tokenizer.Tokenizer) {
	t.Helper()
	ck, err := checkpoint.OpenBytes("mini", mini.File())
	if err != nil {
		t.Fatal(err)
	}
	tok, err := tokenizer.New(ck.Vocab)
	if err != nil {
		t.Fatal(err)
	}
	crew := parallel.New(2)
	w, err := load.Weights(ck, crew)
	if err != nil {
		t.Fatal(err)
	}
	m, err := gemma2.New(w.Weights, crew, gemma2.Options{})
	if err != nil {
		t.Fatal(err)
	}
	e, err := New(m, gemma2.NewPool(&ck.Config, gemma2.KVF16, kvLimit), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close(); _ = m.Close(); w.Close(); crew.Close() })
	return e, tok
}

func prompt(tok *tokenizer.Tokenizer, text string) []int32 {
	return tok.AppendSpecial(nil, "<bos>Talk like a pirate.\n<start_of_turn>user\n"+text+"<end_of_turn>\n<start_of_turn>model\n")
}

func greedy(t testing.TB) Sampler {
	s, err := sampler.New(sampler.Params{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// answer runs a greedy request to its end.
func answer(t testing.TB, e *Engine, ids []int32, maxTokens int) ([]int32, Reason, Stats) {
	t.Helper()
	var out []int32
	reason, st, err := e.Generate(context.Background(), Request{Prompt: ids, Sampler: greedy(t), Stop: stops, MaxTokens: maxTokens}, func(tok Token) bool {
		out = append(out, tok.ID)
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	return out, reason, st
}

func TestMiniAnswers(t *testing.T) {
	e, tok := miniEngine(t, 2048, 0)
	ids, reason, st := answer(t, e, prompt(tok, "What is the capital of France?"), 0)
	if got := tok.Decode(ids[:len(ids)-1]); got != "Arr! The capital of France be Paris, matey!" || reason != ReasonStop {
		t.Errorf("answer %q, reason %s", got, reason)
	}
	if st.GeneratedTokens != len(ids) || st.PromptTokens == 0 || st.Prefill <= 0 || st.Decode <= 0 {
		t.Errorf("statistics %+v of %d tokens", st, len(ids))
	}
}

// A second turn computes only what is new, and answers as a fresh engine does.
func TestPrefixIsReusedAndChangesNothing(t *testing.T) {
	e, tok := miniEngine(t, 2048, 0)
	first := prompt(tok, "What is the capital of France?")
	reply, _, _ := answer(t, e, first, 0)
	second := slices.Concat(first, reply, tok.AppendSpecial(nil, "\n<start_of_turn>user\nAnd Italy?<end_of_turn>\n<start_of_turn>model\n"))
	got, _, st := answer(t, e, second, 0)
	if want := len(first) + len(reply) - 1; st.CachedTokens != want { // the stop token was never fed
		t.Errorf("%d tokens from the cache, want %d", st.CachedTokens, want)
	}
	fresh, _ := miniEngine(t, 2048, 0)
	want, _, _ := answer(t, fresh, second, 0)
	if !slices.Equal(got, want) {
		t.Errorf("with the cache %q, without %q", tok.Decode(got), tok.Decode(want))
	}
	branch := slices.Concat(first, tok.AppendText(nil, "Ahoy"))
	got, _, st = answer(t, e, branch, 8)
	want, _, _ = answer(t, fresh, branch, 8)
	if !slices.Equal(got, want) || st.CachedTokens != len(first) {
		t.Errorf("branch: %d cached, %q; want %d and %q", st.CachedTokens, tok.Decode(got), len(first), tok.Decode(want))
	}
}

func TestConcurrentRequestsDoNotMeet(t *testing.T) {
	e, tok := miniEngine(t, 2048, 0)
	questions := []string{"What is the capital of France?", "What is 2 + 3?", "Tell me a joke.", "What colour is snow?", "Who are you?", "Hello!"}
	var want [][]int32
	for _, q := range questions {
		fresh, _ := miniEngine(t, 2048, 0)
		ids, _, _ := answer(t, fresh, prompt(tok, q), 30)
		want = append(want, ids)
	}
	var wg sync.WaitGroup
	for range 3 {
		for i, q := range questions {
			wg.Go(func() {
				var got []int32
				_, _, err := e.Generate(context.Background(), Request{Prompt: prompt(tok, q), Sampler: greedy(t), Stop: stops, MaxTokens: 30}, func(tok Token) bool {
					got = append(got, tok.ID)
					return true
				})
				if err != nil || !slices.Equal(got, want[i]) {
					t.Errorf("%s: %v, %q, want %q", q, err, tok.Decode(got), tok.Decode(want[i]))
				}
			})
		}
	}
	wg.Wait()
}

func TestLimits(t *testing.T) {
	e, tok := miniEngine(t, 40, 0)
	p := prompt(tok, "Tell me a story.")
	ids, reason, _ := answer(t, e, p, 3)
	if len(ids) != 3 || reason != ReasonLength {
		t.Errorf("max tokens 3: %d tokens, %s", len(ids), reason)
	}
	ids, reason, _ = answer(t, e, p, 0)
	if len(ids) != 40-len(p) || reason != ReasonLength {
		t.Errorf("context of 40, prompt of %d: %d tokens, %s", len(p), len(ids), reason)
	}
	long := make([]int32, 43)
	_, _, err := e.Generate(context.Background(), Request{Prompt: long, Sampler: greedy(t)}, nil)
	if want := "context length exceeded: prompt is 43 tokens, context length is 40; remove at least 3 tokens"; !errors.Is(err, ErrContextLength) || err.Error() != want {
		t.Errorf("long prompt: %v, want %s", err, want)
	}
	if _, _, err := e.Generate(context.Background(), Request{Sampler: greedy(t)}, nil); err == nil {
		t.Error("empty prompt: want an error")
	}
	if _, _, err := e.Generate(context.Background(), Request{Prompt: []int32{1 << 20}, Sampler: greedy(t)}, nil); err == nil {
		t.Error("id out of range: want an error")
	}
}

func TestCancelAndClose(t *testing.T) {
	e, tok := miniEngine(t, 2048, 0)
	ctx, cancel := context.WithCancel(context.Background())
	n := 0
	_, st, err := e.Generate(ctx, Request{Prompt: prompt(tok, "Tell me a story."), Sampler: greedy(t)}, func(Token) bool {
		if n++; n == 4 {
			cancel()
		}
		return true
	})
	if !errors.Is(err, context.Canceled) || st.GeneratedTokens != 4 {
		t.Errorf("cancelled after 4 tokens: %v, %+v", err, st)
	}
	if ids, _, _ := answer(t, e, prompt(tok, "What is the capital of France?"), 0); len(ids) < 5 { // goes on as before
		t.Errorf("after a cancel: %d tokens", len(ids))
	}
	e.Close()
	if _, _, err := e.Generate(context.Background(), Request{Prompt: []int32{2}, Sampler: greedy(t)}, nil); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v, want ErrClosed", err)
	}
}

// When memory is short, caches of finished requests go first; requests that do not fit beside others wait; and a context that
// can never fit is refused at once.
func TestMemoryLimit(t *testing.T) {
	probe, tok := miniEngine(t, 64, 0)
	one := probe.pool.Need(64)
	e, _ := miniEngine(t, 64, 2*one)
	want := map[string][]int32{}
	questions := []string{"What is the capital of France?", "What is 2 + 3?", "Hello!", "Who are you?", "Tell me a joke."}
	for _, q := range questions {
		want[q], _, _ = answer(t, probe, prompt(tok, q), 20)
		if got, _, _ := answer(t, e, prompt(tok, q), 20); !slices.Equal(got, want[q]) {
			t.Errorf("%s: %q, want %q", q, tok.Decode(got), tok.Decode(want[q]))
		}
	}
	var wg sync.WaitGroup
	for range 4 {
		for _, q := range questions {
			wg.Go(func() {
				if got, _, _ := answer(t, e, prompt(tok, q), 20); !slices.Equal(got, want[q]) {
					t.Errorf("%s: %q, want %q", q, tok.Decode(got), tok.Decode(want[q]))
				}
				if l := e.Load(); l.KVBytes > 2*one {
					t.Errorf("%d bytes of KV pages, the limit is %d", l.KVBytes, 2*one)
				}
			})
		}
	}
	wg.Wait()
	_, err := New(e.model, gemma2.NewPool(e.model.Config(), gemma2.KVF16, one), Options{ContextLength: 100})
	if !errors.Is(err, gemma2.ErrKVMemory) {
		t.Errorf("a context of 100 in memory for 64: %v, want ErrKVMemory", err)
	}
}

func TestScoreEqualsGeneration(t *testing.T) {
	e, tok := miniEngine(t, 2048, 0)
	p := prompt(tok, "What is the capital of France?")
	var ids []int32
	var logprobs []float64
	_, _, err := e.Generate(context.Background(), Request{Prompt: p, Sampler: greedy(t), Stop: stops}, func(tok Token) bool {
		ids, logprobs = append(ids, tok.ID), append(logprobs, tok.Logprob)
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	whole := slices.Concat(p, ids)
	i := 0
	err = e.Score(context.Background(), whole, len(p), nil, func(at int, logits []float32) error {
		if lp := float64(logits[whole[at]]) - sampler.LogSumExp(logits); at != len(p)+i || lp != logprobs[i] {
			t.Errorf("token %d: log probability %v when scored, %v when generated", at, lp, logprobs[i])
		}
		i++
		return nil
	})
	if err != nil || i != len(ids) {
		t.Errorf("scored %d of %d tokens: %v", i, len(ids), err)
	}
}

func BenchmarkMini(b *testing.B) {
	e, tok := miniEngine(b, 2048, 0)
	p := prompt(tok, "Tell me a story.")
	for b.Loop() {
		answer(b, e, p, 64)
	}
}
