//go:build !noasm

package kernel

import (
	"math"
	"unsafe"
)

// mulW8GNeon is mulW8GRef, four tokens at a time and the last two by themselves.
func mulW8GNeon(out *float32, outStride int, w, scales, mins *byte, halves int, panel *uint8, words *uint32, width, steps, stepTiles, groupSteps int, aScale *float32, tokens int) {
	for t := 0; t < tokens; t += 4 {
		o, p, ws, as := groupAt(out, outStride, panel, words, aScale, t)
		if tokens-t > 2 {
			groupsW8GNeon4(o, outStride, w, scales, mins, halves, p, ws, width, steps, stepTiles, groupSteps, as, tokens-t)
		} else {
			groupsW8GNeon(o, outStride, w, scales, mins, halves, p, ws, width, steps, stepTiles, groupSteps, as, tokens-t)
		}
	}
}

// mulW4GNeon is mulW4GRef, four tokens at a time and the last two by themselves.
func mulW4GNeon(out *float32, outStride int, w, scales, mins *byte, halves int, panel *uint8, words *uint32, width, steps, stepTiles, groupSteps int, aScale *float32, tokens int) {
	for t := 0; t < tokens; t += 4 {
		o, p, ws, as := groupAt(out, outStride, panel, words, aScale, t)
		if tokens-t > 2 {
			groupsW4GNeon4(o, outStride, w, scales, mins, halves, p, ws, width, steps, stepTiles, groupSteps, as, tokens-t)
		} else {
			groupsW4GNeon(o, outStride, w, scales, mins, halves, p, ws, width, steps, stepTiles, groupSteps, as, tokens-t)
		}
	}
}

// groupAt moves pointers to what belongs to token t.
func groupAt(out *float32, outStride int, panel *uint8, words *uint32, aScale *float32, t int) (*float32, *uint8, *uint32, *float32) {
	return (*float32)(unsafe.Add(unsafe.Pointer(out), 4*t*outStride)), (*uint8)(unsafe.Add(unsafe.Pointer(panel), 4*t)),
		(*uint32)(unsafe.Add(unsafe.Pointer(words), 4*t)), (*float32)(unsafe.Add(unsafe.Pointer(aScale), 4*t))
}

// groupsW8GNeon is mulW8GRef for the first two tokens; widths above 1 hold two.
//
//go:noescape
func groupsW8GNeon(out *float32, outStride int, w, scales, mins *byte, halves int, panel *uint8, words *uint32, width, steps, stepTiles, groupSteps int, aScale *float32, tokens int)

// groupsW8GNeon4 is mulW8GRef for the first three or four tokens of a panel of width 4 or more.
//
//go:noescape
func groupsW8GNeon4(out *float32, outStride int, w, scales, mins *byte, halves int, panel *uint8, words *uint32, width, steps, stepTiles, groupSteps int, aScale *float32, tokens int)

// groupsW4GNeon is mulW4GRef for the first two tokens; widths above 1 hold two.
//
//go:noescape
func groupsW4GNeon(out *float32, outStride int, w, scales, mins *byte, halves int, panel *uint8, words *uint32, width, steps, stepTiles, groupSteps int, aScale *float32, tokens int)

// groupsW4GNeon4 is mulW4GRef for the first three or four tokens of a panel of width 4 or more.
//
//go:noescape
func groupsW4GNeon4(out *float32, outStride int, w, scales, mins *byte, halves int, panel *uint8, words *uint32, width, steps, stepTiles, groupSteps int, aScale *float32, tokens int)

// quantizeBlocksNeon is quantizeBlocksRef with the set's own rounding.
func quantizeBlocksNeon(dst *uint8, stride int, words *uint32, width int, x []float32) {
	d, ws := unsafe.Slice(dst, (len(x)/4-1)*stride+4), unsafe.Slice(words, (len(x)/32*wordRows-1)*width+1)
	for b := 0; b < len(x); b += 32 {
		block, q, sum := x[b:b+32], d[b/4*stride:], int32(0)
		scale := math.Float32frombits(absMaxNeon(block)) / 127
		if usable(scale) {
			quantizeNeon(&q[0], stride, block, scale)
			for i := range 8 {
				v := q[i*stride:][:4]
				sum += int32(int8(v[0])) + int32(int8(v[1])) + int32(int8(v[2])) + int32(int8(v[3]))
			}
		} else {
			for i := range 8 {
				clear(q[i*stride:][:4])
			}
		}
		putWords(ws[b/32*wordRows*width:], width, scale, sum)
	}
}
