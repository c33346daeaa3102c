package checkpoint

import (
	"fmt"
	"strings"

	"github.com/systemgemma/systemgemma/internal/checkpoint/compressed"
	"github.com/systemgemma/systemgemma/internal/checkpoint/gguf"
	"github.com/systemgemma/systemgemma/internal/checkpoint/safetensors"
)

// quantization looks at a config.json's quantization_config: compressed-tensors' int8 weights are read, all else is refused.
func (c *Checkpoint) quantization(o object) error {
	raw, ok := o["quantization_config"]
	if !ok || string(raw) == "null" {
		return nil
	}
	var q object
	var method string
	if err := o.field("quantization_config", &q, false); err != nil {
		return err
	}
	if err := q.field("quant_method", &method, true); err != nil {
		return fmt.Errorf("quantization_config: %w", err)
	}
	if method != compressed.Method {
		return fmt.Errorf("quantization_config: want none or quant_method %s, found %.100s; %s in F32, F16, BF16 or int8 (compressed-tensors)", compressed.Method, raw, supported)
	}
	if err := compressed.Check(raw); err != nil {
		return fmt.Errorf("quantization_config: %w", err)
	}
	c.int8 = true
	return nil
}

// joinScales turns the int8 matrices of source, each with its scales in a tensor of its own, into one Tensor each.
func joinScales(source map[string]Tensor, ints map[string]safetensors.Tensor) error {
	for name, weight := range ints {
		t, ok := source[name+compressed.ScaleSuffix]
		if !ok {
			return fmt.Errorf("tensor %.100s%s: missing, though %.100s is I8; get the checkpoint again", name, compressed.ScaleSuffix, name)
		}
		scale := safetensors.Tensor{Name: t.Name, Shape: t.Shape, Data: t.Data}
		for d, typ := range fromSafetensors {
			if typ == t.Type {
				scale.DType = d
			}
		}
		list, err := compressed.Scales(weight, scale)
		if err != nil {
			return err
		}
		delete(source, t.Name)
		source[name] = Tensor{Name: name, Type: gguf.I8, Shape: weight.Shape, Data: weight.Data, Scales: list}
	}
	for name := range source {
		if base, ok := strings.CutSuffix(name, compressed.ScaleSuffix); ok {
			return fmt.Errorf("tensor %.100s: found scales, but %.100s is not I8", name, base)
		}
	}
	return nil
}

// Ints is row r of a tensor of int8 weights and the row's scale.
func (t *Tensor) Ints(r int) (w []byte, scale float32) {
	n := t.Columns()
	return t.Data[r*n : (r+1)*n], t.Scales[r]
}

// intRow decodes a row of int8 weights.
func (t *Tensor) intRow(dst []float32, r int) {
	w, scale := t.Ints(r)
	for k, q := range w {
		dst[k] = float32(int8(q)) * scale
	}
}
