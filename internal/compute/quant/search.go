package quant

import (
	"math"
	"slices"

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
	tried := make([]float32, 0, 18)
	for _, divisor := range searchDivisors {
		scale := half.FromF16(half.ToF16(top / divisor))
		if scale == 0 {
			continue
		}
		noise, qx, qq := codeSums(x, scale)
		if noise < least {
			best, least = scale, noise
		}
		tried = append(tried, scale)
		if qq == 0 {
			continue
		}
		scale = half.FromF16(half.ToF16(qx / qq))
		if scale == 0 || slices.Contains(tried, scale) { // several beginnings lead to the same end
			continue
		}
		if noise, _, _ := codeSums(x, scale); noise < least {
			best, least = scale, noise
		}
		tried = append(tried, scale)
	}
	if math.IsInf(float64(least), 1) { // weights that are no numbers: must not pass for zeros
		return half.FromF16(half.ToF16(absmax / 7))
	}
	return best
}

// codeSums are sums over x with its codes q for that scale: of the squared errors, of q*x and of q*q.
func codeSums(x []float32, scale float32) (noise, qx, qq float32) {
	inverse := 1 / scale
	for _, v := range x {
		q := float32(v*inverse) + roundingShift - roundingShift
		if q > 7 { // not min and max, which ask for NaN and -0 too
			q = 7
		}
		if q < -8 {
			q = -8
		}
		d := v - float32(q*scale)
		noise += float32(d * d)
		qx += float32(q * v)
		qq += float32(q * q)
	}
	return noise, qx, qq
}

// roundingShift rounds a number below 2^22 half to even when it is added and taken off again: float32 has no bits below 1 there.
const roundingShift = float32(3 << 22)
