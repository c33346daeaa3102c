package quant

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"sync"
)

// NF4 is the table of quantiles of a normal distribution (QLoRA, arXiv:2305.14314, appendix E), in the order of its codes.
var NF4 = [16]float32{
	-1, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0,
	0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1,
}

// FP4 is the table of bitsandbytes' 4-bit floats: 1 sign bit, 2 of exponent, 1 of mantissa, over their largest number.
var FP4 = [16]float32{0, 0.0625 / 12, 8. / 12, 1, 4. / 12, 6. / 12, 2. / 12, 3. / 12, 0, -0.0625 / 12, -8. / 12, -1, -4. / 12, -6. / 12, -2. / 12, -3. / 12}

// rounding finds the number of a table that is nearest, as bitsandbytes does: the numbers in ascending order, equal ones in
// that of their codes, and the midpoints between neighbours; a value belongs to the first number whose upper midpoint is not
// below it.
type rounding struct {
	codes []uint8 // in the order of their numbers
	mids  []float32
}

func newRounding(table []float32) *rounding {
	r := &rounding{}
	for i := range table {
		r.codes = append(r.codes, uint8(i))
	}
	slices.SortStableFunc(r.codes, func(a, b uint8) int {
		switch {
		case table[a] < table[b]:
			return -1
		case table[a] > table[b]:
			return 1
		}
		return 0
	})
	for i, c := range r.codes[1:] {
		r.mids = append(r.mids, (table[r.codes[i]]+table[c])/2)
	}
	return r
}

func (r *rounding) code(v float32) uint8 {
	lo, hi := 0, len(r.mids) // the number lies in codes[lo:hi+1]
	for lo < hi {
		if mid := (lo + hi) / 2; v <= r.mids[mid] {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	return r.codes[lo]
}

// block writes the codes of one block of weights to codes and returns its scale, their largest magnitude.
func (r *rounding) block(codes []uint8, x []float32) (absmax float32) {
	for _, v := range x {
		absmax = max(absmax, float32(math.Abs(float64(v))))
	}
	for i, v := range x {
		if absmax != 0 {
			v /= absmax
		}
		codes[i] = r.code(v)
	}
	return absmax
}

// roundings are those of the tables in use; a matrix with another makes its own.
var roundings sync.Map // [16]float32 -> *rounding

// packTable rounds a row of floats in blocks of 64: scale = absmax, each weight the number of the table, which must be set
// before, that is nearest to x/scale (rounding says how).
func (m *Matrix) packTable(r int, w []float32) {
	key := [16]float32(m.Table)
	found, ok := roundings.Load(key)
	if !ok {
		found, _ = roundings.LoadOrStore(key, newRounding(m.Table))
	}
	d, lane, size := m.Strip(r/StripRows), r%StripRows, m.Grouping.Size
	scales, _ := m.StripScales(r / StripRows)
	var codes [64]uint8
	for g := range len(w) / size {
		absmax := found.(*rounding).block(codes[:size], w[g*size:(g+1)*size])
		m.setScale(scales, g*StripRows+lane, absmax)
		for k, q := range codes[:size] {
			m.setCode(d, lane, g*size+k, int(q))
		}
	}
}

// Finish ends the packing of a whole matrix. Where Double, it replaces the scales by what is left of them when they are stored
// in 8 bits as bitsandbytes stores them (nest), taken row by row; for all others it does nothing. Only shape, grouping
// and Scales of m need be there.
func (s Spec) Finish(m *Matrix) {
	if !s.Double {
		return
	}
	groups := m.Cols / m.Grouping.Size
	at := func(r, g int) []byte {
		return m.Scales[4*(r/StripRows*StripRows*groups+g*StripRows+r%StripRows):]
	}
	flat := make([]float32, m.Rows*groups)
	for r := range m.Rows {
		for g := range groups {
			flat[r*groups+g] = math.Float32frombits(binary.LittleEndian.Uint32(at(r, g)))
		}
	}
	nest(flat)
	for r := range m.Rows {
		for g := range groups {
			binary.LittleEndian.PutUint32(at(r, g), math.Float32bits(flat[r*groups+g]))
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
