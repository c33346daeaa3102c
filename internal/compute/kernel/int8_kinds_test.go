package kernel

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/systemgemma/systemgemma/internal/testkit/guard"
)

func TestHadamardEqualsReference(t *testing.T) {
	eachSet(t, func(t *rapid.T, set *table) {
		n := 16 << rapid.IntRange(0, 4).Draw(t, "log block")
		x, scale := floats(t, n, "x"), float32(1/math.Sqrt(float64(n)))
		want, got := slices.Clone(x), guard.Copy(t, x)
		hadamardRef(want, scale)
		set.hadamard(got, scale)
		diff(t, "hadamard", got, want)
	})
}

// The butterflies are the matrix whose element (i, j) is -1 to the number of bits that i and j share, over the root of its size.
func TestHadamardIsItsMatrix(t *testing.T) {
	for n := 16; n <= 256; n *= 2 {
		x, want := make([]float32, 2*n), make([]float64, 2*n)
		for i := range x {
			x[i] = float32(math.Sin(float64(i * i)))
		}
		for i := range x {
			for j := range n {
				sign := 1.0
				for b := i % n & j; b != 0; b &= b - 1 {
					sign = -sign
				}
				want[i] += sign * float64(x[i/n*n+j]) / math.Sqrt(float64(n))
			}
		}
		Hadamard(x, n)
		for i, v := range x {
			if math.Abs(float64(v)-want[i]) > 1e-6*math.Sqrt(float64(n)) {
				t.Fatalf("block %d: element %d = %v, want %v", n, i, v, want[i])
			}
		}
	}
}

func TestAddOutliersEqualsReference(t *testing.T) {
	eachSet(t, func(t *rapid.T, set *table) {
		tiles := rapid.IntRange(1, 5).Draw(t, "tiles")
		w := rapid.SliceOfN(rapid.Byte(), 64*tiles, 64*tiles).Draw(t, "w")
		var list []Outlier
		for range rapid.IntRange(1, 6).Draw(t, "outliers") {
			list = append(list, Outlier{int32(rapid.IntRange(0, 4*tiles-1).Draw(t, "column")), float().Draw(t, "value")})
		}
		out, scale := floats(t, 16, "out"), floats(t, 16, "scale")
		want, got := slices.Clone(out), guard.Copy(t, out)
		addOutliersRef(&want[0], &w[0], &scale[0], &list[0], len(list))
		set.addOutliers(&got[0], &guard.Copy(t, w)[0], &guard.Copy(t, scale)[0], &guard.Copy(t, list)[0], len(list))
		diff(t, "addOutliers", got, want)
	})
}

func TestSplitOutliers(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(-1))
	x := []float32{1, 6, -6, 5.9999995, nan, -5, inf, 0}
	list := make([]Outlier, len(x))
	list = list[:SplitOutliers(list, x, 6)]
	if !slices.Equal(x, []float32{1, 0, 0, 5.9999995, 0, -5, 0, 0}) {
		t.Errorf("left: %v", x)
	}
	if len(list) != 4 || list[0] != (Outlier{1, 6}) || list[1] != (Outlier{2, -6}) || list[2].Column != 4 || list[2].Value == list[2].Value || list[3] != (Outlier{6, inf}) {
		t.Errorf("found: %v", list)
	}
	w, out := make([]byte, 128), make([]float32, 16)
	scale := slices.Repeat([]float32{1}, 16)
	if AddOutliers(out, w, scale, list); out[3] == out[3] {
		t.Error("a NaN among the activations did not reach the product")
	}
}

func TestRefusals(t *testing.T) {
	for name, f := range map[string]func(){
		"block":   func() { Hadamard(make([]float32, 48), 24) },
		"rest":    func() { Hadamard(make([]float32, 80), 64) },
		"large":   func() { Hadamard(make([]float32, 512), 512) },
		"column":  func() { AddOutliers(make([]float32, 16), make([]byte, 64), make([]float32, 16), []Outlier{{4, 1}}) },
		"below 0": func() { AddOutliers(make([]float32, 16), make([]byte, 64), make([]float32, 16), []Outlier{{-1, 1}}) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: want a panic", name)
				}
			}()
			f()
		}()
	}
}

func BenchmarkHadamard(b *testing.B) {
	x := make([]float32, 2304)
	for i := range x {
		x[i] = float32(i % 7)
	}
	for _, set := range available() {
		b.Run(set.name, func(b *testing.B) {
			for b.Loop() {
				for i := 0; i < len(x); i += 256 {
					set.hadamard(x[i:i+256], 0.0625)
				}
			}
		})
	}
}
