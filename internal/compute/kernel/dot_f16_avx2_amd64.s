//go:build !noasm

#include "textflag.h"
#include "reduce_avx2_amd64.h"

#define BYTES 2
#define MADD(src, lo, hi) \
	VCVTPH2PS   0 src, Y10;  \
	VCVTPH2PS   16 src, Y11; \
	VFMADD231PS Y10, Y8, lo; \
	VFMADD231PS Y11, Y9, hi

// for j := range scores { for i, v := range q { lanes[i%16] = fma(v, f16(k[j*len(q)+i]), lanes[i%16]) }; scores[j] = reduce(&lanes) }
//
// func dotF16AVX2(scores, q []float32, k *uint16)
TEXT ·dotF16AVX2(SB), NOSPLIT, $0-56
	MOVQ scores_base+0(FP), DI
	MOVQ scores_len+8(FP), BX
	MOVQ q_base+24(FP), SI
	MOVQ q_len+32(FP), CX
	MOVQ k+48(FP), R8

#include "dot_avx2_amd64.h"
