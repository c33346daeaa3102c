//go:build !noasm

package kernel

import "unsafe"

// blockFloat is how many steps of 4 k one pass takes: at most 16 KiB of weights and 16 KiB of a full panel, so that both
// stay in a 64 KiB first-level cache (Cortex-A76) between passes. It also bounds the time of one assembly call.
const blockFloat = 64

// A floatLayout is one of the float weight layouts.
type floatLayout int

const (
	layoutF32 floatLayout = iota
	layoutBF16
	layoutF16
)

// step is the bytes of 4 k of a strip.
func (l floatLayout) step() int {
	if l == layoutF32 {
		return 256
	}
	return 128
}

func mulF32Neon(out *float32, outStride int, w *byte, panel *float32, width, k4, tokens int) {
	mulFloatNeon(layoutF32, out, outStride, w, panel, width, k4, tokens)
}

func mulBF16Neon(out *float32, outStride int, w *byte, panel *float32, width, k4, tokens int) {
	mulFloatNeon(layoutBF16, out, outStride, w, panel, width, k4, tokens)
}

func mulF16Neon(out *float32, outStride int, w *byte, panel *float32, width, k4, tokens int) {
	mulFloatNeon(layoutF16, out, outStride, w, panel, width, k4, tokens)
}

// mulFloatNeon is mulFloatRef. The sums of each group of min(width, 4) tokens are kept in acc, as the assembly orders them.
func mulFloatNeon(l floatLayout, out *float32, outStride int, w *byte, panel *float32, width, k4, tokens int) {
	switch { // the smallest array that will do, since Go clears it
	case width <= 2:
		var acc [2 * 64]float32
		l.dot(acc[:], w, panel, width, k4, tokens)
		sumChains(out, outStride, acc[:], width, tokens)
	case width == 4:
		var acc [4 * 64]float32
		l.dot(acc[:], w, panel, width, k4, tokens)
		sumChains(out, outStride, acc[:], width, tokens)
	default:
		var acc [MaxPanel * 64]float32
		l.dot(acc[:], w, panel, width, k4, tokens)
		sumChains(out, outStride, acc[:], width, tokens)
	}
}

// dot adds the products of a strip to acc, 64 sums (16 rows in 4 chains) a token.
func (l floatLayout) dot(acc []float32, w *byte, panel *float32, width, k4, tokens int) {
	block := blockFloat
	if width == 1 {
		block *= 16 // a single pass reads nothing twice; only the time of one call bounds it
	}
	for i := 0; i < k4; i += block {
		n := min(block, k4-i)
		wi := (*byte)(unsafe.Add(unsafe.Pointer(w), l.step()*i))
		for t := 0; t < tokens; t += 4 {
			l.dotBlock(&acc[64*t], wi, (*float32)(unsafe.Add(unsafe.Pointer(panel), 4*(4*width*i+t))), width, n)
		}
	}
}

// dotBlock adds k4 steps of at most 4 tokens to acc.
func (l floatLayout) dotBlock(acc *float32, w *byte, panel *float32, width, k4 int) {
	switch l {
	case layoutF32:
		switch width {
		case 1:
			mulF32Neon1(acc, w, panel, k4)
		case 2:
			mulF32Neon2(acc, w, panel, k4)
		default:
			mulF32Neon4(acc, w, panel, 4*width, k4)
		}
	case layoutBF16:
		switch width {
		case 1:
			mulBF16Neon1(acc, w, panel, k4)
		case 2:
			mulBF16Neon2(acc, w, panel, k4)
		default:
			mulBF16Neon4(acc, w, panel, 4*width, k4)
		}
	case layoutF16:
		switch width {
		case 1:
			mulF16Neon1(acc, w, panel, k4)
		case 2:
			mulF16Neon2(acc, w, panel, k4)
		default:
			mulF16Neon4(acc, w, panel, 4*width, k4)
		}
	}
}

// sumChains writes (0+1) + (2+3) of each row's chains. For groups of T tokens acc has the shape
// [tokens/T][pass, T][chain, 4][token, T][row of the pass, 16/T].
func sumChains(out *float32, outStride int, acc []float32, width, tokens int) {
	o := unsafe.Slice(out, (tokens-1)*outStride+16)
	group := min(width, 4)
	rows := 16 / group
	for t := range tokens {
		a, row := acc[64*(t&^(group-1)):][:64*group], o[t*outStride:][:16]
		for r := range row {
			c := a[64*(r/rows)+rows*(t&(group-1))+r&(rows-1):][:49]
			row[r] = (c[0] + c[16]) + (c[32] + c[48])
		}
	}
}

// The functions below add k4 steps of 4 k to acc, for the number of tokens that ends their names; stride is the bytes
// between the k of the panel.

//go:noescape
func mulF32Neon1(acc *float32, w *byte, panel *float32, k4 int)

//go:noescape
func mulF32Neon2(acc *float32, w *byte, panel *float32, k4 int)

//go:noescape
func mulF32Neon4(acc *float32, w *byte, panel *float32, stride, k4 int)

//go:noescape
func mulBF16Neon1(acc *float32, w *byte, panel *float32, k4 int)

//go:noescape
func mulBF16Neon2(acc *float32, w *byte, panel *float32, k4 int)

//go:noescape
func mulBF16Neon4(acc *float32, w *byte, panel *float32, stride, k4 int)

//go:noescape
func mulF16Neon1(acc *float32, w *byte, panel *float32, k4 int)

//go:noescape
func mulF16Neon2(acc *float32, w *byte, panel *float32, k4 int)

//go:noescape
func mulF16Neon4(acc *float32, w *byte, panel *float32, stride, k4 int)
