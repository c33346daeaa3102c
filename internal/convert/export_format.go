package convert

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"github.com/systemgemma/systemgemma/internal/checkpoint"
	"github.com/systemgemma/systemgemma/internal/checkpoint/gguf"
	"github.com/systemgemma/systemgemma/internal/compute/offheap"
	"github.com/systemgemma/systemgemma/internal/compute/parallel"
	"github.com/systemgemma/systemgemma/internal/compute/quant"
)

// plainFormat is a file of another program: a GGUF file, or a shard of a folder.
type plainFormat struct {
	*checkpoint.PlainFile
	plusOne bool // the source stores norms as w+1
}

// Size is the file's.
func (f *plainFormat) Size() int64 { return f.PlainFile.Size }

// Identity is the header, which names and places all tensors.
func (f *plainFormat) Identity() []byte { return f.Header }

// Places are those of weights and, of int8, of scales.
func (f *plainFormat) Places(p Parameter, first, rows int) []checkpoint.Extent {
	t, ok := f.Tensors[p.Name]
	if !ok {
		return nil
	}
	list := []checkpoint.Extent{{Offset: t.Offset + int64(first)*int64(t.RowBytes), Length: int64(rows) * int64(t.RowBytes)}}
	if t.Type == gguf.I8 {
		list = append(list, checkpoint.Extent{Offset: t.ScaleOffset + 4*int64(first), Length: 4 * int64(rows)})
	}
	return list
}

// Piece makes room for rows.
func (f *plainFormat) Piece(p Parameter, first, rows int) (Piece, error) {
	t := f.Tensors[p.Name]
	block, err := offheap.Alloc(rows * (t.RowBytes + 4))
	if err != nil {
		return nil, err
	}
	x := &plainPiece{PlainTensor: t, name: p.Name, first: first, block: block}
	n := rows * t.RowBytes
	x.data, x.scales = block.Bytes()[:n:n], block.Bytes()[n:n+4*rows]
	if t.IsNorm {
		switch {
		case f.plusOne && !t.PlusOne:
			x.add = -1
		case !f.plusOne && t.PlusOne:
			x.add = 1
		}
	}
	return x, nil
}

// Seal writes the header.
func (f *plainFormat) Seal(_ context.Context, file checkpoint.File, _ *parallel.Crew) error {
	_, err := file.WriteAt(f.Header, 0)
	return err
}

// plainPiece is rows of a matrix, or a norm.
type plainPiece struct {
	checkpoint.PlainTensor
	name         string
	first        int
	add          float32 // to each value of a norm
	data, scales []byte
	block        *offheap.Block
}

func (p *plainPiece) row(r int) []byte { return p.data[r*p.RowBytes : (r+1)*p.RowBytes] }

// Pack rounds a row.
func (p *plainPiece) Pack(r int, w []float32) error {
	if p.add != 0 {
		w = slices.Clone(w)
		for i := range w {
			w[i] += p.add
		}
	}
	if err := p.fits(w); err != nil {
		return fmt.Errorf("tensor %s: row %d: %w", p.name, p.first+r, err)
	}
	if p.Type == gguf.I8 {
		p.setScale(r, quant.RoundRow(p.row(r), w))
		return nil
	}
	return p.Type.EncodeRow(p.row(r), w)
}

// fits reports weights that the type can't hold: what is no finite number in integers, and what the half precision of values, scales
// or minima makes infinite, from 65520 on.
func (p *plainPiece) fits(w []float32) error {
	limit := float32(65520)
	switch p.Type {
	case gguf.F32, gguf.BF16:
		return nil
	case gguf.I8:
		limit = math.MaxFloat32
	case gguf.Q8_0:
		limit *= 127
	}
	if k := slices.IndexFunc(w, func(v float32) bool { return v-v != 0 }); k >= 0 && p.Type != gguf.F16 {
		return fmt.Errorf("column %d: want a finite number in %s, found %v; choose bf16 or f32", k, typeName(p.Type), w[k])
	}
	if top := largest(w); top > limit || top == limit && p.Type != gguf.I8 {
		return fmt.Errorf("want weights below %g, which %v holds, found %g; choose bf16 or f32", limit, p.Type, top)
	}
	return nil
}

func (p *plainPiece) setScale(r int, scale float32) {
	binary.LittleEndian.PutUint32(p.scales[4*r:], math.Float32bits(scale))
}

// PackStored copies what the source stores: blocks of the same type, and int8 with a scale per row.
func (p *plainPiece) PackStored(s int, in *Input, from int) bool {
	if in.change != nil || p.IsNorm {
		return false
	}
	rows := min(quant.StripRows, len(p.data)/p.RowBytes-s*quant.StripRows)
	switch t, m := in.Tensor, in.Matrix; {
	case p.Type == gguf.I8 && m != nil && m.Layout == quant.W8C && m.Rotation == 0:
		for r := range rows {
			p.setScale(s*quant.StripRows+r, m.Ints(p.row(s*quant.StripRows+r), from*quant.StripRows+r))
		}
	case p.Type == gguf.I8 && t != nil && t.Scales != nil:
		for r := range rows {
			ints, scale := t.Ints(from*quant.StripRows + r)
			copy(p.row(s*quant.StripRows+r), ints)
			p.setScale(s*quant.StripRows+r, scale)
		}
	case t != nil && t.Type == p.Type && p.Type != gguf.I8:
		for r := range rows {
			at := (from*quant.StripRows + r) * p.RowBytes
			copy(p.row(s*quant.StripRows+r), t.Data[at:at+p.RowBytes])
		}
	default:
		return false
	}
	return true
}

// Bytes are the weights and, of int8, the scales.
func (p *plainPiece) Bytes() [][]byte {
	if p.Type == gguf.I8 {
		return [][]byte{p.data, p.scales}
	}
	return [][]byte{p.data}
}

// Free gives the memory back.
func (p *plainPiece) Free() error { return p.block.Free() }
