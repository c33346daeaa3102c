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

// Finite says whether no element is an infinity or a NaN.
func Finite(x []float32) bool {
	mustPad("Finite", x)
	return active.absMax(x) < 0x7f800000
}

// Scale multiplies each x by s.
func Scale(x []float32, s float32) {
	n := len(x) &^ 15
	active.softcap(x[:n], s, 0) // no cap: the product alone
	for i := range x[n:] {
		x[n+i] *= s
	}
}

// Mul multiplies each x by its y.
func Mul(x, y []float32) {
	mustPad("Mul", x)
	mustEqual("Mul", len(x), len(y), len(x))
	active.scaleMul(x, x, y, 1)
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
