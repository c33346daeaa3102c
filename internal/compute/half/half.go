// Package half converts the two 16-bit float formats, bfloat16 and IEEE half precision, to and from float32.
//
// Conversions to float32 are exact; conversions from it round to nearest, ties to even, as hardware does.
// It must not know what the numbers mean.
package half

import "math"

// FromBF16 returns the float32 whose upper 16 bits are b: every bfloat16 is a float32.
func FromBF16(b uint16) float32 { return math.Float32frombits(uint32(b) << 16) }

// ToBF16 rounds f to bfloat16. A NaN stays a NaN, made quiet.
func ToBF16(f float32) uint16 {
	b := math.Float32bits(f)
	if f != f {
		return uint16(b>>16) | 0x40
	}
	return uint16((b + 0x7fff + b>>16&1) >> 16)
}

// FromF16 returns the value of an IEEE 754 binary16, subnormals, infinities and NaN payloads included.
func FromF16(h uint16) float32 {
	sign := uint32(h&0x8000) << 16
	exp, frac := uint32(h>>10&0x1f), uint32(h&0x3ff)
	switch exp {
	case 0: // subnormal: frac * 2^-24, exact in float32
		return math.Float32frombits(sign | math.Float32bits(float32(frac)*0x1p-24))
	case 0x1f:
		if frac != 0 {
			frac |= 0x200 // quiet, as VCVTPH2PS and FCVTL make it
		}
		return math.Float32frombits(sign | 0xff<<23 | frac<<13)
	}
	return math.Float32frombits(sign | (exp+127-15)<<23 | frac<<13)
}

// ToF16 rounds f to IEEE binary16; what is too large becomes an infinity, a NaN stays a quiet NaN.
func ToF16(f float32) uint16 {
	b := math.Float32bits(f)
	sign := uint16(b >> 16 & 0x8000)
	abs := b & 0x7fffffff
	switch {
	case abs > 0x7f800000:
		return sign | 0x7e00 | uint16(abs>>13&0x1ff)
	case abs >= 0x47800000: // 65536 and above
		return sign | 0x7c00
	case abs < 0x38800000: // below 2^-14: subnormal, rounded by adding 0.5 whose unit in the last place is 2^-24
		return sign | uint16(math.Float32bits(math.Float32frombits(abs)+0.5)-math.Float32bits(0.5))
	}
	abs -= (127 - 15) << 23
	return sign | uint16((abs+0xfff+abs>>13&1)>>13) // a carry out of the fraction is the next exponent, or infinity
}
