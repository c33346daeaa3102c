//go:build !noasm

#include "textflag.h"

// A bfloat16 is the upper half of a float32: of each 32 bits the lower half is the even k, the upper one the odd k.
#define TILE 128
#define W0(off, p) \
	VMOVDQU (off+0)(p), Y12;   \
	VMOVDQU (off+32)(p), Y13; \
	VPSLLD  $16, Y12, Y12; \
	VPSLLD  $16, Y13, Y13

#define W1(off, p) \
	VPAND (off+0)(p), Y15, Y12;  \
	VPAND (off+32)(p), Y15, Y13

#define W2(off, p) \
	VMOVDQU (off+64)(p), Y12; \
	VMOVDQU (off+96)(p), Y13; \
	VPSLLD  $16, Y12, Y12; \
	VPSLLD  $16, Y13, Y13

#define W3(off, p) \
	VPAND (off+64)(p), Y15, Y12; \
	VPAND (off+96)(p), Y15, Y13

// for t := range tokens { for r := range 16 {
//	for k := range 4*k4 { c[k%4] = fma(bf16(w[k/2*32+2*r+k%2]), panel[k*width+t], c[k%4]) }
//	out[t*outStride+r] = (c[0]+c[1]) + (c[2]+c[3]) } }
//
// func mulBF16AVX2(out *float32, outStride int, w *byte, panel *float32, width, k4, tokens int)
TEXT ·mulBF16AVX2(SB), 0, $4112-56
	MOVQ     out+0(FP), DI
	MOVQ     w+16(FP), SI
	MOVQ     panel+24(FP), DX
	MOVQ     width+32(FP), BX
	SHLQ     $2, BX
	MOVQ     k4+40(FP), CX
	MOVQ     tokens+48(FP), AX
	VPCMPEQD Y15, Y15, Y15
	VPSLLD   $16, Y15, Y15     // Y15 = 0xffff0000 in every lane

#include "mul_float_avx2_amd64.h"
