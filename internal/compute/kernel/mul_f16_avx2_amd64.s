//go:build !noasm

#include "textflag.h"

#define TILE 128
#define W0(off, p) \
	VCVTPH2PS (off+0)(p), Y12; \
	VCVTPH2PS (off+16)(p), Y13

#define W1(off, p) \
	VCVTPH2PS (off+32)(p), Y12; \
	VCVTPH2PS (off+48)(p), Y13

#define W2(off, p) \
	VCVTPH2PS (off+64)(p), Y12; \
	VCVTPH2PS (off+80)(p), Y13

#define W3(off, p) \
	VCVTPH2PS (off+96)(p), Y12; \
	VCVTPH2PS (off+112)(p), Y13

// for t := range tokens { for r := range 16 {
//	for k := range 4*k4 { c[k%4] = fma(f16(w[16*k+r]), panel[k*width+t], c[k%4]) }
//	out[t*outStride+r] = (c[0]+c[1]) + (c[2]+c[3]) } }
//
// func mulF16AVX2(out *float32, outStride int, w *byte, panel *float32, width, k4, tokens int)
TEXT ·mulF16AVX2(SB), 0, $4112-56
	MOVQ out+0(FP), DI
	MOVQ w+16(FP), SI
	MOVQ panel+24(FP), DX
	MOVQ width+32(FP), BX
	SHLQ $2, BX
	MOVQ k4+40(FP), CX
	MOVQ tokens+48(FP), AX

#include "mul_float_avx2_amd64.h"
