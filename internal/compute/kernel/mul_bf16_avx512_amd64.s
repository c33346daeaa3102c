//go:build !noasm

#include "textflag.h"

// A bfloat16 is the upper half of a float32: of each 32 bits the lower half is the even k, the upper one the odd k.
#define TILE 128
#define AHEAD \
	PREFETCHT1 8192(R8); \
	PREFETCHT1 8256(R8)
#define LOAD(src) \
	VPSLLD $16, (src), Z16;   \
	VPANDD (src), Z31, Z17;   \
	VPSLLD $16, 64(src), Z18; \
	VPANDD 64(src), Z31, Z19

// for t := range tokens { for r := range 16 {
//	for k := range 4*k4 { c[k%4] = fma(bf16(w[k/2*32+2*r+k%2]), panel[k*width+t], c[k%4]) }
//	out[t*outStride+r] = (c[0]+c[1]) + (c[2]+c[3]) } }
//
// func mulBF16AVX512(out *float32, outStride int, w *byte, panel *float32, width, k4, tokens int)
TEXT ·mulBF16AVX512(SB), NOSPLIT, $0-56
	MOVQ       out+0(FP), DI
	MOVQ       w+16(FP), SI
	MOVQ       panel+24(FP), DX
	MOVQ       width+32(FP), BX
	SHLQ       $2, BX
	MOVQ       k4+40(FP), CX
	MOVQ       tokens+48(FP), AX
	VPTERNLOGD $255, Z31, Z31, Z31
	VPSLLD     $16, Z31, Z31       // Z31 = 0xffff0000 in every lane

#include "mul_float_avx512_amd64.h"
