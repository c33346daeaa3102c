package half

import (
	"math"
	"math/rand/v2"
	"sort"
	"testing"
)

func TestF16RoundTripsEveryValue(t *testing.T) {
	for h := range 1 << 16 {
		f := FromF16(uint16(h))
		want := uint16(h)
		if f != f {
			want |= 0x200 // NaNs become quiet
		}
		if got := ToF16(f); got != want {
			t.Fatalf("ToF16(FromF16(%#04x)) = %#04x, want %#04x", h, got, want)
		}
	}
}

func TestBF16RoundTripsEveryValue(t *testing.T) {
	for b := range 1 << 16 {
		f := FromBF16(uint16(b))
		want := uint16(b)
		if f != f {
			want |= 0x40
		}
		if got := ToBF16(f); got != want {
			t.Fatalf("ToBF16(FromBF16(%#04x)) = %#04x, want %#04x", b, got, want)
		}
	}
}

func TestKnownValues(t *testing.T) {
	for _, c := range []struct {
		h uint16
		f float32
	}{{0x3c00, 1}, {0xc000, -2}, {0x7bff, 65504}, {0x0400, 0x1p-14}, {0x0001, 0x1p-24}, {0x3555, 0.333251953125}, {0x8000, float32(math.Copysign(0, -1))}} {
		if got := FromF16(c.h); math.Float32bits(got) != math.Float32bits(c.f) {
			t.Errorf("FromF16(%#04x) = %g, want %g", c.h, got, c.f)
		}
	}
	for _, c := range []struct {
		f float32
		h uint16
	}{{65519.996, 0x7bff}, {65520, 0x7c00}, {1e10, 0x7c00}, {-1e10, 0xfc00}, {0x1p-25, 0}, {0x1.8p-24, 2}, {0x1.8p-25, 1}, {1 + 0x1p-11, 0x3c00}, {1 + 0x1.8p-10, 0x3c02}} {
		if got := ToF16(c.f); got != c.h {
			t.Errorf("ToF16(%g) = %#04x, want %#04x", c.f, got, c.h)
		}
	}
}

// Rounding is to the nearest value, and to the even one of two that are equally near.
func TestRoundsToNearestEven(t *testing.T) {
	for name, c := range map[string]struct {
		to   func(float32) uint16
		from func(uint16) float32
	}{"f16": {ToF16, FromF16}, "bf16": {ToBF16, FromBF16}} {
		var all []float32 // finite, not negative, ascending
		for h := range 1 << 15 {
			if f := c.from(uint16(h)); !math.IsInf(float64(f), 0) && f == f {
				all = append(all, f)
			}
		}
		r := rand.New(rand.NewPCG(1, 2))
		for range 200000 {
			x := math.Abs(float64(math.Float32frombits(r.Uint32())))
			if r.IntN(4) > 0 {
				i := r.IntN(len(all) - 1)
				x = float64(float32((float64(all[i]) + float64(all[i+1])) / 2)) // a tie
			}
			if !(x < float64(all[len(all)-1])) {
				continue
			}
			i := sort.Search(len(all), func(i int) bool { return float64(all[i]) >= x })
			want := i
			if i > 0 {
				lo, hi := x-float64(all[i-1]), float64(all[i])-x
				if lo < hi || lo == hi && (i-1)%2 == 0 {
					want = i - 1
				}
			}
			if got := c.to(float32(x)); int(got) != want {
				t.Fatalf("%s: %g -> %#04x, want %#04x", name, x, got, want)
			}
		}
	}
}
