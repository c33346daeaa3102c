// Package convert turns an opened checkpoint into a file of our own: matrices in one kernel layout, norms, tokenizer,
// template and provenance.
//
// It works in pieces of some strips, on all workers, so that memory stays small whatever the model's size. It must not know
// how files are written nor how a product is computed.
package convert

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"sync/atomic"

	"github.com/systemgemma/systemgemma/internal/checkpoint"
	"github.com/systemgemma/systemgemma/internal/compute/parallel"
	"github.com/systemgemma/systemgemma/internal/compute/quant"
)

// Options say what to make.
type Options struct {
	Layout     quant.Layout
	Name       string            // general.name of the file
	SystemMode string            // "": left to the template
	Provenance map[string]string // what to record besides layout and source format
	Overwrite  bool              // replace an existing file
}

// pieceBytes is about how much of a matrix is in memory at once.
const pieceBytes = 8 << 20

// File writes ck to path, in full or not at all.
func File(ctx context.Context, ck *checkpoint.Checkpoint, path string, o Options, crew *parallel.Crew) error {
	if _, err := os.Stat(path); err == nil && !o.Overwrite {
		return fmt.Errorf("%s: exists already; choose another name, or say that it may be replaced", path)
	}
	if len(ck.Matrices) > 0 {
		return fmt.Errorf("%s: is in our own format already; convert from the checkpoint it was made of", ck.Path)
	}
	if err := ck.Runnable(); err != nil {
		return err
	}
	m := &checkpoint.Model{
		Name: o.Name, Config: ck.Config, Vocab: ck.Vocab, ChatTemplate: ck.ChatTemplate, SystemMode: o.SystemMode, EOS: ck.EOS,
		Generation: ck.Generation, Norms: map[string][]float32{}, Matrices: map[string]checkpoint.MatrixSource{},
		Provenance: map[string]string{"weights": o.Layout.String(), "source_format": string(ck.Format)},
	}
	maps.Copy(m.Provenance, o.Provenance)
	for name, t := range ck.Tensors {
		if len(t.Shape) == 2 {
			m.Matrices[name] = checkpoint.MatrixSource{Spec: quant.Spec{Layout: o.Layout}, Pack: func(emit func(*quant.Matrix) error) error {
				return pack(ctx, &t, o.Layout, crew, emit)
			}}
			continue
		}
		norm, err := plusOne(&t, ck.NormPlusOne)
		if err != nil {
			return err
		}
		m.Norms[name] = norm
	}
	return checkpoint.Write(ctx, path, m)
}

// plusOne reads a norm as 1+w.
func plusOne(t *checkpoint.Tensor, already bool) ([]float32, error) {
	v := make([]float32, t.Columns())
	if err := t.Row(v, 0); err != nil {
		return nil, err
	}
	if !already {
		for i := range v {
			v[i]++
		}
	}
	return v, nil
}

// pack arranges a row-major matrix piece by piece.
func pack(ctx context.Context, t *checkpoint.Tensor, layout quant.Layout, crew *parallel.Crew, emit func(*quant.Matrix) error) error {
	rows, cols := t.Shape[0], t.Shape[1]
	step := quant.PaddedRows(min(rows, max(1, pieceBytes/layout.RowBytes(cols))))
	buffers := make([]float32, crew.Workers()*cols)
	for first := 0; first < rows; first += step {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		piece, block, err := quant.New(layout, min(step, rows-first), cols)
		if err != nil {
			return err
		}
		err = packPiece(t, piece, first, buffers, crew)
		if err == nil {
			err = emit(piece)
		}
		if err = errors.Join(err, block.Free()); err != nil {
			return err
		}
	}
	return nil
}

// packPiece fills piece with the rows of t from first on.
func packPiece(t *checkpoint.Tensor, piece *quant.Matrix, first int, buffers []float32, crew *parallel.Crew) error {
	var failed atomic.Pointer[error]
	err := crew.Run(piece.Rows, quant.StripRows, func(worker, lo, hi int) {
		row := buffers[worker*piece.Cols : (worker+1)*piece.Cols]
		for r := lo; r < hi; r++ {
			if err := t.Row(row, first+r); err != nil {
				failed.Store(&err)
				return
			}
			piece.PackRow(r, row)
		}
	})
	if p := failed.Load(); p != nil {
		err = errors.Join(err, *p)
	}
	return err
}
