//go:build !noasm

package kernel

import "unsafe"

// mulRoundedNeon is mulRoundedRef. Each chain of a group of 4 tokens is one pass over a block of weights; 1 or 2 tokens have both
// chains in registers.
func mulRoundedNeon(out *float32, outStride int, w *byte, panel *float32, width, k4, tokens int) {
	var acc [2 * MaxPanel * 16]float32 // [chain][token][row]
	block := blockFloat
	if width == 1 {
		block *= 16
	}
	for i := 0; i < k4; i += block {
		n := min(block, k4-i)
		wi, pi := (*byte)(unsafe.Add(unsafe.Pointer(w), 128*i)), (*float32)(unsafe.Add(unsafe.Pointer(panel), 16*width*i))
		switch width {
		case 1:
			roundedNeon1(&acc[0], wi, pi, n)
		case 2:
			roundedNeon2(&acc[0], wi, pi, n)
		default:
			for t := 0; t < tokens; t += 4 {
				for chain := range 2 {
					roundedNeon4(&acc[(chain*width+t)*16], (*byte)(unsafe.Add(unsafe.Pointer(wi), 64*chain)),
						(*float32)(unsafe.Add(unsafe.Pointer(pi), 8*width*chain+4*t)), 4*width, n)
				}
			}
		}
	}
	o := unsafe.Slice(out, (tokens-1)*outStride+16)
	for t := range tokens {
		c0, c1 := acc[16*t:16*t+16], acc[16*(width+t):16*(width+t)+16]
		for r, c := range c0 {
			o[t*outStride+r] = float32(c+c1[r]) * roundedScale
		}
	}
}

// roundedNeon1 adds to acc[2][16] both chains of a token.
//
//go:noescape
func roundedNeon1(acc *float32, w *byte, panel *float32, k4 int)

// roundedNeon2 adds to acc[2][2][16] both chains of two tokens.
//
//go:noescape
func roundedNeon2(acc *float32, w *byte, panel *float32, k4 int)

// roundedNeon4 adds to acc[4][16] one chain of 4 tokens, every other pair of k; the k of the panel are stride bytes apart.
//
//go:noescape
func roundedNeon4(acc *float32, w *byte, panel *float32, stride, k4 int)
