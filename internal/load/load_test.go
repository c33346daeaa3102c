package load

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/systemgemma/systemgemma/internal/checkpoint"
	"github.com/systemgemma/systemgemma/internal/checkpoint/gguf"
	"github.com/systemgemma/systemgemma/internal/compute/parallel"
	"github.com/systemgemma/systemgemma/internal/compute/quant"
	"github.com/systemgemma/systemgemma/internal/mini"
)

func openMini(t *testing.T) *checkpoint.Checkpoint {
	t.Helper()
	ck, err := checkpoint.OpenBytes("mini", mini.File())
	if err != nil {
		t.Fatal(err)
	}
	return ck
}

// Our own file is used where it lies: no matrix is copied.
func TestOwnFileIsNotCopied(t *testing.T) {
	ck := openMini(t)
	crew := parallel.New(1)
	defer crew.Close()
	w, err := Weights(ck, crew)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if w.Bytes() != 0 {
		t.Errorf("%d bytes were made", w.Bytes())
	}
	m := ck.Matrices["blk.3.ffn_down.weight"]
	if &w.Layers[3].Down.Data[0] != &m.Data[0] || w.Head != w.Embed {
		t.Error("a matrix does not alias the file")
	}
	if err := w.Validate(); err != nil {
		t.Error(err)
	}
}

func TestLayoutKeepsEveryBit(t *testing.T) {
	for typ, want := range map[gguf.Type]string{
		gguf.F32: "F32", gguf.F16: "F16", gguf.BF16: "BF16", gguf.Q8_0: "W8G-g32-f16", gguf.Q4_0: "W4G-g32-f16", gguf.Q4_1: "W4G-g32-f16-min",
		gguf.Q5_0: "W8G-g32-f16", gguf.Q5_1: "W8G-g32-f16-min", gguf.IQ4_NL: "W8G-g32-f16", gguf.IQ4_XS: "W8G-g32",
		gguf.Q2_K: "W8G-g16-min", gguf.Q3_K: "W8G-g16", gguf.Q4_K: "W4G-g32-min", gguf.Q5_K: "W8G-g32-min", gguf.Q6_K: "W8G-g16",
	} {
		if l, g := layoutOf(typ); (quant.Spec{Layout: l, Grouping: g}).Format() != want {
			t.Errorf("%v is arranged as %v %v, want %v", typ, l, g, want)
		}
	}
}

// Blocks are arranged with their own values, in whatever pieces and by however many workers, also in a last strip that is not
// full; those of 32 weights and of 4 bits take the memory that they take in their file.
func TestBlocksAreArrangedAsTheyAre(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, typ := range []gguf.Type{
		gguf.Q8_0, gguf.Q4_0, gguf.Q4_1, gguf.Q5_0, gguf.Q5_1, gguf.Q2_K, gguf.Q3_K, gguf.Q4_K, gguf.Q5_K, gguf.Q6_K, gguf.IQ4_NL, gguf.IQ4_XS, gguf.F32, gguf.F16, gguf.BF16,
	} {
		const rows, cols = 16*19 + 5, 256
		size, err := typ.RowSize(cols)
		if err != nil {
			t.Fatal(err)
		}
		x := checkpoint.Tensor{Name: "x", Type: typ, Shape: []int{rows, cols}, Data: make([]byte, rows*size)}
		for i := range x.Data {
			x.Data[i] = byte(r.Uint32()) & 0xbb // no infinity and no NaN in any half or float
		}
		for _, c := range []struct{ workers, piece int }{{1, pieceBytes}, {3, pieceBytes}, {2, 1}, {3, 3 * 16 * size}} {
			crew := parallel.New(c.workers)
			b := builder{ck: &checkpoint.Checkpoint{}, crew: crew, out: &Loaded{}, piece: c.piece}
			m, err := b.arrange(&x)
			if err != nil {
				t.Fatal(err)
			}
			if n := b.out.Bytes() - int64(quant.PaddedRows(rows)*size); (typ == gguf.Q8_0 || typ == gguf.Q4_0 || typ == gguf.Q4_1) && (n < 0 || n >= 64) { // minima begin at a multiple of 64
				t.Errorf("%v: %d bytes more in memory than in the file", typ, n)
			}
			got, want := make([]float32, cols), make([]float32, cols)
			for i := range rows {
				m.Row(got, i)
				if err := x.Row(want, i); err != nil {
					t.Fatal(err)
				}
				if !slices.Equal(got, want) {
					t.Fatalf("%v row %d: %v, want %v", typ, i, got, want)
				}
			}
			b.out.Close()
			crew.Close()
		}
	}
}

func TestErrorsNameTheTensor(t *testing.T) {
	crew := parallel.New(1)
	defer crew.Close()
	for name, spoil := range map[string]func(*checkpoint.Checkpoint){
		"blk.2.attn_q.weight": func(ck *checkpoint.Checkpoint) { delete(ck.Matrices, "blk.2.attn_q.weight") },
		"output_norm.weight":  func(ck *checkpoint.Checkpoint) { delete(ck.Tensors, "output_norm.weight") },
		"blk.1.post_ffw_norm.weight": func(ck *checkpoint.Checkpoint) {
			ck.Tensors["blk.1.post_ffw_norm.weight"] = checkpoint.Tensor{Name: "blk.1.post_ffw_norm.weight", Type: gguf.Type(16), Shape: []int{192}}
		},
	} {
		ck := openMini(t)
		spoil(ck)
		if w, err := Weights(ck, crew); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
			if err == nil {
				w.Close()
			}
		}
	}
}
