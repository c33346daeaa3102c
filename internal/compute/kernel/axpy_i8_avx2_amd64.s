//go:build !noasm

#include "textflag.h"

#define BYTES 1
#define LOAD(off, src, reg) \
	VPMOVSXBD off src, reg; \
	VCVTDQ2PS reg, reg
#define AHEAD(off, p) PREFETCHT1 off p

// for j := range keys { for i := range queries { for c := range dim {
//	o[i*dim+c] = fma(p[i*stride+j], float32(v[j*dim+c]), o[i*dim+c])
// } } }
//
// func axpyI8AVX2(o, p *float32, stride, queries, dim int, v *int8, keys int, next *int8)
TEXT ·axpyI8AVX2(SB), NOSPLIT, $0-64
#include "axpy_avx2_amd64.h"
