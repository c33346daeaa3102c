// Package portable has the few float64 functions that decide results, with the same bits on every platform.
//
// Package math leaves the last bit to each architecture (assembly here, fused multiply-adds there). These functions use only
// correctly rounded steps: +, -, *, / and math.FMA, so that a text sampled from a seed is the same text everywhere.
// Errors stay within 2 units in the last place. It must not know who calls it.
package portable

import "math"

const (
	ln2Hi  = 0x1.62e42fefa39efp-1  // ln 2, rounded to float64
	ln2Lo  = 0x1.abc9e3b39803fp-56 // the rest
	log2E  = 0x1.71547652b82fep+0
	pio2Hi = 0x1.921fb54442d18p+0 // pi/2, rounded to float64
	pio2Lo = 0x1.1a62633145c07p-54
	twoOPi = 0x1.45f306dc9c883p-1
)

// Exp is e^x.
func Exp(x float64) float64 {
	switch {
	case x != x || x > 709.8:
		return x * math.Inf(1) // NaN, or +Inf
	case x < -745.2:
		return 0
	}
	n := math.RoundToEven(x * log2E)
	r := math.FMA(-n, ln2Hi, x)
	r = math.FMA(-n, ln2Lo, r)
	p := 1.0 // Taylor: |r| < 0.35, r^18/18! < 2^-79
	for i := 17.0; i > 0; i-- {
		p = math.FMA(p, r/i, 1)
	}
	return math.Ldexp(p, int(n))
}

// Log is the natural logarithm of x > 0; -Inf for 0, NaN below.
func Log(x float64) float64 {
	switch {
	case x != x || x < 0:
		return math.NaN()
	case x == 0:
		return math.Inf(-1)
	case math.IsInf(x, 1):
		return x
	}
	m, e := math.Frexp(x) // exact
	if m < math.Sqrt2/2 {
		m, e = 2*m, e-1
	}
	t := (m - 1) / (m + 1) // |t| < 0.1716; log m = 2 atanh t = 2t (1 + t²/3 + t⁴/5 + ...)
	t2 := float64(t * t)
	sum := 0.0
	for k := 10; k >= 1; k-- { // the term left out is below 2^-60
		sum = float64(sum*t2) + 1/float64(2*k+1)
	}
	sum = float64(sum * t2)
	lm := 2*t + float64(2*t*sum)
	return float64(float64(e)*ln2Coarse) + (lm + float64(float64(e)*ln2Fine))
}

// Pow is x^y for x > 0, to about 1 part in 10^14 for results between 1e-6 and 1e6.
func Pow(x, y float64) float64 { return Exp(float64(y * Log(x))) }

// SinCos returns the sine and cosine of x radians, |x| <= 2^30.
func SinCos(x float64) (sin, cos float64) {
	n := math.RoundToEven(x * twoOPi)
	r := math.FMA(-n, pio2Hi, x)
	r = math.FMA(-n, pio2Lo, r)
	z := r * r
	s, c := 1.0, 1.0 // Taylor: |r| < 0.79
	for i := 18.0; i > 1; i -= 2 {
		s = math.FMA(s, -z/(i*(i+1)), 1)
		c = math.FMA(c, -z/(i*(i-1)), 1)
	}
	s *= r
	switch int64(n) & 3 {
	case 1:
		return c, -s
	case 2:
		return -s, -c
	case 3:
		return -c, s
	}
	return s, c
}
