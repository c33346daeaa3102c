//go:build !noasm

#include "textflag.h"

#define BYTES 4
#define LOAD(src, reg) VMOVUPS src, reg
#define AHEAD(p) \
	PREFETCHT1 0 p; \
	PREFETCHT1 64 p; \
	PREFETCHT1 128 p; \
	PREFETCHT1 192 p

// for i := range queries { for j := range keys {
//	for c, x := range q[i*dim:(i+1)*dim] { lanes[c%16] = fma(x, k[j*dim+c], lanes[c%16]) }; scores[i*stride+j] = reduce(&lanes)
// } }
//
// func dotF32AVX512(scores *float32, stride int, q *float32, queries, dim int, k *float32, keys int, next *float32)
TEXT ·dotF32AVX512(SB), NOSPLIT, $16-64
#include "dot_avx512_amd64.h"
