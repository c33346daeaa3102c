//go:build !noasm

#include "textflag.h"

#define BYTES 2
#define LOAD(off, src, reg) VCVTPH2PS off src, reg
#define AHEAD(off, p) PREFETCHT1 off p

// for j := range keys { for i := range queries { for c := range dim {
//	o[i*dim+c] = fma(p[i*stride+j], f16(v[j*dim+c]), o[i*dim+c])
// } } }
//
// func axpyF16AVX2(o, p *float32, stride, queries, dim int, v *uint16, keys int, next *uint16)
TEXT ·axpyF16AVX2(SB), NOSPLIT, $0-64
#include "axpy_avx2_amd64.h"
