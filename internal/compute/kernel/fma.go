package kernel

import "math"

// fma32 returns x*y + z rounded once to float32, as VFMADD and FMLA do.
//
// The product of two float32 is exact in float64 and their sum with z is off by one rounding. Rounding it again to float32
// is wrong only where the float64 lies exactly halfway between two float32 (low 29 bits 100...0) or where the result is
// subnormal; there the float64 sum is first rounded to odd (Boldo and Melquiond, "Emulation of FMA and correctly rounded
// sums: proved algorithms using rounding to odd", IEEE Trans. Computers 57(4), 2008).
func fma32(x, y, z float32) float32 {
	s := float64(x)*float64(y) + float64(z)
	if b := math.Float64bits(s); b&0x1fffffff != 0x10000000 && b<<1>>53 > 1023-127 {
		return float32(s)
	}
	return fma32Odd(x, y, z)
}

// fma32Odd is fma32 by rounding to odd; it is right everywhere.
func fma32Odd(x, y, z float32) float32 {
	p, c := float64(x)*float64(y), float64(z)
	s := p + c
	b := math.Float64bits(s)
	if b&1 == 0 && !math.IsInf(s, 0) && s == s {
		t := s - p
		e := (p - (s - t)) + (c - t) // exact error of the sum (Knuth's TwoSum)
		switch {
		case e != 0 && (e > 0) == (s > 0):
			s = math.Float64frombits(b + 1)
		case e != 0:
			s = math.Float64frombits(b - 1)
		}
	}
	return float32(s)
}
