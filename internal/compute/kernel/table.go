package kernel

import (
	"fmt"
	"unsafe"
)

// tableCols is the number of columns that share a scale in W4L.
const tableCols = 64

// ExpandW4L writes a W4L strip as an F32 strip, shape [k][16], for MulF32: the product of a weight's number in the table and
// its scale, rounded once. w has 4 bits a weight, [k/8][16 rows][4 bytes], byte j with column j low and column j+4 high;
// scales are [k/64][16 rows]. k is a multiple of 64.
func ExpandW4L(dst []float32, w []byte, scales []float32, table []float32) {
	blocks := len(w) / (8 * tableCols)
	if blocks == 0 || len(w)%(8*tableCols) != 0 || len(dst) < blocks*16*tableCols || len(scales) != 16*blocks || len(table) != 16 {
		panic(fmt.Sprintf("kernel.ExpandW4L: len(dst)=%d, len(w)=%d, len(scales)=%d, len(table)=%d", len(dst), len(w), len(scales), len(table)))
	}
	active.expandW4L(&dst[0], &w[0], &scales[0], &table[0], blocks)
}

func expandW4LRef(dst *float32, w *byte, scales, table *float32, blocks int) {
	d, ws := unsafe.Slice(dst, blocks*16*tableCols), unsafe.Slice(w, blocks*8*tableCols)
	ss, ts := unsafe.Slice(scales, 16*blocks), unsafe.Slice(table, 16)
	for k := range blocks * tableCols {
		for r := range 16 {
			d[16*k+r] = ts[ws[k/8*64+4*r+k%4]>>(k&4)&15] * ss[k/tableCols*16+r]
		}
	}
}
