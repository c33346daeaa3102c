package kernel

import (
	"fmt"
	"math"
	"os"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/systemgemma/systemgemma/internal/testkit/guard"
)

// The set that a leg of CI is for must be the one in use.
func TestActiveSetIsTheWantedOne(t *testing.T) {
	t.Logf("kernel: %s of %v", Name(), Names())
	if err := Err(); err != nil {
		t.Error(err)
	}
	if want := os.Getenv("SYSTEMGEMMA_WANT_KERNEL"); want != "" && Name() != want {
		t.Errorf("kernel set: want %s, found %s of %v", want, Name(), Names())
	}
}

func TestChoose(t *testing.T) {
	sets := []*table{&reference, {name: "fast"}}
	if got, err := choose("", sets); err != nil || got.name != "fast" {
		t.Errorf("choose(\"\") = %v, %v; want fast", got.name, err)
	}
	if got, err := choose("reference", sets); err != nil || got.name != "reference" {
		t.Errorf("choose(reference) = %v, %v", got.name, err)
	}
	if got, err := choose("avx9", sets); err == nil || got.name != "reference" {
		t.Errorf("choose(avx9) = %v, %v; want an error and the reference", got.name, err)
	}
}

// eachSet runs a property against every assembled set of this CPU.
func eachSet(t *testing.T, check func(t *rapid.T, set *table)) {
	for _, set := range available()[1:] {
		t.Run(set.name, rapid.MakeCheck(func(t *rapid.T) { check(t, set) }))
	}
}

// float draws numbers of many sizes, exact zeros and values that cancel or overflow in sums included.
func float() *rapid.Generator[float32] {
	return rapid.Custom(func(t *rapid.T) float32 {
		switch rapid.IntRange(0, 9).Draw(t, "kind") {
		case 0:
			return rapid.SampledFrom([]float32{0, float32(math.Copysign(0, -1)), 1, -1, 0x1p-149, -0x1p-126, 65504, 0.5, -0.5, 1.5, 127}).Draw(t, "special")
		case 1:
			return rapid.Float32Range(-1e18, 1e18).Draw(t, "wide")
		default:
			return rapid.Float32Range(-8, 8).Draw(t, "usual")
		}
	})
}

func floats(t *rapid.T, n int, name string) []float32 {
	return rapid.SliceOfN(float(), n, n).Draw(t, name)
}

// length draws a multiple of 16, up to 16*max.
func length(t *rapid.T, max int) int { return 16 * rapid.IntRange(1, max).Draw(t, "length/16") }

func sameBits(a, b []float32) bool {
	return slices.EqualFunc(a, b, func(x, y float32) bool {
		return math.Float32bits(x) == math.Float32bits(y) || x != x && y != y // a NaN is a NaN
	})
}

func diff(t *rapid.T, what string, got, want []float32) {
	t.Helper()
	if !sameBits(got, want) {
		for i := range want {
			if !sameBits(got[i:i+1], want[i:i+1]) {
				t.Fatalf("%s: element %d of %d = %x (%08x), want %x (%08x)", what, i, len(want), got[i], math.Float32bits(got[i]), want[i], math.Float32bits(want[i]))
			}
		}
	}
}

func TestMulW8CEqualsReference(t *testing.T) {
	eachSet(t, func(t *rapid.T, set *table) {
		k4 := rapid.IntRange(1, 100).Draw(t, "k/4")
		tokens := rapid.IntRange(1, MaxPanel).Draw(t, "tokens")
		width := PanelWidth(tokens)
		stride := 16 + 16*rapid.IntRange(0, 2).Draw(t, "stride")
		extreme := rapid.Bool().Draw(t, "extreme")
		w, a := make([]byte, 64*k4), make([]int8, PanelSize(4*k4, width))
		seed := rapid.Uint64().Draw(t, "seed")
		next := func(lo, hi int) int8 { // a fast generator: these arrays are long
			seed = seed*6364136223846793005 + 1442695040888963407
			if extreme {
				return int8([]int{lo, hi, 0}[seed>>33%3])
			}
			return int8(lo + int(seed>>33)%(hi-lo+1))
		}
		var sum [16]int32
		for i := range w {
			q := next(-128, 127)
			w[i] = byte(q)
			sum[i%64/4] += int32(q)
		}
		for i := range a {
			a[i] = next(-127, 127)
		}
		ws, as := floats(t, 16, "weight scales"), floats(t, tokens, "activation scales")
		run := func(s *table, copyOf func([]byte) []byte) []float32 {
			panel := make([]uint8, len(a))
			for i, q := range a {
				panel[i] = uint8(q) + s.bias
			}
			out := make([]float32, (tokens-1)*stride+16)
			terms := sum
			if s.rowTerms != nil {
				s.rowTerms(&terms[0], &copyOf(w)[0], k4, &sum[0])
			}
			s.mulW8C(&out[0], stride, &copyOf(w)[0], &ws[0], &terms[0], &copyOf(panel)[0], width, k4, &as[0], tokens)
			return out
		}
		want := run(&reference, func(b []byte) []byte { return b })
		diff(t, "guarded end", run(set, func(b []byte) []byte { return guard.Copy(t, b) }), want)
		diff(t, "guarded start", run(set, func(b []byte) []byte { return guard.CopyFront(t, b) }), want)
	})
}

func TestMulFloatEqualsReference(t *testing.T) {
	type mul = func(out *float32, outStride int, w *byte, panel *float32, width, k4, tokens int)
	for name, c := range map[string]struct {
		of   func(*table) mul
		tile int
	}{
		"F32":  {func(s *table) mul { return s.mulF32 }, 256},
		"BF16": {func(s *table) mul { return s.mulBF16 }, 128},
		"F16":  {func(s *table) mul { return s.mulF16 }, 128},
	} {
		t.Run(name, func(t *testing.T) {
			eachSet(t, func(t *rapid.T, set *table) {
				k4 := rapid.OneOf(rapid.IntRange(1, 20), rapid.SampledFrom([]int{63, 64, 65, 129})).Draw(t, "k/4") // around blocks
				tokens := rapid.IntRange(1, MaxPanel).Draw(t, "tokens")
				width := PanelWidth(tokens)
				stride := 16 + 16*rapid.IntRange(0, 1).Draw(t, "stride")
				w := make([]byte, c.tile*k4)
				seed := rapid.Uint64().Draw(t, "seed")
				for i := range w {
					seed = seed*6364136223846793005 + 1442695040888963407
					w[i] = byte(seed >> 56)
					if name != "F32" && i%2 == 1 || i%4 == 3 {
						w[i] = w[i]&0x80 | 0x3b + w[i]&7 // exponents near 1, so that sums are finite
					}
				}
				panel := make([]float32, 4*k4*width)
				few := floats(t, 64, "activations")
				for i := range panel {
					panel[i] = few[(i*7+i/64)%64]
				}
				want := make([]float32, (tokens-1)*stride+16)
				c.of(&reference)(&want[0], stride, &w[0], &panel[0], width, k4, tokens)
				got := make([]float32, len(want))
				c.of(set)(&got[0], stride, &guard.Copy(t, w)[0], &guard.Copy(t, panel)[0], width, k4, tokens)
				diff(t, name, got, want)
			})
		})
	}
}

func TestQuantizeEqualsReference(t *testing.T) {
	eachSet(t, func(t *rapid.T, set *table) {
		x := floats(t, length(t, 8), "x")
		width := []int{1, 2, 4, 8, 16}[rapid.IntRange(0, 4).Draw(t, "width")]
		col := rapid.IntRange(0, width-1).Draw(t, "column")
		if got, want := set.absMax(guard.Copy(t, x)), absMaxRef(x); got != want {
			t.Fatalf("absMax(%v) = %x, want %x", x, got, want)
		}
		scale := math.Float32frombits(absMaxRef(x)) / 127
		if scale == 0 {
			return
		}
		got, want := guard.Copy(t, make([]uint8, len(x)*width)), make([]uint8, len(x)*width)
		set.quantize(&got[4*col], 4*width, guard.Copy(t, x), scale)
		quantizeRef(&want[4*col], 4*width, x, scale)
		for i := range got {
			if i/4%width == col {
				got[i] -= set.bias
			}
		}
		if !slices.Equal(got, want) {
			t.Fatalf("quantize(%v, scale %g), width %d, column %d:\n got %v\nwant %v", x, scale, width, col, got, want)
		}
	})
}

func TestVectorsEqualReference(t *testing.T) {
	eachSet(t, func(t *rapid.T, set *table) {
		n := length(t, 6)
		x, y, z := floats(t, n, "x"), floats(t, n, "y"), floats(t, n, "z")
		s, limit := float().Draw(t, "s"), rapid.SampledFrom([]float32{0, 30, 50}).Draw(t, "limit")
		c := func(v []float32) []float32 { return guard.Copy(t, v) }

		diff(t, "sumSquares", []float32{set.sumSquares(c(x))}, []float32{sumSquaresRef(x)})
		got, want := c(x), slices.Clone(x)
		set.scaleMul(got, c(y), c(z), s)
		scaleMulRef(want, y, z, s)
		diff(t, "scaleMul", got, want)
		set.add(got, c(x))
		addRef(want, x)
		diff(t, "add", got, want)
		set.softcap(got, s, limit)
		softcapsRef(want, s, limit)
		diff(t, "softcap", got, want)
		set.geluMul(got, c(x), c(z))
		geluMulRef(want, x, z)
		diff(t, "geluMul", got, want)
		lo, hi, wantLo, wantHi := c(x), c(y), slices.Clone(x), slices.Clone(y)
		set.rotate(lo, hi, c(z), c(y))
		rotateRef(wantLo, wantHi, z, y)
		diff(t, "rotate lo", lo, wantLo)
		diff(t, "rotate hi", hi, wantHi)
	})
}

func TestSoftmaxEqualsReference(t *testing.T) {
	eachSet(t, func(t *rapid.T, set *table) {
		x := rapid.SliceOfN(rapid.Float32Range(-50, 50), 16, 400).Draw(t, "x")
		for len(x)%16 != 0 {
			x = append(x, float32(math.Inf(-1)))
		}
		m := maxRef(x)
		if got := set.max(guard.Copy(t, x)); got != m {
			t.Fatalf("max(%v) = %v, want %v", x, got, m)
		}
		got, want := guard.Copy(t, x), slices.Clone(x)
		gotSum, wantSum := set.expSum(got, m), expSumRef(want, m)
		diff(t, "exp", got, want)
		diff(t, "sum", []float32{gotSum}, []float32{wantSum})
	})
}

// A value that is no number never becomes one: it comes out as a NaN of every operation.
func TestNonFiniteStaysVisible(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	defer func(was *table) { active = was }(active)
	for _, set := range available() {
		active = set
		for _, bad := range []float32{nan, inf, -inf} {
			x := make([]float32, 32)
			x[17], x[3] = bad, 1
			panel, w := make([]uint8, 32), make([]byte, 64*8)
			out, scale := make([]float32, 16), make([]float32, 16)
			for i := range w {
				w[i] = 1
			}
			for i := range scale {
				scale[i] = 1
			}
			s := Quantize(panel, 1, 0, x)
			MulW8C(out, 16, w, scale, slices.Repeat([]int32{32}, 16), panel, 1, []float32{s})
			if out[0] == out[0] {
				t.Errorf("%s: W8C product with %v = %v, want NaN", set.name, bad, out[0])
			}
		}
		for name, f := range map[string]func(x []float32){
			"softcap": func(x []float32) { Softcap(x, 1, 50) },
			"gelu":    func(x []float32) { GeluMul(x, x, x) },
			"expSum":  func(x []float32) { x[0] = ExpSum(x, 1) },
		} {
			x := slices.Repeat([]float32{nan}, 16)
			if f(x); x[0] == x[0] {
				t.Errorf("%s: %s(NaN) = %v, want NaN", set.name, name, x[0])
			}
		}
	}
}

func TestPanelWidthHoldsItsTokens(t *testing.T) {
	for n := 1; n <= MaxPanel; n++ {
		if w := PanelWidth(n); w < n || w >= 2*n || w&(w-1) != 0 {
			t.Errorf("PanelWidth(%d) = %d", n, w)
		}
	}
}

// Lengths that do not fit panic before any memory is touched.
func TestWrongLengthsPanic(t *testing.T) {
	f := make([]float32, 32)
	for name, call := range map[string]func(){
		"MulW8C":  func() { MulW8C(f, 16, make([]byte, 65), f[:16], make([]int32, 16), make([]byte, 64), 1, f[:1]) },
		"MulF32":  func() { MulF32(f[:15], 16, make([]byte, 256), f, 1, 1) },
		"tokens":  func() { MulF32(f, 16, make([]byte, 256), f, 1, 2) },
		"RMSNorm": func() { RMSNorm(f[:15], f[:15], f[:15], 15, 1) },
		"Add":     func() { Add(f, f[:16]) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: want a panic", name)
				}
			}()
			call()
		}()
	}
}

func BenchmarkProduct(b *testing.B) {
	const k, strips = 2304, 144
	defer func(was *table) { active = was }(active)
	for _, tokens := range []int{1, 16} {
		panel, as := make([]uint8, PanelSize(k, tokens)), make([]float32, tokens)
		x, out := make([]float32, PanelSize(k, tokens)), make([]float32, 16*tokens)
		ws, sum := make([]float32, 16), make([]int32, 16)
		for name, c := range map[string]struct {
			bytes int
			run   func(w []byte)
		}{
			"W8C":  {1, func(w []byte) { MulW8C(out, 16, w, ws, sum, panel, tokens, as) }},
			"F32":  {4, func(w []byte) { MulF32(out, 16, w, x, tokens, tokens) }},
			"BF16": {2, func(w []byte) { MulBF16(out, 16, w, x, tokens, tokens) }},
			"F16":  {2, func(w []byte) { MulF16(out, 16, w, x, tokens, tokens) }},
		} {
			strip := 16 * k * c.bytes
			w := make([]byte, strips*strip)
			for _, set := range available() {
				b.Run(fmt.Sprintf("layout=%s/tokens=%d/set=%s", name, tokens, set.name), func(b *testing.B) {
					active = set
					b.SetBytes(int64(len(w)))
					for b.Loop() {
						for s := range strips {
							c.run(w[s*strip : (s+1)*strip])
						}
					}
					b.ReportMetric(2*16*k*strips*float64(tokens)*float64(b.N)/b.Elapsed().Seconds()/1e9, "GOPS")
				})
			}
		}
	}
}
