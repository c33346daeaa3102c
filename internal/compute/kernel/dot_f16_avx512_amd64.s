//go:build !noasm

#include "textflag.h"

#define BYTES 2
#define LOAD(src, reg) VCVTPH2PS src, reg
#define AHEAD(p) \
	PREFETCHT1 0 p; \
	PREFETCHT1 64 p

// for i := range queries { for j := range keys {
//	for c, x := range q[i*dim:(i+1)*dim] { lanes[c%16] = fma(x, f16(k[j*dim+c]), lanes[c%16]) }; scores[i*stride+j] = reduce(&lanes)
// } }
//
// func dotF16AVX512(scores *float32, stride int, q *float32, queries, dim int, k *uint16, keys int, next *uint16)
TEXT ·dotF16AVX512(SB), NOSPLIT, $16-64
#include "dot_avx512_amd64.h"
