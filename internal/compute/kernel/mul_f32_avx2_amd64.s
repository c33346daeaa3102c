//go:build !noasm

#include "textflag.h"

#define TILE 256
#define W0(src) \
	VMOVUPS 0(src), Y8; \
	VMOVUPS 32(src), Y9

#define W1(src) \
	VMOVUPS 64(src), Y8; \
	VMOVUPS 96(src), Y9

#define W2(src) \
	VMOVUPS 128(src), Y8; \
	VMOVUPS 160(src), Y9

#define W3(src) \
	VMOVUPS 192(src), Y8; \
	VMOVUPS 224(src), Y9

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
