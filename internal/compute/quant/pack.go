package quant

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/systemgemma/systemgemma/internal/compute/half"
	"github.com/systemgemma/systemgemma/internal/compute/offheap"
)

// New returns a matrix of zeros. Its data lies outside Go's heap, in block, which the caller frees.
func New(l Layout, rows, cols int) (m *Matrix, block *offheap.Block, err error) {
	return NewGrouped(l, Grouping{}, rows, cols)
}

// NewGrouped is New for layouts with scales per group, which lie in the block too.
func NewGrouped(l Layout, g Grouping, rows, cols int) (m *Matrix, block *offheap.Block, err error) {
	if err := g.Validate(l, cols); err != nil {
		return nil, nil, fmt.Errorf("new matrix: %w", err)
	}
	data, scales := DataSize(l, rows, cols), 0
	if l.scaled() {
		scales = g.ScaleBytes(rows, cols)
	}
	at := (data + 63) &^ 63 // scales begin at a multiple of 64, as do minima
	size, mins := at+scales, (at+scales+63)&^63
	if g.Mins {
		size = mins + scales
	}
	block, err = offheap.Alloc(size)
	if err != nil {
		return nil, nil, err
	}
	b := block.Bytes()
	m = &Matrix{Layout: l, Rows: rows, Cols: cols, Data: b[:data:data], Grouping: g}
	if l.scaled() {
		m.Scales = b[at : at+scales : at+scales]
	}
	if g.Mins {
		m.Mins = b[mins:size:size]
	}
	if n := tableLen(l); n != 0 {
		m.Table = make([]float32, n)
	}
	if l == W8C {
		m.Scale, m.RowSum = make([]float32, PaddedRows(rows)), make([]int32, PaddedRows(rows))
	}
	if err := m.Validate(); err != nil {
		_ = block.Free() // the first error is the one to report
		return nil, nil, fmt.Errorf("new matrix: %w", err)
	}
	return m, block, nil
}

// PackRow writes row r of the matrix from its float32 weights, len(w) == Cols. 16-bit layouts round to nearest even (exact
// for weights that come from that type); W8C takes scale = absmax/127 and rounds w/scale half to even (golden/quant, rtn).
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
		m.Scale[r], m.RowSum[r] = packW8C(d, lane, w)
	case W8G, W4G:
		m.packGroups(r, w)
	case W4L:
		m.packTable(r, w)
	}
}

func packW8C(d []byte, lane int, w []float32) (scale float32, sum int32) {
	for _, v := range w {
		scale = max(scale, float32(math.Abs(float64(v))))
	}
	scale /= 127
	if scale == 0 {
		for k := range w {
			d[k/4*64+4*lane+k%4] = 0
		}
		return 0, 0
	}
	for k, v := range w {
		q := int32(min(max(math.RoundToEven(float64(v/scale)), -127), 127))
		d[k/4*64+4*lane+k%4] = byte(int8(q))
		sum += q
	}
	return scale, sum
}

// Row writes the weights of row r to dst as float32, len(dst) == Cols: the gather of an embedding, and what a product
// without rounding multiplies with. The value of a W8C weight is float32(q) * scale.
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
}
