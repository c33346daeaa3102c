package quant

import (
	"encoding/binary"
	"fmt"
)

// PackFloats writes strip s of an F32, F16 or BF16 matrix from its rows, one after the other, which are little-endian numbers
// of that very type: they are moved, not rounded. It is safe for other strips at the same time.
func (m *Matrix) PackFloats(s int, data []byte) {
	size := m.Layout.Bits() / 8
	rows := min(StripRows, m.Rows-s*StripRows)
	if m.Layout != F32 && m.Layout != F16 && m.Layout != BF16 || s < 0 || rows < 1 || len(data) != rows*m.Cols*size {
		panic(fmt.Sprintf("quant.PackFloats: strip %d of %d bytes in a matrix of %dx%d, %s", s, len(data), m.Rows, m.Cols, m.Spec().Format()))
	}
	d, rowBytes := m.Strip(s), m.Cols*size
	const near = 1024 // bytes of each row before the next row's: source and strip stay in the nearest cache
	for first := 0; first < rowBytes; first += near {
		for lane := range rows {
			row := data[lane*rowBytes:][first:min(first+near, rowBytes)]
			if m.Layout == F16 {
				putHalves(d[16*first+2*lane:], row)
			} else {
				putWords(d[16*first+4*lane:], row) // BF16: two numbers of a row lie together
			}
		}
	}
}

// putWords writes one row's numbers to every sixteenth word of 4 bytes. A BF16 row of odd length ends in half a word.
func putWords(dst, row []byte) {
	for ; len(row) >= 4; row = row[4:] {
		binary.LittleEndian.PutUint32(dst, binary.LittleEndian.Uint32(row))
		dst = dst[min(64, len(dst)):]
	}
	copy(dst, row)
}

// putHalves writes one row's numbers to every sixteenth word of 2 bytes.
func putHalves(dst, row []byte) {
	for ; len(row) >= 2; row = row[2:] {
		binary.LittleEndian.PutUint16(dst, binary.LittleEndian.Uint16(row))
		dst = dst[min(32, len(dst)):]
	}
}
