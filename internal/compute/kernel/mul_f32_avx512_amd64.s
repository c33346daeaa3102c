//go:build !noasm

#include "textflag.h"

#define TILE 256
#define AHEAD                 // gains nothing: four lines a tile
#define LOAD(src) \
	VMOVUPS (src), Z16;    \
	VMOVUPS 64(src), Z17;  \
	VMOVUPS 128(src), Z18; \
	VMOVUPS 192(src), Z19

// for t := range tokens { for r := range 16 {
//	for k := range 4*k4 { c[k%4] = fma(w[16*k+r], panel[k*width+t], c[k%4]) }
//	out[t*outStride+r] = (c[0]+c[1]) + (c[2]+c[3]) } }
//
// func mulF32AVX512(out *float32, outStride int, w *byte, panel *float32, width, k4, tokens int)
TEXT ·mulF32AVX512(SB), NOSPLIT, $0-56
	MOVQ out+0(FP), DI
	MOVQ w+16(FP), SI
	MOVQ panel+24(FP), DX
	MOVQ width+32(FP), BX
	SHLQ $2, BX
	MOVQ k4+40(FP), CX
	MOVQ tokens+48(FP), AX

#include "mul_float_avx512_amd64.h"
