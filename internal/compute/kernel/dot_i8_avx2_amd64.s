//go:build !noasm

#include "textflag.h"

#define BYTES 1
#define LOAD(src, lo, hi) \
	VPMOVSXBD 0 src, lo; \
	VPMOVSXBD 8 src, hi; \
	VCVTDQ2PS lo, lo;    \
	VCVTDQ2PS hi, hi
#define AHEAD(p) \
	PREFETCHT1 0 p

// for i := range queries { for j := range keys {
//	for c, x := range q[i*dim:(i+1)*dim] { lanes[c%16] = fma(x, float32(k[j*dim+c]), lanes[c%16]) }; scores[i*stride+j] = reduce(&lanes)
// } }
//
// func dotI8AVX2(scores *float32, stride int, q *float32, queries, dim int, k *int8, keys int, next *int8)
TEXT ·dotI8AVX2(SB), NOSPLIT, $0-64
#include "dot_avx2_amd64.h"
