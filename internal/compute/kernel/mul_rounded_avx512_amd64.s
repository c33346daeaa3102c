//go:build !noasm

#include "textflag.h"

// LOAD makes Z16, Z17 = k = 0, 1 and Z18, Z19 = k = 2, 3 of the tile as float32, zeros for subnormals. Z30 = exponents of both
// halves, Z31 = upper halves.
#define LOAD \
	VMOVDQU32   (R8), Z20;        \
	VMOVDQU32   64(R8), Z21;      \
	VPTESTMW    Z30, Z20, K1;     \
	VPTESTMW    Z30, Z21, K2;     \
	VMOVDQU16.Z Z20, K1, Z20;     \
	VMOVDQU16.Z Z21, K2, Z21;     \
	VPSLLD      $16, Z20, Z16;    \
	VPANDD      Z31, Z20, Z17;    \
	VPSLLD      $16, Z21, Z18;    \
	VPANDD      Z31, Z21, Z19;    \
	LEAQ        (R9)(BX*1), R11

#define TOKEN(t, c0, n0, c1, n1) \
	VFMADD231PS.BCST (4*t)(R9)(R12*1), Z17, c0;    \
	VFMADD231PS.BCST (4*t)(R11)(R12*1), Z19, c1;   \
	VFMADD231PS.BCST (4*t)(R9), Z16, c0;           \
	VFMADD231PS.BCST (4*t)(R11), Z18, c1

// As mulRoundedAVX2.
//
// func mulRoundedAVX512(out *float32, outStride int, w *byte, panel *float32, width, k4, tokens int)
TEXT ·mulRoundedAVX512(SB), NOSPLIT, $0-56
	MOVQ     out+0(FP), DI
	MOVQ     w+16(FP), SI
	MOVQ     panel+24(FP), DX
	MOVQ     width+32(FP), R12
	SHLQ     $2, R12
	LEAQ     (R12*2), BX
	LEAQ     (R12*4), R10
	MOVQ     k4+40(FP), CX
	MOVQ     tokens+48(FP), AX
	VPTERNLOGD $0xff, Z31, Z31, Z31
	VPSRLW   $8, Z31, Z30
	VPSLLW   $7, Z30, Z30
	VPSLLD   $16, Z31, Z31

#include "mul_rounded_avx512_amd64.h"
