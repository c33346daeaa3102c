package kernel

import (
	"math"
	"unsafe"

	"github.com/systemgemma/systemgemma/internal/compute/half"
)

// mulW8GRef and mulW4GRef define the products with weights in groups.
func mulW8GRef(out *float32, outStride int, w, scales, mins *byte, halves int, panel *uint8, words *uint32, width, steps, stepTiles, groupSteps int, aScale *float32, tokens int) {
	ws := unsafe.Slice(w, 64*steps*stepTiles)
	mulGroupsRef(out, outStride, scales, mins, halves, panel, words, width, steps, stepTiles, groupSteps, aScale, tokens,
		func(k, r int) int32 { return int32(int8(ws[k/4*64+4*r+k%4])) })
}

func mulW4GRef(out *float32, outStride int, w, scales, mins *byte, halves int, panel *uint8, words *uint32, width, steps, stepTiles, groupSteps int, aScale *float32, tokens int) {
	ws, zero := unsafe.Slice(w, 32*steps*stepTiles), int32(8)
	if mins != nil {
		zero = 0
	}
	mulGroupsRef(out, outStride, scales, mins, halves, panel, words, width, steps, stepTiles, groupSteps, aScale, tokens,
		func(k, r int) int32 { return int32(ws[k/8*64+4*r+k%4]>>(k&4)&15) - zero })
}

func mulGroupsRef(out *float32, outStride int, scales, mins *byte, halves int, panel *uint8, words *uint32, width, steps, stepTiles, groupSteps int, aScale *float32, tokens int, weight func(k, r int) int32) {
	o, as := unsafe.Slice(out, (tokens-1)*outStride+16), unsafe.Slice(aScale, tokens)
	a, ws := unsafe.Slice(panel, 4*width*steps*stepTiles), unsafe.Slice(words, wordRows*width*steps)
	acc := make([][16]float32, tokens)
	for s := range steps {
		d, m := groupScales(scales, s/groupSteps, halves), groupScales(mins, s/groupSteps, halves)
		for t := range acc {
			var sum [16]int32
			for k := 4 * s * stepTiles; k < 4*(s+1)*stepTiles; k++ {
				x := int32(int8(a[4*(k/4*width+t)+k%4]))
				for r := range sum {
					sum[r] += weight(k, r) * x
				}
			}
			scale := math.Float32frombits(ws[s*wordRows*width+t])
			scaled := math.Float32frombits(ws[(s*wordRows+1)*width+t])
			for r := range sum {
				acc[t][r] = fma32(float32(sum[r]), float32(d[r]*scale), acc[t][r])
				if mins != nil {
					acc[t][r] = fma32(m[r], scaled, acc[t][r])
				}
			}
		}
	}
	for t := range acc {
		for r, v := range acc[t] {
			o[t*outStride+r] = v * as[t]
		}
	}
}

// groupScales is the vector of 16 scales of group g; zeros where there are none.
func groupScales(scales *byte, g, halves int) (d [16]float32) {
	switch {
	case scales == nil:
	case halves == 1:
		for r, h := range unsafe.Slice((*uint16)(unsafe.Pointer(scales)), 16*(g+1))[16*g:] {
			d[r] = half.FromF16(h)
		}
	default:
		copy(d[:], unsafe.Slice((*float32)(unsafe.Pointer(scales)), 16*(g+1))[16*g:])
	}
	return d
}

// quantizeBlocksRef rounds each 32 elements of x with a scale of their own: element i to dst[i/4*stride + i%4], their words
// to words[i/32*wordRows*width:].
func quantizeBlocksRef(dst *uint8, stride int, words *uint32, width int, x []float32) {
	d, ws := unsafe.Slice(dst, (len(x)/4-1)*stride+4), unsafe.Slice(words, (len(x)/32*wordRows-1)*width+1)
	for b := 0; b < len(x); b += 32 {
		block, q := x[b:b+32], d[b/4*stride:]
		scale := math.Float32frombits(absMaxRef(block)) / 127
		if usable(scale) {
			quantizeRef(&q[0], stride, block, scale)
		}
		sum := int32(0)
		for i := range block {
			p := &q[i/4*stride+i%4]
			if !usable(scale) {
				*p = 0
			}
			sum += int32(int8(*p))
		}
		putWords(ws[b/32*wordRows*width:], width, scale, sum)
	}
}
