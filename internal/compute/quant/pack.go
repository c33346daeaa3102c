package quant

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"github.com/systemgemma/systemgemma/internal/compute/half"
	"github.com/systemgemma/systemgemma/internal/compute/kernel"
	"github.com/systemgemma/systemgemma/internal/compute/offheap"
)

// New is Spec.New for a layout alone.
func New(l Layout, rows, cols int) (m *Matrix, block *offheap.Block, err error) {
	return Spec{Layout: l}.New(rows, cols)
}

// NewGrouped is Spec.New for a layout with scales per group.
func NewGrouped(l Layout, g Grouping, rows, cols int) (m *Matrix, block *offheap.Block, err error) {
	return Spec{Layout: l, Grouping: g}.New(rows, cols)
}

// PackRow writes row r of the matrix from its float32 weights, len(w) == Cols. 16-bit layouts round to nearest even (exact
// for weights that come from that type); W8C takes scale = absmax/127 and rounds w/scale half to even (golden/quant, rtn).
// When all rows are there, Spec.Finish ends the packing.
// Rows may be packed in any order and from several goroutines.
func (m *Matrix) PackRow(r int, w []float32) {
	if len(w) != m.Cols || r < 0 || r >= m.Rows {
		panic(fmt.Sprintf("quant.PackRow: row %d of %d weights in a matrix of %dx%d", r, len(w), m.Rows, m.Cols))
	}
	d, lane := m.Strip(r/StripRows), r%StripRows
	switch m.Layout {
	case F32:
		for k, v := range w {
			binary.LittleEndian.PutUint32(d[4*(16*k+lane):], math.Float32bits(v))
		}
	case F16:
		for k, v := range w {
			binary.LittleEndian.PutUint16(d[2*(16*k+lane):], half.ToF16(v))
		}
	case BF16:
		for k, v := range w {
			binary.LittleEndian.PutUint16(d[2*(k/2*32+2*lane+k%2):], half.ToBF16(v))
		}
	case W8C:
		m.packChannel(r, w)
	case W8G, W4G:
		m.packGroups(r, w)
	case W4L:
		m.packTable(r, w)
	}
}

// packChannel rounds a row with one scale. Rotated, it is rotated before. For LLM.int8 it is rounded to half precision before,
// and multiplied with 1/absmax, then 127, as bitsandbytes does.
func (m *Matrix) packChannel(r int, w []float32) {
	switch {
	case m.Rotation != 0:
		w = slices.Clone(w)
		kernel.Hadamard(w, m.Rotation)
	case m.Outliers != 0:
		w = slices.Clone(w)
		for k, v := range w {
			w[k] = half.FromF16(half.ToF16(v))
		}
	}
	var top float32
	for _, v := range w {
		top = max(top, float32(math.Abs(float64(v))))
	}
	m.Scale[r] = top / 127
	divisor := m.Scale[r]
	if m.Outliers != 0 && top != 0 {
		inverse := 1 / top
		for k, v := range w {
			w[k] = float32(v*inverse) * 127
		}
		divisor = 1
	}
	d, lane, sum := m.Strip(r/StripRows), r%StripRows, int32(0)
	for k, v := range w {
		q := round(v, divisor, -127, 127)
		d[k/4*64+4*lane+k%4] = byte(int8(q))
		sum += int32(q)
	}
	m.RowSum[r] = sum
}

// Row writes the weights of row r to dst as float32, len(dst) == Cols: the gather of an embedding, and what a product
// without rounding multiplies with. The value of a W8C weight is float32(q) * scale; a rotated row is rotated back then.
func (m *Matrix) Row(dst []float32, r int) {
	if len(dst) != m.Cols || r < 0 || r >= m.Rows {
		panic(fmt.Sprintf("quant.Row: row %d into %d weights from a matrix of %dx%d", r, len(dst), m.Rows, m.Cols))
	}
	d, lane := m.Strip(r/StripRows), r%StripRows
	switch m.Layout {
	case F32:
		for k := range dst {
			dst[k] = math.Float32frombits(binary.LittleEndian.Uint32(d[4*(16*k+lane):]))
		}
	case F16:
		for k := range dst {
			dst[k] = half.FromF16(binary.LittleEndian.Uint16(d[2*(16*k+lane):]))
		}
	case BF16:
		for k := range dst {
			dst[k] = half.FromBF16(binary.LittleEndian.Uint16(d[2*(k/2*32+2*lane+k%2):]))
		}
	case W8C:
		for k := range dst {
			dst[k] = float32(int8(d[k/4*64+4*lane+k%4])) * m.Scale[r]
		}
		if m.Rotation != 0 {
			kernel.Hadamard(dst, m.Rotation)
		}
	case W8G, W4G, W4L:
		m.groupRow(dst, r)
	}
}

// StripF32 writes strip s of an integer layout to dst in the order of an F32 strip, shape [PaddedCols][16]: the values of Row.
func (m *Matrix) StripF32(dst []float32, s int) {
	if m.Layout.scaled() {
		m.groupStripF32(dst, s)
		return
	}
	d := m.Strip(s)
	scale := m.Scale[s*StripRows : (s+1)*StripRows]
	for k := range PaddedCols(m.Cols) {
		for r, sc := range scale {
			dst[16*k+r] = float32(int8(d[k/4*64+4*r+k%4])) * sc
		}
	}
	if m.Rotation != 0 {
		var block [MaxRotation]float32
		for k := 0; k < m.Cols; k += m.Rotation {
			b, part := block[:m.Rotation], dst[16*k:16*(k+m.Rotation)]
			for r := range StripRows {
				for i := range b {
					b[i] = part[16*i+r]
				}
				kernel.Hadamard(b, m.Rotation)
				for i, v := range b {
					part[16*i+r] = v
				}
			}
		}
	}
}
