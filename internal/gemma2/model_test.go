package gemma2

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"testing"

	"github.com/systemgemma/systemgemma/internal/arch"
	"github.com/systemgemma/systemgemma/internal/compute/parallel"
	"github.com/systemgemma/systemgemma/internal/compute/quant"
)

// tiny is a small shape with everything odd: widths that are no multiple of 16, a window that ends inside a page.
func tiny() arch.Config {
	c := arch.Config{
		VocabSize: 117, HiddenSize: 40, IntermediateSize: 72, NumLayers: 3, NumHeads: 4, NumKVHeads: 2, HeadDim: 12,
		QueryPreAttnScalar: 12, AttnSoftcap: 50, FinalSoftcap: 30, SlidingWindow: 70, RopeTheta: 10000, RMSNormEps: 1e-6,
		MaxPositions: 4096, TieEmbeddings: true,
	}
	c.AlternateLayers()
	return c
}

// random makes a model of random weights in one layout.
func random(t testing.TB, c arch.Config, layout quant.Layout) *Weights {
	r := rand.New(rand.NewPCG(1, 7))
	matrix := func(rows, cols int, scale float64) *quant.Matrix {
		m, block, err := quant.New(layout, rows, cols)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = block.Free() })
		w := make([]float32, cols)
		for i := range rows {
			for k := range w {
				w[k] = float32(r.NormFloat64() * scale / math.Sqrt(float64(cols)))
			}
			m.PackRow(i, w)
		}
		return m
	}
	norm := func() []float32 {
		v := make([]float32, pad16(c.HiddenSize))
		for i := range c.HiddenSize {
			v[i] = float32(1.5 + 0.3*r.NormFloat64())
		}
		return v
	}
	w := &Weights{Config: c, Embed: matrix(c.VocabSize, c.HiddenSize, 1), FinalNorm: norm()}
	w.Head = w.Embed
	q, kv := c.NumHeads*c.HeadDim, c.NumKVHeads*c.HeadDim
	for range c.NumLayers {
		w.Layers = append(w.Layers, Layer{
			AttnNorm: norm(), PostAttnNorm: norm(), FFNNorm: norm(), PostFFNNorm: norm(),
			Q: matrix(q, c.HiddenSize, 2), K: matrix(kv, c.HiddenSize, 2), V: matrix(kv, c.HiddenSize, 1), O: matrix(c.HiddenSize, q, 1),
			Gate: matrix(c.IntermediateSize, c.HiddenSize, 1), Up: matrix(c.IntermediateSize, c.HiddenSize, 1), Down: matrix(c.HiddenSize, c.IntermediateSize, 1),
		})
	}
	return w
}

func open(t testing.TB, w *Weights, workers int, o Options) *Model {
	t.Helper()
	crew := parallel.New(workers)
	m, err := New(w, crew, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close(); crew.Close() })
	return m
}

func ids(n, vocab int, seed uint64) []int32 {
	r := rand.New(rand.NewPCG(seed, 9))
	out := make([]int32, n)
	for i := range out {
		out[i] = int32(r.IntN(vocab))
	}
	return out
}

// feed runs tokens in chunks and returns all logits.
func feed(t testing.TB, m *Model, c *Cache, tokens []int32, chunk int) [][]float32 {
	t.Helper()
	var all [][]float32
	for len(tokens) > 0 {
		n := min(chunk, len(tokens))
		err := m.Forward(context.Background(), []Chunk{{Cache: c, Tokens: tokens[:n], Logits: n}}, func(_, _ int, logits []float32) error {
			all = append(all, slices.Clone(logits))
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		tokens = tokens[n:]
	}
	return all
}

// The same bits for every chunk size, worker count, KV type and layout: each is compared with one token at a time on one
// worker.
func TestBitsDoNotDependOnChunksOrWorkers(t *testing.T) {
	tokens := ids(200, 117, 1)
	runs := []struct{ chunk, workers int }{{1, 2}, {3, 1}, {7, 4}, {64, 2}, {128, 1}, {128, 4}}
	if os.Getenv("SYSTEMGEMMA_TEST_SAMPLE") != "" {
		tokens, runs = tokens[:100], runs[2:4]
	}
	for _, layout := range []quant.Layout{quant.W8C, quant.F32, quant.BF16, quant.F16} {
		if os.Getenv("SYSTEMGEMMA_TEST_SAMPLE") != "" && layout != quant.W8C { // a slow leg
			continue
		}
		w := random(t, tiny(), layout)
		for _, kv := range []KVType{KVF32, KVF16, KVI8} {
			for _, o := range []Options{{}, {Exact: true}, {Rounded: true}} {
				if o.Exact && layout != quant.W8C || o.Rounded && layout != quant.BF16 {
					continue // it changes nothing
				}
				pool := NewPool(&w.Config, kv, 0)
				want := feed(t, open(t, w, 1, o), pool.NewCache(), tokens, 1)
				for _, c := range runs {
					got := feed(t, open(t, w, c.workers, o), pool.NewCache(), tokens, c.chunk)
					for i := range want {
						if !slices.Equal(got[i], want[i]) {
							t.Fatalf("%v, KV %v, %+v, chunk %d, %d workers: logits of token %d differ", layout, kv, o, c.chunk, c.workers, i)
						}
					}
				}
			}
		}
	}
}

// Sequences in one pass do not touch each other.
func TestBitsDoNotDependOnTheBatch(t *testing.T) {
	w := random(t, tiny(), quant.W8C)
	m := open(t, w, 2, Options{})
	pool := NewPool(&w.Config, KVF32, 0)
	const n = 5
	var want, got [n][][]float32
	var cache [n]*Cache
	for s := range n {
		want[s] = feed(t, m, pool.NewCache(), ids(90+s, 117, uint64(s)), 11)
		cache[s] = pool.NewCache()
	}
	for done := false; !done; {
		var chunks []Chunk
		var who []int
		for s := range n {
			all := ids(90+s, 117, uint64(s))
			if rest := all[cache[s].Len():]; len(rest) > 0 {
				k := min(1+(s*7+cache[s].Len())%23, len(rest))
				chunks, who = append(chunks, Chunk{Cache: cache[s], Tokens: rest[:k], Logits: k}), append(who, s)
			}
		}
		done = len(chunks) == 0
		err := m.Forward(context.Background(), chunks, func(chunk, _ int, logits []float32) error {
			got[who[chunk]] = append(got[who[chunk]], slices.Clone(logits))
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for s := range n {
		for i := range want[s] {
			if !slices.Equal(got[s][i], want[s][i]) {
				t.Fatalf("sequence %d: logits of token %d differ in the batch", s, i)
			}
		}
	}
}

// A truncated cache goes on as a fresh one would, or says that it can't.
func TestTruncate(t *testing.T) {
	w := random(t, tiny(), quant.F32)
	m := open(t, w, 1, Options{})
	pool := NewPool(&w.Config, KVF32, 0)
	tokens, other := ids(300, 117, 1), ids(300, 117, 2)
	for _, c := range []struct {
		had, keep int
		ok        bool
	}{{300, 299, true}, {300, 197, true}, {300, 196, false}, {300, 100, false}, {300, 0, true}, {60, 10, true}, {130, 64, true}, {10, 11, false}, {10, -1, false}} {
		cache := pool.NewCache()
		feed(t, m, cache, tokens[:c.had], 128)
		if got := cache.Truncate(c.keep); got != c.ok {
			t.Fatalf("Truncate(%d) of %d positions = %v, want %v", c.keep, c.had, got, c.ok)
		}
		if !c.ok {
			if cache.Len() != c.had {
				t.Fatalf("a refused Truncate changed the cache: %d positions", cache.Len())
			}
			continue
		}
		got := feed(t, m, cache, other[:20], 20)
		want := feed(t, m, pool.NewCache(), slices.Concat(tokens[:c.keep], other[:20]), 128)[c.keep:]
		for i := range want {
			if !slices.Equal(got[i], want[i]) {
				t.Fatalf("had %d, kept %d: logits of token %d differ from a fresh run", c.had, c.keep, i)
			}
		}
		cache.Free()
	}
}

// Local layers keep the window's pages only, and memory stays within what Need says.
func TestLocalPagesLeaveTheWindow(t *testing.T) {
	w := random(t, tiny(), quant.F32)
	m := open(t, w, 1, Options{})
	pool := NewPool(&w.Config, KVF32, 0)
	cache := pool.NewCache()
	tokens := ids(1000, 117, 3)
	for i := 0; i < len(tokens); i += 50 {
		feed(t, m, cache, tokens[i:i+50], 50)
	}
	if need := pool.Need(1000 + 50); pool.Bytes() > need {
		t.Errorf("1000 positions hold %d bytes, Need says %d", pool.Bytes(), need)
	}
	live := 0
	for _, p := range cache.pages[localKind] {
		if p != nil {
			live++
		}
	}
	if live > 4 { // a window of 70 touches at most 3 pages of 64, and one stays for a rollback
		t.Errorf("%d local pages held for a window of 70", live)
	}
	cache.Free()
	pool.Close()
	if pool.Bytes() != 0 {
		t.Errorf("closed pool holds %d bytes", pool.Bytes())
	}
}

func TestMemoryLimit(t *testing.T) {
	w := random(t, tiny(), quant.F32)
	m := open(t, w, 1, Options{})
	pool := NewPool(&w.Config, KVF32, 0)
	pool.limit = pool.Need(64)
	cache := pool.NewCache()
	feed(t, m, cache, ids(64, 117, 1), 64)
	err := m.Forward(context.Background(), []Chunk{{Cache: cache, Tokens: []int32{1}, Logits: 1}}, nil)
	if !errors.Is(err, ErrKVMemory) || cache.Len() != 64 {
		t.Errorf("65th token: %v with %d positions, want ErrKVMemory with 64", err, cache.Len())
	}
}

func TestForwardRefuses(t *testing.T) {
	w := random(t, tiny(), quant.F32)
	m := open(t, w, 1, Options{})
	pool := NewPool(&w.Config, KVF32, 0)
	cancelled, cancel := context.WithCancelCause(context.Background())
	stop := errors.New("stop")
	cancel(stop)
	for name, c := range map[string]struct {
		ctx    context.Context
		tokens []int32
		logits int
		want   error
	}{
		"id too large": {context.Background(), []int32{117}, 1, nil},
		"negative id":  {context.Background(), []int32{-1}, 1, nil},
		"too many":     {context.Background(), make([]int32, MaxRows+1), 1, nil},
		"more logits":  {context.Background(), []int32{1}, 2, nil},
		"cancelled":    {cancelled, []int32{1}, 1, stop},
	} {
		cache := pool.NewCache()
		err := m.Forward(c.ctx, []Chunk{{Cache: cache, Tokens: c.tokens, Logits: c.logits}}, func(int, int, []float32) error { return nil })
		if err == nil || c.want != nil && !errors.Is(err, c.want) || cache.Len() != 0 {
			t.Errorf("%s: error %v, %d positions", name, err, cache.Len())
		}
	}
}

func TestBrokenWeightsGiveAnError(t *testing.T) {
	w := random(t, tiny(), quant.F32)
	w.Layers[1].FFNNorm = slices.Clone(w.Layers[1].FFNNorm)
	w.Layers[1].FFNNorm[3] = float32(math.NaN())
	m := open(t, w, 1, Options{})
	err := m.Forward(context.Background(), []Chunk{{Cache: NewPool(&w.Config, KVF32, 0).NewCache(), Tokens: []int32{1, 2}, Logits: 1}}, func(int, int, []float32) error { return nil })
	if !errors.Is(err, ErrNonFinite) {
		t.Errorf("NaN in a norm: %v, want ErrNonFinite", err)
	}
}

func TestValidateNamesTheTensor(t *testing.T) {
	for want, spoil := range map[string]func(*Weights){
		"layer 2 down: missing":                func(w *Weights) { w.Layers[2].Down = nil },
		"layer 0 q: want 48x40, found 24x40":   func(w *Weights) { w.Layers[0].Q = w.Layers[0].K },
		"final norm: want 48 values, found 40": func(w *Weights) { w.FinalNorm = w.FinalNorm[:40] },
		"layers: want 3, found 2":              func(w *Weights) { w.Layers = w.Layers[:2] },
	} {
		w := random(t, tiny(), quant.F32)
		spoil(w)
		if err := w.Validate(); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// Decoding one token allocates nothing.
func TestDecodeAllocatesNothing(t *testing.T) {
	w := random(t, tiny(), quant.W8C)
	m := open(t, w, 2, Options{})
	cache := NewPool(&w.Config, KVI8, 0).NewCache()
	feed(t, m, cache, ids(5, 117, 1), 5)
	chunks := []Chunk{{Cache: cache, Tokens: []int32{7}, Logits: 1}}
	out := func(int, int, []float32) error { return nil }
	if err := cache.reserve(500); err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(100, func() {
		if err := m.Forward(context.Background(), chunks, out); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("one token allocates %v times", n)
	}
}

// Hidden states are the rows that the head multiplies with, bit for bit, beside chunks that want logits too.
func TestStates(t *testing.T) {
	w := random(t, tiny(), quant.F32)
	tokens := ids(90, 117, 4)
	var want [][]float32
	m := open(t, w, 1, Options{})
	m.probe = func(name string, _ int, r rows, n int) {
		for i := range n {
			if name == "final_norm" {
				want = append(want, slices.Clone(r.row(i)[:w.Config.HiddenSize]))
			}
		}
	}
	pool := NewPool(&w.Config, KVF32, 0)
	logits := feed(t, m, pool.NewCache(), tokens, 90)
	m.probe = nil
	a, b := pool.NewCache(), pool.NewCache()
	var got, other [][]float32
	for at := 0; at < len(tokens); at += 30 {
		part := tokens[at : at+30]
		chunks := []Chunk{{Cache: a, Tokens: part, Logits: 30, States: true}, {Cache: b, Tokens: part, Logits: 30}}
		if err := m.Forward(context.Background(), chunks, func(chunk, row int, x []float32) error {
			if chunk == 0 {
				got = append(got, slices.Clone(x))
			} else {
				other = append(other, slices.Clone(x))
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.EqualFunc(got, want, slices.Equal[[]float32]) {
		t.Error("states differ from what the head gets")
	}
	if !slices.EqualFunc(other, logits, slices.Equal[[]float32]) {
		t.Error("logits differ beside a chunk that wants states")
	}
}
