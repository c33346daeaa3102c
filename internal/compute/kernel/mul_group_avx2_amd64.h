// The body of mulW8G and mulW4G for AVX2 and AVX-VNNI, which define
//
//	SETUP      sets Y13 (and Y10) and R13: bytes from a step's words to the row that its sums begin with; BX = 4*width
//	PAIR(off)  loads rows 0-7 of 2 tiles to Y8 and Y9, at off 32 rows 8-15 (and their magnitudes to Y10 and Y11)
//	DOT8(at, acc, n), DOT9(at, acc, n)  add Y8, Y9 times the 4 activations at the address, through Y12; acc is register n
//	PAIRBYTES  is the size of 2 tiles
//
// Eight rows of four tokens have their integer sums in Y0-Y3 and their float sums in Y4-Y7; two passes do all rows, before
// the next four tokens. One or two tokens take all rows in one pass: Y0, Y1 and Y4, Y5 for rows 0-7, Y2, Y3 and Y6, Y7 for 8-15.
//
// SI = weights, DX = activations, R12 = words of the next step; R10 = scales, R11 = minima or 0 of this group; R9 = their
// bytes; AX = steps left in the group; CX = steps left; 0(SP) = 4 * first token, 8(SP) = 32 for rows 8-15.

// VECTOR loads 8 scales or minima, o bytes behind p if they are float32. Its last arguments are labels.
#define VECTOR(p, half, o, dst, floats, have) \
	CMPQ      halves+40(FP), $0; \
	JEQ       floats;            \
	VCVTPH2PS half(p), dst;      \
	JMP       have;              \
floats:                          \
	VMOVUPS   o(p), dst;         \
have:

#define BEGIN(off, acc) VPBROADCASTD off(R12)(R13*1), acc

// END adds the integer sum in acc to the float sum of the token at off; scales in Y14.
#define END(off, acc, sum) \
	VCVTDQ2PS    acc, acc;       \
	VBROADCASTSS off(R12), Y12;  \
	VMULPS       Y14, Y12, Y12;  \
	VFMADD231PS  Y12, acc, sum

// MIN adds the minima, in Y15, times the sum of the activations, in the words' second row.
#define MIN(off, sum) \
	VBROADCASTSS off(R12)(BX*1), Y12; \
	VFMADD231PS  Y12, Y15, sum

// TILES begins the loop over a step's pairs of tiles, NEXTPAIR ends it.
#define TILES(loop) \
	MOVQ stepTiles+80(FP), DI; \
	SHRQ $1, DI;               \
loop:

#define NEXTPAIR(loop) \
	ADDQ $PAIRBYTES, SI;  \
	LEAQ (DX)(BX*2), DX;  \
	DECQ DI;              \
	JNZ  loop

// NEXTSTEP ends a step, and a group with its last step.
#define NEXTSTEP(loop, same) \
	LEAQ  (BX)(BX*4), R8;        \
	ADDQ  R8, R12;               \
	DECQ  AX;                    \
	JNZ   same;                  \
	MOVQ  groupSteps+88(FP), AX; \
	ADDQ  R9, R10;               \
	TESTQ R11, R11;              \
	JZ    same;                  \
	ADDQ  R9, R11;               \
same:                            \
	DECQ  CX;                    \
	JNZ   loop

// STORE writes 8 results of one token and goes to next after the last token.
#define STORE(sum, next) \
	VBROADCASTSS (R8), Y12;     \
	VMULPS       Y12, sum, sum; \
	VMOVUPS      sum, (DI);     \
	ADDQ         $4, R8;        \
	ADDQ         R9, DI;        \
	DECQ         AX;            \
	JZ           next

	MOVQ width+64(FP), BX
	SHLQ $2, BX            // BX = bytes of a row of words, and of a tile's activations
	MOVQ mins+32(FP), R11
	SETUP
#ifdef WIDE
	CMPQ BX, $16
	JCC  wide
#endif
	MOVQ $0, 0(SP)
	MOVQ $0, 8(SP)

pass:
	MOVQ  8(SP), R8
	MOVQ  w+16(FP), SI
	ADDQ  R8, SI
	MOVQ  $64, R9
	CMPQ  halves+40(FP), $0
	JEQ   floats
	SHRQ  $1, R9
	SHRQ  $1, R8            // R8 = bytes from the scales of row 0 to this pass'

floats:
	MOVQ  scales+24(FP), R10
	ADDQ  R8, R10
	MOVQ  mins+32(FP), R11
	TESTQ R11, R11
	JZ    nomins
	ADDQ  R8, R11

nomins:
	MOVQ  panel+48(FP), DX
	ADDQ  0(SP), DX
	MOVQ  words+56(FP), R12
	ADDQ  0(SP), R12
	MOVQ  steps+72(FP), CX
	MOVQ  groupSteps+88(FP), AX
	VPXOR Y4, Y4, Y4
	VPXOR Y5, Y5, Y5
	VPXOR Y6, Y6, Y6
	VPXOR Y7, Y7, Y7
	CMPQ  BX, $8
	JCS   one
	JEQ   two

#ifndef WIDE
four:
	BEGIN(0, Y0)
	BEGIN(4, Y1)
	BEGIN(8, Y2)
	BEGIN(12, Y3)
	TILES(tiles4)
	PAIR(0)
	DOT8((DX), Y0, 0)
	DOT8(4(DX), Y1, 1)
	DOT8(8(DX), Y2, 2)
	DOT8(12(DX), Y3, 3)
	DOT9((DX)(BX*1), Y0, 0)
	DOT9(4(DX)(BX*1), Y1, 1)
	DOT9(8(DX)(BX*1), Y2, 2)
	DOT9(12(DX)(BX*1), Y3, 3)
	NEXTPAIR(tiles4)
	VECTOR(R10, 0, 0, Y14, floats4, have4)
	END(0, Y0, Y4)
	END(4, Y1, Y5)
	END(8, Y2, Y6)
	END(12, Y3, Y7)
	TESTQ R11, R11
	JZ    next4
	VECTOR(R11, 0, 0, Y15, minFloats4, minHave4)
	MIN(0, Y4)
	MIN(4, Y5)
	MIN(8, Y6)
	MIN(12, Y7)

next4:
	NEXTSTEP(four, same4)
	MOVQ 0(SP), R8
	MOVQ outStride+8(FP), R9
	MOVQ R8, DI
	IMULQ R9, DI              // DI = bytes to the first token's results
	ADDQ out+0(FP), DI
	ADDQ 8(SP), DI
	SHLQ $2, R9               // R9 = bytes from one token's results to the next
	MOVQ R8, CX
	SHRQ $2, CX
	MOVQ tokens+104(FP), AX
	SUBQ CX, AX               // AX = tokens to store
	ADDQ aScale+96(FP), R8
	STORE(Y4, rows)
	STORE(Y5, rows)
	STORE(Y6, rows)
	STORE(Y7, rows)

rows:
	XORQ $32, 8(SP)           // rows 8-15 of the same tokens, then the next four tokens
	JNZ  pass
	ADDQ $16, 0(SP)
	MOVQ tokens+104(FP), AX
	SHLQ $2, AX
	CMPQ 0(SP), AX
	JCS  pass
	JMP  done
#endif

two:
	BEGIN(0, Y0)
	BEGIN(4, Y1)
	BEGIN(0, Y2)
	BEGIN(4, Y3)
	TILES(tiles2)
	PAIR(0)
	DOT8((DX), Y0, 0)
	DOT8(4(DX), Y1, 1)
	DOT9((DX)(BX*1), Y0, 0)
	DOT9(4(DX)(BX*1), Y1, 1)
	PAIR(32)
	DOT8((DX), Y2, 2)
	DOT8(4(DX), Y3, 3)
	DOT9((DX)(BX*1), Y2, 2)
	DOT9(4(DX)(BX*1), Y3, 3)
	NEXTPAIR(tiles2)
	VECTOR(R10, 0, 0, Y14, floats2, have2)
	END(0, Y0, Y4)
	END(4, Y1, Y5)
	VECTOR(R10, 16, 32, Y14, highFloats2, highHave2)
	END(0, Y2, Y6)
	END(4, Y3, Y7)
	TESTQ R11, R11
	JZ    next2
	VECTOR(R11, 0, 0, Y15, minFloats2, minHave2)
	MIN(0, Y4)
	MIN(4, Y5)
	VECTOR(R11, 16, 32, Y15, minHighFloats2, minHighHave2)
	MIN(0, Y6)
	MIN(4, Y7)

next2:
	NEXTSTEP(two, same2)
	MOVQ out+0(FP), DI
	MOVQ outStride+8(FP), R9
	SHLQ $2, R9
	MOVQ aScale+96(FP), R8
	MOVQ tokens+104(FP), AX
	STORE(Y4, high2)
	STORE(Y5, high2)

high2:
	MOVQ out+0(FP), DI
	ADDQ $32, DI
	MOVQ aScale+96(FP), R8
	MOVQ tokens+104(FP), AX
	STORE(Y6, done)
	STORE(Y7, done)

one:  // even and odd tiles have their own sums, since one product waits for the one before
	BEGIN(0, Y0)
	VPXOR Y1, Y1, Y1
	BEGIN(0, Y2)
	VPXOR Y3, Y3, Y3
	TILES(tiles1)
	PREFETCHT0 1024(SI)  // from memory: one token does too little with a line to hide its way
	PREFETCHT0 (1024+PAIRBYTES-64)(SI)
	PAIR(0)
	DOT8((DX), Y0, 0)
	DOT9(4(DX), Y1, 1)
	PAIR(32)
	DOT8((DX), Y2, 2)
	DOT9(4(DX), Y3, 3)
	NEXTPAIR(tiles1)
	VPADDD Y1, Y0, Y0
	VPADDD Y3, Y2, Y2
	VECTOR(R10, 0, 0, Y14, floats1, have1)
	END(0, Y0, Y4)
	VECTOR(R10, 16, 32, Y14, highFloats1, highHave1)
	END(0, Y2, Y6)
	TESTQ R11, R11
	JZ    next1
	VECTOR(R11, 0, 0, Y15, minFloats1, minHave1)
	MIN(0, Y4)
	VECTOR(R11, 16, 32, Y15, minHighFloats1, minHighHave1)
	MIN(0, Y6)

next1:
	NEXTSTEP(one, same1)
	MOVQ         out+0(FP), DI
	MOVQ         aScale+96(FP), R8
	VBROADCASTSS (R8), Y12
	VMULPS       Y12, Y4, Y4
	VMULPS       Y12, Y6, Y6
	VMOVUPS      Y4, (DI)
	VMOVUPS      Y6, 32(DI)

done:
	VZEROUPPER
	RET

#ifdef WIDE
#include "mul_group_wide_avx2_amd64.h"
#endif
