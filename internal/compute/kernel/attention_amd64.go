//go:build amd64 && !noasm

package kernel

var attentionAVX2 = attention{
	dotF32: dotF32AVX2, dotF16: dotF16AVX2, dotI8: dotI8AVX2,
	axpyF32: axpyF32AVX2, axpyF16: axpyF16AVX2, axpyI8: axpyI8AVX2,
	toF16: toF16AVX2,
}

var attentionAVX512 = attention{
	dotF32: dotF32AVX512, dotF16: dotF16AVX512, dotI8: dotI8AVX512,
	axpyF32: axpyF32AVX512, axpyF16: axpyF16AVX512, axpyI8: axpyI8AVX512,
	toF16: toF16AVX2,
}

//go:noescape
func dotF32AVX2(scores *float32, stride int, q *float32, queries, dim int, k *float32, keys int, next *float32)

//go:noescape
func axpyF32AVX2(o, p *float32, stride, queries, dim int, v *float32, keys int, next *float32)

//go:noescape
func dotF16AVX2(scores *float32, stride int, q *float32, queries, dim int, k *uint16, keys int, next *uint16)

//go:noescape
func axpyF16AVX2(o, p *float32, stride, queries, dim int, v *uint16, keys int, next *uint16)

//go:noescape
func dotI8AVX2(scores *float32, stride int, q *float32, queries, dim int, k *int8, keys int, next *int8)

//go:noescape
func axpyI8AVX2(o, p *float32, stride, queries, dim int, v *int8, keys int, next *int8)

//go:noescape
func dotF32AVX512(scores *float32, stride int, q *float32, queries, dim int, k *float32, keys int, next *float32)

//go:noescape
func axpyF32AVX512(o, p *float32, stride, queries, dim int, v *float32, keys int, next *float32)

//go:noescape
func dotF16AVX512(scores *float32, stride int, q *float32, queries, dim int, k *uint16, keys int, next *uint16)

//go:noescape
func axpyF16AVX512(o, p *float32, stride, queries, dim int, v *uint16, keys int, next *uint16)

//go:noescape
func dotI8AVX512(scores *float32, stride int, q *float32, queries, dim int, k *int8, keys int, next *int8)

//go:noescape
func axpyI8AVX512(o, p *float32, stride, queries, dim int, v *int8, keys int, next *int8)

//go:noescape
func toF16AVX2(dst *uint16, x []float32)
