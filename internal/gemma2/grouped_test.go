package gemma2

import (
	"context"
	"math"
	"slices"
	"testing"

	"github.com/systemgemma/systemgemma/internal/arch"
	"github.com/systemgemma/systemgemma/internal/compute/kernel"
	"github.com/systemgemma/systemgemma/internal/compute/quant"
)

// mixed is a model whose matrices have every kind of grouping, several in one run of a linear.
func mixed(t testing.TB) *Weights {
	c := arch.Config{
		VocabSize: 117, HiddenSize: 64, IntermediateSize: 128, NumLayers: 2, NumHeads: 4, NumKVHeads: 2, HeadDim: 16,
		QueryPreAttnScalar: 16, AttnSoftcap: 50, FinalSoftcap: 30, SlidingWindow: 70, RopeTheta: 10000, RMSNormEps: 1e-6,
		MaxPositions: 4096, TieEmbeddings: true,
	}
	c.AlternateLayers()
	w := random(t, c, quant.F32)
	change := func(m **quant.Matrix, l quant.Layout, g quant.Grouping) {
		spec := quant.Spec{Layout: l, Grouping: g}
		if l == quant.W4L {
			spec.Table = quant.NF4
		}
		*m = repack(t, *m, spec)
	}
	change(&w.Embed, quant.W8G, quant.Grouping{Size: 32, HalfScales: true})
	w.Head = w.Embed
	for i := range w.Layers {
		l := &w.Layers[i]
		change(&l.Q, quant.W8G, quant.Grouping{Size: 64, PerToken: true})
		change(&l.K, quant.W4G, quant.Grouping{Size: 32, HalfScales: true, Mins: true})
		change(&l.V, quant.W8G, quant.Grouping{Size: 16, HalfScales: true})
		change(&l.O, quant.W4G, quant.Grouping{Size: 64})
		change(&l.Gate, quant.W8G, quant.Grouping{Size: 32, HalfScales: true})
		change(&l.Up, quant.W4L, quant.TableGrouping)
		change(&l.Down, quant.W8G, quant.Grouping{Size: 128, Mins: true, PerToken: true})
	}
	change(&w.Layers[0].Up, quant.W8C, quant.Grouping{})
	w.Layers[1].Q = repack(t, w.Layers[1].Q, quant.Spec{Layout: quant.W8C, Rotation: quant.MaxRotation})
	w.Layers[1].K = repack(t, w.Layers[1].K, quant.Spec{Layout: quant.W8C, Outliers: 3})
	l := &w.Layers[1] // as K types are arranged
	change(&l.V, quant.W8G, quant.Grouping{Size: 16, Mins: true})
	change(&l.O, quant.W4G, quant.Grouping{Size: 32, Mins: true})
	change(&l.Gate, quant.W8G, quant.Grouping{Size: 16})
	return w
}

func TestGroupedBitsDoNotDependOnChunksOrWorkers(t *testing.T) {
	w, tokens := mixed(t), ids(150, 117, 1)
	pool := NewPool(&w.Config, KVF16, 0)
	for _, exact := range []bool{false, true} {
		want := feed(t, open(t, w, 1, Options{Exact: exact}), pool.NewCache(), tokens, 1)
		for _, c := range []struct{ chunk, workers int }{{1, 2}, {3, 1}, {7, 4}, {128, 2}} {
			got := feed(t, open(t, w, c.workers, Options{Exact: exact}), pool.NewCache(), tokens, c.chunk)
			for i := range want {
				if !slices.Equal(got[i], want[i]) {
					t.Fatalf("exact %v, chunk %d, %d workers: logits of token %d differ", exact, c.chunk, c.workers, i)
				}
			}
		}
	}
}

// Exact arithmetic on grouped weights is that of a float32 model with the values of their rows, bit for bit; rounding the
// activations stays near it: 5 % of the logits' size here, where scales of another strip give 86 %.
func TestGroupedEqualsFloatsOfItsRows(t *testing.T) {
	w := mixed(t)
	f := *w
	f.Layers = slices.Clone(w.Layers)
	plain := func(m **quant.Matrix) {
		n, block, err := quant.New(quant.F32, (*m).Rows, (*m).Cols)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = block.Free() })
		row := make([]float32, n.Cols)
		for r := range n.Rows {
			(*m).Row(row, r)
			n.PackRow(r, row)
		}
		*m = n
	}
	plain(&f.Embed)
	f.Head = f.Embed
	for i := range f.Layers {
		l := &f.Layers[i]
		for _, m := range []**quant.Matrix{&l.Q, &l.K, &l.V, &l.O, &l.Gate, &l.Up, &l.Down} {
			plain(m)
		}
	}
	tokens, pool := ids(40, 117, 2), NewPool(&w.Config, KVF32, 0)
	want := feed(t, open(t, &f, 1, Options{}), pool.NewCache(), tokens, 40)
	if got := feed(t, open(t, w, 1, Options{Exact: true}), pool.NewCache(), tokens, 40); !slices.EqualFunc(got, want, slices.Equal[[]float32]) {
		t.Error("exact: bits differ from those of float32 weights")
	}
	var noise, power float64
	for i, row := range feed(t, open(t, w, 1, Options{}), pool.NewCache(), tokens, 40) {
		for k, v := range row {
			noise += math.Pow(float64(v-want[i][k]), 2)
			power += math.Pow(float64(want[i][k]), 2)
		}
	}
	if r := math.Sqrt(noise / power); r == 0 || r > 0.1 {
		t.Errorf("rounding activations changes logits by %g of their size, want above 0 and below 0.1", r)
	} else {
		t.Logf("rounding activations changes logits by %.2g of their size", r)
	}
}

func TestGroupedDecodeAllocatesNothing(t *testing.T) {
	if kernel.Name() == "reference" {
		t.Skip("the reference defines bits and may allocate; the assembled sets do not")
	}
	w := mixed(t)
	m := open(t, w, 2, Options{})
	cache := NewPool(&w.Config, KVF16, 0).NewCache()
	feed(t, m, cache, ids(5, 117, 1), 5)
	if err := cache.reserve(500); err != nil {
		t.Fatal(err)
	}
	chunks := []Chunk{{Cache: cache, Tokens: []int32{7}, Logits: 1}}
	if n := testing.AllocsPerRun(100, func() {
		if err := m.Forward(context.Background(), chunks, func(int, int, []float32) error { return nil }); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("one token allocates %v times", n)
	}
}
