//go:build !noasm

#include "textflag.h"

#define BYTES 2
#define MADD(off, acc) \
	VCVTPH2PS   (2*off)(R9), Y9; \
	VFMADD231PS Y9, Y8, acc

// for j, x := range p { for i := range o { o[i] = fma(x, f16(v[j*len(o)+i]), o[i]) } }
//
// func axpyF16AVX2(o, p []float32, v *uint16)
TEXT ·axpyF16AVX2(SB), NOSPLIT, $0-56
	MOVQ o_base+0(FP), DI
	MOVQ o_len+8(FP), CX
	MOVQ p_base+24(FP), SI
	MOVQ p_len+32(FP), BX
	MOVQ v+48(FP), DX

#include "axpy_avx2_amd64.h"
