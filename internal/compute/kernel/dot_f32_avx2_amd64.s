//go:build !noasm

#include "textflag.h"

#define BYTES 4
#define LOAD(off, src, reg) VMOVUPS off src, reg
#define AHEAD(off, p) \
	PREFETCHT1 off p; \
	PREFETCHT1 (64+off) p

// for i := range queries { for j := range keys {
//	for c, x := range q[i*dim:(i+1)*dim] { lanes[c%16] = fma(x, k[j*dim+c], lanes[c%16]) }; scores[i*stride+j] = reduce(&lanes)
// } }
//
// func dotF32AVX2(scores *float32, stride int, q *float32, queries, dim int, k *float32, keys int, next *float32)
TEXT ·dotF32AVX2(SB), NOSPLIT, $264-64
#include "dot_avx2_amd64.h"
