//go:build !noasm

package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/systemgemma/systemgemma/internal/testkit/guard"
)

// The properties of kernel_test.go hold for this set too; here is what they do not draw: k beyond one block, values that
// are no numbers, the edge of the exponential, every half-precision number, empty vectors.

func needNeon(t *testing.T) {
	t.Helper()
	if len(assembled()) == 0 {
		t.Skip("this CPU has no dot product extension")
	}
}

func TestNeonW8CBlocksJoin(t *testing.T) {
	needNeon(t)
	r := rand.New(rand.NewPCG(3, 4))
	for _, k4 := range []int{blockW8C - 1, blockW8C, blockW8C + 1, 2*blockW8C + 3} {
		for _, tokens := range []int{1, 2, 3, 8, 13} {
			width := PanelWidth(tokens)
			w, panel := make([]byte, 64*k4), make([]uint8, 4*width*k4)
			for i := range w {
				w[i] = byte(r.IntN(255) - 127)
			}
			for i := range panel {
				panel[i] = byte(r.IntN(255) - 127)
			}
			ws, as := randoms(r, 16), randoms(r, tokens)
			want := make([]float32, 16*tokens)
			got := guard.Copy(t, want)
			mulW8CRef(&want[0], 16, &w[0], &ws[0], nil, &panel[0], width, k4, &as[0], tokens)
			for _, set := range assembled() {
				set.mulW8C(&got[0], 16, &guard.Copy(t, w)[0], &guard.Copy(t, ws)[0], nil, &guard.Copy(t, panel)[0], width, k4, &guard.Copy(t, as)[0], tokens)
				if !sameBits(got, want) {
					t.Errorf("%s, k=%d, %d tokens: W8C product differs from the reference", set.name, 4*k4, tokens)
				}
				clear(got)
			}
		}
	}
}

func TestNeonRoundedBlocksJoin(t *testing.T) {
	needNeon(t)
	next := generator(7)
	for _, c := range []struct{ tokens, k4 int }{{1, 16*blockFloat + 1}, {2, blockFloat + 1}, {4, blockFloat}, {7, blockFloat + 3}, {16, 2*blockFloat + 1}} {
		width := PanelWidth(c.tokens)
		w, panel := bf16Strip(next, c.k4, 0), roundedActivations(next, 4*c.k4*width, 0)
		for i, x := range panel {
			panel[i] = roundBF16(x)
		}
		want, got := make([]float32, 16*c.tokens), make([]float32, 16*c.tokens)
		mulRoundedRef(&want[0], 16, &w[0], &panel[0], width, c.k4, c.tokens)
		mulRoundedNeon(&got[0], 16, &guard.Copy(t, w)[0], &guard.Copy(t, panel)[0], width, c.k4, c.tokens)
		if !sameBits(got, want) {
			t.Errorf("k=%d, %d tokens: rounded product differs from the reference", 4*c.k4, c.tokens)
		}
	}
}

func TestNeonFloatBlocksJoin(t *testing.T) {
	needNeon(t)
	r := rand.New(rand.NewPCG(5, 6))
	for _, c := range []struct{ tokens, k4 int }{{1, 16*blockFloat + 1}, {2, blockFloat + 1}, {4, blockFloat}, {7, blockFloat + 3}, {16, 2*blockFloat + 1}} {
		width := PanelWidth(c.tokens)
		panel := randoms(r, 4*c.k4*width)
		for _, f := range []struct {
			name      string
			step      int
			neon, ref func(out *float32, outStride int, w *byte, panel *float32, width, k4, tokens int)
		}{
			{"F32", 256, mulF32Neon, mulF32Ref},
			{"BF16", 128, mulBF16Neon, mulBF16Ref},
			{"F16", 128, mulF16Neon, mulF16Ref},
		} {
			w := make([]byte, f.step*c.k4)
			for i := range w {
				w[i] = byte(r.Uint32())
				if i%4 == 3 || i%2 == 1 && f.step == 128 {
					w[i] = w[i]&0x87 | 0x38 // exponents near 1
				}
			}
			want := make([]float32, 16*c.tokens)
			got := guard.Copy(t, want)
			f.ref(&want[0], 16, &w[0], &panel[0], width, c.k4, c.tokens)
			f.neon(&got[0], 16, &guard.CopyFront(t, w)[0], &guard.CopyFront(t, panel)[0], width, c.k4, c.tokens)
			if !sameBits(got, want) {
				t.Errorf("k=%d, %d tokens: %s product differs from the reference", 4*c.k4, c.tokens, f.name)
			}
		}
	}
}

func randoms(r *rand.Rand, n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = r.Float32()*2 - 1
	}
	return x
}

// Vectors of any bit patterns, non-numbers and subnormals among them, give what the reference gives.
func TestNeonEqualsReferenceOnAnyBits(t *testing.T) {
	needNeon(t)
	r := rand.New(rand.NewPCG(7, 8))
	inf := float32(math.Inf(1))
	special := []float32{0, float32(math.Copysign(0, -1)), inf, -inf, float32(math.NaN()), math.MaxFloat32, -math.MaxFloat32, 0x1p-149, -0x1p-127, 87, -87, -88, 20, -20}
	draw := func(n int) []float32 {
		x := make([]float32, n)
		for i := range x {
			x[i] = math.Float32frombits(r.Uint32())
			if r.IntN(3) == 0 {
				x[i] = special[r.IntN(len(special))]
			}
		}
		return x
	}
	for range 200 {
		n := 16 * (1 + r.IntN(5))
		x, y, z, s := draw(n), draw(n), draw(n), draw(3)
		limit := []float32{s[1], 0, 50, inf}[r.IntN(4)]
		check := func(name string, neon, ref func(x []float32)) {
			got, want := guard.Copy(t, x), slices.Clone(x)
			neon(got)
			ref(want)
			if !sameBits(got, want) {
				t.Errorf("%s(%x; %x, %x; %x):\n got %x\nwant %x", name, x, y, z, s, got, want)
			}
		}
		if got, want := absMaxNeon(x), absMaxRef(x); got != want {
			t.Errorf("absMax(%x) = %08x, want %08x", x, got, want)
		}
		check("sumSquares", func(x []float32) { x[0] = sumSquaresNeon(x) }, func(x []float32) { x[0] = sumSquaresRef(x) })
		check("scaleMul", func(x []float32) { scaleMulNeon(x, x, y, s[0]) }, func(x []float32) { scaleMulRef(x, x, y, s[0]) })
		check("add", func(x []float32) { addNeon(x, y) }, func(x []float32) { addRef(x, y) })
		check("rotate", func(x []float32) { rotateNeon(x, slices.Clone(y), z, x) }, func(x []float32) { rotateRef(x, slices.Clone(y), z, slices.Clone(x)) })
		check("softcap", func(x []float32) { softcapNeon(x, s[0], limit) }, func(x []float32) { softcapsRef(x, s[0], limit) })
		check("softcap 1", func(x []float32) { softcapNeon(x, 1, limit) }, func(x []float32) { softcapsRef(x, 1, limit) })
		check("geluMul", func(x []float32) { geluMulNeon(x, x, y) }, func(x []float32) { geluMulRef(x, x, y) })
		m := maxRef(x)
		if m <= 0 || m != m { // e^(v-m) is defined for v <= m
			m = inf
		}
		check("expSum", func(x []float32) { x[0] = expSumNeon(x, m) }, func(x []float32) { x[0] = expSumRef(x, m) })
	}
}

// Around the cut at -87, where 2^n is the smallest normal number, and at it: float by float.
func TestNeonExpCutsWhereTheReferenceDoes(t *testing.T) {
	needNeon(t)
	got := make([]float32, 4096)
	for i := range got {
		got[i] = math.Float32frombits(math.Float32bits(expMin) - 2048 + uint32(i))
	}
	want := slices.Clone(got)
	gotSum, wantSum := expSumNeon(got, 0), expSumRef(want, 0)
	if !sameBits(got, want) || gotSum != wantSum || want[2048] == 0 || want[2049] != 0 {
		t.Errorf("exp around -87: sum %x, want %x; e^-87 = %x", gotSum, wantSum, got[2048])
	}
}

// The largest ratio of an element to its scale is 127 by construction, but not where the scale is a rounded subnormal.
func TestNeonQuantizeStaysWithin127(t *testing.T) {
	needNeon(t)
	for _, units := range []float32{190, -190, 1, 63.5, 64, -100} {
		x := slices.Repeat([]float32{units * 0x1p-149}, 16)
		got, want := make([]uint8, 16), make([]uint8, 16)
		quantizeNeon(&got[0], 4, x, 0x1p-149)
		quantizeRef(&want[0], 4, x, 0x1p-149)
		if !slices.Equal(got, want) {
			t.Errorf("quantize(%v units): got %v, want %v", units, got, want)
		}
	}
}

func TestNeonTakesEmptyVectors(t *testing.T) {
	needNeon(t)
	var none []float32
	if m, a, q, e := maxNeon(none), absMaxNeon(none), sumSquaresNeon(none), expSumNeon(none, 0); !math.IsInf(float64(m), -1) || a != 0 || q != 0 || e != 0 {
		t.Errorf("of nothing: max %v, absMax %v, sumSquares %v, expSum %v; want -Inf, 0, 0, 0", m, a, q, e)
	}
	addNeon(none, none)
	scaleMulNeon(none, none, none, 1)
	rotateNeon(none, none, none, none)
	softcapNeon(none, 1, 1)
	geluMulNeon(none, none, none)
}

// The scratch sums stay on the stack: a product allocates nothing.
func TestNeonProductsAllocateNothing(t *testing.T) {
	needNeon(t)
	for _, width := range []int{1, 2, 4, 16} {
		w, ws, as, out := make([]byte, 256), make([]float32, 16), make([]float32, width), make([]float32, 16*width)
		panel, bytes := make([]float32, 4*width), make([]uint8, 4*width)
		for name, f := range map[string]func(){
			"W8C":  func() { mulW8CNeon(&out[0], 16, &w[0], &ws[0], nil, &bytes[0], width, 1, &as[0], width) },
			"F32":  func() { mulF32Neon(&out[0], 16, &w[0], &panel[0], width, 1, width) },
			"BF16": func() { mulBF16Neon(&out[0], 16, &w[0], &panel[0], width, 1, width) },
			"F16":  func() { mulF16Neon(&out[0], 16, &w[0], &panel[0], width, 1, width) },
		} {
			t.Run(fmt.Sprintf("%s/width=%d", name, width), func(t *testing.T) {
				if n := testing.AllocsPerRun(10, f); n != 0 {
					t.Errorf("%v allocations, want 0", n)
				}
			})
		}
	}
}
