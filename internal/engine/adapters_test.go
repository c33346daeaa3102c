package engine

import (
	"context"
	"slices"
	"sync"
	"testing"

	"github.com/systemgemma/systemgemma/internal/gemma2"
)

// otherNorm is an adapter that replaces the first norm, and so changes all keys and values.
func otherNorm(t testing.TB, e *Engine, scale float32) *gemma2.AdapterSet {
	t.Helper()
	c := e.model.Config()
	a := &gemma2.Adapter{ID: "norm", Layers: make([]gemma2.LayerAdapter, c.NumLayers)}
	a.Layers[0].AttnNorm = make([]float32, (c.HiddenSize+15)&^15)
	for i := range c.HiddenSize {
		a.Layers[0].AttnNorm[i] = float32(1 - i%3)
	}
	s, err := e.model.NewAdapterSet([]gemma2.AdapterUse{{Adapter: a, Scale: scale}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// answerWith is answer with adapters.
func answerWith(t testing.TB, e *Engine, set *gemma2.AdapterSet, ids []int32, n int) (out []int32, st Stats) {
	t.Helper()
	r := Request{Prompt: ids, Sampler: greedy(t), MaxTokens: n, Adapters: set}
	_, st, err := e.Generate(context.Background(), r, func(tok Token) bool {
		out = append(out, tok.ID)
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	return out, st
}

// A cache serves requests with the same adapters only, and requests with different ones run side by side as each alone.
func TestAdaptersHaveCachesOfTheirOwn(t *testing.T) {
	e, tok := miniEngine(t, 512, 0)
	p := prompt(tok, "What is the capital of France?")
	sets := []*gemma2.AdapterSet{nil, otherNorm(t, e, 1), otherNorm(t, e, 0.5)}
	var want [][]int32
	for _, s := range sets {
		ids, st := answerWith(t, e, s, p, 12)
		if st.CachedTokens != 0 {
			t.Errorf("first request with adapters %q: %d tokens from another's cache", s.Key(), st.CachedTokens)
		}
		want = append(want, ids)
	}
	if slices.Equal(want[0], want[1]) {
		t.Fatal("the adapter changes nothing")
	}
	for i, s := range sets {
		ids, st := answerWith(t, e, s, p, 12)
		if !slices.Equal(ids, want[i]) || st.CachedTokens != len(p)-1 {
			t.Errorf("again with adapters %q: %d tokens cached, %v, want %v", s.Key(), st.CachedTokens, ids, want[i])
		}
	}
	fresh, _ := miniEngine(t, 512, 0)
	var wg sync.WaitGroup
	for range 3 {
		for i, scale := range []float32{0, 1, 0.5} {
			var s *gemma2.AdapterSet
			if scale != 0 {
				s = otherNorm(t, fresh, scale)
			}
			wg.Go(func() {
				if ids, _ := answerWith(t, fresh, s, p, 12); !slices.Equal(ids, want[i]) {
					t.Errorf("side by side, adapters %q: %v, want %v", s.Key(), ids, want[i])
				}
			})
		}
	}
	wg.Wait()
}
