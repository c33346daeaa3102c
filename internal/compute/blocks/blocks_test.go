package blocks

import (
	"math/big"
	"math/rand/v2"
	"testing"
)

// What a format says of itself holds for whatever bytes: codes within their bits, and each value the exact scale*q + min,
// rounded once. Products that float32 could not hold would be found here.
func check(t *testing.T, f *Format, block []byte) {
	t.Helper()
	var b Block
	values := make([]float32, f.Elements)
	f.Unpack(&b, block)
	f.Decode(values, block)
	lo, hi := -128, 127
	if f.Bits == 4 {
		if lo, hi = -8, 7; f.Mins {
			lo, hi = 0, 15
		}
	}
	for i, v := range values {
		q, scale, least := int(int8(b.Codes[i])), b.Scales[i/f.Group], float32(0)
		if f.Mins {
			least = b.Mins[i/f.Group]
		}
		if q < lo || q > hi {
			t.Fatalf("%s: code %d = %d, want %d to %d (block %x)", f.Name, i, q, lo, hi, block)
		}
		if !finite(scale) || !finite(least) {
			if finite(v) && !finite(least) {
				t.Fatalf("%s: value %d = %v of scale %v and minimum %v", f.Name, i, v, scale, least)
			}
			continue
		}
		exact := new(big.Float).SetPrec(200).Mul(big.NewFloat(float64(scale)), big.NewFloat(float64(q)))
		if _, accuracy := exact.Float32(); accuracy != big.Exact {
			t.Fatalf("%s: %v * %d is not a float32", f.Name, scale, q)
		}
		if want, _ := exact.Add(exact, big.NewFloat(float64(least))).Float32(); v != want {
			t.Fatalf("%s: value %d = %v, want %v", f.Name, i, v, want)
		}
	}
}

func finite(v float32) bool { return v-v == 0 }

// halfAt are the places of half-precision numbers in a block: those of d first.
var halfAt = map[string][]int{
	"Q4_0": {0}, "Q4_1": {0, 2}, "Q5_0": {0}, "Q5_1": {0, 2}, "Q8_0": {0}, "Q2_K": {80, 82}, "Q3_K": {108},
	"Q4_K": {0, 2}, "Q5_K": {0, 2}, "Q6_K": {208}, "IQ4_NL": {0}, "IQ4_XS": {0},
}

func TestValuesAreExactProducts(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 5))
	extremes := []uint16{0x0000, 0x8000, 0x0001, 0x8001, 0x03ff, 0x0400, 0x3c00, 0x7bff, 0xfbff, 0x3fff, 0x7c00, 0xfc00, 0x7e00}
	for _, n := range Numbers() {
		f, _ := Of(n)
		if len(halfAt[f.Name]) == 0 {
			t.Fatalf("%s: the test lacks its halves", f.Name)
		}
		block := make([]byte, f.Bytes)
		for i := range 400 {
			for k := range block {
				switch i {
				case 0:
					block[k] = 0
				case 1:
					block[k] = 0xff
				default:
					block[k] = byte(r.Uint32())
				}
			}
			if i < 2 || i%2 == 0 {
				for j, at := range halfAt[f.Name] {
					h := extremes[(i+3*j)%len(extremes)]
					block[at], block[at+1] = byte(h), byte(h>>8)
				}
			}
			check(t, f, block)
		}
	}
}

// An infinite or NaN scale is never hidden: no value of its block is a finite number, not even one whose code is 0.
func TestNonFiniteScalesShow(t *testing.T) {
	for _, n := range Numbers() {
		f, _ := Of(n)
		for _, h := range []uint16{0x7c00, 0xfc00, 0x7e00} {
			block := make([]byte, f.Bytes)
			for i := range block {
				block[i] = 0x5a
			}
			for _, at := range halfAt[f.Name] {
				block[at], block[at+1] = 0, 0
			}
			at := halfAt[f.Name][0]
			block[at], block[at+1] = byte(h), byte(h>>8)
			values := make([]float32, f.Elements)
			f.Decode(values, block)
			for i, v := range values {
				if finite(v) {
					t.Errorf("%s: value %d = %v with d = %#04x", f.Name, i, v, h)
				}
			}
		}
	}
}

func TestLengthsAreChecked(t *testing.T) {
	f, _ := Of(12)
	for name, call := range map[string]func(){
		"short block": func() { f.Unpack(new(Block), make([]byte, 143)) },
		"long row":    func() { f.Decode(make([]float32, 256), make([]byte, 288)) },
		"half block":  func() { f.Decode(make([]float32, 128), make([]byte, 144)) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			call()
		}()
	}
	if _, ok := Of(16); ok {
		t.Error("IQ2_XXS is known")
	}
}

// Any bytes are a block of any type.
func FuzzUnpack(f *testing.F) {
	for _, n := range Numbers() {
		t, _ := Of(n)
		block := make([]byte, t.Bytes)
		for i := range block {
			block[i] = byte(37 * i)
		}
		f.Add(n, block)
	}
	f.Fuzz(func(t *testing.T, number uint32, data []byte) {
		format, ok := Of(number)
		if !ok || len(data) < format.Bytes {
			return
		}
		check(t, format, data[:format.Bytes])
	})
}

func BenchmarkDecode(b *testing.B) {
	for _, n := range Numbers() {
		f, _ := Of(n)
		b.Run("type="+f.Name, func(b *testing.B) {
			row, dst := make([]byte, 2304/f.Elements*f.Bytes), make([]float32, 2304)
			b.SetBytes(int64(len(row)))
			for b.Loop() {
				f.Decode(dst, row)
			}
		})
	}
}
