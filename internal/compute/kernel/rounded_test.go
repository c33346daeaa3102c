package kernel

import (
	"encoding/binary"
	"math"
	"testing"

	"pgregory.net/rapid"

	"github.com/systemgemma/systemgemma/internal/compute/half"
	"github.com/systemgemma/systemgemma/internal/testkit/guard"
)

// bf16Strip are k4 tiles of weights: usual ones, all exponents, or few values that cancel, subnormals among them.
func bf16Strip(next func() uint64, k4, kind int) []byte {
	w := make([]byte, 128*k4)
	for i := 0; i < len(w); i += 2 {
		b := uint16(next() >> 40)
		switch {
		case kind == 0: // ±2^-6 to 2^2
			b = b&0x807f | uint16(121+next()>>40%8)<<7
		case kind == 1 && b&0x7f80 == 0x7f80: // no infinities, no NaNs
			b ^= 0x4000
		case kind == 2:
			b = []uint16{0, 0x8000, 1, 0x807f, 0x80, 0x8080, 0x3f80, 0xbf80, 0x3f81, 0xff7f}[b%10]
		case kind == 3: // below 1: no sum of some thousands overflows
			b = b&0x807f | b>>7%127<<7
		}
		binary.LittleEndian.PutUint16(w[i:], b)
	}
	return w
}

func roundedActivations(next func() uint64, n, kind int) []float32 {
	x := make([]float32, n)
	for i := range x {
		b := uint32(next() >> 20)
		switch {
		case kind == 0: // ±2^-6 to 2^2
			b = b&0x807fffff | uint32(121+next()>>40%8)<<23
		case kind == 3: // the same, below 2^50
			b = b&0x807fffff | b>>23%177<<23
		case kind == 2:
			b = math.Float32bits([]float32{0, 1, -1, 1.00390625, 0x1p-50, -0x1.ffp-51, 0x1.fdp-51, 0x1p-149, 0x1p62, -0x1.fep62}[b%10])
		}
		x[i] = math.Float32frombits(b)
	}
	return x
}

func generator(seed uint64) func() uint64 {
	return func() uint64 {
		seed = seed*6364136223846793005 + 1442695040888963407
		return seed
	}
}

func TestMulRoundedEqualsReference(t *testing.T) {
	eachSet(t, func(t *rapid.T, set *table) {
		k4 := 4 * rapid.IntRange(1, 40).Draw(t, "k/16")
		tokens := rapid.IntRange(1, MaxPanel).Draw(t, "tokens")
		width, stride := PanelWidth(tokens), 16+16*rapid.IntRange(0, 1).Draw(t, "stride")
		next := generator(rapid.Uint64().Draw(t, "seed"))
		w := bf16Strip(next, k4, rapid.IntRange(0, 3).Draw(t, "weights"))
		kind := rapid.IntRange(0, 3).Draw(t, "activations")
		columns := make([][]float32, tokens)
		for i := range columns {
			columns[i] = roundedActivations(next, 4*k4, kind)
		}
		run := func(s *table, w []byte, copyOf func([]float32) []float32) []float32 {
			panel := make([]float32, 4*k4*width)
			for i, x := range columns {
				s.packRounded(panel, width, i, x)
			}
			out := make([]float32, (tokens-1)*stride+16)
			s.mulRounded(&out[0], stride, &w[0], &copyOf(panel)[0], width, k4, tokens)
			return out
		}
		want := run(&reference, w, func(p []float32) []float32 { return p })
		diff(t, "guarded end", run(set, guard.Copy(t, w), func(p []float32) []float32 { return guard.Copy(t, p) }), want)
		diff(t, "guarded start", run(set, guard.CopyFront(t, w), func(p []float32) []float32 { return guard.CopyFront(t, p) }), want)
	})
}

// A strip of 16 tiles is not the only one that fits: k is a multiple of 4, and a call with few tiles ends where it should.
func TestMulRoundedTakesAnyNumberOfTiles(t *testing.T) {
	eachEdge(t, func(t *testing.T, set *table) {
		next := generator(1)
		for k4 := 1; k4 < 12; k4++ {
			for tokens := 1; tokens <= MaxPanel; tokens++ {
				width := PanelWidth(tokens)
				w, x := bf16Strip(next, k4, 0), make([]float32, 16*k4)
				panel, own := make([]float32, 16*k4*width), make([]float32, 16*k4*width)
				for i := range tokens {
					copy(x, roundedActivations(next, 4*k4, 0))
					reference.packRounded(panel, width, i, x)
					set.packRounded(own, width, i, x)
				}
				got, want := make([]float32, 16*tokens), make([]float32, 16*tokens)
				mulRoundedRef(&want[0], 16, &w[0], &panel[0], width, k4, tokens)
				set.mulRounded(&got[0], 16, &guard.Copy(t, w)[0], &guard.Copy(t, own[:4*k4*width])[0], width, k4, tokens)
				equalBits(t, "mulRounded", want, got, want)
			}
		}
	})
}

// Infinities and NaNs give what they give in the reference, any NaN being one.
func TestMulRoundedKeepsInfinitiesAndNaNs(t *testing.T) {
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	eachEdge(t, func(t *testing.T, set *table) {
		for _, v := range []float32{inf, -inf, nan, 0x1p63, -math.MaxFloat32, 0x1.ffp62} {
			for _, u := range []uint16{0x3f80, 0, 1, 0x7f80, 0xff80, 0x7fc0, 0x7f7f} {
				w, x := bf16Strip(generator(2), 4, 0), roundedActivations(generator(3), 16, 0)
				binary.LittleEndian.PutUint16(w[2*(2*5+1):], u)
				x[1], x[9] = v, -v
				panel, own := make([]float32, 16), make([]float32, 16)
				reference.packRounded(panel, 1, 0, x)
				set.packRounded(own, 1, 0, x)
				got, want := make([]float32, 16), make([]float32, 16)
				mulRoundedRef(&want[0], 16, &w[0], &panel[0], 1, 4, 1)
				set.mulRounded(&got[0], 16, &w[0], &own[0], 1, 4, 1)
				equalBits(t, "mulRounded", want, got, want)
			}
		}
	})
}

func TestRoundBF16(t *testing.T) {
	inf := float32(math.Inf(1))
	for x, want := range map[float32]float32{
		0: 0, 1: 0x1p64, -1: -0x1p64, 0x1.01p0: 0x1p64, 0x1.03p0: 0x1.04p64, 0x1.010002p0: 0x1.02p64, 0x1p-50: 0x1p14, -0x1.ffp-51: -0x1p14,
		0x1.fefffep-51: 0, 0x1p-149: 0, 0x1.fep62: 0x1.fep126, 0x1.ffp62: inf, -0x1p63: -inf, inf: inf, -inf: -inf, math.MaxFloat32: inf,
	} {
		if got := roundBF16(x); got != want {
			t.Errorf("roundBF16(%x) = %x, want %x", x, got, want)
		}
	}
	for _, bits := range []uint32{0x7f800001, 0x7fffffff, 0xffffffff, 0xff800001, 0x7fc00000} {
		if got := roundBF16(math.Float32frombits(bits)); got == got || math.Float32bits(got)&0xffff != 0 {
			t.Errorf("roundBF16 of NaN %08x = %x", bits, math.Float32bits(got))
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		x := rapid.Float32Range(-0x1p60, 0x1p60).Draw(t, "x")
		want := half.FromBF16(half.ToBF16(x))
		if math.Abs(float64(want)) < 0x1p-50 {
			want = 0
		}
		if got := roundBF16(x); got != want*0x1p64 {
			t.Fatalf("roundBF16(%x) = %x, want %x", x, got, want*0x1p64)
		}
	})
}

// Whether subnormals are kept or flushed, before or after rounding, no sum of the definition can show.
func TestRoundedSumsAreNeverSubnormal(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		next := generator(rapid.Uint64().Draw(t, "seed"))
		var sum float32
		kind := rapid.IntRange(1, 3).Draw(t, "kind")
		for range 200 {
			w := binary.LittleEndian.Uint16(bf16Strip(next, 1, kind))
			x := roundBF16(roundedActivations(next, 1, kind)[0])
			sum = fma32(normalBF16(w), x, sum)
			if b := math.Float32bits(sum); b<<1 != 0 && b&0x7f800000 == 0 || b == 1<<31 {
				t.Fatalf("after %04x * %x the sum is %x", w, x, sum)
			}
			if sum != sum || next()%4 == 0 {
				sum = 0
			}
		}
	})
}
