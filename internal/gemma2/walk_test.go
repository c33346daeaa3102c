package gemma2

import (
	"context"
	"slices"
	"testing"

	"github.com/systemgemma/systemgemma/internal/compute/parallel"
	"github.com/systemgemma/systemgemma/internal/compute/quant"
)

// walkLogits are the logits of all tokens, computed layer by layer and with the head in parts of 32 rows.
func walkLogits(t *testing.T, w *Weights, sequences [][]int32, workers int, typ KVType, o Options) (all [][]float32) {
	t.Helper()
	crew := parallel.New(workers)
	defer crew.Close()
	var lengths []int
	var tokens []int32
	for _, s := range sequences {
		lengths, tokens = append(lengths, len(s)), append(tokens, s...)
	}
	walk, err := NewWalk(&w.Config, lengths, crew, typ, o)
	if err != nil {
		t.Fatal(err)
	}
	defer walk.Close()
	row := make([]float32, w.Config.HiddenSize)
	for i, id := range tokens {
		w.Embed.Row(row, int(id))
		walk.Embed(i, row)
	}
	for l := range w.Layers {
		if err := walk.Layer(context.Background(), l, &w.Layers[l]); err != nil {
			t.Fatal(err)
		}
	}
	walk.Norm(w.FinalNorm)
	all = make([][]float32, len(tokens))
	for first := 0; first < w.Config.VocabSize; first += 32 {
		part := w.Head.Part(first, min(32, w.Config.VocabSize-first))
		for at := 0; at < len(tokens); at += MaxRows {
			n := min(MaxRows, len(tokens)-at)
			logits, err := walk.Head(at, n, part)
			if err != nil {
				t.Fatal(err)
			}
			for i := range n {
				all[at+i] = append(all[at+i], logits(i)...)
			}
		}
	}
	return all
}

// A walk gives the bits of Forward: several sequences, longer than a window and a pass, all layouts, any number of workers.
func TestWalkEqualsForward(t *testing.T) {
	for _, c := range []struct {
		layout quant.Layout
		typ    KVType
		exact  bool
	}{{quant.F32, KVF32, false}, {quant.BF16, KVF32, false}, {quant.W8C, KVF16, false}, {quant.W8C, KVF32, true}, {quant.W8C, KVI8, false}} {
		w := random(t, tiny(), c.layout)
		o := Options{Exact: c.exact}
		sequences := [][]int32{ids(3, 117, 1), ids(150, 117, 2), ids(1, 117, 3), ids(60, 117, 4)}
		m := open(t, w, 1, o)
		var want [][]float32
		for _, s := range sequences {
			cache := NewPool(&w.Config, c.typ, 0).NewCache()
			for at := 0; at < len(s); at += MaxRows {
				part := s[at:min(at+MaxRows, len(s))]
				err := m.Forward(context.Background(), []Chunk{{Cache: cache, Tokens: part, Logits: len(part)}}, func(_, _ int, logits []float32) error {
					want = append(want, slices.Clone(logits))
					return nil
				})
				if err != nil {
					t.Fatal(err)
				}
			}
			cache.Free()
		}
		for _, workers := range []int{1, 3} {
			got := walkLogits(t, w, sequences, workers, c.typ, o)
			if !slices.EqualFunc(got, want, slices.Equal[[]float32]) {
				t.Errorf("%v, keys and values %v, exact %v, %d workers: logits differ from Forward's", c.layout, c.typ, c.exact, workers)
			}
		}
	}
}

func TestWalkEnds(t *testing.T) {
	w := random(t, tiny(), quant.F32)
	crew := parallel.New(1)
	defer crew.Close()
	if _, err := NewWalk(&w.Config, []int{w.Config.MaxPositions + 1}, crew, KVF32, Options{}); err == nil {
		t.Error("a sequence longer than the context: want an error, found none")
	}
	walk, err := NewWalk(&w.Config, []int{5}, crew, KVF32, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer walk.Close()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := walk.Layer(ctx, 0, &w.Layers[0]); err == nil {
		t.Error("a cancelled context: want an error, found none")
	}
}
