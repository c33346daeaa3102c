package quant

import (
	"fmt"
	"math"
)

// packTable rounds a row of floats in blocks of 64: scale = absmax, each weight the number of the table, which must be set
// before, that is nearest to x/scale; of two equally near ones the first.
func (m *Matrix) packTable(r int, w []float32) {
	d, lane, size := m.Strip(r/StripRows), r%StripRows, m.Grouping.Size
	scales, _ := m.StripScales(r / StripRows)
	for g := range len(w) / size {
		x := w[g*size : (g+1)*size]
		var top float32
		for _, v := range x {
			top = max(top, float32(math.Abs(float64(v))))
		}
		m.setScale(scales, g*StripRows+lane, top)
		for k, v := range x {
			if top != 0 {
				v /= top
			}
			best := 0
			for q, number := range m.Table {
				if math.Abs(float64(v-number)) < math.Abs(float64(v-m.Table[best])) {
					best = q
				}
			}
			m.setCode(d, lane, g*size+k, best)
		}
	}
}

// PackCodes writes row r of a W4L matrix from a table's indices, two a byte, the first of each pair in the high nibble
// (bitsandbytes), and the scales of its blocks. It is safe for other rows at the same time.
func (m *Matrix) PackCodes(r int, codes []byte, absmax []float32) {
	if m.Layout != W4L || r < 0 || r >= m.Rows || len(codes) != m.Cols/2 || len(absmax) != m.Cols/m.Grouping.Size {
		panic(fmt.Sprintf("quant.PackCodes: row %d of %d bytes and %d scales in a %v matrix of %dx%d", r, len(codes), len(absmax), m.Layout, m.Rows, m.Cols))
	}
	d, lane := m.Strip(r/StripRows), r%StripRows
	scales, _ := m.StripScales(r / StripRows)
	for g, v := range absmax {
		m.setScale(scales, g*StripRows+lane, v)
	}
	for i, b := range codes {
		m.setCode(d, lane, 2*i, int(b>>4))
		m.setCode(d, lane, 2*i+1, int(b&15))
	}
}
