package kernel

import "math"

// Constants of the functions below, all exact float32.
const (
	log2E  = float32(1.44269504)     // 1/ln 2
	ln2Hi  = float32(0.693359375)    // ln 2 = ln2Hi + ln2Lo; n*ln2Hi is exact for |n| < 2^14
	ln2Lo  = float32(-2.12194440e-4) //
	expC0  = float32(1.9875691500e-4)
	expC1  = float32(1.3981999507e-3)
	expC2  = float32(8.3334519073e-3)
	expC3  = float32(4.1665795894e-2)
	expC4  = float32(1.6666665459e-1)
	expC5  = float32(5.0000001201e-1)
	expMin = float32(-87) // below, exp is 0

	geluC  = float32(0.7978845608) // sqrt(2/pi)
	geluC3 = float32(0.044715 * 0.7978845608)
)

// exp2Parts splits e^x = t * (1 + p) with t = 2^n a power of two, |p| < 0.42. x must lie in [-87, 88].
// e^r - 1 = r + r*r*P(r) with the degree-5 P of Cephes' expf (S. Moshier), in fused multiply-adds.
func exp2Parts(x float32) (t, p float32) {
	n := float32(math.RoundToEven(float64(float32(x * log2E))))
	r := fma32(n, -ln2Hi, x)
	r = fma32(n, -ln2Lo, r)
	q := fma32(expC0, r, expC1)
	q = fma32(q, r, expC2)
	q = fma32(q, r, expC3)
	q = fma32(q, r, expC4)
	q = fma32(q, r, expC5)
	p = fma32(float32(r*r), q, r)
	return math.Float32frombits(uint32(int32(n)+127) << 23), p
}

// expRef is e^x for x <= 0, within 1 unit in the last place or so; 0 below -87; NaN for NaN.
func expRef(x float32) float32 {
	if x < expMin {
		return 0
	}
	if x != x {
		return x
	}
	t, p := exp2Parts(x)
	return fma32(t, p, t)
}

// tanhRef is tanh(x) = (e^z - 1) / (e^z + 1) with z = 2|x| <= 40 and the numerator computed without cancellation,
// within 3 units in the last place. The sign bit is x's.
func tanhRef(x float32) float32 {
	if x != x {
		return x
	}
	z := 2 * math.Float32frombits(math.Float32bits(x)&^(1<<31))
	if 40 < z {
		z = 40
	}
	t, p := exp2Parts(z)
	em1 := fma32(t, p, t-1)
	y := em1 / (em1 + 2)
	return math.Float32frombits(math.Float32bits(y) | math.Float32bits(x)&(1<<31))
}

// geluRef is x/2 * (1 + tanh(sqrt(2/pi) * (x + 0.044715 x^3))): the tanh form of GELU (arXiv:1606.08415).
func geluRef(x float32) float32 {
	inner := float32(x * fma32(float32(x*x), geluC3, geluC))
	h := float32(0.5 * x)
	return fma32(h, tanhRef(inner), h)
}

// softcapRef is limit * tanh(x*scale / limit); limit 0 means no cap.
func softcapRef(x, scale, limit float32) float32 {
	y := float32(x * scale)
	if limit == 0 {
		return y
	}
	return float32(limit * tanhRef(y/limit))
}
