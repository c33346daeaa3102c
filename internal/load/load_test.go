package load

import (
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
	for typ, want := range map[gguf.Type]quant.Layout{gguf.F32: quant.F32, gguf.F16: quant.F16, gguf.BF16: quant.BF16, gguf.Q8_0: quant.F32} {
		if got := layoutOf(typ); got != want {
			t.Errorf("%v is arranged as %v, want %v", typ, got, want)
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
			ck.Tensors["blk.1.post_ffw_norm.weight"] = checkpoint.Tensor{Name: "blk.1.post_ffw_norm.weight", Type: gguf.Type(2), Shape: []int{192}}
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
