package quant

import (
	"fmt"
	"math"
)

// RoundRow rounds a row of weights to int8 by W8C's rule and returns its scale: what PackRow makes of it, in the order of the
// columns. len(dst) == len(w).
func RoundRow(dst []byte, w []float32) (scale float32) {
	for _, v := range w {
		scale = max(scale, float32(math.Abs(float64(v))))
	}
	scale /= 127
	for k, v := range w {
		dst[k] = byte(int8(round(v, scale, -127, 127)))
	}
	return scale
}

// PackInts writes row r of a W8C matrix from int8 weights in the order of the columns and their scale, of another program: -128
// is one of them. Nothing is rounded.
func (m *Matrix) PackInts(r int, w []byte, scale float32) {
	m.checkInts("PackInts", r, len(w))
	d, lane, sum := m.Strip(r/StripRows), r%StripRows, int32(0)
	for k, q := range w {
		d[k/4*64+4*lane+k%4] = q
		sum += int32(int8(q))
	}
	m.Scale[r], m.RowSum[r] = scale, sum
}

// Ints is the inverse of PackInts.
func (m *Matrix) Ints(dst []byte, r int) (scale float32) {
	m.checkInts("Ints", r, len(dst))
	d, lane := m.Strip(r/StripRows), r%StripRows
	for k := range dst {
		dst[k] = d[k/4*64+4*lane+k%4]
	}
	return m.Scale[r]
}

func (m *Matrix) checkInts(what string, r, n int) {
	if m.Layout != W8C || n != m.Cols || r < 0 || r >= m.Rows {
		panic(fmt.Sprintf("quant.%s: row %d of %d weights in a matrix of %dx%d %v", what, r, n, m.Rows, m.Cols, m.Layout))
	}
}
