//go:build !noasm

#include "textflag.h"

// VPMADDUBSW multiplies the weights' magnitudes, up to 128, with activations that took their sign: a pair is at most
// 2*128*127 < 2^15. VPSIGNB is exact, since no activation is -128.

#define SETUP \
	VPCMPEQW Y13, Y13, Y13; \
	VPABSW   Y13, Y13; \
	LEAQ     (BX*2), R13

#define PAIRBYTES 128

#define PAIR(off) \
	VMOVDQU off(SI), Y8; \
	VMOVDQU 64+off(SI), Y9; \
	VPABSB  Y8, Y10; \
	VPABSB  Y9, Y11

#define DOT8(at, acc, n) \
	VPBROADCASTD at, Y12; \
	VPSIGNB      Y8, Y12, Y12; \
	VPMADDUBSW   Y12, Y10, Y12; \
	VPMADDWD     Y13, Y12, Y12; \
	VPADDD       Y12, acc, acc

#define DOT9(at, acc, n) \
	VPBROADCASTD at, Y12; \
	VPSIGNB      Y9, Y12, Y12; \
	VPMADDUBSW   Y12, Y11, Y12; \
	VPMADDWD     Y13, Y12, Y12; \
	VPADDD       Y12, acc, acc

#define WIDE
#define TILEBYTES 64

// Y15 = 1 in each 16 bits.
#define WIDESETUP \
	VPCMPEQW Y15, Y15, Y15; \
	VPABSW   Y15, Y15

// PRODUCT makes a tile, magnitudes in Y8 and Y9, times the token at src. Weights in memory, w bytes from R13, are the signs.
#define PRODUCT(src, w, x, y)  \
	VPBROADCASTD src, y;          \
	VPSIGNB      w(R13), y, x;    \
	VPSIGNB      32+w(R13), y, y; \
	VPMADDUBSW   x, Y8, x;        \
	VPMADDUBSW   y, Y9, y;        \
	VPMADDWD     Y15, x, x;       \
	VPMADDWD     Y15, y, y

#define TOKEN(src, w, lo, hi, x, y) \
	PRODUCT(src, w, x, y); \
	VPADDD x, lo, lo;      \
	VPADDD y, hi, hi

#define MAGNITUDES(w) \
	VPABSB w(R13), Y8; \
	VPABSB 32+w(R13), Y9

// Two tiles a turn: a step has an even number of them.
#define SUMS \
	LEAQ   (DX)(DI*1), R8;                       \
	MOVQ   SI, R13;                              \
	MOVQ   stepTiles+80(FP), AX;                 \
	MAGNITUDES(0);                               \
	PRODUCT((R8), 0, Y0, Y1);                    \
	PRODUCT(4(R8), 0, Y2, Y3);                   \
	PRODUCT(8(R8), 0, Y4, Y5);                   \
	PRODUCT(12(R8), 0, Y6, Y7);                  \
	JMP    second;                               \
tiles:                                           \
	MAGNITUDES(0);                               \
	TOKEN((R8), 0, Y0, Y1, Y10, Y11);            \
	TOKEN(4(R8), 0, Y2, Y3, Y12, Y13);           \
	TOKEN(8(R8), 0, Y4, Y5, Y10, Y11);           \
	TOKEN(12(R8), 0, Y6, Y7, Y12, Y13);          \
second:                                          \
	MAGNITUDES(64);                              \
	TOKEN((R8)(BX*1), 64, Y0, Y1, Y10, Y11);     \
	TOKEN(4(R8)(BX*1), 64, Y2, Y3, Y12, Y13);    \
	TOKEN(8(R8)(BX*1), 64, Y4, Y5, Y10, Y11);    \
	TOKEN(12(R8)(BX*1), 64, Y6, Y7, Y12, Y13);   \
	ADDQ   $128, R13;                            \
	LEAQ   (R8)(BX*2), R8;                       \
	SUBQ   $2, AX;                               \
	JNZ    tiles

// for s := range steps { for t := range tokens { for r := range 16 {
//	for k := range 4*stepTiles { sum += w[k of s][r] * int32(int8(panel[k of s][t])) }
//	acc[t][r] = fma(float32(sum), scales[s/groupSteps][r]*words[s][0][t], acc[t][r])
//	if mins != nil { acc[t][r] = fma(mins[s/groupSteps][r], words[s][1][t], acc[t][r]) } } } }
// for t := range tokens { for r := range 16 { out[t*outStride+r] = acc[t][r] * aScale[t] } }
//
// func mulW8GAVX2(out *float32, outStride int, w, scales, mins *byte, halves int, panel *uint8, words *uint32, width, steps, stepTiles, groupSteps int, aScale *float32, tokens int)
TEXT ·mulW8GAVX2(SB), 0, $1280-112
#include "mul_group_avx2_amd64.h"
