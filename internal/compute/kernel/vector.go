package kernel

import (
	"fmt"
	"math"
)

// RMSNorm writes x / sqrt(mean(x^2) + eps) * w to dst (arXiv:1910.07467; Gemma's weights are passed as 1+w). x is padded
// with zeros to a multiple of 16; n is its true length, the divisor of the mean. dst may be x.
func RMSNorm(dst, x, w []float32, n int, eps float32) {
	mustPad("RMSNorm", x)
	mustEqual("RMSNorm", len(x), len(dst), len(w))
	mean := active.sumSquares(x) / float32(n)
	r := 1 / float32(math.Sqrt(float64(mean+eps))) // both steps correctly rounded, so equal on every CPU
	active.scaleMul(dst, x, w, r)
}

// Add adds y to x.
func Add(x, y []float32) {
	mustPad("Add", x)
	mustEqual("Add", len(x), len(y), len(x))
	active.add(x, y)
}

// Rotate applies rotary position embedding to one head in place (RoFormer, arXiv:2104.09864, with the half-split pairs of
// the Hugging Face implementation: element j turns with element j+len(cos)). cos and sin are those of the head's angles.
func Rotate(head, cos, sin []float32) {
	h := len(cos)
	if len(sin) != h || len(head) < 2*h {
		panic(fmt.Sprintf("kernel.Rotate: len(head)=%d, len(cos)=%d, len(sin)=%d", len(head), h, len(sin)))
	}
	if h%16 != 0 { // odd sizes; the same bits, since each pair is on its own
		rotateRef(head[:h], head[h:2*h], cos, sin)
		return
	}
	active.rotate(head[:h], head[h:2*h], cos, sin)
}

// Softcap replaces each x by limit*tanh(x*scale/limit), or by x*scale when limit is 0 (arXiv:2408.00118, section 2).
func Softcap(x []float32, scale, limit float32) {
	mustPad("Softcap", x)
	active.softcap(x, scale, limit)
}

// GeluMul writes gelu(gate)*up to dst, with the tanh form of GELU. dst may be gate or up.
func GeluMul(dst, gate, up []float32) {
	mustPad("GeluMul", gate)
	mustEqual("GeluMul", len(gate), len(dst), len(up))
	active.geluMul(dst, gate, up)
}

// Max returns the largest element, -Inf for none. The sign of a zero is not defined; NaNs are passed over or returned.
func Max(x []float32) float32 {
	mustPad("Max", x)
	return active.max(x)
}

// ExpSum replaces each x by e^(x-max), for x <= max, and returns their sum in 16 lanes. Pad with -Inf: it becomes 0.
func ExpSum(x []float32, max float32) float32 {
	mustPad("ExpSum", x)
	return active.expSum(x, max)
}

// DotF32 sets scores[j] to the product of q with row j of k, shape [len(scores)][len(q)].
func DotF32(scores, q, k []float32) {
	mustPad("DotF32", q)
	mustEqual("DotF32", len(scores)*len(q), len(k), len(k))
	if len(k) > 0 {
		active.dotF32(scores, q, &k[0])
	}
}

// DotF16 is DotF32 with half-precision rows.
func DotF16(scores, q []float32, k []uint16) {
	mustPad("DotF16", q)
	mustEqual("DotF16", len(scores)*len(q), len(k), len(k))
	if len(k) > 0 {
		active.dotF16(scores, q, &k[0])
	}
}

// AxpyF32 adds p[j] times row j of v to o, row after row, in fused multiply-adds. v has shape [len(p)][len(o)].
func AxpyF32(o, p, v []float32) {
	mustPad("AxpyF32", o)
	mustEqual("AxpyF32", len(p)*len(o), len(v), len(v))
	if len(v) > 0 {
		active.axpyF32(o, p, &v[0])
	}
}

// AxpyF16 is AxpyF32 with half-precision rows.
func AxpyF16(o, p []float32, v []uint16) {
	mustPad("AxpyF16", o)
	mustEqual("AxpyF16", len(p)*len(o), len(v), len(v))
	if len(v) > 0 {
		active.axpyF16(o, p, &v[0])
	}
}

// Finite says whether no element is an infinity or a NaN.
func Finite(x []float32) bool {
	mustPad("Finite", x)
	return active.absMax(x) < 0x7f800000
}

// Scale multiplies each x by s.
func Scale(x []float32, s float32) {
	for i := range x {
		x[i] *= s
	}
}

// Exp is e^x for x <= 0: the function that ExpSum applies.
func Exp(x float32) float32 { return expRef(x) }

func mustPad(name string, x []float32) {
	if len(x)%16 != 0 {
		panic(fmt.Sprintf("kernel.%s: want a multiple of 16 elements, found %d", name, len(x)))
	}
}

func mustEqual(name string, want, a, b int) {
	if a != want || b != want {
		panic(fmt.Sprintf("kernel.%s: want %d elements, found %d and %d", name, want, a, b))
	}
}
