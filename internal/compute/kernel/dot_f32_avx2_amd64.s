//go:build !noasm

#include "textflag.h"
#include "reduce_avx2_amd64.h"

#define BYTES 4
#define MADD(src, lo, hi) \
	VFMADD231PS 0 src, Y8, lo; \
	VFMADD231PS 32 src, Y9, hi

// for j := range scores { for i, v := range q { lanes[i%16] = fma(v, k[j*len(q)+i], lanes[i%16]) }; scores[j] = reduce(&lanes) }
//
// func dotF32AVX2(scores, q []float32, k *float32)
TEXT ·dotF32AVX2(SB), NOSPLIT, $0-56
	MOVQ scores_base+0(FP), DI
	MOVQ scores_len+8(FP), BX
	MOVQ q_base+24(FP), SI
	MOVQ q_len+32(FP), CX
	MOVQ k+48(FP), R8

#include "dot_avx2_amd64.h"
