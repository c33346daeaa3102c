package kernel

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/systemgemma/systemgemma/internal/testkit/guard"
)

func TestExpSum64EqualsReference(t *testing.T) {
	eachSet(t, func(t *rapid.T, set *table) {
		n := 16 * rapid.IntRange(0, 9).Draw(t, "n")
		x := floats(t, n, "x")
		scale := rapid.SampledFrom([]float32{1e-3, 1, 10, 100}).Draw(t, "scale")
		for i := range x {
			x[i] *= scale
		}
		for i := n - rapid.IntRange(0, n).Draw(t, "padding"); i < n; i++ {
			x[i] = float32(math.Inf(-1))
		}
		top := float32(0)
		if n > 0 {
			top = max(0, slices.Max(x))
		}
		want := expSum64Ref(x, top)
		for _, copied := range [][]float32{guard.Copy(t, x), guard.CopyFront(t, x)} {
			if got := set.expSum64(copied, top); math.Float64bits(got) != math.Float64bits(want) {
				t.Fatalf("expSum64(%v, %v) = %x, want %x", x, top, got, want)
			}
		}
	})
}

// Exponents around the least one, around multiples of ln 2 / 2, where n changes, and around zero; each alone in its lane.
func TestExpSum64AtTheEdges(t *testing.T) {
	var x []float32
	for _, c := range []float64{wideMin, -math.Ln2 / 2, -math.Ln2, -1.5 * math.Ln2, -86.5 * math.Ln2, -40, -0x1p-126, -0x1p-149} {
		for _, step := range []float32{-1, 0, 1} {
			x = append(x, math.Nextafter32(float32(c), float32(c)+step))
		}
	}
	x = append(x, 0, float32(math.Copysign(0, -1)), -math.MaxFloat32, float32(math.Inf(-1)))
	eachEdge(t, func(t *testing.T, set *table) {
		for _, v := range x {
			for _, top := range []float32{0, 17.25, 1e30} {
				block := slices.Repeat([]float32{float32(math.Inf(-1))}, 16)
				block[5] = v + top
				if got, want := set.expSum64(block, top), expSum64Ref(block, top); math.Float64bits(got) != math.Float64bits(want) {
					t.Errorf("expSum64 of %v - %v = %x, want %x", block[5], top, got, want)
				}
			}
		}
		if got := set.expSum64(nil, 0); got != 0 {
			t.Errorf("expSum64 of nothing = %v", got)
		}
	})
}

func TestExpSum64StaysWithinItsError(t *testing.T) {
	r, worst := rand.New(rand.NewPCG(3, 1)), 0.0
	for range 100_000 {
		v := -float32(r.Float64() * []float64{0.4, 5, 87}[r.IntN(3)])
		block := append(slices.Repeat([]float32{float32(math.Inf(-1))}, 15), v)
		want := math.Exp(float64(v))
		worst = max(worst, math.Abs(expSum64Ref(block, 0)-want)/want)
	}
	t.Logf("worst relative error %.2g", worst)
	if worst > 1e-13 {
		t.Errorf("worst relative error %.2g, documented: below 1e-13", worst)
	}
	if got := expSum64Ref(slices.Repeat([]float32{-87.5}, 16), 0); got != 0 {
		t.Errorf("terms below e^-87 give %v, want none", got)
	}
}
