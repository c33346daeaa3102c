//go:build !noasm

#include "textflag.h"

// The product of W4G whose nibbles are bytes, in steps of 32 k: many tokens share what it takes to part them, and six tokens, for
// whose sums no register would be left beside a mask and four vectors of nibbles, share each load. Sums are in 16 bits, at most
// 8 pairs of 2*15*127 in each half of a 32-bit lane, and widened once.

#define TILEBYTES  64
#define TOKENSLEFT 56   // (SP)
#define ONES       1152 // (R9): 1 in each 16 bits

#define WIDESETUP \
	VPCMPEQW Y15, Y15, Y15; \
	VPABSW   Y15, Y15;      \
	VMOVDQU  Y15, ONES(R9)

// FIRST makes the sums of a tile, rows 0-7 in Y12 and 8-15 in Y13, times the token's activations; ADD adds them.
#define FIRST(at, lo, hi) \
	VPBROADCASTD at, hi;      \
	VPMADDUBSW   hi, Y12, lo; \
	VPMADDUBSW   hi, Y13, hi

#define ADD(at, lo, hi) \
	VPBROADCASTD at, Y15;       \
	VPMADDUBSW   Y15, Y12, Y14; \
	VPMADDUBSW   Y15, Y13, Y15; \
	VPADDW       Y14, lo, lo;   \
	VPADDW       Y15, hi, hi

// END widens the sums of token t and adds what the words' row, at R13, begins them with.
#define END(t, lo, hi) \
	VPMADDWD     ONES(R9), lo, lo;    \
	VPMADDWD     ONES(R9), hi, hi;    \
	VPBROADCASTD 4*t(R13)(DI*1), Y12; \
	VPADDD       Y12, lo, lo;         \
	VPADDD       Y12, hi, hi

#define FIRST4 FIRST((R8), Y0, Y1); FIRST(4(R8), Y2, Y3); FIRST(8(R8), Y4, Y5); FIRST(12(R8), Y6, Y7)
#define FIRST5 FIRST4; FIRST(16(R8), Y8, Y9)
#define FIRST6 FIRST5; FIRST(20(R8), Y10, Y11)

#define ADD4(at) ADD(0 at, Y0, Y1); ADD(4 at, Y2, Y3); ADD(8 at, Y4, Y5); ADD(12 at, Y6, Y7)
#define ADD5(at) ADD4(at); ADD(16 at, Y8, Y9)
#define ADD6(at) ADD5(at); ADD(20 at, Y10, Y11)

#define ALL4(OP) OP(0, Y0, Y1); OP(1, Y2, Y3); OP(2, Y4, Y5); OP(3, Y6, Y7)
#define ALL5(OP) ALL4(OP); OP(4, Y8, Y9)
#define ALL6(OP) ALL5(OP); OP(5, Y10, Y11)

// GROUP does a group of n tokens, of which DI is four times the first. Its first arguments are labels.
#define GROUP(tiles, second, keep, n, first, add, all) \
	LEAQ    (DX)(DI*1), R8;      \
	MOVQ    SI, R13;             \
	MOVL    $4, AX;              \
	VMOVDQU (R13), Y12;          \
	VMOVDQU 32(R13), Y13;        \
	first;                       \
	JMP     second;              \
tiles:                           \
	VMOVDQU (R13), Y12;          \
	VMOVDQU 32(R13), Y13;        \
	add((R8));                   \
second:                          \
	VMOVDQU 64(R13), Y12;        \
	VMOVDQU 96(R13), Y13;        \
	add((R8)(BX*1));             \
	ADDQ    $128, R13;           \
	LEAQ    (R8)(BX*2), R8;      \
	DECQ    AX;                  \
	JNZ     tiles;               \
	MOVQ    BEGINROW(SP), R13;   \
	ADDQ    R12, R13;            \
	all(END);                    \
	LEAQ    SUM(R9)(DI*8), R13;  \
	LEAQ    (R13)(DI*8), R13;    \
	all(FLOAT);                  \
	TESTQ   R11, R11;            \
	JZ      keep;                \
	LEAQ    (R12)(BX*1), CX;     \
	all(MINIMA);                 \
keep:                            \
	all(KEEP);                   \
	ADDQ    $(4*n), DI;          \
	SUBQ    $n, TOKENSLEFT(SP)

// TOKENS does all tokens in as few groups as can be, of sizes as equal as can be: 16 tokens are 6, 5 and 5.
#define TOKENS \
	MOVQ tokens+104(FP), AX;                                       \
	MOVQ AX, TOKENSLEFT(SP);                                       \
more:                                                              \
	MOVQ TOKENSLEFT(SP), AX;                                       \
	MOVL $(1<<6|1<<11|1<<12|1<<16), CX;                            \
	BTL  AX, CX;                                                   \
	JCS  six;                                                      \
	MOVL $(1<<1|1<<2|1<<3|1<<4|1<<7|1<<8), CX;                     \
	BTL  AX, CX;                                                   \
	JCS  four;                                                     \
	GROUP(fiveTiles, fiveSecond, fiveKeep, 5, FIRST5, ADD5, ALL5); \
	JGT  more;                                                     \
	JMP  ready;                                                    \
six:                                                               \
	GROUP(sixTiles, sixSecond, sixKeep, 6, FIRST6, ADD6, ALL6);    \
	JGT  more;                                                     \
	JMP  ready;                                                    \
four:                                                              \
	GROUP(fourTiles, fourSecond, fourKeep, 4, FIRST4, ADD4, ALL4); \
	JGT  more;                                                     \
ready:

// mulW4GAVX2 with w as expandW4GAVX2 makes it, width >= 4 and stepTiles = 8.
//
// func mulW4GBytesAVX2(out *float32, outStride int, w, scales, mins *byte, halves int, panel *uint8, words *uint32, width, steps, stepTiles, groupSteps int, aScale *float32, tokens int)
TEXT ·mulW4GBytesAVX2(SB), 0, $1312-112
	MOVQ    width+64(FP), BX
	SHLQ    $2, BX
	MOVQ    mins+32(FP), R11
	LEAQ    (BX)(BX*2), R13
	LEAQ    (BX*2), AX
	TESTQ   R11, R11
	CMOVQNE AX, R13
#include "mul_group_wide_avx2_amd64.h"

// func expandW4GAVX2(dst, w *byte, pairs int)
TEXT ·expandW4GAVX2(SB), NOSPLIT, $0-24
	MOVQ      dst+0(FP), DI
	MOVQ      w+8(FP), SI
	MOVQ      pairs+16(FP), CX
	VPCMPEQW  Y15, Y15, Y15
	VPSRLW    $12, Y15, Y15
	VPACKUSWB Y15, Y15, Y15    // 15 in each byte

pair:
	PREFETCHT0 1024(SI) // from memory
	VMOVDQU (SI), Y0
	VMOVDQU 32(SI), Y1
	VPAND   Y15, Y0, Y2
	VPAND   Y15, Y1, Y3
	VPSRLD  $4, Y0, Y0
	VPSRLD  $4, Y1, Y1
	VPAND   Y15, Y0, Y0
	VPAND   Y15, Y1, Y1
	VMOVDQU Y2, (DI)
	VMOVDQU Y3, 32(DI)
	VMOVDQU Y0, 64(DI)
	VMOVDQU Y1, 96(DI)
	ADDQ    $64, SI
	ADDQ    $128, DI
	DECQ    CX
	JNZ     pair
	VZEROUPPER
	RET
