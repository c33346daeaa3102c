//go:build !noasm

package kernel

import "unsafe"

// mulW8CI8MM is mulW8CRef by SMMLA for 4 tokens and more: its tile is 2 tokens x 2 rows x 8 k, so it takes pairs of W8C's tiles.
// One or two tokens, where memory is the limit, and the last tile of an odd number go as mulW8CNeon does them.
func mulW8CI8MM(out *float32, outStride int, w *byte, wScale *float32, wSum *int32, panel *uint8, width, k4 int, aScale *float32, tokens int) {
	if width < 4 {
		mulW8CNeon(out, outStride, w, wScale, wSum, panel, width, k4, aScale, tokens)
		return
	}
	var acc [MaxPanel][16]int32
	for i := 0; i < k4; i += blockW8C {
		n := min(blockW8C, k4-i)
		wi, pi := unsafe.Add(unsafe.Pointer(w), 64*i), unsafe.Add(unsafe.Pointer(panel), 4*width*i)
		for t := 0; t < tokens; t += 4 {
			p := unsafe.Add(pi, 4*t)
			if n > 1 {
				dotW8CI8MM4(&acc[t][0], (*byte)(wi), (*uint8)(p), 4*width, n/2)
			}
			if n%2 == 1 {
				dotW8CNeon4(&acc[t][0], (*byte)(unsafe.Add(wi, 64*(n-1))), (*uint8)(unsafe.Add(p, 4*width*(n-1))), 4*width, 1)
			}
		}
	}
	scaleW8CNeon(out, outStride, &acc[0][0], wScale, aScale, tokens)
}

// dotW8CI8MM4 adds to acc[4][16] the products of pairs of tiles with 4 tokens of a panel whose steps of 4 k are stride bytes apart.
//
//go:noescape
func dotW8CI8MM4(acc *int32, w *byte, panel *uint8, stride, pairs int)
