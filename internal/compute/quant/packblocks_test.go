package quant

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/systemgemma/systemgemma/internal/compute/blocks"
)

// A packed matrix has the values of the blocks, bit for bit, also with the scales that random bytes give (infinities, NaNs,
// subnormals), and rows beyond the last are zero.
func TestPackBlocksKeepsEveryBit(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 11))
	for _, number := range blocks.Numbers() {
		f, _ := blocks.Of(number)
		for _, rows := range []int{1, 16, 37} {
			cols := 512
			data := make([]byte, rows*cols/f.Elements*f.Bytes)
			for i := range data {
				data[i] = byte(random.Uint32())
			}
			l, g := BlockFormat(f)
			m, block, err := NewGrouped(l, g, rows, cols)
			if err != nil {
				t.Fatal(err)
			}
			size := len(data) / rows
			for s := range m.Strips() {
				m.PackBlocks(s, f, data[s*16*size:min(s*16+16, rows)*size])
			}
			got, want, strip := make([]float32, cols), make([]float32, cols), make([]float32, 16*cols)
			for r := range rows {
				f.Decode(want, data[r*size:(r+1)*size])
				m.Row(got, r)
				m.StripF32(strip, r/16)
				for k, w := range want {
					if !sameValue(got[k], w) || !sameValue(strip[16*k+r%16], w) {
						t.Fatalf("%s row %d, column %d: %v and %v, want %v", f.Name, r, k, got[k], strip[16*k+r%16], w)
					}
				}
			}
			for lane := rows % 16; lane != 0 && lane < 16; lane++ {
				for k := range cols {
					if strip[16*k+lane] != 0 {
						t.Fatalf("%s: padding row %d, column %d = %v", f.Name, lane, k, strip[16*k+lane])
					}
				}
			}
			if err := block.Free(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// sameValue compares bits; all NaNs are one.
func sameValue(a, b float32) bool {
	return math.Float32bits(a) == math.Float32bits(b) || a != a && b != b
}

func TestPackBlocksPanicsOnAnotherShape(t *testing.T) {
	f, _ := blocks.Of(12)
	l, g := BlockFormat(f)
	m, block, err := NewGrouped(l, g, 20, 256)
	if err != nil {
		t.Fatal(err)
	}
	defer block.Free()
	other, _ := blocks.Of(13)
	for name, call := range map[string]func(){
		"another type":   func() { m.PackBlocks(0, other, make([]byte, 16*176)) },
		"a strip past":   func() { m.PackBlocks(2, f, make([]byte, 16*144)) },
		"rows missing":   func() { m.PackBlocks(0, f, make([]byte, 15*144)) },
		"rows too many":  func() { m.PackBlocks(1, f, make([]byte, 16*144)) },
		"negative strip": func() { m.PackBlocks(-1, f, make([]byte, 16*144)) },
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
}

func BenchmarkPackBlocks(b *testing.B) {
	for _, number := range blocks.Numbers() {
		f, _ := blocks.Of(number)
		b.Run("type="+f.Name, func(b *testing.B) {
			l, g := BlockFormat(f)
			m, block, err := NewGrouped(l, g, 16, 2304)
			if err != nil {
				b.Fatal(err)
			}
			defer block.Free()
			data := make([]byte, 16*2304/f.Elements*f.Bytes)
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				m.PackBlocks(0, f, data)
			}
		})
	}
}
