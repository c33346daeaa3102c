package convert

import (
	"errors"
	"fmt"
	"math"

	"github.com/systemgemma/systemgemma/internal/arch"
	"github.com/systemgemma/systemgemma/internal/checkpoint"
	"github.com/systemgemma/systemgemma/internal/checkpoint/gguf"
	"github.com/systemgemma/systemgemma/internal/compute/blocks"
	"github.com/systemgemma/systemgemma/internal/compute/quant"
)

// ErrNotFinite says that a source has a weight that is no finite number.
var ErrNotFinite = errors.New("weight is no finite number")

// Parameter is one tensor of a model by its GGUF name. A norm has no columns: its values are rows.
type Parameter struct {
	Name       string
	Rows, Cols int
}

// parameters lists the tensors of a model in the order of files of our own, a head of its own last.
func parameters(c *arch.Config) (list []Parameter) {
	for _, p := range checkpoint.Parameters(c) {
		if p.Name == head && c.TieEmbeddings {
			continue
		}
		x := Parameter{Name: p.Name, Rows: p.Shape[0]}
		if len(p.Shape) == 2 {
			x.Cols = p.Shape[1]
		}
		list = append(list, x)
	}
	return list
}

// Input is one tensor to make of the source.
type Input struct {
	Parameter
	Tensor *checkpoint.Tensor // of most sources, and all norms; nil: Matrix
	Matrix *quant.Matrix      // of a file of our own

	change Change // nil: none
}

// inputs lists the tensors to make of ck in the order of work, with a head that is made of a tied embedding if untied says so.
func inputs(ck *checkpoint.Checkpoint, change Change, untied bool) ([]*Input, error) {
	config := ck.Config
	config.TieEmbeddings = config.TieEmbeddings && !untied
	var list []*Input
	for _, p := range parameters(&config) {
		in, stored := &Input{Parameter: p}, p.Name
		if p.Name == head && ck.Config.TieEmbeddings {
			stored = embedding
		}
		if t, ok := ck.Tensors[stored]; ok {
			in.Tensor = &t
		} else if m, ok := ck.Matrices[stored]; ok {
			in.Matrix = &m
		} else {
			return nil, fmt.Errorf("tensor %s: missing; get the checkpoint again", p.Name)
		}
		if change != nil && change.Touches(p.Name) {
			in.change = change
		}
		list = append(list, in)
	}
	return list, nil
}

// rows is the number of rows to convert: a norm is one.
func (in *Input) rows() int {
	if in.Cols == 0 {
		return 1
	}
	return in.Rows
}

// width is the number of weights in a row.
func (in *Input) width() int {
	if in.Cols == 0 {
		return in.Rows
	}
	return in.Cols
}

// read decodes and edits a row.
func (in *Input) read(w []float32, row int) error {
	if in.Matrix != nil {
		in.Matrix.Row(w, row)
	} else if err := in.Tensor.Row(w, row); err != nil {
		return err
	}
	if in.change == nil {
		return nil
	}
	if err := in.change.Row(in.Name, row, w); err != nil {
		return fmt.Errorf("tensor %s: row %d: %w", in.Name, row, err)
	}
	return nil
}

// check names the first weight of a row that is no finite number.
func (in *Input) check(w []float32, row int) error {
	for k, v := range w {
		if v-v != 0 { // NaN for NaN and infinities
			return fmt.Errorf("tensor %s: row %d, column %d: want a finite number, found %v: %w", in.Name, row, k, v, ErrNotFinite)
		}
	}
	return nil
}

// stored is the part of the source that holds some rows, for advice about its pages.
func (in *Input) stored(first, rows int) *checkpoint.Tensor {
	if in.Tensor != nil {
		n := len(in.Tensor.Data) / in.rows()
		return &checkpoint.Tensor{Data: in.Tensor.Data[first*n : (first+rows)*n]}
	}
	lo, hi := first/quant.StripRows, quant.PaddedRows(first+rows)/quant.StripRows
	n := len(in.Matrix.Data) / in.Matrix.Strips()
	return &checkpoint.Tensor{Data: in.Matrix.Data[lo*n : hi*n]}
}

// bytes is the size of some rows in the source, scales of our own files apart.
func (in *Input) bytes(first, rows int) int64 { return int64(len(in.stored(first, rows).Data)) }

// Quantised says whether the source holds the tensor below 16 bits: then rounding it again loses twice.
func (in *Input) Quantised() bool {
	if in.Matrix != nil {
		return in.Matrix.Layout.Bits() < 16
	}
	size, err := in.Tensor.Type.RowSize(256)
	return err == nil && size < 2*256
}

// Kind names how the source stores the tensor.
func (in *Input) Kind() string {
	if in.Matrix != nil {
		return in.Matrix.Spec().Name()
	}
	return in.Tensor.Type.String()
}

// keeps says whether spec holds what the input stores without rounding.
func (in *Input) keeps(spec quant.Spec) bool {
	if in.change != nil {
		return false
	}
	if in.Matrix != nil {
		spec.Double = false // the scales are rounded already
		return in.Matrix.Spec() == spec
	}
	if in.Tensor.Scales != nil {
		return spec == quant.Spec{Layout: quant.W8C}
	}
	return spec == specOf(in.Tensor.Type)
}

// specOf is what holds weights that a file stores as t, floats or blocks, without rounding.
func specOf(t gguf.Type) quant.Spec {
	if f, ok := blocks.Of(uint32(t)); ok {
		l, g := quant.BlockFormat(f)
		return quant.Spec{Layout: l, Grouping: g}
	}
	return quant.Spec{Layout: map[gguf.Type]quant.Layout{gguf.F32: quant.F32, gguf.F16: quant.F16, gguf.BF16: quant.BF16}[t]}
}

// largest is the largest magnitude among the finite weights.
func largest(w []float32) (top float32) {
	for _, v := range w {
		if a := float32(math.Abs(float64(v))); a <= math.MaxFloat32 {
			top = max(top, a)
		}
	}
	return top
}
