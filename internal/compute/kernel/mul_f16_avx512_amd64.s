//go:build !noasm

#include "textflag.h"

#define TILE 128
#define AHEAD \
	PREFETCHT1 8192(R8); \
	PREFETCHT1 8256(R8)
#define LOAD(src) \
	VCVTPH2PS (src), Z16;   \
	VCVTPH2PS 32(src), Z17; \
	VCVTPH2PS 64(src), Z18; \
	VCVTPH2PS 96(src), Z19

// for t := range tokens { for r := range 16 {
//	for k := range 4*k4 { c[k%4] = fma(f16(w[16*k+r]), panel[k*width+t], c[k%4]) }
//	out[t*outStride+r] = (c[0]+c[1]) + (c[2]+c[3]) } }
//
// func mulF16AVX512(out *float32, outStride int, w *byte, panel *float32, width, k4, tokens int)
TEXT ·mulF16AVX512(SB), NOSPLIT, $0-56
	MOVQ out+0(FP), DI
	MOVQ w+16(FP), SI
	MOVQ panel+24(FP), DX
	MOVQ width+32(FP), BX
	SHLQ $2, BX
	MOVQ k4+40(FP), CX
	MOVQ tokens+48(FP), AX

#include "mul_float_avx512_amd64.h"
