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
	for typ, want := range map[gguf.Type]string{gguf.F32: "F32", gguf.F16: "F16", gguf.BF16: "BF16", gguf.Q8_0: "W8G-g32-f16", gguf.Q4_0: "W4G-g32-f16", gguf.Q4_1: "W4G-g32-f16-min"} {
		if l, g := layoutOf(typ); (quant.Spec{Layout: l, Grouping: g}).Format() != want {
			t.Errorf("%v is arranged as %v %v, want %v", typ, l, g, want)
		}
	}
}

// Blocks take the memory that they take in their file, and hold its values.
func TestBlocksAreArrangedAsTheyAre(t *testing.T) {
	crew := parallel.New(2)
	defer crew.Close()
	r := rand.New(rand.NewPCG(1, 2))
	for _, typ := range []gguf.Type{gguf.Q8_0, gguf.Q4_0, gguf.Q4_1} {
		const rows, cols = 48, 96
		size, err := typ.RowSize(cols)
		if err != nil {
			t.Fatal(err)
		}
		x := checkpoint.Tensor{Name: "x", Type: typ, Shape: []int{rows, cols}, Data: make([]byte, rows*size)}
		for i := range x.Data {
			x.Data[i] = byte(r.Uint32())
		}
		for i := 0; i < len(x.Data); i += size / (cols / 32) {
			x.Data[i+1] &= 0x3b // a scale below 1, and no NaN
			if typ == gguf.Q4_1 {
				x.Data[i+3] &= 0xbb
			}
		}
		b := builder{crew: crew, out: &Loaded{}}
		m, err := b.arrange(&x)
		if err != nil {
			t.Fatal(err)
		}
		if n := b.out.Bytes() - int64(len(x.Data)); n < 0 || n >= 64 { // minima begin at a multiple of 64

			t.Errorf("%v: %d bytes more in memory than the %d of the file", typ, n, len(x.Data))
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
	}
}

func TestErrorsNameTheTensor(t *testing.T) {
	crew := parallel.New(1)
	defer crew.Close()
	for name, spoil := range map[string]func(*checkpoint.Checkpoint){
		"blk.2.attn_q.weight": func(ck *checkpoint.Checkpoint) { delete(ck.Matrices, "blk.2.attn_q.weight") },
		"output_norm.weight":  func(ck *checkpoint.Checkpoint) { delete(ck.Tensors, "output_norm.weight") },
		"blk.1.post_ffw_norm.weight": func(ck *checkpoint.Checkpoint) {
			ck.Tensors["blk.1.post_ffw_norm.weight"] = checkpoint.Tensor{Name: "blk.1.post_ffw_norm.weight", Type: gguf.Type(12), Shape: []int{192}}
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
