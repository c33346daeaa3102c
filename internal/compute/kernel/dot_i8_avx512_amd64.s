//go:build !noasm

#include "textflag.h"

#define BYTES 1
#define LOAD(src, reg) \
	VPMOVSXBD src, reg; \
	VCVTDQ2PS reg, reg
#define AHEAD(p) \
	PREFETCHT1 0 p

// for i := range queries { for j := range keys {
//	for c, x := range q[i*dim:(i+1)*dim] { lanes[c%16] = fma(x, float32(k[j*dim+c]), lanes[c%16]) }; scores[i*stride+j] = reduce(&lanes)
// } }
//
// func dotI8AVX512(scores *float32, stride int, q *float32, queries, dim int, k *int8, keys int, next *int8)
TEXT ·dotI8AVX512(SB), NOSPLIT, $16-64
#include "dot_avx512_amd64.h"
