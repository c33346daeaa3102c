package quant

import (
	"encoding/binary"
	"fmt"

	"github.com/systemgemma/systemgemma/internal/compute/blocks"
)

// Q8Grouping, Q4Grouping and Q41Grouping are those of matrices that hold blocks of Q8_0, Q4_0 and Q4_1.
var (
	Q8Grouping  = Grouping{Size: 32, HalfScales: true}
	Q4Grouping  = Grouping{Size: 32, HalfScales: true}
	Q41Grouping = Grouping{Size: 32, HalfScales: true, Mins: true}
)

// BlockFormat is the layout that keeps every bit of blocks of a type: codes of 4 bits in W4G, others in W8G, with the type's
// own groups. Scales that are products of two numbers are stored as float32, where they are exact.
func BlockFormat(f *blocks.Format) (Layout, Grouping) {
	g := Grouping{Size: f.Group, HalfScales: f.Half, Mins: f.Mins}
	if f.Bits == 4 {
		return W4G, g
	}
	return W8G, g
}

// PackBlocks writes strip s from the blocks of its rows, one row after the other, without rounding: the values of Row are those
// of blocks.Decode. The matrix must be of BlockFormat. It is safe for other strips at the same time.
func (m *Matrix) PackBlocks(s int, f *blocks.Format, data []byte) {
	l, g := BlockFormat(f)
	rows := min(StripRows, m.Rows-s*StripRows)
	if m.Layout != l || m.Grouping != g || s < 0 || rows < 1 || m.Cols%f.Elements != 0 || len(data) != rows*m.Cols/f.Elements*f.Bytes {
		panic(fmt.Sprintf("quant.PackBlocks: strip %d of %d bytes of %s in a matrix of %dx%d, %s", s, len(data), f.Name, m.Rows, m.Cols, m.Spec().Format()))
	}
	d, rowBytes := m.Strip(s), len(data)/rows
	scales, mins := m.StripScales(s)
	var b blocks.Block
	for i := range m.Cols / f.Elements { // all rows of a block before the next: what is written stays in the nearest cache
		for lane := range rows {
			f.Unpack(&b, data[lane*rowBytes+i*f.Bytes:][:f.Bytes])
			m.packCodes(d, lane, i*f.Elements, b.Codes[:f.Elements])
			first := i * f.Elements / f.Group * StripRows
			for j := range f.Elements / f.Group {
				m.setScale(scales, first+j*StripRows+lane, b.Scales[j])
				if mins != nil {
					m.setScale(mins, first+j*StripRows+lane, b.Mins[j])
				}
			}
		}
	}
}

// packCodes writes the codes of columns k, k+1 ... of one row; k and their number are multiples of 8.
func (m *Matrix) packCodes(d []byte, lane, k int, codes []byte) {
	const low, high, bias = 0x0f0f0f0f, 0x8080808080808080, 0x0808080808080808
	if m.Layout == W8G {
		d = d[k/4*64+4*lane:]
		for i := 0; i < len(codes); i += 4 {
			binary.LittleEndian.PutUint32(d[16*i:], binary.LittleEndian.Uint32(codes[i:]))
		}
		return
	}
	d = d[k/8*64+4*lane:]
	for i := 0; i < len(codes); i += 8 {
		x := binary.LittleEndian.Uint64(codes[i:])
		if m.Mins == nil {
			x = x ^ high + bias // -8 to 7 become 0 to 15 in the lower four bits, and no byte carries into the next
		}
		binary.LittleEndian.PutUint32(d[8*i:], uint32(x)&low|uint32(x>>32)&low<<4)
	}
}
