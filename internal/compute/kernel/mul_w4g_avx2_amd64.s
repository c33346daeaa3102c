//go:build !noasm

#include "textflag.h"

// A nibble is unsigned, so that VPMADDUBSW takes it as it is. Y13 = 1 in each 16 bits, Y10 masks a nibble.

#define SETUP \
	VPCMPEQW  Y13, Y13, Y13; \
	VPSRLW    $12, Y13, Y10; \
	VPACKUSWB Y10, Y10, Y10; \
	VPABSW    Y13, Y13; \
	LEAQ (BX)(BX*2), R13; \
	LEAQ (BX*2), AX; \
	TESTQ R11, R11; \
	CMOVQNE AX, R13

#define PAIRBYTES 64

#define PAIR(off) \
	VMOVDQU off(SI), Y9; \
	VPAND   Y10, Y9, Y8; \
	VPSRLD  $4, Y9, Y9; \
	VPAND   Y10, Y9, Y9

#define DOT8(at, acc, n) \
	VPBROADCASTD at, Y12; \
	VPMADDUBSW   Y12, Y8, Y12; \
	VPMADDWD     Y13, Y12, Y12; \
	VPADDD       Y12, acc, acc

#define DOT9(at, acc, n) \
	VPBROADCASTD at, Y12; \
	VPMADDUBSW   Y12, Y9, Y12; \
	VPMADDWD     Y13, Y12, Y12; \
	VPADDD       Y12, acc, acc

#define WIDE
#define TILEBYTES 32

// Four tokens sum in 16 bits: in a chunk of 32 k each half of a 32-bit lane takes 8 pairs, at most 8*2*15*127 = 30480.
// Y15 = 1 in each 16 bits, Y14 masks a nibble.
#define WIDESETUP \
	VPCMPEQW  Y15, Y15, Y15;        \
	VPSRLW    $12, Y15, Y14;        \
	VPACKUSWB Y14, Y14, Y14;        \
	VPABSW    Y15, Y15;             \
	MOVQ      stepTiles+80(FP), AX; \
	SHRQ      $1, AX;               \
	MOVQ      $1, CX;               \
	CMPQ      AX, $4;               \
	JLS       small;                \
	MOVQ      AX, CX;               \
	SHRQ      $2, CX;               \
	MOVQ      $4, AX;               \
small:                              \
	MOVQ      CX, CHUNKS(SP);       \
	MOVQ      AX, CHUNKPAIRS(SP)

// UNPACK makes 8 k of the weights at R13: Y10 and Y11 the first four, rows 0-7 and 8-15, Y8 and Y9 the others.
#define UNPACK \
	VMOVDQU (R13), Y8;    \
	VMOVDQU 32(R13), Y9;  \
	VPAND   Y14, Y8, Y10; \
	VPAND   Y14, Y9, Y11; \
	VPSRLD  $4, Y8, Y8;   \
	VPSRLD  $4, Y9, Y9;   \
	VPAND   Y14, Y8, Y8;  \
	VPAND   Y14, Y9, Y9

// FIRST makes the sums of 4 k, rows 0-7 in v and 8-15 in w, times the token's activations; TOKEN adds them.
#define FIRST(at, v, w, lo, hi) \
	VPBROADCASTD at, hi;    \
	VPMADDUBSW   hi, v, lo; \
	VPMADDUBSW   hi, w, hi

#define TOKEN(at, v, w, lo, hi) \
	VPBROADCASTD at, Y13;     \
	VPMADDUBSW   Y13, v, Y12; \
	VPMADDUBSW   Y13, w, Y13; \
	VPADDW       Y12, lo, lo; \
	VPADDW       Y13, hi, hi

// BEGINNING adds what the words' row, at R13, begins the sums of token t with.
#define BEGINNING(t, lo, hi) \
	VPBROADCASTD 4*t(R13)(DI*1), Y12; \
	VPADDD       Y12, lo, lo;         \
	VPADDD       Y12, hi, hi

#define ALL(OP) \
	OP(0, Y0); \
	OP(1, Y1); \
	OP(2, Y2); \
	OP(3, Y3); \
	OP(4, Y4); \
	OP(5, Y5); \
	OP(6, Y6); \
	OP(7, Y7)

// Steps of several chunks add up in PART.
#define WIDEN(i, r) VPMADDWD Y15, r, r
#define ADDPART(i, r) VPADDD 32*i+PART(R9), r, r
#define KEEPPART(i, r) VMOVDQU r, 32*i+PART(R9)

#define SUMS \
	LEAQ    (DX)(DI*1), R8;              \
	MOVQ    SI, R13;                     \
	MOVQ    CHUNKS(SP), CX;              \
	CMPQ    CX, $1;                      \
	JEQ     chunk;                       \
	VPXOR   Y12, Y12, Y12;               \
	KEEPPART(0, Y12);                    \
	KEEPPART(1, Y12);                    \
	KEEPPART(2, Y12);                    \
	KEEPPART(3, Y12);                    \
	KEEPPART(4, Y12);                    \
	KEEPPART(5, Y12);                    \
	KEEPPART(6, Y12);                    \
	KEEPPART(7, Y12);                    \
chunk:                                   \
	MOVQ    CHUNKPAIRS(SP), AX;          \
	UNPACK;                              \
	FIRST((R8), Y10, Y11, Y0, Y1);       \
	FIRST(4(R8), Y10, Y11, Y2, Y3);      \
	FIRST(8(R8), Y10, Y11, Y4, Y5);      \
	FIRST(12(R8), Y10, Y11, Y6, Y7);     \
	JMP     other;                       \
tiles:                                   \
	UNPACK;                              \
	TOKEN((R8), Y10, Y11, Y0, Y1);       \
	TOKEN(4(R8), Y10, Y11, Y2, Y3);      \
	TOKEN(8(R8), Y10, Y11, Y4, Y5);      \
	TOKEN(12(R8), Y10, Y11, Y6, Y7);     \
other:                                   \
	TOKEN((R8)(BX*1), Y8, Y9, Y0, Y1);   \
	TOKEN(4(R8)(BX*1), Y8, Y9, Y2, Y3);  \
	TOKEN(8(R8)(BX*1), Y8, Y9, Y4, Y5);  \
	TOKEN(12(R8)(BX*1), Y8, Y9, Y6, Y7); \
	ADDQ    $64, R13;                    \
	LEAQ    (R8)(BX*2), R8;              \
	DECQ    AX;                          \
	JNZ     tiles;                       \
	ALL(WIDEN);                          \
	CMPQ    CHUNKS(SP), $1;              \
	JEQ     whole;                       \
	ALL(ADDPART);                        \
	DECQ    CX;                          \
	JZ      whole;                       \
	ALL(KEEPPART);                       \
	JMP     chunk;                       \
whole:                                   \
	MOVQ    BEGINROW(SP), R13;           \
	ADDQ    R12, R13;                    \
	BEGINNING(0, Y0, Y1);                \
	BEGINNING(1, Y2, Y3);                \
	BEGINNING(2, Y4, Y5);                \
	BEGINNING(3, Y6, Y7)

// for s := range steps { for t := range tokens { for r := range 16 {
//	for k := range 4*stepTiles { sum += w[k of s][r] * int32(int8(panel[k of s][t])) }
//	acc[t][r] = fma(float32(sum), scales[s/groupSteps][r]*words[s][0][t], acc[t][r])
//	if mins != nil { acc[t][r] = fma(mins[s/groupSteps][r], words[s][1][t], acc[t][r]) } } } }
// for t := range tokens { for r := range 16 { out[t*outStride+r] = acc[t][r] * aScale[t] } }
//
// func mulW4GAVX2(out *float32, outStride int, w, scales, mins *byte, halves int, panel *uint8, words *uint32, width, steps, stepTiles, groupSteps int, aScale *float32, tokens int)
TEXT ·mulW4GAVX2(SB), 0, $1536-112
#include "mul_group_avx2_amd64.h"
