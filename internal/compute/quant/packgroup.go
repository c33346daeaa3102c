package quant

import (
	"encoding/binary"
	"fmt"
	"math"
)

// packGroups rounds a row of floats, one group after the other, by the formulas of golden/quant (group.*). Each scale is
// rounded to the type in which it is stored before a weight is divided by it.
//
//	without minima: scale = absmax / 127 (W4G: 7), q = x/scale, half to even, within ±127 (±7)
//	with minima:    lo = min(x, 0), hi = max(x, 0), scale = (hi-lo) / 255 (15), zero = -lo/scale, half to even,
//	                q = x/scale, half to even, + zero, within 0 to 255 (15); the minimum is -zero*scale
//
// W8G stores q-128 in the second case, and 128*scale more as its minimum.
func (m *Matrix) packGroups(r int, w []float32) {
	d, lane, size := m.Strip(r/StripRows), r%StripRows, m.Grouping.Size
	scales, mins := m.StripScales(r / StripRows)
	for g := range len(w) / size {
		x, i := w[g*size:(g+1)*size], g*StripRows+lane
		if mins == nil {
			m.packSymmetric(d, lane, g*size, x, scales, i)
		} else {
			m.packAsymmetric(d, lane, g*size, x, scales, mins, i)
		}
	}
}

func (m *Matrix) packSymmetric(d []byte, lane, first int, x []float32, scales []byte, i int) {
	limit, zero := 127, 0
	if m.Layout == W4G {
		limit, zero = 7, 8
	}
	var top float32
	for _, v := range x {
		top = max(top, float32(math.Abs(float64(v))))
	}
	m.setScale(scales, i, top/float32(limit))
	scale := m.scale(scales, i)
	for k, v := range x {
		m.setCode(d, lane, first+k, zero+round(v, scale, -limit, limit))
	}
}

func (m *Matrix) packAsymmetric(d []byte, lane, first int, x []float32, scales, mins []byte, i int) {
	limit, shift := 255, 128
	if m.Layout == W4G {
		limit, shift = 15, 0
	}
	var lo, hi float32
	for _, v := range x {
		lo, hi = min(lo, v), max(hi, v)
	}
	m.setScale(scales, i, (hi-lo)/float32(limit))
	scale := m.scale(scales, i)
	zero := round(-lo, scale, 0, limit)
	m.setScale(mins, i, float32(shift-zero)*scale)
	for k, v := range x {
		q := min(max(round(v, scale, -limit, limit)+zero, 0), limit)
		m.setCode(d, lane, first+k, q-shift)
	}
}

// round is v/scale, half to even, within [lo, hi]; 0 where the scale is 0.
func round(v, scale float32, lo, hi int) int {
	if scale == 0 {
		return 0
	}
	return int(min(max(math.RoundToEven(float64(v/scale)), float64(lo)), float64(hi)))
}

// Blocks of 32 weights in GGUF's types (formats: ggml's block_q8_0, block_q4_0, block_q4_1), and how a matrix holds them.
const (
	blockCols = 32
	q8Bytes   = 2 + 32     // scale, int8
	q4Bytes   = 2 + 16     // scale, nibbles: element i low in byte i, element i+16 high
	q41Bytes  = 2 + 2 + 16 // scale, minimum, nibbles
)

// Q8Grouping, Q4Grouping and Q41Grouping are those of matrices that PackBlocks fills.
var (
	Q8Grouping  = Grouping{Size: blockCols, HalfScales: true}
	Q4Grouping  = Grouping{Size: blockCols, HalfScales: true}
	Q41Grouping = Grouping{Size: blockCols, HalfScales: true, Mins: true}
)

// PackBlocks writes row r from GGUF blocks without rounding anything again: Q8_0 into W8G, Q4_0 and, with minima, Q4_1 into
// W4G, groups of 32 with half-precision scales. It is safe for other rows at the same time.
func (m *Matrix) PackBlocks(r int, blocks []byte) {
	size := q8Bytes
	switch {
	case m.Layout == W4G && m.Mins != nil:
		size = q41Bytes
	case m.Layout == W4G:
		size = q4Bytes
	}
	if r < 0 || r >= m.Rows || len(blocks) != m.Cols/blockCols*size || !m.Grouping.HalfScales || m.Grouping.Size != blockCols {
		panic(fmt.Sprintf("quant.PackBlocks: row %d of %d bytes in a matrix of %dx%d, %s", r, len(blocks), m.Rows, m.Cols, m.Spec().Format()))
	}
	d, lane := m.Strip(r/StripRows), r%StripRows
	scales, mins := m.StripScales(r / StripRows)
	for b := range m.Cols / blockCols {
		block, i := blocks[b*size:(b+1)*size], 2*(b*StripRows+lane)
		copy(scales[i:i+2], block)
		block = block[2:]
		if mins != nil {
			copy(mins[i:i+2], block)
			block = block[2:]
		}
		if m.Layout == W8G {
			for k := 0; k < blockCols; k += 4 {
				at := (b*blockCols+k)/4*64 + 4*lane
				copy(d[at:at+4], block[k:k+4])
			}
			continue
		}
		for k := 0; k < blockCols; k += 8 { // 8 elements share 4 bytes: the first four are the low nibbles
			high := k / 16 * 4 // bits by which elements 16 to 31 lie higher
			lo := binary.LittleEndian.Uint32(block[k%16:]) >> high & 0x0f0f0f0f
			hi := binary.LittleEndian.Uint32(block[k%16+4:]) >> high & 0x0f0f0f0f
			binary.LittleEndian.PutUint32(d[(b*blockCols+k)/8*64+4*lane:], lo|hi<<4)
		}
	}
}
