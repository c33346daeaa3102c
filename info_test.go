package systemgemma

import (
	"strings"
	"testing"

	"github.com/systemgemma/systemgemma/internal/checkpoint"
	"github.com/systemgemma/systemgemma/internal/checkpoint/gguf"
)

// A model whose weights can be listed but not run says so, and which tensor is why.
func TestInfoSaysWhatCannotBeRun(t *testing.T) {
	x := Text{checkpoint: &checkpoint.Checkpoint{Path: "m.gguf", Notes: []string{"other"}, Tensors: map[string]checkpoint.Tensor{
		"token_embd.weight": {Name: "token_embd.weight", Type: gguf.Type(16), Shape: []int{1, 256}, Data: make([]byte, 66)},
	}}}
	i := x.Info()
	if len(i.Notes) != 2 || !strings.HasPrefix(i.Notes[1], "can't be run: tensor token_embd.weight: this version reads weights of F32, ") ||
		!strings.Contains(i.Notes[1], "found IQ2_XXS") {
		t.Errorf("notes %q", i.Notes)
	}
	if n := len(x.checkpoint.Notes); n != 1 {
		t.Errorf("%d notes in the checkpoint, want 1", n)
	}
	x.checkpoint.Tensors["token_embd.weight"] = checkpoint.Tensor{Type: gguf.Q4_K, Shape: []int{1, 256}, Data: make([]byte, 144)}
	if i := x.Info(); len(i.Notes) != 1 {
		t.Errorf("notes of a model that runs: %q", i.Notes)
	}
}
