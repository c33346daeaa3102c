//go:build !noasm

#include "textflag.h"
#include "../kernel/vnni_vex_amd64.h"

// Loops of independent sums: 16 cover a latency of 5 at up to 3 instructions a cycle. All operands are 1, so that lane 0 of all
// sums counts the instructions.

// ONES puts bytes of 1 into two registers: unsigned and signed operand.
#define ONES(x, y) \
	MOVL         $0x01010101, AX; \
	VMOVD        AX, X14;         \
	VPBROADCASTD X14, x;          \
	VPBROADCASTD X14, y

// TOTAL adds the ymm sums 0 to 11 into AX, lane 0.
#define TOTAL \
	VPADDD Y1, Y0, Y0;   \
	VPADDD Y3, Y2, Y2;   \
	VPADDD Y5, Y4, Y4;   \
	VPADDD Y7, Y6, Y6;   \
	VPADDD Y9, Y8, Y8;   \
	VPADDD Y11, Y10, Y10; \
	VPADDD Y2, Y0, Y0;   \
	VPADDD Y6, Y4, Y4;   \
	VPADDD Y10, Y8, Y8;  \
	VPADDD Y4, Y0, Y0;   \
	VPADDD Y8, Y0, Y0;   \
	VMOVD  X0, AX

#define ZERO12 \
	VPXOR Y0, Y0, Y0;    \
	VPXOR Y1, Y1, Y1;    \
	VPXOR Y2, Y2, Y2;    \
	VPXOR Y3, Y3, Y3;    \
	VPXOR Y4, Y4, Y4;    \
	VPXOR Y5, Y5, Y5;    \
	VPXOR Y6, Y6, Y6;    \
	VPXOR Y7, Y7, Y7;    \
	VPXOR Y8, Y8, Y8;    \
	VPXOR Y9, Y9, Y9;    \
	VPXOR Y10, Y10, Y10; \
	VPXOR Y11, Y11, Y11

// MADD adds four products of Y14 and Y15 to each lane of acc, by way of 16 bits. Y13 = 1 in each 16 bits.
#define MADD(acc) \
	VPMADDUBSW Y15, Y14, Y12; \
	VPMADDWD   Y13, Y12, Y12; \
	VPADDD     Y12, acc, acc

// func peakAVX2(n int) (lane int32)
TEXT ·peakAVX2(SB), NOSPLIT, $0-12
	MOVQ n+0(FP), CX
	ONES(Y15, Y14)
	MOVL         $0x00010001, AX
	VMOVD        AX, X13
	VPBROADCASTD X13, Y13
	ZERO12

loop:
	MADD(Y0)
	MADD(Y1)
	MADD(Y2)
	MADD(Y3)
	MADD(Y4)
	MADD(Y5)
	MADD(Y6)
	MADD(Y7)
	DECQ CX
	JNZ  loop
	TOTAL
	MOVL AX, lane+8(FP)
	VZEROUPPER
	RET

// func peakAVXVNNI(n int) (lane int32)
TEXT ·peakAVXVNNI(SB), NOSPLIT, $0-12
	MOVQ n+0(FP), CX
	ONES(Y15, Y14)
	ZERO12

loop:
	VPDPBUSD_VEX(14, 15, 0)
	VPDPBUSD_VEX(14, 15, 1)
	VPDPBUSD_VEX(14, 15, 2)
	VPDPBUSD_VEX(14, 15, 3)
	VPDPBUSD_VEX(14, 15, 4)
	VPDPBUSD_VEX(14, 15, 5)
	VPDPBUSD_VEX(14, 15, 6)
	VPDPBUSD_VEX(14, 15, 7)
	VPDPBUSD_VEX(14, 15, 8)
	VPDPBUSD_VEX(14, 15, 9)
	VPDPBUSD_VEX(14, 15, 10)
	VPDPBUSD_VEX(14, 15, 11)
	DECQ CX
	JNZ  loop
	TOTAL
	MOVL AX, lane+8(FP)
	VZEROUPPER
	RET

// func peakAVX512VNNI(n int) (lane int32)
TEXT ·peakAVX512VNNI(SB), NOSPLIT, $0-12
	MOVQ n+0(FP), CX
	MOVL $0x01010101, AX
	VPBROADCASTD AX, Z16
	VPXORD Z0, Z0, Z0
	VPXORD Z1, Z1, Z1
	VPXORD Z2, Z2, Z2
	VPXORD Z3, Z3, Z3
	VPXORD Z4, Z4, Z4
	VPXORD Z5, Z5, Z5
	VPXORD Z6, Z6, Z6
	VPXORD Z7, Z7, Z7
	VPXORD Z8, Z8, Z8
	VPXORD Z9, Z9, Z9
	VPXORD Z10, Z10, Z10
	VPXORD Z11, Z11, Z11

loop:
	VPDPBUSD Z16, Z16, Z0
	VPDPBUSD Z16, Z16, Z1
	VPDPBUSD Z16, Z16, Z2
	VPDPBUSD Z16, Z16, Z3
	VPDPBUSD Z16, Z16, Z4
	VPDPBUSD Z16, Z16, Z5
	VPDPBUSD Z16, Z16, Z6
	VPDPBUSD Z16, Z16, Z7
	VPDPBUSD Z16, Z16, Z8
	VPDPBUSD Z16, Z16, Z9
	VPDPBUSD Z16, Z16, Z10
	VPDPBUSD Z16, Z16, Z11
	DECQ CX
	JNZ  loop
	TOTAL
	MOVL AX, lane+8(FP)
	VZEROUPPER
	RET

// func readAVX2(p *byte, n int) (x uint64)
TEXT ·readAVX2(SB), NOSPLIT, $0-24
	MOVQ p+0(FP), SI
	MOVQ n+8(FP), CX
	ZERO12

loop:
	VPXOR (SI), Y0, Y0
	VPXOR 32(SI), Y1, Y1
	VPXOR 64(SI), Y2, Y2
	VPXOR 96(SI), Y3, Y3
	VPXOR 128(SI), Y4, Y4
	VPXOR 160(SI), Y5, Y5
	VPXOR 192(SI), Y6, Y6
	VPXOR 224(SI), Y7, Y7
	VPXOR 256(SI), Y0, Y0
	VPXOR 288(SI), Y1, Y1
	VPXOR 320(SI), Y2, Y2
	VPXOR 352(SI), Y3, Y3
	VPXOR 384(SI), Y4, Y4
	VPXOR 416(SI), Y5, Y5
	VPXOR 448(SI), Y6, Y6
	VPXOR 480(SI), Y7, Y7
	ADDQ  $512, SI
	SUBQ  $512, CX
	JNZ   loop

	VPXOR Y1, Y0, Y0
	VPXOR Y3, Y2, Y2
	VPXOR Y5, Y4, Y4
	VPXOR Y7, Y6, Y6
	VPXOR Y2, Y0, Y0
	VPXOR Y6, Y4, Y4
	VPXOR Y4, Y0, Y0
	VEXTRACTI128 $1, Y0, X1
	VPXOR   X1, X0, X0
	VPSHUFD $0x4e, X0, X1
	VPXOR   X1, X0, X0
	MOVQ    X0, AX
	MOVQ    AX, x+16(FP)
	VZEROUPPER
	RET
