package kernel

import (
	"unsafe"

	"github.com/systemgemma/systemgemma/internal/compute/half"
)

var attentionReference = attention{
	dotF32: dotF32Ref, dotF16: dotF16Ref, dotI8: dotI8Ref,
	axpyF32: axpyF32Ref, axpyF16: axpyF16Ref, axpyI8: axpyI8Ref,
	toF16: toF16Ref,
}

func dotF32Ref(scores *float32, stride int, q *float32, queries, dim int, k *float32, keys int, _ *float32) {
	dotRef(scores, stride, q, queries, dim, k, keys, func(x float32) float32 { return x })
}

func dotF16Ref(scores *float32, stride int, q *float32, queries, dim int, k *uint16, keys int, _ *uint16) {
	dotRef(scores, stride, q, queries, dim, k, keys, half.FromF16)
}

func dotI8Ref(scores *float32, stride int, q *float32, queries, dim int, k *int8, keys int, _ *int8) {
	dotRef(scores, stride, q, queries, dim, k, keys, func(x int8) float32 { return float32(x) })
}

func dotRef[T any](scores *float32, stride int, q *float32, queries, dim int, k *T, keys int, widen func(T) float32) {
	s, qs, ks := unsafe.Slice(scores, (queries-1)*stride+keys), unsafe.Slice(q, queries*dim), unsafe.Slice(k, keys*dim)
	row := make([]float32, 0, 512)
	for j := range keys {
		row = row[:0]
		for _, x := range ks[j*dim : (j+1)*dim] {
			row = append(row, widen(x))
		}
		for i := range queries {
			var lanes [16]float32
			for c, x := range qs[i*dim : (i+1)*dim] {
				lanes[c%16] = fma32(x, row[c], lanes[c%16])
			}
			s[i*stride+j] = reduce(&lanes)
		}
	}
}

func axpyF32Ref(o, p *float32, stride, queries, dim int, v *float32, keys int, _ *float32) {
	axpyRef(o, p, stride, queries, dim, v, keys, func(x float32) float32 { return x })
}

func axpyF16Ref(o, p *float32, stride, queries, dim int, v *uint16, keys int, _ *uint16) {
	axpyRef(o, p, stride, queries, dim, v, keys, half.FromF16)
}

func axpyI8Ref(o, p *float32, stride, queries, dim int, v *int8, keys int, _ *int8) {
	axpyRef(o, p, stride, queries, dim, v, keys, func(x int8) float32 { return float32(x) })
}

func axpyRef[T any](o, p *float32, stride, queries, dim int, v *T, keys int, widen func(T) float32) {
	os, ps, vs := unsafe.Slice(o, queries*dim), unsafe.Slice(p, (queries-1)*stride+keys), unsafe.Slice(v, keys*dim)
	for j := range keys {
		for c, x := range vs[j*dim : (j+1)*dim] {
			w := widen(x)
			for i := range queries {
				os[i*dim+c] = fma32(ps[i*stride+j], w, os[i*dim+c])
			}
		}
	}
}

func toF16Ref(dst *uint16, x []float32) {
	d := unsafe.Slice(dst, len(x))
	for i, v := range x {
		d[i] = half.ToF16(v)
	}
}
