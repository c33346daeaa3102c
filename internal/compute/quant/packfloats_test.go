package quant

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/systemgemma/systemgemma/internal/compute/half"
)

// Numbers that are moved lie where PackRow puts them: all shapes, rows longer than what is moved at once included.
func TestPackFloatsEqualsPackRow(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 9))
	for layout, decode := range map[Layout]func([]byte) float32{
		F32:  func(b []byte) float32 { return math.Float32frombits(binary.LittleEndian.Uint32(b)) },
		F16:  func(b []byte) float32 { return half.FromF16(binary.LittleEndian.Uint16(b)) },
		BF16: func(b []byte) float32 { return half.FromBF16(binary.LittleEndian.Uint16(b)) },
	} {
		size := layout.Bits() / 8
		for _, shape := range [][2]int{{1, 1}, {16, 4}, {37, 10}, {5, 7}, {17, 511}, {16, 512}, {20, 1027}, {3, 2304}} {
			rows, cols := shape[0], shape[1]
			data := make([]byte, rows*cols*size)
			for i := range data {
				data[i] = byte(r.Uint32()) & 0xbf // no infinity and no NaN
			}
			want, wantBlock, err := New(layout, rows, cols)
			if err != nil {
				t.Fatal(err)
			}
			got, gotBlock, err := New(layout, rows, cols)
			if err != nil {
				t.Fatal(err)
			}
			row := make([]float32, cols)
			for i := range rows {
				for k := range row {
					row[k] = decode(data[(i*cols+k)*size:])
				}
				want.PackRow(i, row)
			}
			for s := range got.Strips() {
				got.PackFloats(s, data[s*16*cols*size:min(s*16+16, rows)*cols*size])
			}
			if !bytes.Equal(got.Data, want.Data) {
				t.Errorf("%v %dx%d: differs from PackRow", layout, rows, cols)
			}
			for _, b := range []interface{ Free() error }{wantBlock, gotBlock} {
				if err := b.Free(); err != nil {
					t.Error(err)
				}
			}
		}
	}
}

func BenchmarkPackFloats(b *testing.B) {
	for _, l := range []Layout{F32, F16, BF16} {
		b.Run(fmt.Sprintf("layout=%v", l), func(b *testing.B) {
			m, block, err := New(l, 16, 2304)
			if err != nil {
				b.Fatal(err)
			}
			defer block.Free()
			data := make([]byte, len(m.Data))
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				m.PackFloats(0, data)
			}
		})
	}
}
