package engine

import (
	"context"
	"slices"
	"testing"

	"github.com/systemgemma/systemgemma/internal/gemma2"
)

// reports runs a request and returns what Progress was told before the first token.
func reports(t *testing.T, e *Engine, r Request) (list []Progress) {
	t.Helper()
	tokens := 0
	r.Progress = func(p Progress) {
		if tokens > 0 {
			t.Errorf("progress %+v after %d tokens", p, tokens)
		}
		list = append(list, p)
	}
	if _, _, err := e.Generate(context.Background(), r, func(Token) bool { tokens++; return true }); err != nil {
		t.Fatal(err)
	}
	return list
}

// Each pass over a part of a prompt is told, and what was known before.
func TestProgress(t *testing.T) {
	e, _ := miniWith(t, 0, Options{ContextLength: 512, ChunkTokens: 40})
	p := longPrompt(100)
	for _, x := range []struct {
		name   string
		prompt []int32
		want   []int // Done
		cached int
	}{
		{"new", p, []int{0, 40, 80, 100}, 0}, {"known", p, []int{99, 100}, 99}, {"longer", append(slices.Clone(p), longPrompt(60)...), []int{100, 140, 160}, 100},
	} {
		list := reports(t, e, Request{Prompt: x.prompt, Sampler: greedy(t), MaxTokens: 2})
		var done []int
		for i, r := range list {
			done = append(done, r.Done)
			if r.Total != len(x.prompt) || r.Cached != x.cached || r.Took < 0 || i > 0 && r.Took < list[i-1].Took {
				t.Errorf("%s: %+v", x.name, list)
			}
		}
		if !slices.Equal(done, x.want) {
			t.Errorf("%s: told of %v tokens, want %v", x.name, done, x.want)
		}
	}
	read := 0
	list := reports(t, e, Request{Prompt: longPrompt(50), Read: func(int, []float32) error { read++; return nil }})
	if n := len(list); read != 50 || n < 2 || list[n-1].Done != 50 || list[0].Cached != 0 {
		t.Errorf("a prompt that is read: %+v", list)
	}
}

// Requests share keys and values within their scope only, with the same answers.
func TestScopes(t *testing.T) {
	e, _ := miniWith(t, 0, Options{ContextLength: 512, PrefixBytes: 1 << 30}) // room for all scopes
	p := longPrompt(70)
	run := func(e *Engine, scope string, set *gemma2.AdapterSet) (ids []int32, st Stats) {
		t.Helper()
		ctx := context.Background()
		if scope != "" {
			ctx = WithScope(ctx, scope)
		}
		_, st, err := e.Generate(ctx, Request{Prompt: p, Sampler: greedy(t), MaxTokens: 12, Adapters: set}, func(tok Token) bool {
			ids = append(ids, tok.ID)
			return true
		})
		if err != nil {
			t.Fatal(err)
		}
		return ids, st
	}
	var want []int32
	for i, scope := range []string{"", "a", "b", `"a"`, "", "b", "a", `"a"`} {
		ids, st := run(e, scope, nil)
		if want == nil {
			want = ids
		}
		cached := 0
		if i >= 4 {
			cached = len(p) - 1
		}
		if st.CachedTokens != cached || !slices.Equal(ids, want) {
			t.Errorf("%d, scope %q: %d tokens cached, want %d; answer %v, want %v", i, scope, st.CachedTokens, cached, ids, want)
		}
	}
	if _, st := run(e, "a", otherNorm(t, e, 1)); st.CachedTokens != 0 {
		t.Errorf("in a scope, with an adapter: %d tokens of the model without one", st.CachedTokens)
	}
	if err := e.Score(WithScope(context.Background(), "c"), p, len(p)-1, nil, func(int, []float32) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if _, st := run(e, "c", nil); st.CachedTokens == 0 {
		t.Error("what a scope scored is not known to its answers")
	}

	// Side by side: nobody waits for, or forks, a running request of another scope.
	fresh, _ := miniWith(t, 0, Options{ContextLength: 512, ChunkTokens: 16})
	var runs []*Running
	for _, scope := range []string{"a", "b", "a"} {
		r, err := fresh.Submit(WithScope(context.Background(), scope), &Request{Prompt: p, Sampler: greedy(t), MaxTokens: 2})
		if err != nil {
			t.Fatal(err)
		}
		runs = append(runs, r)
	}
	for i, shared := range []bool{false, false, true} {
		if _, st, err := runs[i].Wait(); err != nil || (st.CachedTokens > 0) != shared {
			t.Errorf("side by side, request %d: %d tokens cached, %v", i, st.CachedTokens, err)
		}
	}

	// Files of the prompt cache have no scope.
	dir := t.TempDir()
	stored := storing(t, dir, gemma2.KVF16, Options{})
	run(stored, "a", nil)
	shut(t, stored)
	if files := kvFiles(t, dir); len(files) > 0 {
		t.Errorf("a scope's request left %v", files)
	}
	stored = storing(t, dir, gemma2.KVF16, Options{})
	run(stored, "", nil)
	shut(t, stored)
	if files := kvFiles(t, dir); len(files) != 1 {
		t.Errorf("a request without a scope left %v", files)
	}
	stored = storing(t, dir, gemma2.KVF16, Options{})
	if _, st := run(stored, "a", nil); st.CachedTokens != 0 {
		t.Errorf("a scope's request read a file: %d tokens", st.CachedTokens)
	}
	shut(t, stored)
}
