//go:build !noasm

package kernel

var attentionNeon = attention{
	dotF32: dotF32Neon, dotF16: dotF16Neon, dotI8: dotI8Neon,
	axpyF32: axpyF32Neon, axpyF16: axpyF16Neon, axpyI8: axpyI8Neon,
	toF16: toF16Neon,
}

//go:noescape
func dotF32Neon(scores *float32, stride int, q *float32, queries, dim int, k *float32, keys int, next *float32)

//go:noescape
func axpyF32Neon(o, p *float32, stride, queries, dim int, v *float32, keys int, next *float32)

//go:noescape
func dotF16Neon(scores *float32, stride int, q *float32, queries, dim int, k *uint16, keys int, next *uint16)

//go:noescape
func axpyF16Neon(o, p *float32, stride, queries, dim int, v *uint16, keys int, next *uint16)

//go:noescape
func dotI8Neon(scores *float32, stride int, q *float32, queries, dim int, k *int8, keys int, next *int8)

//go:noescape
func axpyI8Neon(o, p *float32, stride, queries, dim int, v *int8, keys int, next *int8)

//go:noescape
func toF16Neon(dst *uint16, x []float32)
