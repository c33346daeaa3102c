//go:build !noasm

#include "textflag.h"

#define BYTES 4
#define LOAD(off, src, reg) VMOVUPS off src, reg
#define AHEAD(off, p) \
	PREFETCHT1 off p; \
	PREFETCHT1 (64+off) p

// for j := range keys { for i := range queries { for c := range dim {
//	o[i*dim+c] = fma(p[i*stride+j], v[j*dim+c], o[i*dim+c])
// } } }
//
// func axpyF32AVX2(o, p *float32, stride, queries, dim int, v *float32, keys int, next *float32)
TEXT ·axpyF32AVX2(SB), NOSPLIT, $0-64
#include "axpy_avx2_amd64.h"
