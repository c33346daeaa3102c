//go:build !noasm

#include "textflag.h"

#define TILE 256
#define W0(off, p) \
	VMOVUPS (off+0)(p), Y12; \
	VMOVUPS (off+32)(p), Y13

#define W1(off, p) \
	VMOVUPS (off+64)(p), Y12; \
	VMOVUPS (off+96)(p), Y13

#define W2(off, p) \
	VMOVUPS (off+128)(p), Y12; \
	VMOVUPS (off+160)(p), Y13

#define W3(off, p) \
	VMOVUPS (off+192)(p), Y12; \
	VMOVUPS (off+224)(p), Y13

// for t := range tokens { for r := range 16 {
//	for k := range 4*k4 { c[k%4] = fma(w[16*k+r], panel[k*width+t], c[k%4]) }
//	out[t*outStride+r] = (c[0]+c[1]) + (c[2]+c[3]) } }
//
// func mulF32AVX2(out *float32, outStride int, w *byte, panel *float32, width, k4, tokens int)
TEXT ·mulF32AVX2(SB), 0, $4112-56
	MOVQ out+0(FP), DI
	MOVQ w+16(FP), SI
	MOVQ panel+24(FP), DX
	MOVQ width+32(FP), BX
	SHLQ $2, BX
	MOVQ k4+40(FP), CX
	MOVQ tokens+48(FP), AX

#include "mul_float_avx2_amd64.h"
