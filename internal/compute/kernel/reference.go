package kernel

import (
	"math"
	"unsafe"

	"github.com/systemgemma/systemgemma/internal/compute/half"
)

// reference is the set that defines every result. It is portable, and 15 to 40 times slower than assembly.
var reference = table{
	name: "reference",

	mulW8C: mulW8CRef, mulF32: mulF32Ref, mulBF16: mulBF16Ref, mulF16: mulF16Ref,
	rounded: "Go", packRounded: packRounded, mulRounded: mulRoundedRef,
	mulW8G: mulW8GRef, mulW4G: mulW4GRef, expandW4L: expandW4LRef, quantizeSigned: quantizeRef, quantizeBlocks: quantizeBlocksRef,
	hadamard: hadamardRef, addOutliers: addOutliersRef,
	absMax: absMaxRef, quantize: quantizeRef,
	sumSquares: sumSquaresRef, scaleMul: scaleMulRef, add: addRef, rotate: rotateRef, softcap: softcapsRef, geluMul: geluMulRef,
	max: maxRef, expSum: expSumRef, expSum64: expSum64Ref, attention: attentionReference,
}

func mulW8CRef(out *float32, outStride int, w *byte, wScale *float32, wSum *int32, panel *uint8, width, k4 int, aScale *float32, tokens int) {
	o := unsafe.Slice(out, (tokens-1)*outStride+16)
	ws, as := unsafe.Slice(wScale, 16), unsafe.Slice(aScale, tokens)
	tiles, a := unsafe.Slice(w, 64*k4), unsafe.Slice(panel, 4*width*k4)
	for t := range tokens {
		var sum [16]int32
		for i := range k4 {
			tile, x := tiles[64*i:64*i+64], a[4*(i*width+t):4*(i*width+t)+4]
			for r := range sum {
				for j, q := range x { // k = 4i + j
					sum[r] += int32(int8(tile[4*r+j])) * int32(int8(q))
				}
			}
		}
		for r, s := range sum {
			o[t*outStride+r] = float32(float32(s)*as[t]) * ws[r]
		}
	}
}

func mulF32Ref(out *float32, outStride int, w *byte, panel *float32, width, k4, tokens int) {
	ws := unsafe.Slice((*float32)(unsafe.Pointer(w)), 64*k4)
	mulFloatRef(out, outStride, panel, width, k4, tokens, func(k, r int) float32 { return ws[16*k+r] })
}

func mulBF16Ref(out *float32, outStride int, w *byte, panel *float32, width, k4, tokens int) {
	ws := unsafe.Slice((*uint16)(unsafe.Pointer(w)), 64*k4)
	mulFloatRef(out, outStride, panel, width, k4, tokens, func(k, r int) float32 { return half.FromBF16(ws[k/2*32+2*r+k%2]) })
}

func mulF16Ref(out *float32, outStride int, w *byte, panel *float32, width, k4, tokens int) {
	ws := unsafe.Slice((*uint16)(unsafe.Pointer(w)), 64*k4)
	mulFloatRef(out, outStride, panel, width, k4, tokens, func(k, r int) float32 { return half.FromF16(ws[16*k+r]) })
}

// mulFloatRef is the sum of every float layout: for each row and token one chain of fused multiply-adds per k mod 4,
// combined as (0+1) + (2+3).
func mulFloatRef(out *float32, outStride int, panel *float32, width, k4, tokens int, weight func(k, r int) float32) {
	o, a := unsafe.Slice(out, (tokens-1)*outStride+16), unsafe.Slice(panel, 4*k4*width)
	var col [16]float32
	acc := make([][4][16]float32, tokens)
	for k := range 4 * k4 {
		for r := range col {
			col[r] = weight(k, r)
		}
		for t := range acc {
			sum, x := &acc[t][k%4], a[k*width+t]
			for r := range sum {
				sum[r] = fma32(col[r], x, sum[r])
			}
		}
	}
	for t := range acc {
		c := &acc[t]
		for r := range 16 {
			o[t*outStride+r] = (c[0][r] + c[1][r]) + (c[2][r] + c[3][r])
		}
	}
}

// absMaxRef is the largest magnitude as float32 bits: compared as integers, so that a NaN is larger than all.
func absMaxRef(x []float32) uint32 {
	var m uint32
	for _, v := range x {
		m = max(m, math.Float32bits(v)&^(1<<31))
	}
	return m
}

// quantizeRef writes element i, divided by scale, rounded half to even and held within ±127, to dst[i/4*stride + i%4].
func quantizeRef(dst *uint8, stride int, x []float32, scale float32) {
	d := unsafe.Slice(dst, (len(x)/4-1)*stride+4)
	for i, v := range x {
		q := math.RoundToEven(float64(v / scale))
		d[i/4*stride+i%4] = uint8(int8(min(max(q, -127), 127)))
	}
}

// reduce adds 16 lanes in the fixed tree: halves of 8, of 4, of 2, of 1.
func reduce(l *[16]float32) float32 {
	for n := 8; n > 0; n /= 2 {
		for i := range n {
			l[i] += l[i+n]
		}
	}
	return l[0]
}

func sumSquaresRef(x []float32) float32 {
	var lanes [16]float32
	for i, v := range x {
		lanes[i%16] = fma32(v, v, lanes[i%16])
	}
	return reduce(&lanes)
}

func scaleMulRef(dst, x, w []float32, s float32) {
	for i, v := range x {
		dst[i] = float32(v*s) * w[i]
	}
}

func addRef(x, y []float32) {
	for i, v := range y {
		x[i] += v
	}
}

func rotateRef(lo, hi, cos, sin []float32) {
	for i, c := range cos {
		a, b, s := lo[i], hi[i], sin[i]
		lo[i] = float32(a*c) - float32(b*s)
		hi[i] = float32(b*c) + float32(a*s)
	}
}

func softcapsRef(x []float32, scale, limit float32) {
	for i, v := range x {
		x[i] = softcapRef(v, scale, limit)
	}
}

func geluMulRef(dst, gate, up []float32) {
	for i, g := range gate {
		dst[i] = float32(geluRef(g) * up[i])
	}
}

func maxRef(x []float32) float32 {
	m := float32(math.Inf(-1))
	for _, v := range x {
		if v > m {
			m = v
		}
	}
	return m
}

func expSumRef(x []float32, m float32) float32 {
	var lanes [16]float32
	for i, v := range x {
		x[i] = expRef(v - m)
		lanes[i%16] += x[i]
	}
	return reduce(&lanes)
}
