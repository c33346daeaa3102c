package quant

import (
	"math"
)

// packGroups rounds a row of floats, one group after the other, by the formulas of golden/quant (group.*). Each scale is
// rounded to the type in which it is stored before a weight is divided by it.
//
//	without minima: scale = absmax / 127 (W4G: 7), q = x/scale, half to even, within ±127 (±7); W4G with half-precision
//	                scales, which no such formula fixes, takes the scale that is best for its group (bestScale), and -8 to 7
//	with minima:    lo = min(x, 0), hi = max(x, 0), scale = (hi-lo) / 255 (15), zero = -lo/scale, half to even,
//	                q = x/scale, half to even, + zero, within 0 to 255 (15); the minimum is -zero*scale
//
// W8G stores q-128 in the second case, and 128*scale more as its minimum.
func (m *Matrix) packGroups(r int, w []float32) {
	d, lane, size := m.Strip(r/StripRows), r%StripRows, m.Grouping.Size
	scales, mins := m.StripScales(r / StripRows)
	for g := range len(w) / size {
		x, i := w[g*size:(g+1)*size], g*StripRows+lane
		if mins == nil {
			m.packSymmetric(d, lane, g*size, x, scales, i)
		} else {
			m.packAsymmetric(d, lane, g*size, x, scales, mins, i)
		}
	}
}

func (m *Matrix) packSymmetric(d []byte, lane, first int, x []float32, scales []byte, i int) {
	lo, hi, zero := -127, 127, 0
	if m.Layout == W4G {
		lo, hi, zero = -7, 7, 8
	}
	if m.Layout == W4G && m.Grouping.HalfScales {
		lo = -8
		m.setScale(scales, i, bestScale(x))
	} else {
		var top float32
		for _, v := range x {
			top = max(top, float32(math.Abs(float64(v))))
		}
		m.setScale(scales, i, top/float32(hi))
	}
	scale := m.scale(scales, i)
	for k, v := range x {
		m.setCode(d, lane, first+k, zero+round(v, scale, lo, hi))
	}
}

func (m *Matrix) packAsymmetric(d []byte, lane, first int, x []float32, scales, mins []byte, i int) {
	limit, shift := 255, 128
	if m.Layout == W4G {
		limit, shift = 15, 0
	}
	var lo, hi float32
	for _, v := range x {
		lo, hi = min(lo, v), max(hi, v)
	}
	m.setScale(scales, i, (hi-lo)/float32(limit))
	scale := m.scale(scales, i)
	zero := round(-lo, scale, 0, limit)
	m.setScale(mins, i, float32(shift-zero)*scale)
	for k, v := range x {
		q := min(max(round(v, scale, -limit, limit)+zero, 0), limit)
		m.setCode(d, lane, first+k, q-shift)
	}
}

// round is v/scale, half to even, within [lo, hi]; 0 where the scale is 0.
func round(v, scale float32, lo, hi int) int {
	if scale == 0 {
		return 0
	}
	return int(min(max(math.RoundToEven(float64(v/scale)), float64(lo)), float64(hi)))
}
