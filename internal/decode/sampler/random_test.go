package sampler

import (
	"math"
	"testing"
)

// The three known answers for philox2x64 with 10 rounds of the Random123 distribution (kat_vectors).
func TestPhiloxKnownAnswers(t *testing.T) {
	for _, c := range []struct{ c0, c1, key, want0, want1 uint64 }{
		{0, 0, 0, 0xca00a0459843d731, 0x66c24222c9a845b5},
		{math.MaxUint64, math.MaxUint64, math.MaxUint64, 0x65b021d60cd8310f, 0x4d02f3222f86df20},
		{0x243f6a8885a308d3, 0x13198a2e03707344, 0xa4093822299f31d0, 0x0a5e742c2997341c, 0xb0f883d38000de5d},
	} {
		if got0, got1 := philox(c.c0, c.c1, c.key); got0 != c.want0 || got1 != c.want1 {
			t.Errorf("philox(%x, %x, %x) = %x, %x, want %x, %x", c.c0, c.c1, c.key, got0, got1, c.want0, c.want1)
		}
	}
}

// Over positions and over seeds the numbers are spread evenly, and neighbours are not alike.
func TestUniformIsUniform(t *testing.T) {
	for name, at := range map[string]func(i uint64) float64{
		"positions": func(i uint64) float64 { return uniform(42, i) },
		"seeds":     func(i uint64) float64 { return uniform(i, 42) },
	} {
		const n, bins = 100_000, 100
		var counts [bins]float64
		var product, previous float64
		for i := range uint64(n) {
			u := at(i)
			if u < 0 || u >= 1 {
				t.Fatalf("%s: number %d is %v, want 0 <= u < 1", name, i, u)
			}
			counts[int(u*bins)]++
			product += (u - 0.5) * (previous - 0.5)
			previous = u
		}
		chi := 0.0
		for _, c := range counts {
			chi += (c - n/bins) * (c - n/bins) / (n / bins)
		}
		if chi < 50 || chi > 170 { // 99 degrees of freedom: beyond 1e-5 on either side
			t.Errorf("%s: chi-squared of %d bins is %.1f, want 50 to 170", name, bins, chi)
		}
		if r := product / n * 12; math.Abs(r) > 0.02 { // six standard deviations
			t.Errorf("%s: neighbours correlate by %.4f, want nearly 0", name, r)
		}
	}
}
