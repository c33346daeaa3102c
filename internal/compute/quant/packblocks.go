package quant

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/systemgemma/systemgemma/internal/compute/blocks"
)

// Q8Grouping, Q4Grouping and Q41Grouping are those of matrices that hold blocks of Q8_0, Q4_0 and Q4_1.
var (
	Q8Grouping  = Grouping{Size: 32, HalfScales: true}
	Q4Grouping  = Grouping{Size: 32, HalfScales: true}
	Q41Grouping = Grouping{Size: 32, HalfScales: true, Mins: true}
)

// BlockFormat is the layout that keeps every bit of blocks of a type: codes of 4 bits in W4G, others in W8G, with the type's
// own groups. Scales that are products of two numbers are stored as float32, where they are exact, so that these types take
// more memory than in their file: bits per weight, in the file and here,
//
//	Q2_K 2.6, 12    Q3_K 3.4, 10    Q4_K 4.5, 6    Q5_K 5.5, 10    Q6_K 6.6, 10    IQ4_XS 4.3, 9
//	Q5_0 5.5, 8.5   Q5_1 6, 9       IQ4_NL 4.5, 8.5                Q8_0, Q4_0, Q4_1 the same
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
	const near = 1024 // columns of each row before the next row's: source and strip stay in the nearest cache
	for first := 0; first < m.Cols; first += near {
		for lane := range rows {
			for k := first; k < min(first+near, m.Cols); k += f.Elements {
				m.packBlock(d, scales, mins, lane, k, f, &b, data[lane*rowBytes+k/f.Elements*f.Bytes:][:f.Bytes])
			}
		}
	}
}

// packBlock writes one block, which begins at column k of a row. b is scratch.
func (m *Matrix) packBlock(d, scales, mins []byte, lane, k int, f *blocks.Format, b *blocks.Block, block []byte) {
	f.Unpack(b, block)
	codes, tiles := b.Codes[:f.Elements], d[StripRows*k*f.Bits/8+4*lane:]
	switch {
	case f.Bits == 8:
		putBytes(tiles, codes)
	case f.Mins:
		putNibbles(tiles, codes)
	default:
		putSignedNibbles(tiles, codes)
	}
	first, groups := k/f.Group*StripRows+lane, f.Elements/f.Group
	if f.Half { // one group, whose scale and minimum come first: as they are
		copy(scales[2*first:2*first+2], block)
		if f.Mins {
			copy(mins[2*first:2*first+2], block[2:])
		}
		return
	}
	putScales(scales[4*first:], b.Scales[:groups])
	if f.Mins {
		putScales(mins[4*first:], b.Mins[:groups])
	}
}

// putBytes writes the codes of one row to its places in W8G tiles.
func putBytes(tiles, codes []byte) {
	for i := 0; i+8 <= len(codes); i += 8 {
		x, at := binary.LittleEndian.Uint64(codes[i:]), 16*i
		binary.LittleEndian.PutUint32(tiles[at+64:], uint32(x>>32))
		binary.LittleEndian.PutUint32(tiles[at:], uint32(x))
	}
}

// putNibbles writes codes of 0 to 15 to W4G tiles.
func putNibbles(tiles, codes []byte) {
	for i := 0; i+8 <= len(codes); i += 8 {
		x := binary.LittleEndian.Uint64(codes[i:])
		binary.LittleEndian.PutUint32(tiles[8*i:], uint32(x|x>>28))
	}
}

// putSignedNibbles writes codes of -8 to 7 as 0 to 15.
func putSignedNibbles(tiles, codes []byte) {
	const sign, bias, low = 0x8080808080808080, 0x0808080808080808, 0x0f0f0f0f0f0f0f0f
	for i := 0; i+8 <= len(codes); i += 8 {
		x := (binary.LittleEndian.Uint64(codes[i:]) ^ sign + bias) & low // no byte carries into the next
		binary.LittleEndian.PutUint32(tiles[8*i:], uint32(x|x>>28))
	}
}

// putScales writes float32s 16 apart: those of one row.
func putScales(dst []byte, scales []float32) {
	for i, v := range scales {
		binary.LittleEndian.PutUint32(dst[4*StripRows*i:], math.Float32bits(v))
	}
}
