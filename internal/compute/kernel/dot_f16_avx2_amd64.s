//go:build !noasm

#include "textflag.h"

#define BYTES 2
#define LOAD(off, src, reg) VCVTPH2PS off src, reg
#define AHEAD(off, p) PREFETCHT1 off p

// for i := range queries { for j := range keys {
//	for c, x := range q[i*dim:(i+1)*dim] { lanes[c%16] = fma(x, f16(k[j*dim+c]), lanes[c%16]) }; scores[i*stride+j] = reduce(&lanes)
// } }
//
// func dotF16AVX2(scores *float32, stride int, q *float32, queries, dim int, k *uint16, keys int, next *uint16)
TEXT ·dotF16AVX2(SB), NOSPLIT, $264-64
#include "dot_avx2_amd64.h"
