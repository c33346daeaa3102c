package kernel

import (
	"math"
	"slices"
	"testing"

	"github.com/systemgemma/systemgemma/internal/testkit/guard"
)

// eachEdge runs a check against every assembled set.
func eachEdge(t *testing.T, check func(t *testing.T, set *table)) {
	for _, set := range available()[1:] {
		t.Run(set.name, func(t *testing.T) { check(t, set) })
	}
}

// equalBits reports the first element that differs.
func equalBits(t *testing.T, what string, in, got, want []float32) {
	t.Helper()
	for i := range want {
		if !sameBits(got[i:i+1], want[i:i+1]) {
			t.Errorf("%s(%g) = %g (%08x), want %g (%08x)", what, in[i], got[i], math.Float32bits(got[i]), want[i], math.Float32bits(want[i]))
			return
		}
	}
}

// edges are the numbers at which the functions change their way, their neighbours, and values that are no numbers.
func edges() []float32 {
	inf := float32(math.Inf(1))
	list := []float32{0, 1, 0.5, 2, 19.99, 20, 20.01, 40, 43.5, 87, 88, 127, 65504, 1e10, 1e19, 1e30, math.MaxFloat32, inf, float32(math.NaN()), 0x1p-149, 0x1p-126, 0x1p-75}
	for _, x := range list {
		list = append(list, -x, math.Nextafter32(x, inf), math.Nextafter32(x, -inf))
	}
	for len(list)%16 != 0 {
		list = append(list, 0)
	}
	return list
}

func TestActivationsEqualReferenceAtEdges(t *testing.T) {
	x := edges()
	up := slices.Repeat([]float32{-1.5}, len(x))
	eachEdge(t, func(t *testing.T, set *table) {
		for _, limit := range []float32{0, float32(math.Copysign(0, -1)), 1, 30, 50, 0x1p-140, float32(math.Inf(1))} {
			for _, scale := range []float32{1, 0.0625, -1, 0} {
				got, want := guard.Copy(t, x), slices.Clone(x)
				set.softcap(got, scale, limit)
				softcapsRef(want, scale, limit)
				equalBits(t, "softcap", x, got, want)
			}
		}
		got, want := guard.Copy(t, x), slices.Clone(x)
		set.geluMul(got, got, up)
		geluMulRef(want, x, up)
		equalBits(t, "gelu", x, got, want)
	})
}

func TestExpEqualsReferenceAtEdges(t *testing.T) {
	var x []float32
	for _, v := range edges() {
		if v <= 0 || v != v {
			x = append(x, v)
		}
	}
	for len(x)%16 != 0 {
		x = append(x, float32(math.Inf(-1)))
	}
	eachEdge(t, func(t *testing.T, set *table) {
		for _, m := range []float32{0, 0.5, 1000, 1e30} { // x - m is what the functions see
			got, want := guard.Copy(t, x), slices.Clone(x)
			set.expSum(got, m)
			expSumRef(want, m)
			equalBits(t, "exp", x, got, want)
		}
	})
}

// A scale that rounded down, or one given too small, must not let a byte leave ±127.
func TestQuantizeHoldsItsLimits(t *testing.T) {
	var x []float32
	for i := range 1024 {
		x = append(x, float32(i-512)/2) // every half from -256 to 255.5
	}
	x = append(x, math.MaxFloat32, -math.MaxFloat32, 0x1p-149, -0x1p-149, 127.49999, -127.49999, 126.5, -126.5, 0, 0, 0, 0, 0, 0, 0, 0)
	eachEdge(t, func(t *testing.T, set *table) {
		for _, scale := range []float32{1, 0.25, 0x1p-149, 3} {
			got, want := guard.Copy(t, make([]uint8, len(x))), make([]uint8, len(x))
			set.quantize(&got[0], 4, x, scale)
			quantizeRef(&want[0], 4, x, scale)
			for i := range want {
				if got[i]-set.bias != want[i] {
					t.Errorf("%g / %g = %d, want %d", x[i], scale, int8(got[i]-set.bias), int8(want[i]))
				}
			}
		}
	})
}

// The longest product of the largest values is exact: k = 65536.
func TestMulW8CIsExactAtItsLimit(t *testing.T) {
	const k4 = 1 << 14
	for _, q := range []struct{ w, a int8 }{{127, 127}, {-127, 127}, {127, -127}, {-127, -127}, {-128, 127}, {-128, -127}} {
		w := slices.Repeat([]byte{byte(q.w)}, 64*k4)
		one, sum := slices.Repeat([]float32{1}, 16), slices.Repeat([]int32{4 * k4 * int32(q.w)}, 16)
		want := float32(int32(q.w) * int32(q.a) * 4 * k4)
		eachEdge(t, func(t *testing.T, set *table) {
			for _, tokens := range []int{1, 2, 4, 16} {
				panel := slices.Repeat([]uint8{uint8(q.a) + set.bias}, 4*tokens*k4)
				out := make([]float32, 16*tokens)
				terms := slices.Clone(sum)
				if set.rowTerms != nil {
					set.rowTerms(&terms[0], &w[0], k4, &sum[0])
				}
				set.mulW8C(&out[0], 16, &w[0], &one[0], &terms[0], &panel[0], tokens, k4, &one[0], tokens)
				for i, got := range out {
					if got != want {
						t.Fatalf("%d * %d, %d tokens: out[%d] = %v, want %v", q.w, q.a, tokens, i, got, want)
					}
				}
			}
		})
	}
}

// Functions of slices take empty ones.
func TestEmptyVectors(t *testing.T) {
	eachEdge(t, func(t *testing.T, set *table) {
		set.scaleMul(nil, nil, nil, 1)
		set.add(nil, nil)
		set.rotate(nil, nil, nil, nil)
		set.softcap(nil, 1, 1)
		set.geluMul(nil, nil, nil)
		if a, s, e, m := set.absMax(nil), set.sumSquares(nil), set.expSum(nil, 0), set.max(nil); a != 0 || s != 0 || e != 0 || !math.IsInf(float64(m), -1) {
			t.Errorf("absMax, sumSquares, expSum, max of nothing = %v, %v, %v, %v", a, s, e, m)
		}
	})
}
