package kernel

import (
	"fmt"
	"math"
	"unsafe"
)

// KeyBlock divides the number of keys of each dot product: no kernel has a tail of keys.
const KeyBlock = 16

// attention are the functions of a set that read cached keys and values: several queries at once, so that a row is read and
// widened once for them. See DotF32 and AxpyF32 for their meaning; how queries are grouped changes no bit.
type attention struct {
	dotF32  func(scores *float32, stride int, q *float32, queries, dim int, k *float32, keys int, next *float32)
	dotF16  func(scores *float32, stride int, q *float32, queries, dim int, k *uint16, keys int, next *uint16)
	dotI8   func(scores *float32, stride int, q *float32, queries, dim int, k *int8, keys int, next *int8)
	axpyF32 func(o, p *float32, stride, queries, dim int, v *float32, keys int, next *float32)
	axpyF16 func(o, p *float32, stride, queries, dim int, v *uint16, keys int, next *uint16)
	axpyI8  func(o, p *float32, stride, queries, dim int, v *int8, keys int, next *int8)

	toF16 func(dst *uint16, x []float32)
}

// DotF32 sets scores[i*stride+j] to the product of query i with key j, for each of the len(q)/dim queries and len(k)/dim
// keys. q and k have rows of dim floats, dim a multiple of 16; keys are a multiple of KeyBlock. Lane l of 16 sums the
// elements l, l+16, ... in fused multiply-adds, and the fixed tree of reduce joins the lanes.
//
// next is what will be read after k: it may be fetched into the cache meanwhile. It changes no result; nil if unknown.
func DotF32(scores []float32, stride int, q []float32, dim int, k, next []float32) {
	if queries, keys := dots("DotF32", scores, stride, q, dim, len(k)); queries*keys > 0 {
		active.dotF32(&scores[0], stride, &q[0], queries, dim, &k[0], keys, ahead(k, next))
	}
}

// DotF16 is DotF32 with half-precision keys.
func DotF16(scores []float32, stride int, q []float32, dim int, k, next []uint16) {
	if queries, keys := dots("DotF16", scores, stride, q, dim, len(k)); queries*keys > 0 {
		active.dotF16(&scores[0], stride, &q[0], queries, dim, &k[0], keys, ahead(k, next))
	}
}

// DotI8 is DotF32 with int8 keys, made float32: their scales are for the caller to multiply.
func DotI8(scores []float32, stride int, q []float32, dim int, k, next []int8) {
	if queries, keys := dots("DotI8", scores, stride, q, dim, len(k)); queries*keys > 0 {
		active.dotI8(&scores[0], stride, &q[0], queries, dim, &k[0], keys, ahead(k, next))
	}
}

// AxpyF32 adds p[i*stride+j] times value j to row i of o, for each of the len(o)/dim queries and len(v)/dim values, one
// value after the other, in fused multiply-adds. dim is a multiple of 16. next is as in DotF32.
func AxpyF32(o []float32, dim int, p []float32, stride int, v, next []float32) {
	if queries, keys := sums("AxpyF32", o, dim, p, stride, len(v)); queries*keys > 0 {
		active.axpyF32(&o[0], &p[0], stride, queries, dim, &v[0], keys, ahead(v, next))
	}
}

// AxpyF16 is AxpyF32 with half-precision values.
func AxpyF16(o []float32, dim int, p []float32, stride int, v, next []uint16) {
	if queries, keys := sums("AxpyF16", o, dim, p, stride, len(v)); queries*keys > 0 {
		active.axpyF16(&o[0], &p[0], stride, queries, dim, &v[0], keys, ahead(v, next))
	}
}

// AxpyI8 is AxpyF32 with int8 values, made float32: their scales are for the caller to multiply into p.
func AxpyI8(o []float32, dim int, p []float32, stride int, v, next []int8) {
	if queries, keys := sums("AxpyI8", o, dim, p, stride, len(v)); queries*keys > 0 {
		active.axpyI8(&o[0], &p[0], stride, queries, dim, &v[0], keys, ahead(v, next))
	}
}

// ahead is where next lies if it has as much as rows, else rows themselves, which are in the cache anyway.
func ahead[T any](rows, next []T) *T {
	if len(next) < len(rows) {
		next = rows
	}
	return &next[0]
}

// ToF16 rounds x to half precision as half.ToF16 does.
func ToF16(dst []uint16, x []float32) {
	mustPad("ToF16", x)
	mustEqual("ToF16", len(x), len(dst), len(x))
	if len(x) > 0 {
		active.toF16(&dst[0], x)
	}
}

// ToI8 rounds x to int8 and returns its scale, as Quantize does; the bytes are the same on every CPU.
func ToI8(dst []int8, x []float32) (scale float32) {
	mustPad("ToI8", x)
	mustEqual("ToI8", len(x), len(dst), len(x))
	if len(x) == 0 {
		return 0
	}
	scale = math.Float32frombits(active.absMax(x)) / 127
	if scale == 0 || math.IsInf(float64(scale), 0) || scale != scale {
		clear(dst)
		return scale
	}
	active.quantizeSigned((*uint8)(unsafe.Pointer(&dst[0])), 4, x, scale)
	return scale
}

// dots checks the shapes of a dot product and returns its queries and keys.
func dots(name string, scores []float32, stride int, q []float32, dim, k int) (queries, keys int) {
	if dim > 0 {
		queries, keys = len(q)/dim, k/dim
	}
	if dim <= 0 || dim%16 != 0 || len(q) != queries*dim || k != keys*dim || keys%KeyBlock != 0 || stride < keys || queries > 0 && len(scores) < (queries-1)*stride+keys {
		panic(fmt.Sprintf("kernel.%s: len(scores)=%d, stride=%d, len(q)=%d, dim=%d, len(k)=%d", name, len(scores), stride, len(q), dim, k))
	}
	return queries, keys
}

// sums checks the shapes of a weighted sum and returns its queries and keys.
func sums(name string, o []float32, dim int, p []float32, stride, v int) (queries, keys int) {
	if dim > 0 {
		queries, keys = len(o)/dim, v/dim
	}
	if dim <= 0 || dim%16 != 0 || len(o) != queries*dim || v != keys*dim || stride < keys || queries > 0 && len(p) < (queries-1)*stride+keys {
		panic(fmt.Sprintf("kernel.%s: len(o)=%d, dim=%d, len(p)=%d, stride=%d, len(v)=%d", name, len(o), dim, len(p), stride, v))
	}
	return queries, keys
}
