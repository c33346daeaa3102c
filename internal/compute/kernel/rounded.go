package kernel

import (
	"fmt"
	"math"
	"unsafe"

	"github.com/systemgemma/systemgemma/internal/compute/half"
)

// The second arithmetic of bfloat16 weights, that of the preset speed: activations are rounded to bfloat16 too, and products
// are summed as the CPU's dot product of bfloat16 does (VDPBF16PS: Intel SDM volume 2, AMD64 APM volume 4): for each pair of k,
// one fused multiply-add of the odd k, then one of the even k, each rounded to nearest even.
//
// That instruction takes subnormal operands as zeros and makes subnormal sums zeros, other CPUs don't. So that all agree, no
// sum ever is subnormal: activations are multiplied by 2^64, exactly, and those that are then below 2^14 are zeros. Every
// product of a normal weight (8 bits of significand, at least 2^-126) is so a multiple of 2^(-126-7+14-7) = 2^-126, and with it
// every sum. Subnormal weights are zeros by definition. The sign of a zero product shows nowhere: a sum begins as +0 and never
// becomes -0.
const (
	roundedScale = 0x1p-64
	roundedBias  = 64               // added to the exponent of an activation
	roundedLow   = (127 - 50) << 23 // the bits of 2^-50: smaller activations, when rounded, are zeros
	roundedHigh  = (127 + 63) << 23 // of 2^63: 2^63 and above are infinities
)

// roundBF16 returns x rounded to bfloat16, half to even, times 2^64: zero if that is below 2^14, an infinity if it is 2^127 or
// above, a NaN if x is one.
func roundBF16(x float32) float32 {
	b := math.Float32bits(x)
	b = (b + 0x7fff + b>>16&1) &^ 0xffff // of a NaN: 0x80000000, or an exponent of 255
	if b&^(1<<31)-roundedLow < roundedHigh-roundedLow {
		return math.Float32frombits(b + roundedBias<<23)
	}
	switch {
	case x != x:
		return half.FromBF16(half.ToBF16(x))
	case b&^(1<<31) < roundedLow:
		return 0
	}
	return float32(math.Copysign(math.Inf(1), float64(x)))
}

// PackRounded stores one token's activations as column col of a panel for MulBF16Rounded. len(x) is a multiple of 16. What the
// panel holds is for this process' products only: it depends on the CPU.
func PackRounded(panel []float32, width, col int, x []float32) {
	if len(x)%16 != 0 || len(panel) < len(x)*width || col < 0 || col >= width {
		panic(fmt.Sprintf("kernel.PackRounded: len(panel)=%d, width=%d, col=%d, len(x)=%d", len(panel), width, col, len(x)))
	}
	active.packRounded(panel, width, col, x)
}

// MulBF16Rounded multiplies one strip of bfloat16 weights, shape [k/2][16][2], with the first tokens columns of a panel as
// PackRounded fills it, k a multiple of 4:
//
//	c[p] = fma(w[k+1][r], a[k+1][t], c[p]); c[p] = fma(w[k][r], a[k][t], c[p])     k = 0, 2, 4 ..., p = k/2 mod 2
//	out[t*stride+r] = (c[0] + c[1]) * 2^-64
//
// a is the token's activation as roundBF16 makes it; a subnormal weight counts as zero. Which NaN comes out of infinities and
// NaNs is not defined, that one does is.
func MulBF16Rounded(out []float32, stride int, w []byte, panel []float32, width, tokens int) {
	mulFloat("MulBF16Rounded", active.mulRounded, 128, out, stride, w, panel, width, tokens)
}

// Rounded names how the set in use multiplies under the preset speed.
func Rounded() string { return active.rounded }

// packRounded is the layout of MulF32's panel: [k][width] float32.
func packRounded(panel []float32, width, col int, x []float32) {
	for i, v := range x {
		panel[i*width+col] = roundBF16(v)
	}
}

// packPairs is the layout that VDPBF16PS broadcasts from: [k/2][width] of 32 bits, the odd k above the even k.
func packPairs(panel []float32, width, col int, x []float32) {
	pairs := unsafe.Slice((*uint32)(unsafe.Pointer(unsafe.SliceData(panel))), len(panel))
	for i := 0; i < len(x); i += 2 {
		pairs[i/2*width+col] = math.Float32bits(roundBF16(x[i]))>>16 | math.Float32bits(roundBF16(x[i+1]))
	}
}

// mulRoundedRef defines MulBF16Rounded; its panel is that of packRounded.
func mulRoundedRef(out *float32, outStride int, w *byte, panel *float32, width, k4, tokens int) {
	o, a := unsafe.Slice(out, (tokens-1)*outStride+16), unsafe.Slice(panel, 4*k4*width)
	ws := unsafe.Slice((*uint16)(unsafe.Pointer(w)), 64*k4)
	for t := range tokens {
		var c [2][16]float32
		for pair := range 2 * k4 {
			even, odd := a[2*pair*width+t], a[(2*pair+1)*width+t]
			for r, sum := range c[pair%2] {
				sum = fma32(normalBF16(ws[32*pair+2*r+1]), odd, sum)
				c[pair%2][r] = fma32(normalBF16(ws[32*pair+2*r]), even, sum)
			}
		}
		for r := range 16 {
			o[t*outStride+r] = float32(c[0][r]+c[1][r]) * roundedScale
		}
	}
}

// normalBF16 is half.FromBF16 with zero for subnormals.
func normalBF16(w uint16) float32 {
	if w&0x7f80 == 0 {
		return 0
	}
	return half.FromBF16(w)
}
