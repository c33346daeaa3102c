package portable

import (
	"hash/fnv"
	"math"
	"math/rand/v2"
	"testing"
)

func ulps(got, want float64) float64 {
	if got == want {
		return 0
	}
	_, e := math.Frexp(want)
	return math.Abs(got-want) / math.Ldexp(1, max(e-53, -1074))
}

// Within a few units of package math, which is within one of the truth.
func TestNearPackageMath(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	var e, l, s, p float64
	for range 200000 {
		x := (r.Float64() - 0.5) * 1400
		e = max(e, ulps(Exp(x), math.Exp(x)))
		y := math.Exp((r.Float64() - 0.5) * 100)
		if math.Abs(y-1) > 1e-3 {
			l = max(l, ulps(Log(y), math.Log(y)))
		}
		a := r.Float64() * 1e6
		sin, cos := SinCos(a)
		s = max(s, math.Abs(sin-math.Sin(a)), math.Abs(cos-math.Cos(a)))
		q := -r.Float64()
		p = max(p, math.Abs(Pow(10000, q)/math.Pow(10000, q)-1))
	}
	t.Logf("worst: Exp %.1f ulp, Log %.1f ulp, SinCos %.2g, Pow %.2g", e, l, s, p)
	if e > 3 || l > 3 || s > 3e-16 || p > 1e-14 {
		t.Errorf("worst: Exp %.1f ulp, Log %.1f ulp, SinCos %.2g, Pow %.2g", e, l, s, p)
	}
}

func TestEdges(t *testing.T) {
	inf := math.Inf(1)
	for _, c := range []struct{ got, want float64 }{
		{Exp(0), 1}, {Exp(-inf), 0}, {Exp(inf), inf}, {Exp(-1000), 0}, {Exp(800), inf}, {Log(1), 0}, {Log(0), -inf}, {Log(inf), inf}, {Pow(7, 0), 1},
	} {
		if c.got != c.want {
			t.Errorf("got %v, want %v", c.got, c.want)
		}
	}
	if v := Exp(math.NaN()); v == v {
		t.Errorf("Exp(NaN) = %v", v)
	}
	if v := Log(-1); v == v {
		t.Errorf("Log(-1) = %v", v)
	}
	if s, c := SinCos(0); s != 0 || c != 1 {
		t.Errorf("SinCos(0) = %v, %v", s, c)
	}
}

// The bits are part of the product: a digest of many results, equal on every platform that runs this test.
func TestBitsAreTheSameEverywhere(t *testing.T) {
	h := fnv.New64a()
	put := func(v float64) {
		b := math.Float64bits(v)
		for i := range 8 {
			h.Write([]byte{byte(b >> (8 * i))})
		}
	}
	r := rand.New(rand.NewPCG(3, 3))
	for range 20000 {
		x := (r.Float64() - 0.5) * 1400
		put(Exp(x))
		put(Log(math.Abs(x)))
		s, c := SinCos(x * 100)
		put(s)
		put(c)
		put(Pow(10000, x/1400))
	}
	if got, want := h.Sum64(), uint64(0x7bf8db8c58882dbe); got != want {
		t.Errorf("digest of results = %#x, want %#x", got, want)
	}
}
