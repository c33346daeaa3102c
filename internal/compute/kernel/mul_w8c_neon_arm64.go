//go:build !noasm

package kernel

import "unsafe"

// blockW8C is how many tiles one pass takes: 16 KiB of weights and as much of a full panel, so that both stay in a 64 KiB
// first-level cache (Cortex-A76) while one group of 4 tokens after the other passes over them. It also bounds the time
// of one assembly call, which the scheduler cannot interrupt.
const blockW8C = 256

// mulW8CNeon is mulW8CRef; the signed product needs no row sums. Columns are multiplied in groups of at most 4.
func mulW8CNeon(out *float32, outStride int, w *byte, wScale *float32, _ *int32, panel *uint8, width, k4 int, aScale *float32, tokens int) {
	switch width {
	case 1:
		var acc [16]int32
		dotW8CNeon1(&acc, w, panel, k4)
		scaleW8CNeon(out, outStride, &acc[0], wScale, aScale, tokens)
	case 2:
		var acc [2][16]int32
		dotW8CNeon2(&acc, w, panel, k4)
		scaleW8CNeon(out, outStride, &acc[0][0], wScale, aScale, tokens)
	default:
		var acc [MaxPanel][16]int32
		for i := 0; i < k4; i += blockW8C {
			n := min(blockW8C, k4-i)
			wi, pi := unsafe.Add(unsafe.Pointer(w), 64*i), unsafe.Add(unsafe.Pointer(panel), 4*width*i)
			for t := 0; t < tokens; t += 4 {
				dotW8CNeon4(&acc[t][0], (*byte)(wi), (*uint8)(unsafe.Add(pi, 4*t)), 4*width, n)
			}
		}
		scaleW8CNeon(out, outStride, &acc[0][0], wScale, aScale, tokens)
	}
}

// dotW8CNeon1 sets acc[r] to the product of row r with the only token.
//
//go:noescape
func dotW8CNeon1(acc *[16]int32, w *byte, panel *uint8, k4 int)

// dotW8CNeon2 sets acc[t][r] to the product of row r with token t.
//
//go:noescape
func dotW8CNeon2(acc *[2][16]int32, w *byte, panel *uint8, k4 int)

// dotW8CNeon4 adds to acc[4][16] the products with 4 tokens of a panel whose steps of 4 k are stride bytes apart.
//
//go:noescape
func dotW8CNeon4(acc *int32, w *byte, panel *uint8, stride, k4 int)

// scaleW8CNeon writes the scaled sums of tokens columns to out.
//
//go:noescape
func scaleW8CNeon(out *float32, stride int, acc *int32, wScale, aScale *float32, tokens int)
