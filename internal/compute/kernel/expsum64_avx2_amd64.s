//go:build !noasm

#include "textflag.h"
#include "expsum64_amd64.h"

// HORNER is p = p*r + c, rounded once.
#define HORNER(c) \
	VBROADCASTSD c, Y6;      \
	VFMADD213PD  Y6, Y2, Y5

// FOUR adds e^(x-max) of the floats at src to four lanes.
#define FOUR(src, lanes) \
	VCVTPS2PD    src, Y2;               \
	VSUBPD       Y8, Y2, Y2;            \
	VCMPPD       $29, Y11, Y2, Y7;      \ // not below the least
	VMULPD       Y9, Y2, Y3;            \
	VADDPD       Y10, Y3, Y3;           \ // n in the lowest bits
	VSUBPD       Y10, Y3, Y4;           \ // n
	VFNMADD231PD Y12, Y4, Y2;           \
	VFNMADD231PD Y13, Y4, Y2;           \ // r
	VBROADCASTSD ·wide+32(SB), Y5; \
	HORNER(·wide+40(SB));          \
	HORNER(·wide+48(SB));          \
	HORNER(·wide+56(SB));          \
	HORNER(·wide+64(SB));          \
	HORNER(·wide+72(SB));          \
	HORNER(·wide+80(SB));          \
	HORNER(·wide+88(SB));          \
	HORNER(·wide+96(SB));          \
	HORNER(·wide+104(SB));         \
	HORNER(·wide+112(SB));         \
	HORNER(·wide+120(SB));         \
	VPADDQ       Y14, Y3, Y3;           \
	VPSLLQ       $52, Y3, Y3;           \ // 2^n
	VMULPD       Y3, Y5, Y5;            \
	VANDPD       Y7, Y5, Y5;            \
	VADDPD       Y5, lanes, lanes

// As expSum64Ref, 8 elements at a time.
//
// func expSum64AVX2(x []float32, max float32) float64
TEXT ·expSum64AVX2(SB), NOSPLIT, $0-40
	MOVQ         x_base+0(FP), SI
	MOVQ         x_len+8(FP), CX
	VXORPD       X8, X8, X8
	VCVTSS2SD    max+24(FP), X8, X8
	VBROADCASTSD X8, Y8
	VBROADCASTSD ·wide+0(SB), Y9    // log2 e
	VBROADCASTSD ·wide+8(SB), Y10   // what rounds
	VBROADCASTSD ·wide+128(SB), Y11 // the least exponent
	VBROADCASTSD ·wide+16(SB), Y12  // ln 2
	VBROADCASTSD ·wide+24(SB), Y13
	MOVL         $1023, AX
	MOVQ         AX, X14
	VPBROADCASTQ X14, Y14
	VXORPD       Y0, Y0, Y0         // Y0, Y1 = lanes 0-3, 4-7
	VXORPD       Y1, Y1, Y1
	SHRQ         $3, CX             // CX = blocks of 8 left
	JZ           sum

block:
	FOUR((SI), Y0)
	FOUR(16(SI), Y1)
	ADDQ $32, SI
	DECQ CX
	JNZ  block

sum:
	REDUCE64
	VMOVSD X0, ret+32(FP)
	VZEROUPPER
	RET
