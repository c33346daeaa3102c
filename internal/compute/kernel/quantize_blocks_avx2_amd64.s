//go:build !noasm

#include "textflag.h"

DATA blockLimits<>+0(SB)/4, $0x42fe0000 // 127
DATA blockLimits<>+4(SB)/4, $0xc2fe0000 // -127
GLOBL blockLimits<>(SB), RODATA, $8

// ROUND divides by the scale in Y5, holds within ±127 and rounds half to even.
#define ROUND(x) \
	VDIVPS    Y5, x, x;  \
	VMINPS    Y14, x, x; \
	VMAXPS    Y13, x, x; \
	VCVTPS2DQ x, x

// for b := range len(x)/32 {
//	scale := absMax(x[32*b:32*b+32]) / 127
//	for i, v := range x[32*b:32*b+32] { q[i] = int8(min(max(math.RoundToEven(v/scale), -127), 127)) } // 0 without a usable scale
//	for i := range 32 { dst[(8*b+i/4)*stride+i%4] = q[i]; sum += q[i] }
//	putWords(words[5*b*width:], width, scale, sum) }
//
// func quantizeBlocksAVX2(dst *uint8, stride int, words *uint32, width int, x []float32)
TEXT ·quantizeBlocksAVX2(SB), NOSPLIT, $0-56
	MOVQ         dst+0(FP), DI
	MOVQ         stride+8(FP), BX
	MOVQ         words+16(FP), R12
	MOVQ         width+24(FP), R13
	SHLQ         $2, R13               // R13 = bytes of a row of words
	LEAQ         (R13)(R13*2), R11     // R11 = three rows
	LEAQ         (BX)(BX*2), R10       // R10 = three strides
	MOVQ         x_base+32(FP), SI
	MOVQ         x_len+40(FP), CX
	SHRQ         $5, CX                // CX = blocks left
	JZ           done
	VPCMPEQD     Y15, Y15, Y15
	VPABSB       Y15, Y12              // Y12 = 1 in each byte
	VPABSW       Y15, Y11              // Y11 = 1 in each 16 bits
	VPSRLD       $1, Y15, Y15          // Y15 = all bits but the sign
	VBROADCASTSS blockLimits<>+0(SB), Y14
	VBROADCASTSS blockLimits<>+4(SB), Y13

block:
	VMOVUPS      (SI), Y0
	VMOVUPS      32(SI), Y1
	VMOVUPS      64(SI), Y2
	VMOVUPS      96(SI), Y3
	VPAND        Y0, Y15, Y4
	VPAND        Y1, Y15, Y5
	VPAND        Y2, Y15, Y6
	VPAND        Y3, Y15, Y7
	VPMAXUD      Y5, Y4, Y4        // as integers, so that a NaN is larger than all
	VPMAXUD      Y7, Y6, Y6
	VPMAXUD      Y6, Y4, Y4
	VEXTRACTI128 $1, Y4, X5
	VPMAXUD      X5, X4, X4
	VPSHUFD      $0x4e, X4, X5
	VPMAXUD      X5, X4, X4
	VPSHUFD      $0xb1, X4, X5
	VPMAXUD      X5, X4, X4
	VDIVSS       X14, X4, X8       // X8 = scale
	VMOVD        X8, AX
	VPXOR        Y9, Y9, Y9
	LEAL         -1(AX), DX
	CMPL         DX, $0x7f7fffff   // 0, infinity or NaN: no scale to divide by, and every q is 0
	JCC          store
	VBROADCASTSS X8, Y5
	ROUND(Y0)
	ROUND(Y1)
	ROUND(Y2)
	ROUND(Y3)
	VPACKSSDW    Y1, Y0, Y0        // 0-3, 8-11 | 4-7, 12-15
	VPACKSSDW    Y3, Y2, Y2        // 16-19, 24-27 | 20-23, 28-31
	VPACKSSWB    Y2, Y0, Y9        // 0-3, 8-11, 16-19, 24-27 | 4-7, 12-15, 20-23, 28-31

store:
	VEXTRACTI128 $1, Y9, X1
	VMOVD        X9, (DI)
	VMOVD        X1, (DI)(BX*1)
	VPEXTRD      $1, X9, (DI)(BX*2)
	VPEXTRD      $1, X1, (DI)(R10*1)
	LEAQ         (DI)(BX*4), DI
	VPEXTRD      $2, X9, (DI)
	VPEXTRD      $2, X1, (DI)(BX*1)
	VPEXTRD      $3, X9, (DI)(BX*2)
	VPEXTRD      $3, X1, (DI)(R10*1)
	LEAQ         (DI)(BX*4), DI
	VPMADDUBSW   Y9, Y12, Y9
	VPMADDWD     Y11, Y9, Y9
	VEXTRACTI128 $1, Y9, X1
	VPADDD       X1, X9, X0
	VPSHUFD      $0x4e, X0, X1
	VPADDD       X1, X0, X0
	VPSHUFD      $0xb1, X0, X1
	VPADDD       X1, X0, X0        // X0 = sum
	VCVTDQ2PS    X0, X1
	VMULSS       X8, X1, X1
	VMOVD        X0, DX
	NEGL         DX
	SHLL         $3, DX            // DX = -8*sum
	MOVL         AX, (R12)
	VMOVSS       X1, (R12)(R13*1)
	MOVL         $0, (R12)(R13*2)
	MOVL         DX, (R12)(R11*1)
	SHLL         $4, DX
	MOVL         DX, (R12)(R13*4)
	LEAQ         (R12)(R13*4), R12
	ADDQ         R13, R12
	ADDQ         $128, SI
	DECQ         CX
	JNZ          block

done:
	VZEROUPPER
	RET
