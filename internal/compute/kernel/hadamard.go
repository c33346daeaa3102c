package kernel

import (
	"fmt"
	"math"
)

// Hadamard multiplies each block of x with the orthonormal Hadamard matrix H/sqrt(block), in natural (Sylvester) order, in
// place. It spreads what is large in one element over its block, so that rounding to int8 loses less, and it is its own
// inverse: (W H)(H x) = W x. block is 16, 32, 64, 128 or 256 and divides len(x).
//
// For distances 1, 2, 4 ... block/2 in this order each pair (a, b) that far apart becomes (a+b, a-b), both rounded; then each
// element is multiplied with float32(1/sqrt(block)).
func Hadamard(x []float32, block int) {
	if block < 16 || block > 256 || block&(block-1) != 0 || len(x)%block != 0 {
		panic(fmt.Sprintf("kernel.Hadamard: len(x)=%d, block=%d", len(x), block))
	}
	scale := float32(1 / math.Sqrt(float64(block)))
	for ; len(x) > 0; x = x[block:] {
		active.hadamard(x[:block], scale)
	}
}

func hadamardRef(x []float32, scale float32) {
	for d := 1; d < len(x); d *= 2 {
		for i := 0; i < len(x); i += 2 * d {
			lo, hi := x[i:i+d], x[i+d:i+2*d]
			for j, a := range lo {
				b := hi[j]
				lo[j], hi[j] = a+b, a-b
			}
		}
	}
	for i := range x {
		x[i] *= scale
	}
}
