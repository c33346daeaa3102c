// Package gemma2 is the architecture: weights, layers, attention over KV pages, one forward pass over many sequences.
//
// It owns the arithmetic of a Gemma 2 model (arXiv:2408.00118; reference: Gemma2ForCausalLM of Hugging Face transformers)
// and the memory of its KV cache. Every row of a pass gets the same bits whatever rows, chunks and workers are beside it:
// DESIGN.md says how.
//
// It must not know files, text, or who asked: ids go in, logits come out.
package gemma2

import (
	"fmt"

	"github.com/systemgemma/systemgemma/internal/arch"
	"github.com/systemgemma/systemgemma/internal/compute/quant"
)

// Weights are all parameters of a model. Matrices may alias a mapped file; norms are float32, stored as 1+w.
type Weights struct {
	Config    arch.Config
	Embed     *quant.Matrix // [vocab][hidden]
	Head      *quant.Matrix // [vocab][hidden]; the same as Embed when tied
	FinalNorm []float32     // [hidden], as Layer's norms
	Layers    []Layer
}

// Layer holds one block's parameters. Norms have the hidden size, padded with zeros to a multiple of 16.
type Layer struct {
	AttnNorm, PostAttnNorm, FFNNorm, PostFFNNorm []float32

	Q, K, V *quant.Matrix // [heads*headDim][hidden], [kvHeads*headDim][hidden] twice
	O       *quant.Matrix // [hidden][heads*headDim]
	Gate    *quant.Matrix // [intermediate][hidden]
	Up      *quant.Matrix
	Down    *quant.Matrix // [hidden][intermediate]
}

// outliers says whether any matrix multiplies some activations unrounded.
func (w *Weights) outliers() bool {
	some := w.Head.Outliers != 0
	for i := range w.Layers {
		l := &w.Layers[i]
		for _, m := range []*quant.Matrix{l.Q, l.K, l.V, l.O, l.Gate, l.Up, l.Down} {
			some = some || m.Outliers != 0
		}
	}
	return some
}

// pad16 rounds a vector's length up to what the kernels want.
func pad16(n int) int { return (n + 15) &^ 15 }

// Validate reports the first weight whose shape does not fit the config.
func (w *Weights) Validate() error {
	c := &w.Config
	if err := c.Validate(); err != nil {
		return err
	}
	if len(w.Layers) != c.NumLayers {
		return fmt.Errorf("layers: want %d, found %d", c.NumLayers, len(w.Layers))
	}
	qWidth, kvWidth := c.NumHeads*c.HeadDim, c.NumKVHeads*c.HeadDim
	check := func(name string, m *quant.Matrix, rows, cols int) error {
		if m == nil {
			return fmt.Errorf("%s: missing", name)
		}
		if m.Rows != rows || m.Cols != cols {
			return fmt.Errorf("%s: want %dx%d, found %dx%d", name, rows, cols, m.Rows, m.Cols)
		}
		if err := m.Validate(); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		return nil
	}
	norm := func(name string, v []float32) error {
		if len(v) != pad16(c.HiddenSize) {
			return fmt.Errorf("%s: want %d values, found %d", name, pad16(c.HiddenSize), len(v))
		}
		return nil
	}
	errs := []error{
		check("embedding", w.Embed, c.VocabSize, c.HiddenSize),
		check("head", w.Head, c.VocabSize, c.HiddenSize),
		norm("final norm", w.FinalNorm),
	}
	for i := range w.Layers {
		l, at := &w.Layers[i], fmt.Sprintf("layer %d ", i)
		errs = append(errs,
			norm(at+"attention norm", l.AttnNorm), norm(at+"post-attention norm", l.PostAttnNorm),
			norm(at+"FFN norm", l.FFNNorm), norm(at+"post-FFN norm", l.PostFFNNorm),
			check(at+"q", l.Q, qWidth, c.HiddenSize), check(at+"k", l.K, kvWidth, c.HiddenSize), check(at+"v", l.V, kvWidth, c.HiddenSize),
			check(at+"o", l.O, c.HiddenSize, qWidth), check(at+"gate", l.Gate, c.IntermediateSize, c.HiddenSize),
			check(at+"up", l.Up, c.IntermediateSize, c.HiddenSize), check(at+"down", l.Down, c.HiddenSize, c.IntermediateSize))
	}
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
