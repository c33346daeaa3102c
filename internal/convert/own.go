package convert

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"github.com/systemgemma/systemgemma/internal/checkpoint"
	"github.com/systemgemma/systemgemma/internal/compute/blocks"
	"github.com/systemgemma/systemgemma/internal/compute/offheap"
	"github.com/systemgemma/systemgemma/internal/compute/parallel"
	"github.com/systemgemma/systemgemma/internal/compute/quant"
)

const (
	embedding = "token_embd.weight"
	head      = "output.weight"
)

// ownFormat makes a file of our own.
type ownFormat struct {
	draft   *checkpoint.Draft
	specs   map[string]quant.Spec // of matrices
	rows    map[string]Parameter
	kept    map[string]bool // matrices that hold what the source stores
	plusOne bool            // the source stores norms as w+1
	lenient bool            // weights that are no finite number are let in
}

// newOwnFormat plans a file of the inputs with these specs, described by m, whose norms and matrices are set here.
func newOwnFormat(in []*Input, specs map[string]quant.Spec, m *checkpoint.Model, plusOne, lenient bool) (*ownFormat, error) {
	f := &ownFormat{specs: specs, rows: map[string]Parameter{}, kept: map[string]bool{}, plusOne: plusOne, lenient: lenient}
	m.Norms, m.Matrices = map[string][]float32{}, map[string]checkpoint.MatrixSource{}
	for _, i := range in {
		f.rows[i.Name] = i.Parameter
		if i.Cols == 0 {
			m.Norms[i.Name] = make([]float32, i.Rows)
			continue
		}
		m.Matrices[i.Name] = checkpoint.MatrixSource{Spec: specs[i.Name]}
		f.kept[i.Name] = i.keeps(specs[i.Name])
	}
	var err error
	f.draft, err = checkpoint.NewDraft(m)
	return f, err
}

// Size is the file's.
func (f *ownFormat) Size() int64 { return f.draft.Size() }

// Identity is the file without weights and checksums.
func (f *ownFormat) Identity() []byte { return append(f.draft.Header(), byte(len(f.nested()))) }

// Places are those of the tensor's parts.
func (f *ownFormat) Places(p Parameter, first, rows int) []checkpoint.Extent {
	return f.draft.Places(p.Name, first, rows)
}

// Piece makes room for rows of a matrix, or for a norm.
func (f *ownFormat) Piece(p Parameter, first, rows int) (Piece, error) {
	if p.Cols == 0 {
		return &normPiece{plusOne: f.plusOne}, nil
	}
	m, block, err := f.specs[p.Name].New(rows, p.Cols)
	if err != nil {
		return nil, fmt.Errorf("tensor %s: %w", p.Name, err)
	}
	return &ownPiece{format: f, name: p.Name, first: first, Matrix: m, block: block}, nil
}

// nested lists the matrices whose scales are rounded once more when all are known.
func (f *ownFormat) nested() []string {
	var list []string
	for name, s := range f.specs {
		if s.Double && !f.kept[name] {
			list = append(list, name)
		}
	}
	slices.Sort(list)
	return list
}

// Seal rounds nested scales and writes metadata and checksums.
func (f *ownFormat) Seal(ctx context.Context, file checkpoint.File, crew *parallel.Crew) error {
	for _, name := range f.nested() {
		if err := f.nest(file, name); err != nil {
			return fmt.Errorf("tensor %s: %w", name, err)
		}
	}
	return f.draft.Seal(ctx, file, func(n int, body func(i int) error) error {
		var failed firstError
		return failed.join(crew.Run(n, 1, func(_, lo, hi int) {
			for i := lo; i < hi && !failed.any(); i++ {
				failed.set(i, body(i))
			}
		}))
	})
}

// SetReport stores a report in the space that Options.ReportSpace reserved.
func (f *ownFormat) SetReport(file checkpoint.File, report string) error {
	return f.draft.SetReport(file, report)
}

// nest reads the scales of a matrix, which follow its weights, and writes them back.
func (f *ownFormat) nest(file checkpoint.File, name string) error {
	p := f.rows[name]
	scales := f.draft.Places(name, 0, p.Rows)[1]
	data := make([]byte, scales.Length)
	if _, err := file.ReadAt(data, scales.Offset); err != nil {
		return err
	}
	m := &quant.Matrix{Layout: f.specs[name].Layout, Grouping: f.specs[name].Grouping, Rows: p.Rows, Cols: p.Cols, Scales: data}
	f.specs[name].Finish(m)
	_, err := file.WriteAt(data, scales.Offset)
	return err
}

// ownPiece is rows of a matrix.
type ownPiece struct {
	format *ownFormat
	name   string
	first  int
	*quant.Matrix
	block *offheap.Block
}

// Pack rounds a row.
func (p *ownPiece) Pack(r int, w []float32) error {
	if p.format.lenient && p.Layout.Bits() < 16 {
		w = finite(w)
	}
	if err := fits(p.Matrix, w); err != nil {
		return fmt.Errorf("tensor %s: row %d: %w", p.name, p.first+r, err)
	}
	p.PackRow(r, w)
	return nil
}

// PackStored copies what the source stores, if the file's matrix holds just that.
func (p *ownPiece) PackStored(s int, in *Input, from int) bool {
	if !p.format.kept[p.name] {
		return false
	}
	if in.Matrix != nil {
		copyStrip(p.Matrix, s, in.Matrix, from)
		return true
	}
	n := len(in.Tensor.Data) / in.Rows * quant.StripRows
	rows := in.Tensor.Data[from*n : min((from+1)*n, len(in.Tensor.Data))]
	f, isBlocks := blocks.Of(uint32(in.Tensor.Type))
	switch {
	case isBlocks:
		p.PackBlocks(s, f, rows)
	case in.Tensor.Scales != nil:
		for r := range min(quant.StripRows, in.Rows-from*quant.StripRows) {
			w, scale := in.Tensor.Ints(from*quant.StripRows + r)
			p.PackInts(s*quant.StripRows+r, w, scale)
		}
	default:
		p.PackFloats(s, rows)
	}
	return true
}

// copyStrip copies a strip between matrices of one spec.
func copyStrip(dst *quant.Matrix, d int, src *quant.Matrix, s int) {
	copy(dst.Strip(d), src.Strip(s))
	if src.Scales != nil {
		dstScales, dstMins := dst.StripScales(d)
		scales, mins := src.StripScales(s)
		copy(dstScales, scales)
		copy(dstMins, mins)
	}
	if src.Scale != nil {
		copy(dst.Scale[d*quant.StripRows:(d+1)*quant.StripRows], src.Scale[s*quant.StripRows:])
		copy(dst.RowSum[d*quant.StripRows:(d+1)*quant.StripRows], src.RowSum[s*quant.StripRows:])
	}
}

// Bytes are those of the matrix' parts.
func (p *ownPiece) Bytes() [][]byte { return p.format.draft.Bytes(p.name, p.first, p.Matrix) }

// Free gives the memory back.
func (p *ownPiece) Free() error { return p.block.Free() }

// finite is w with numbers that integers can hold: 0 for NaN, the largest magnitude of the others for infinities.
func finite(w []float32) []float32 {
	if !slices.ContainsFunc(w, func(v float32) bool { return v-v != 0 }) {
		return w
	}
	x, top := slices.Clone(w), largest(w)
	for k, v := range x {
		switch {
		case v != v:
			x[k] = 0
		case v-v != 0:
			x[k] = float32(math.Copysign(float64(top), float64(v)))
		}
	}
	return x
}

// fits reports weights that half precision can't hold: 65520 is the least that rounds to infinity.
func fits(m *quant.Matrix, w []float32) error {
	limit := float32(65520)
	switch {
	case m.Layout == quant.F16:
	case m.Grouping.HalfScales && m.Layout.Bits() == 8:
		limit *= 127
	case m.Grouping.HalfScales:
		limit *= 7
	default:
		return nil
	}
	if top := largest(w); top >= limit {
		return fmt.Errorf("want weights below %g, which half precision holds, found %g; choose another type, such as bf16 or w8a8", limit, top)
	}
	return nil
}

// normPiece is a norm, stored as w+1.
type normPiece struct {
	plusOne bool
	data    []byte
}

// Pack takes the only row.
func (p *normPiece) Pack(_ int, w []float32) error {
	var b bytes.Buffer
	for _, v := range w {
		if !p.plusOne {
			v++
		}
		_ = binary.Write(&b, binary.LittleEndian, v) // a buffer takes everything
	}
	p.data = b.Bytes()
	return nil
}

// Bytes are the norm's.
func (p *normPiece) Bytes() [][]byte { return [][]byte{p.data} }

// Free does nothing.
func (p *normPiece) Free() error { return nil }
