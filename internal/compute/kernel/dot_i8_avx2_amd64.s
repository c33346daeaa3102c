//go:build !noasm

#include "textflag.h"

#define BYTES 1
#define LOAD(off, src, reg) \
	VPMOVSXBD off src, reg; \
	VCVTDQ2PS reg, reg
#define AHEAD(off, p) PREFETCHT1 off p

// for i := range queries { for j := range keys {
//	for c, x := range q[i*dim:(i+1)*dim] { lanes[c%16] = fma(x, float32(k[j*dim+c]), lanes[c%16]) }; scores[i*stride+j] = reduce(&lanes)
// } }
//
// func dotI8AVX2(scores *float32, stride int, q *float32, queries, dim int, k *int8, keys int, next *int8)
TEXT ·dotI8AVX2(SB), NOSPLIT, $264-64
#include "dot_avx2_amd64.h"
