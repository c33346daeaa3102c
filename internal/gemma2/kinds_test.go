package gemma2

import (
	"math"
	"os"
	"slices"
	"testing"

	"github.com/systemgemma/systemgemma/internal/arch"
	"github.com/systemgemma/systemgemma/internal/compute/quant"
	"github.com/systemgemma/systemgemma/internal/testkit/sample"
)

// repack is a matrix in another kind of weights.
func repack(t testing.TB, m *quant.Matrix, spec quant.Spec) *quant.Matrix {
	t.Helper()
	n, block, err := spec.New(m.Rows, m.Cols)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = block.Free() })
	row := make([]float32, n.Cols)
	for r := range n.Rows {
		m.Row(row, r)
		n.PackRow(r, row)
	}
	spec.Finish(n)
	return n
}

// quantised is a model with all its matrices in one kind of weights.
func quantised(t testing.TB, w *Weights, spec quant.Spec) *Weights {
	q := *w
	q.Embed = repack(t, w.Embed, spec)
	q.Head = q.Embed
	q.Layers = slices.Clone(w.Layers)
	for i := range q.Layers {
		l := &q.Layers[i]
		for _, m := range []**quant.Matrix{&l.Q, &l.K, &l.V, &l.O, &l.Gate, &l.Up, &l.Down} {
			*m = repack(t, *m, spec)
		}
	}
	return &q
}

// planted is a model with outliers like Gemma's: a few channels of the normed activations are 12 times as large as the others,
// and a few columns of the weights, other ones, 12 times.
func planted(t testing.TB, vocab, hidden, ffn int) *Weights {
	c := arch.Config{
		VocabSize: vocab, HiddenSize: hidden, IntermediateSize: ffn, NumLayers: 2, NumHeads: 4, NumKVHeads: 2, HeadDim: hidden / 4,
		QueryPreAttnScalar: float64(hidden / 4), AttnSoftcap: 50, FinalSoftcap: 30, SlidingWindow: 70, RopeTheta: 10000, RMSNormEps: 1e-6,
		MaxPositions: 4096, TieEmbeddings: true,
	}
	c.AlternateLayers()
	w := random(t, c, quant.F32)
	scale := func(m *quant.Matrix, column func(k int) float32) {
		row := make([]float32, m.Cols)
		for r := range m.Rows {
			m.Row(row, r)
			for k := range row {
				row[k] *= column(k)
			}
			m.PackRow(r, row)
		}
	}
	loud := func(k int) bool { return k%64 == 5 }
	wide := func(k int) float32 {
		switch {
		case loud(k):
			return 1. / 12 // what reads a loud channel has learned to
		case k%64 == 40:
			return 12
		}
		return 1
	}
	for i := range w.Layers {
		l := &w.Layers[i]
		for k := range hidden {
			if loud(k) {
				l.AttnNorm[k] *= 12
				l.FFNNorm[k] *= 12
			}
		}
		for _, m := range []*quant.Matrix{l.Q, l.K, l.V, l.Gate, l.Up, l.O, l.Down} {
			scale(m, wide)
		}
	}
	return w
}

// Each kind of weights gives the same bits for every chunk size, worker count and batch, and with exact arithmetic those of a
// float32 model with the values of its rows.
func TestKindsOfWeights(t *testing.T) {
	names := []string{"w8a8", "w8a8-rotated", "llm-int8", "w8a8-g64", "w4", "nf4"}
	runs := []struct{ chunk, workers int }{{1, 2}, {7, 4}, {64, 1}, {128, 2}}
	n := 130
	if os.Getenv("SYSTEMGEMMA_TEST_SAMPLE") != "" {
		names, runs, n = names[1:3], runs[1:2], 40
	}
	tokens := ids(n, 117, 1)
	float := planted(t, 117, 64, 128)
	for _, name := range names {
		spec, err := quant.ParseSpec(name)
		if err != nil {
			t.Fatal(err)
		}
		w := quantised(t, float, spec)
		pool := NewPool(&w.Config, KVF32, 0)
		for _, exact := range []bool{false, true} {
			want := feed(t, open(t, w, 1, Options{Exact: exact}), pool.NewCache(), tokens, 1)
			for _, c := range runs {
				got := feed(t, open(t, w, c.workers, Options{Exact: exact}), pool.NewCache(), tokens, c.chunk)
				if !slices.EqualFunc(got, want, slices.Equal[[]float32]) {
					t.Fatalf("%s, exact %v, chunk %d, %d workers: bits differ", name, exact, c.chunk, c.workers)
				}
			}
			if rows := quantised(t, w, quant.Spec{Layout: quant.F32}); exact {
				if got := feed(t, open(t, rows, 1, Options{}), pool.NewCache(), tokens, 16); !slices.EqualFunc(got, want, slices.Equal[[]float32]) {
					t.Errorf("%s: exact arithmetic differs from that of its rows as float32", name)
				}
			}
		}
	}
}

// divergence is the mean over rows of sum p*log(p/q), p from want and q from got, and the share of rows with the same best id.
func divergence(want, got [][]float32) (kl, top1 float64) {
	softmax := func(x []float32) []float64 {
		p, sum := make([]float64, len(x)), 0.0
		for i, v := range x {
			p[i] = math.Exp(float64(v - slices.Max(x)))
			sum += p[i]
		}
		for i := range p {
			p[i] /= sum
		}
		return p
	}
	for i := range want {
		p, q := softmax(want[i]), softmax(got[i])
		for k := range p {
			kl += p[k] * math.Log(p[k]/q[k]) / float64(len(want))
		}
		if slices.Index(p, slices.Max(p)) == slices.Index(q, slices.Max(q)) {
			top1 += 1 / float64(len(want))
		}
	}
	return kl, top1
}

// Where a few channels are outliers, groups lose less than one scale per channel, and a rotation less than groups; LLM.int8,
// which keeps the loud activations as they are, is better than plain w8a8 too.
func TestOutliersAreWhatRotationIsFor(t *testing.T) {
	sample.Skip(t)
	float := planted(t, 256, 256, 512)
	tokens, pool := ids(160, 256, 3), NewPool(&float.Config, KVF32, 0)
	want := feed(t, open(t, float, 2, Options{}), pool.NewCache(), tokens, 128)
	kl := map[string]float64{}
	for _, name := range []string{"w8a8", "w8a8-g64", "w8a8-rotated", "llm-int8"} {
		spec, err := quant.ParseSpec(name)
		if err != nil {
			t.Fatal(err)
		}
		got := feed(t, open(t, quantised(t, float, spec), 2, Options{}), pool.NewCache(), tokens, 128)
		top1 := 0.0
		kl[name], top1 = divergence(want, got)
		t.Logf("%-13s KL %.6f, top-1 %.1f %%", name, kl[name], 100*top1)
	}
	if !(kl["w8a8-rotated"] < kl["w8a8-g64"]/2 && kl["w8a8-g64"] < 0.9*kl["w8a8"] && kl["llm-int8"] < 0.9*kl["w8a8"]) {
		t.Errorf("want rotated < groups < per channel, and llm-int8 < per channel")
	}
}
