package gemma2

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/systemgemma/systemgemma/internal/compute/kernel"
	"github.com/systemgemma/systemgemma/internal/compute/quant"
)

// randomAdapter changes every part of w: LoRA, DoRA, and, with full, replacements.
func randomAdapter(t testing.TB, w *Weights, seed uint64, full bool) *Adapter {
	r := rand.New(rand.NewPCG(seed, 3))
	matrix := func(l quant.Layout, rows, cols int) *quant.Matrix {
		m, block, err := quant.New(l, rows, cols)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = block.Free() })
		v := make([]float32, cols)
		for i := range rows {
			for k := range v {
				v[k] = float32(r.NormFloat64() * 0.5 / math.Sqrt(float64(cols)))
			}
			m.PackRow(i, v)
		}
		return m
	}
	n := 0
	change := func(m *quant.Matrix) *Change {
		n++
		if full {
			return &Change{Full: matrix([]quant.Layout{quant.F32, quant.BF16, quant.F16}[n%3], m.Rows, m.Cols)}
		}
		rank := 1 + n%21 // also more than a strip
		c := &Change{A: matrix(quant.F32, rank, m.Cols), B: matrix(quant.F32, m.Rows, rank), Scale: 1.5}
		if n%2 == 0 {
			c.Gain = make([]float32, quant.PaddedRows(m.Rows))
			for i := range m.Rows {
				c.Gain[i] = float32(1 + 0.3*r.NormFloat64())
			}
		}
		return c
	}
	norm := func() []float32 {
		if !full {
			return nil
		}
		v := make([]float32, pad16(w.Config.HiddenSize))
		for i := range w.Config.HiddenSize {
			v[i] = float32(1.5 + 0.3*r.NormFloat64())
		}
		return v
	}
	a := &Adapter{ID: string(rune('a' + seed)), Head: change(w.Head), FinalNorm: norm()}
	if full {
		a.Embed = &EmbedChange{Full: matrix(quant.BF16, w.Config.VocabSize, w.Config.HiddenSize)}
	} else {
		const rank = 3
		a.Embed = &EmbedChange{Left: make([]float32, w.Config.VocabSize*rank), Right: make([]float32, rank*pad16(w.Config.HiddenSize)), Rank: rank, Scale: 0.5}
		for i := range a.Embed.Left {
			a.Embed.Left[i] = float32(r.NormFloat64())
		}
		for k := range rank {
			for i := range w.Config.HiddenSize {
				a.Embed.Right[k*pad16(w.Config.HiddenSize)+i] = float32(r.NormFloat64() / 4)
			}
		}
	}
	for i := range w.Layers {
		l := &w.Layers[i]
		a.Layers = append(a.Layers, LayerAdapter{
			AttnNorm: norm(), PostAttnNorm: norm(), FFNNorm: norm(), PostFFNNorm: norm(),
			Q: change(l.Q), K: change(l.K), V: change(l.V), O: change(l.O), Gate: change(l.Gate), Up: change(l.Up), Down: change(l.Down),
		})
	}
	return a
}

// mergedRow is what uses make of row r of w, in float64, by the definition.
func mergedRow(w *quant.Matrix, r int, scales []float64, changes []*Change) []float32 {
	base, row := make([]float32, w.Cols), make([]float64, w.Cols)
	w.Row(base, r)
	for k, v := range base {
		row[k] = float64(v)
	}
	for i, c := range changes {
		alone := make([]float32, w.Cols)
		if c.Full != nil {
			c.Full.Row(alone, r)
		} else {
			left, right := make([]float32, c.B.Cols), make([]float32, w.Cols)
			c.B.Row(left, r)
			sum := make([]float64, w.Cols)
			for j, b := range left {
				c.A.Row(right, j)
				for k, v := range right {
					sum[k] += float64(c.Scale) * float64(b) * float64(v)
				}
			}
			for k := range alone {
				g := 1.0
				if c.Gain != nil {
					g = float64(c.Gain[r])
				}
				alone[k] = float32(g * (float64(base[k]) + sum[k]))
			}
		}
		for k := range row {
			row[k] += scales[i] * (float64(alone[k]) - float64(base[k]))
		}
	}
	out := make([]float32, w.Cols)
	for k, v := range row {
		out[k] = float32(v)
	}
	return out
}

// mergeAll makes weights of uses, computed another way than at run time.
func mergeAll(t testing.TB, w *Weights, uses []AdapterUse) *Weights {
	var scales []float64
	for _, u := range uses {
		scales = append(scales, float64(u.Scale))
	}
	matrix := func(m *quant.Matrix, of func(a *Adapter) *Change) *quant.Matrix {
		var changes []*Change
		for _, u := range uses {
			changes = append(changes, of(u.Adapter))
		}
		x, block, err := quant.New(quant.F32, m.Rows, m.Cols)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = block.Free() })
		for r := range m.Rows {
			x.PackRow(r, mergedRow(m, r, scales, changes))
		}
		return x
	}
	norm := func(base []float32, of func(a *Adapter) []float32) []float32 {
		out := slices.Clone(base)
		for i, u := range uses {
			if n := of(u.Adapter); n != nil {
				for k := range out {
					out[k] += float32(scales[i] * (float64(n[k]) - float64(base[k])))
				}
			}
		}
		return out
	}
	embed := func(a *Adapter) *Change { // the same as factors of a matrix
		e := a.Embed
		if e.Full != nil {
			return &Change{Full: e.Full}
		}
		c := &Change{Scale: e.Scale}
		var block interface{ Free() error }
		c.A, block, _ = quant.New(quant.F32, e.Rank, w.Config.HiddenSize)
		t.Cleanup(func() { _ = block.Free() })
		c.B, block, _ = quant.New(quant.F32, w.Config.VocabSize, e.Rank)
		t.Cleanup(func() { _ = block.Free() })
		for k := range e.Rank {
			c.A.PackRow(k, e.Right[k*pad16(w.Config.HiddenSize):][:w.Config.HiddenSize])
		}
		for r := range w.Config.VocabSize {
			c.B.PackRow(r, e.Left[r*e.Rank:(r+1)*e.Rank])
		}
		return c
	}
	x := &Weights{Config: w.Config, Embed: matrix(w.Embed, embed), Head: matrix(w.Head, func(a *Adapter) *Change { return a.Head })}
	x.FinalNorm = norm(w.FinalNorm, func(a *Adapter) []float32 { return a.FinalNorm })
	for i := range w.Layers {
		l := &w.Layers[i]
		x.Layers = append(x.Layers, Layer{
			AttnNorm: norm(l.AttnNorm, func(a *Adapter) []float32 { return a.Layers[i].AttnNorm }), PostAttnNorm: norm(l.PostAttnNorm, func(a *Adapter) []float32 { return a.Layers[i].PostAttnNorm }),
			FFNNorm: norm(l.FFNNorm, func(a *Adapter) []float32 { return a.Layers[i].FFNNorm }), PostFFNNorm: norm(l.PostFFNNorm, func(a *Adapter) []float32 { return a.Layers[i].PostFFNNorm }),
			Q: matrix(l.Q, func(a *Adapter) *Change { return a.Layers[i].Q }), K: matrix(l.K, func(a *Adapter) *Change { return a.Layers[i].K }), V: matrix(l.V, func(a *Adapter) *Change { return a.Layers[i].V }),
			O: matrix(l.O, func(a *Adapter) *Change { return a.Layers[i].O }), Gate: matrix(l.Gate, func(a *Adapter) *Change { return a.Layers[i].Gate }),
			Up: matrix(l.Up, func(a *Adapter) *Change { return a.Layers[i].Up }), Down: matrix(l.Down, func(a *Adapter) *Change { return a.Layers[i].Down }),
		})
	}
	return x
}

// logitsWith feeds tokens in chunks to a new cache.
func logitsWith(t testing.TB, m *Model, set *AdapterSet, tokens []int32, chunk int) (all [][]float32) {
	t.Helper()
	cache := NewPool(m.Config(), KVF32, 0).NewCache()
	for part := range slices.Chunk(tokens, chunk) {
		err := m.Forward(context.Background(), []Chunk{{Cache: cache, Tokens: part, Logits: len(part), Adapters: set}}, func(_, _ int, l []float32) error {
			all = append(all, slices.Clone(l))
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return all
}

func newSet(t testing.TB, m *Model, uses ...AdapterUse) *AdapterSet {
	t.Helper()
	s, err := m.NewAdapterSet(uses)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Every place that an adapter can change, several at once and at any strength, gives what merged weights give.
func TestAdaptersEqualMergedWeights(t *testing.T) {
	w := random(t, tiny(), quant.F32)
	m := open(t, w, 2, Options{})
	low, full, low2 := randomAdapter(t, w, 1, false), randomAdapter(t, w, 2, true), randomAdapter(t, w, 3, false)
	tokens := ids(50, 117, 4)
	for _, uses := range [][]AdapterUse{
		{{low, 1}}, {{full, 1}}, {{low, 0.5}}, {{full, 0.25}}, {{low, 0.6}, {low2, -0.3}}, {{full, 1}, {low, 0.5}}, {{low, 1}, {full, 0.5}, {low2, 0.2}},
	} {
		set := newSet(t, m, uses...)
		got := logitsWith(t, m, set, tokens, 50)
		want := logitsWith(t, open(t, mergeAll(t, w, uses), 2, Options{}), nil, tokens, 50)
		worst := 0.0
		for i := range want {
			for k, v := range want[i] {
				worst = max(worst, math.Abs(float64(got[i][k])-float64(v)))
			}
		}
		if !(worst < 1e-3) { // logits reach 30; a place left out moves them by more than 0.1
			t.Errorf("%d adapters: largest difference %g", len(uses), worst)
		}
		for _, chunk := range []int{1, 7, 17} {
			if !slices.EqualFunc(logitsWith(t, m, set, tokens, chunk), got, slices.Equal[[]float32]) {
				t.Errorf("%d adapters, chunks of %d: bits differ", len(uses), chunk)
			}
		}
	}
}

func TestAdapterSets(t *testing.T) {
	w := random(t, tiny(), quant.W8C)
	m := open(t, w, 1, Options{})
	a, b := randomAdapter(t, w, 1, false), randomAdapter(t, w, 2, false)
	if s := newSet(t, m); s != nil || s.Key() != "" {
		t.Error("no adapters: want nil and no key")
	}
	keys := map[string]bool{"": true}
	for _, uses := range [][]AdapterUse{{{a, 1}}, {{a, 0.5}}, {{b, 1}}, {{a, 1}, {b, 1}}, {{b, 1}, {a, 1}}} {
		k := newSet(t, m, uses...).Key()
		if keys[k] || newSet(t, m, uses...).Key() != k {
			t.Errorf("key %q: want one for each set, and the same each time", k)
		}
		keys[k] = true
	}
	other := tiny()
	other.IntermediateSize += 8
	for want, uses := range map[string][]AdapterUse{
		"want at most 8 at once, found 9":  slices.Repeat([]AdapterUse{{a, 1}}, 9),
		"scale: want a number, found NaN":  {{a, float32(math.NaN())}},
		"layer 0 gate: want factors for":   {{randomAdapter(t, random(t, other, quant.F32), 1, false), 1}},
		"layer 0 up: want a replacement o": {{randomAdapter(t, random(t, other, quant.F32), 1, true), 1}},
	} {
		if _, err := m.NewAdapterSet(uses); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want an error with %q", err, want)
		}
	}
}

// A pass without adapters after one with them gives the model's own bits; with adapters, decoding allocates nothing either.
func TestAdaptersLeaveNothingBehind(t *testing.T) {
	w := random(t, tiny(), quant.W8C)
	m := open(t, w, 2, Options{})
	tokens := ids(30, 117, 4)
	before := logitsWith(t, m, nil, tokens, 30)
	set := newSet(t, m, AdapterUse{randomAdapter(t, w, 1, false), 1}, AdapterUse{randomAdapter(t, w, 2, true), 0.5})
	logitsWith(t, m, set, tokens, 30)
	if !slices.EqualFunc(logitsWith(t, m, nil, tokens, 30), before, slices.Equal[[]float32]) {
		t.Error("bits without adapters differ after a pass with them")
	}
	if kernel.Name() == "reference" {
		return // plain Go kernels make slices of their own
	}
	cache := NewPool(&w.Config, KVF32, 0).NewCache()
	chunks := []Chunk{{Cache: cache, Tokens: []int32{7}, Logits: 1, Adapters: set}}
	out := func(int, int, []float32) error { return nil }
	if err := cache.reserve(500); err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(100, func() {
		if err := m.Forward(context.Background(), chunks, out); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("one token with adapters allocates %v times", n)
	}
}
