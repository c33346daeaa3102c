package engine

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/systemgemma/systemgemma/internal/gemma2"
)

// longPrompt has n tokens, none of which Mini answers with a guess.
func longPrompt(n int) []int32 {
	ids := make([]int32, n)
	for i := range ids {
		ids[i] = int32(300 + (i*7919)%1500)
	}
	ids[0] = 2
	return ids
}

// Answers to one prompt that are asked for at the same time compute it once.
func TestSamePromptIsComputedOnce(t *testing.T) {
	e, _ := miniEngine(t, 2048, 0)
	p := longPrompt(900)
	var runs []*Running
	for range 5 {
		r, err := e.Submit(context.Background(), &Request{Prompt: p, Sampler: greedy(t), MaxTokens: 4})
		if err != nil {
			t.Fatal(err)
		}
		runs = append(runs, r)
	}
	for i, r := range runs {
		_, st, err := r.Wait()
		if want := len(p) - shareWorth; err != nil || i > 0 && st.CachedTokens < want {
			t.Errorf("answer %d: %v, %d tokens from the cache, want at least %d", i, err, st.CachedTokens, want)
		}
	}
}

// A prompt longer than the window leaves a beginning that others can start from, though its own local pages go.
func TestBeginningOutlivesTheWindow(t *testing.T) {
	e, _ := miniEngine(t, 2048, 0)
	window := e.model.Config().SlidingWindow
	p := longPrompt(2*window + 400)
	answer(t, e, p, 2)
	other := slices.Concat(p[:window-70], longPrompt(50))
	_, _, st := answer(t, e, other, 2)
	if st.CachedTokens != window-70 {
		t.Errorf("%d tokens from the cache, want %d", st.CachedTokens, window-70)
	}
	fresh, _ := miniEngine(t, 2048, 0)
	for _, p := range [][]int32{other, p[:window+100]} {
		got, _, _ := answer(t, e, p, 20)
		if want, _, _ := answer(t, fresh, p, 20); !slices.Equal(got, want) {
			t.Errorf("prompt of %d tokens: %v, want %v", len(p), got, want)
		}
	}
}

// Tokens of running answers keep coming while a long prompt is computed.
func TestLongPromptDoesNotStopOthers(t *testing.T) {
	e, tok := miniWith(t, 0, Options{ContextLength: 2048, StepTokens: 8})
	started := make(chan struct{})
	var tokens, during atomic.Int32
	first := &Request{Prompt: prompt(tok, "Tell me a story."), Sampler: greedy(t), MaxTokens: 1500, Token: func(Token) bool {
		if tokens.Add(1) == 1 {
			close(started)
		}
		return true
	}}
	a, err := e.Submit(context.Background(), first)
	if err != nil {
		t.Fatal(err)
	}
	<-started
	before := tokens.Load()
	b, err := e.Submit(context.Background(), &Request{Prompt: longPrompt(800), Sampler: greedy(t), MaxTokens: 1, Token: func(Token) bool {
		during.Store(tokens.Load() - before)
		return true
	}})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []*Running{a, b} {
		if _, _, err := r.Wait(); err != nil {
			t.Fatal(err)
		}
	}
	if n := during.Load(); n < 90 { // 800 tokens in steps of 8, a token of the other answer in each
		t.Errorf("%d tokens came while a prompt of 800 was computed in steps of 8, want about 100", n)
	}
}

// A short prompt overtakes a long one that came before it, and a long one is not put off for ever.
func TestShortPromptsFirst(t *testing.T) {
	e, tok := miniWith(t, 0, Options{ContextLength: 2048, StepTokens: 16})
	order := make(chan string, 100)
	submit := func(name string, p []int32, priority int) {
		t.Helper()
		r := &Request{Prompt: p, Sampler: greedy(t), MaxTokens: 1, Priority: priority, Token: func(Token) bool { order <- name; return true }}
		if _, err := e.Submit(context.Background(), r); err != nil {
			t.Fatal(err)
		}
	}
	submit("long", longPrompt(1800), 0)
	submit("short", prompt(tok, "Hello!"), 0)
	if got := <-order; got != "short" {
		t.Errorf("the first to answer was the %s prompt", got)
	}
	if got := <-order; got != "long" {
		t.Errorf("then came %s", got)
	}
}

func TestPriorityAndQueue(t *testing.T) {
	e, tok := miniWith(t, 0, Options{ContextLength: 512, Parallel: 1, Queue: 3})
	release := make(chan struct{})
	started := make(chan struct{})
	hold := &Request{Prompt: prompt(tok, "Hello!"), Sampler: greedy(t), Token: func(Token) bool {
		close(started)
		<-release // a callback that blocks holds up everybody: just what this test wants
		return false
	}}
	if _, err := e.Submit(context.Background(), hold); err != nil {
		t.Fatal(err)
	}
	<-started
	var order []int
	var runs []*Running
	for i, priority := range []int{0, 0, 5} {
		r, err := e.Submit(context.Background(), &Request{Prompt: prompt(tok, "What is 2 + 3?"), Sampler: greedy(t), MaxTokens: 1, Priority: priority,
			Token: func(Token) bool { order = append(order, i); return true }})
		if err != nil {
			t.Fatal(err)
		}
		runs = append(runs, r)
	}
	if _, err := e.Submit(context.Background(), &Request{Prompt: prompt(tok, "Hi"), Sampler: greedy(t)}); !errors.Is(err, ErrQueueFull) || !strings.Contains(err.Error(), "3 requests wait") {
		t.Errorf("a fourth one: %v, want ErrQueueFull", err)
	}
	if l := e.Load(); l.Waiting != 3 || l.Pinned == 0 {
		t.Errorf("load %+v, want 3 waiting", l)
	}
	close(release)
	for _, r := range runs {
		if _, _, err := r.Wait(); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.Equal(order, []int{2, 0, 1}) {
		t.Errorf("order %v, want the one of high priority first", order)
	}
}

// Who cancels need not wait for the step under way, nor a request that still waits for its turn.
func TestCancelInPrefillAndQueue(t *testing.T) {
	e, _ := miniWith(t, 0, Options{ContextLength: 2048, Parallel: 1})
	ctx, cancel := context.WithCancel(context.Background())
	long, err := e.Submit(ctx, &Request{Prompt: longPrompt(2000), Sampler: greedy(t)})
	if err != nil {
		t.Fatal(err)
	}
	waiting, err := e.Submit(ctx, &Request{Prompt: longPrompt(100)[1:], Sampler: greedy(t)})
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	for _, r := range []*Running{long, waiting} {
		if _, st, err := r.Wait(); !errors.Is(err, context.Canceled) || st.GeneratedTokens != 0 {
			t.Errorf("cancelled: %v, %+v", err, st)
		}
	}
	e.active.Wait() // the loop ends
	if l := e.Load(); l.Waiting != 0 || l.Pinned != 0 {
		t.Errorf("load %+v after all have ended", l)
	}
}

// An idle engine has no goroutine.
func TestIdle(t *testing.T) {
	e, tok := miniEngine(t, 512, 0)
	before := runtime.NumGoroutine()
	answer(t, e, prompt(tok, "Hello!"), 0)
	for range 100 {
		if runtime.NumGoroutine() <= before {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("%d goroutines, %d before the request", runtime.NumGoroutine(), before)
}

// Guessing by looking back changes no token, and saves steps where the answer repeats itself.
func TestLookup(t *testing.T) {
	e, tok := miniEngine(t, 2048, 0)
	p := prompt(tok, "Tell me a story.")
	want, _, plain := answer(t, e, p, 400)
	var got []int32
	_, st, err := e.Generate(context.Background(), Request{Prompt: p, Sampler: greedy(t), Stop: stops, MaxTokens: 400, Drafter: NewLookup(want)}, func(tok Token) bool {
		got = append(got, tok.ID)
		return true
	})
	if err != nil || !slices.Equal(got, want) {
		t.Fatalf("%v: %v, want %v", err, got, want)
	}
	if len(want) > 10 && (st.AcceptedTokens == 0 || st.AcceptedTokens > st.DraftedTokens) {
		t.Errorf("the answer was given as a prediction: %+v, without %+v", st, plain)
	}
	l := NewLookup([]int32{1, 2, 3, 4, 5, 6})
	for _, c := range []struct {
		ids, want []int32
		n         int
	}{
		{[]int32{9, 2, 3}, []int32{4, 5}, 2},
		{[]int32{9, 2, 3, 9, 9}, nil, 4},
		{[]int32{9, 2, 3, 9, 9, 7, 2, 3}, []int32{9, 9, 7}, 3},
		{[]int32{9, 2, 3, 9, 9, 7, 2, 3, 3, 4, 5}, []int32{6}, 1},
	} {
		if got := l.Draft(nil, c.ids, c.n); !slices.Equal(got, c.want) {
			t.Errorf("after %v: %v, want %v", c.ids, got, c.want)
		}
	}
}

// A draft model changes no token. With the model itself as its own draft, every guess is right.
func TestDraftModel(t *testing.T) {
	for _, text := range []string{"Tell me a story.", "What is the capital of France?"} {
		e, tok := miniEngine(t, 2048, 0) // its own: what guesses lost in one answer the next one may not try
		pool := gemma2.NewPool(e.model.Config(), gemma2.KVF16, 0)
		p := prompt(tok, text)
		want, _, _ := answer(t, e, p, 200)
		var got []int32
		_, st, err := e.Generate(context.Background(), Request{Prompt: p, Sampler: greedy(t), Stop: stops, MaxTokens: 200, Drafter: NewDraftModel(e.model, pool)}, func(tok Token) bool {
			got = append(got, tok.ID)
			return true
		})
		if err != nil || !slices.Equal(got, want) {
			t.Fatalf("%v: %v, want %v", err, got, want)
		}
		if len(want) > 4 && (st.DraftedTokens == 0 || st.AcceptedTokens < st.DraftedTokens-maxGuesses) {
			t.Errorf("the model as its own draft: %+v", st)
		}
		e.active.Wait()
		if pool.Pinned() != 0 || pool.Idle() != 0 {
			t.Errorf("drafters hold %d bytes after their requests", pool.Idle())
		}
	}
}

// A long prompt gets on beside short ones that never cease to come.
func TestLongPromptIsNotPutOffForEver(t *testing.T) {
	const most = 1000
	e, _ := miniWith(t, 0, Options{ContextLength: 2048, StepTokens: 16, PrefixBytes: -1})
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	started := make(chan struct{})
	var once sync.Once
	_, err := e.Submit(ctx, &Request{Prompt: longPrompt(5), Sampler: greedy(t), Token: func(Token) bool {
		once.Do(func() { close(started) })
		return true
	}})
	if err != nil {
		t.Fatal(err)
	}
	<-started // from here on a step has 16 tokens of prompts
	var shorts atomic.Int32
	var wg sync.WaitGroup
	for i := range 6 {
		wg.Go(func() {
			for n := 0; ctx.Err() == nil && shorts.Load() < most; n++ {
				p := longPrompt(60)
				p[1], p[2] = int32(300+i), int32(300+n)
				if _, _, err := e.Generate(ctx, Request{Prompt: p, Sampler: greedy(t), MaxTokens: 1}, func(Token) bool { return true }); err == nil {
					shorts.Add(1)
				}
			}
		})
	}
	_, _, err = e.Generate(ctx, Request{Prompt: longPrompt(800), Sampler: greedy(t), MaxTokens: 1}, func(Token) bool { return true })
	if n := shorts.Load(); err != nil || n >= most {
		t.Errorf("a prompt of 800 tokens waited for %d short ones, %v", n, err)
	}
	cancel()
	wg.Wait()
}
