//go:build !noasm

#include "textflag.h"

#define BYTES 4
#define MADD(off, acc) VFMADD231PS (4*off)(R9), Z16, acc

// for j, x := range p { for i := range o { o[i] = fma(x, v[j*len(o)+i], o[i]) } }
//
// func axpyF32AVX512(o, p []float32, v *float32)
TEXT ·axpyF32AVX512(SB), NOSPLIT, $0-56
	MOVQ o_base+0(FP), DI
	MOVQ o_len+8(FP), CX
	MOVQ p_base+24(FP), SI
	MOVQ p_len+32(FP), BX
	MOVQ v+48(FP), DX

#include "axpy_avx512_amd64.h"
