package load

import (
	"slices"
	"testing"

	"github.com/systemgemma/systemgemma/internal/compute/parallel"
	"github.com/systemgemma/systemgemma/internal/compute/quant"
	"github.com/systemgemma/systemgemma/internal/testkit/sample"
)

// half halves all weights of some tensors, and gives the model a head of its own.
type half []string

func (h half) Touches(name string) bool { return slices.Contains(h, name) }

func (h half) Row(_ string, r int, row []float32) error {
	for k := range row {
		row[k] *= 0.5
	}
	return nil
}

func (h half) Unties() bool { return slices.Contains(h, head) }

// A reader gives what Weights does, in parts; with a change, what that makes of the parts that it touches.
func TestReader(t *testing.T) {
	sample.Skip(t)
	crew := parallel.New(2)
	defer crew.Close()
	for _, kind := range []string{"f32", "w8a8", "w8a8-rotated", "w4"} {
		spec, err := quant.ParseSpec(kind)
		if err != nil {
			t.Fatal(err)
		}
		ck, blocks, err := Synthetic("tiny", spec, 1, crew)
		if err != nil {
			t.Fatal(err)
		}
		w, err := Weights(ck, crew)
		if err != nil {
			t.Fatal(err)
		}
		touched := half{"blk.1.ffn_up.weight", "blk.1.attn_norm.weight", head}
		for _, change := range []Change{nil, touched} {
			r, err := NewReader(ck, change, crew)
			if err != nil {
				t.Fatal(err)
			}
			layer, free, err := r.Layer(1)
			if err != nil {
				t.Fatal(err)
			}
			want := &w.Layers[1]
			factor := float32(1)
			if change != nil {
				factor = 0.5
			}
			sameRows(t, kind+" up", layer.Up, want.Up, 0, factor)
			sameRows(t, kind+" q", layer.Q, want.Q, 0, 1)
			if layer.PostFFNNorm[3] != want.PostFFNNorm[3] || layer.AttnNorm[3] != want.AttnNorm[3]*factor { // the checkpoint's norms are stored as 1+w
				t.Errorf("%s norms: found %v and %v, want %v and %v", kind, layer.PostFFNNorm[3], layer.AttnNorm[3], want.PostFFNNorm[3], want.AttnNorm[3]*factor)
			}
			free()
			part, free, err := r.Head(4096, 80)
			if err != nil {
				t.Fatal(err)
			}
			sameRows(t, kind+" head", part, w.Head, 4096, factor)
			free()
			row, whole := make([]float32, w.Config.HiddenSize), make([]float32, w.Config.HiddenSize)
			if err := r.Embed(77, row); err != nil {
				t.Fatal(err)
			}
			if w.Embed.Row(whole, 77); !slices.Equal(row, whole) {
				t.Errorf("%s embedding: want %v, found %v", kind, whole[:4], row[:4])
			}
			if n := len(r.Matrices()); n != 1+7*4 && change == nil || n != 2+7*4 && change != nil || r.HasHead() != (change != nil) {
				t.Errorf("%s: found %d matrices, a head of its own %v", kind, n, r.HasHead())
			}
		}
		w.Close()
		for _, b := range blocks {
			_ = b.Free()
		}
	}
}

// sameRows compares got with rows of want from first on, times factor.
func sameRows(t *testing.T, what string, got, want *quant.Matrix, first int, factor float32) {
	t.Helper()
	a, b := make([]float32, got.Cols), make([]float32, want.Cols)
	for r := range got.Rows {
		got.Row(a, r)
		want.Row(b, first+r)
		for k := range b {
			if b[k]*factor != a[k] {
				t.Fatalf("%s: row %d, column %d: want %v, found %v", what, r, k, b[k]*factor, a[k])
			}
		}
	}
}
