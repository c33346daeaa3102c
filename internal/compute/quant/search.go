package quant

import (
	"math"

	"github.com/systemgemma/systemgemma/internal/compute/half"
)

// searchDivisors are what the largest number of a group is divided by for the scales that bestScale begins with. Codes reach
// from -8 to 7, so a negative scale is as good as a positive one.
var searchDivisors = []float32{-9, -8.5, -8, -7.5, -7, 7, 7.5, 8, 8.5}

// bestScale returns the scale, a half-precision number, with which codes from -8 to 7 come nearest to x by squared error: the
// best of some beginnings and of what least squares make of each with the codes that it gives. Against scale = absmax/7 it
// takes a quarter off the divergence of w4 on Mini.
func bestScale(x []float32) float32 {
	var top, best, absmax float32
	for _, v := range x {
		absmax = max(absmax, float32(math.Abs(float64(v)))) // a NaN, if there is one
		if absmax == v || absmax == -v {
			top = v
		}
	}
	least := float32(math.Inf(1))
	for _, divisor := range searchDivisors {
		scale := half.FromF16(half.ToF16(top / divisor))
		for range 2 {
			if scale == 0 {
				break
			}
			inverse := 1 / scale
			var noise, qx, qq float32
			for _, v := range x {
				q := float32(v*inverse) + roundingShift - roundingShift
				q = min(max(q, -8), 7)
				d := v - float32(q*scale)
				noise += float32(d * d)
				qx += float32(q * v)
				qq += float32(q * q)
			}
			if noise < least {
				best, least = scale, noise
			}
			if qq == 0 {
				break
			}
			scale = half.FromF16(half.ToF16(qx / qq))
		}
	}
	if math.IsInf(float64(least), 1) { // weights that are no numbers: must not pass for zeros
		return half.FromF16(half.ToF16(absmax / 7))
	}
	return best
}

// roundingShift rounds a number below 2^22 half to even when it is added and taken off again: float32 has no bits below 1 there.
const roundingShift = float32(3 << 22)
