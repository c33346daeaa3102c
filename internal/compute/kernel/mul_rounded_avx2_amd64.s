//go:build !noasm

#include "textflag.h"

// Of each 32 bits of weights the lower half is the even k, the upper one the odd k. The odd k is multiplied first.
// Y13 = upper halves, Y14 = 0, Y15 = exponents of both halves.
//
// Four tokens and more take the k in blocks that stay in the first-level cache, since each group of four passes a block twice.
// Their sums lie in the frame: [token][pair mod 2][16].

#define BLOCKTILES 16
#define LEFT       2048 // (SP): tiles left
#define GROUPS     2056 // groups left in the block

// PAIR makes Y8, Y9 = the even k and Y10, Y11 = the odd k of the weights at off(R8), rows 0-7 and 8-15, as float32, zeros for
// subnormals: those whose exponent is 0 lose all bits.
#define PAIR(off) \
	VMOVDQU  off(R8), Y8;      \
	VMOVDQU  (off+32)(R8), Y9; \
	VPAND    Y15, Y8, Y10;     \
	VPAND    Y15, Y9, Y11;     \
	VPCMPEQW Y14, Y10, Y10;    \
	VPCMPEQW Y14, Y11, Y11;    \
	VPANDN   Y8, Y10, Y8;      \
	VPANDN   Y9, Y11, Y9;      \
	VPAND    Y13, Y8, Y10;     \
	VPAND    Y13, Y9, Y11;     \
	VPSLLD   $16, Y8, Y8;      \
	VPSLLD   $16, Y9, Y9

#define ODD(src, lo, hi) \
	VBROADCASTSS src, Y12;       \
	VFMADD231PS  Y10, Y12, lo;   \
	VFMADD231PS  Y11, Y12, hi

#define EVEN(src, lo, hi) \
	VBROADCASTSS src, Y12;      \
	VFMADD231PS  Y8, Y12, lo;   \
	VFMADD231PS  Y9, Y12, hi

// START begins a pass over the weights: R8 = tile, R9 = the group's activations of its first k, R13 = tiles left.
#define START \
	MOVQ  SI, R8;     \
	MOVQ  DX, R9;     \
	MOVQ  CX, R13;    \
	VPXOR Y0, Y0, Y0; \
	VPXOR Y1, Y1, Y1; \
	VPXOR Y2, Y2, Y2; \
	VPXOR Y3, Y3, Y3; \
	VPXOR Y4, Y4, Y4; \
	VPXOR Y5, Y5, Y5; \
	VPXOR Y6, Y6, Y6; \
	VPXOR Y7, Y7, Y7

// FOUR adds one pair of k to one chain of four tokens.
#define FOUR(off) \
	PAIR(off);                     \
	ODD(0(R9)(BX*1), Y0, Y1);      \
	ODD(4(R9)(BX*1), Y2, Y3);      \
	ODD(8(R9)(BX*1), Y4, Y5);      \
	ODD(12(R9)(BX*1), Y6, Y7);     \
	EVEN(0(R9), Y0, Y1);           \
	EVEN(4(R9), Y2, Y3);           \
	EVEN(8(R9), Y4, Y5);           \
	EVEN(12(R9), Y6, Y7)

// LOAD takes the group's sums of a chain, at off(R12), into the registers and begins a pass; KEEP puts them back.
#define LOAD(off) \
	VMOVUPS off+0(R12), Y0;   \
	VMOVUPS off+32(R12), Y1;  \
	VMOVUPS off+128(R12), Y2; \
	VMOVUPS off+160(R12), Y3; \
	VMOVUPS off+256(R12), Y4; \
	VMOVUPS off+288(R12), Y5; \
	VMOVUPS off+384(R12), Y6; \
	VMOVUPS off+416(R12), Y7; \
	MOVQ    SI, R8;           \
	MOVQ    CX, R13

#define KEEP(off) \
	VMOVUPS Y0, off+0(R12);   \
	VMOVUPS Y1, off+32(R12);  \
	VMOVUPS Y2, off+128(R12); \
	VMOVUPS Y3, off+160(R12); \
	VMOVUPS Y4, off+256(R12); \
	VMOVUPS Y5, off+288(R12); \
	VMOVUPS Y6, off+384(R12); \
	VMOVUPS Y7, off+416(R12)

#define NEXT \
	ADDQ $128, R8;       \
	LEAQ (R9)(BX*4), R9; \
	DECQ R13

// STORE scales and writes one token's results and ends the function after the last token. Y12 = 2^-64.
#define STORE(lo, hi) \
	VMULPS  Y12, lo, lo;     \
	VMULPS  Y12, hi, hi;     \
	VMOVUPS lo, (DI);        \
	VMOVUPS hi, 32(DI);      \
	LEAQ    (DI)(R13*4), DI; \
	DECQ    AX;              \
	JZ      done

// SCALE makes Y12 = 2^-64 and R13 = outStride.
#define SCALE \
	MOVL         $0x1f800000, R13;   \
	VMOVD        R13, X12;           \
	VPBROADCASTD X12, Y12;           \
	MOVQ         outStride+8(FP), R13

// for t := range tokens { for r := range 16 {
//	for pair := range 2*k4 { for k := 2*pair+1; k >= 2*pair; k-- {
//		c[pair%2] = fma(normalBF16(w[32*pair+2*r+k%2]), panel[k*width+t], c[pair%2]) } }
//	out[t*outStride+r] = (c[0]+c[1]) * 2^-64 } }
//
// func mulRoundedAVX2(out *float32, outStride int, w *byte, panel *float32, width, k4, tokens int)
TEXT ·mulRoundedAVX2(SB), 0, $2064-56
	MOVQ     out+0(FP), DI
	MOVQ     w+16(FP), SI
	MOVQ     panel+24(FP), DX
	MOVQ     width+32(FP), BX
	SHLQ     $2, BX            // BX = bytes from one k of the panel to the next
	MOVQ     k4+40(FP), CX
	MOVQ     tokens+48(FP), AX // AX = tokens to store
	VPCMPEQD Y13, Y13, Y13
	VPSRLW   $8, Y13, Y15      // 00ff
	VPSLLW   $7, Y15, Y15      // 7f80
	VPSLLD   $16, Y13, Y13     // ffff0000
	VPXOR    Y14, Y14, Y14
	LEAQ     (BX)(BX*2), R10   // R10 = 3 k
	CMPQ     BX, $8
	JCS      one
	JEQ      two

	MOVQ     AX, R13
	ADDQ     $3, R13
	SHRQ     $2, R13
	SHLQ     $9, R13
	VPXOR    Y0, Y0, Y0

zero:
	SUBQ    $64, R13
	VMOVUPS Y0, (SP)(R13*1)
	VMOVUPS Y0, 32(SP)(R13*1)
	JNZ     zero
	MOVQ    CX, LEFT(SP)

block:
	MOVQ    LEFT(SP), CX    // CX = tiles of this block
	MOVQ    $BLOCKTILES, R8
	CMPQ    CX, R8
	CMOVQHI R8, CX
	SUBQ    CX, LEFT(SP)
	MOVQ    DX, R11         // R11 = the group's activations
	MOVQ    SP, R12         // R12 = its sums
	LEAQ    3(AX), R8
	SHRQ    $2, R8
	MOVQ    R8, GROUPS(SP)

four:
	LOAD(0)
	MOVQ R11, R9

four0:
	FOUR(0)
	NEXT
	JNZ  four0
	KEEP(0)
	LOAD(64)
	LEAQ (R11)(BX*2), R9

four1:
	FOUR(64)
	NEXT
	JNZ   four1
	KEEP(64)
	ADDQ  $16, R11       // the next four tokens
	ADDQ  $512, R12
	DECQ  GROUPS(SP)
	JNZ   four
	MOVQ  R8, SI         // the last pass ended where the next block begins
	IMULQ BX, CX
	LEAQ  (DX)(CX*4), DX
	CMPQ  LEFT(SP), $0
	JNE   block
	MOVQ  SP, R12
	SCALE

result:
	VMOVUPS (R12), Y0
	VMOVUPS 32(R12), Y1
	VADDPS  64(R12), Y0, Y0
	VADDPS  96(R12), Y1, Y1
	STORE(Y0, Y1)
	ADDQ    $128, R12
	JMP     result

two:
	START

twoTile: // Y0-Y3 = chain 0, Y4-Y7 = chain 1, each token 0 and token 1
	PAIR(0)
	ODD(0(R9)(BX*1), Y0, Y1)
	ODD(4(R9)(BX*1), Y2, Y3)
	EVEN(0(R9), Y0, Y1)
	EVEN(4(R9), Y2, Y3)
	PAIR(64)
	ODD(0(R9)(R10*1), Y4, Y5)
	ODD(4(R9)(R10*1), Y6, Y7)
	EVEN(0(R9)(BX*2), Y4, Y5)
	EVEN(4(R9)(BX*2), Y6, Y7)
	NEXT
	JNZ    twoTile
	VADDPS Y4, Y0, Y0
	VADDPS Y5, Y1, Y1
	VADDPS Y6, Y2, Y2
	VADDPS Y7, Y3, Y3
	SCALE
	STORE(Y0, Y1)
	STORE(Y2, Y3)

one:
	START

oneTile: // Y0, Y1 = chain 0, Y4, Y5 = chain 1
	PAIR(0)
	ODD(4(R9), Y0, Y1)
	EVEN(0(R9), Y0, Y1)
	PAIR(64)
	ODD(12(R9), Y4, Y5)
	EVEN(8(R9), Y4, Y5)
	NEXT
	JNZ    oneTile
	VADDPS Y4, Y0, Y0
	VADDPS Y5, Y1, Y1
	SCALE
	STORE(Y0, Y1)

done:
	VZEROUPPER
	RET
