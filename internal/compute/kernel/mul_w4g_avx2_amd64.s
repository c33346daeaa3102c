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

// for s := range steps { for t := range tokens { for r := range 16 {
//	for k := range 4*stepTiles { sum += w[k of s][r] * int32(int8(panel[k of s][t])) }
//	acc[t][r] = fma(float32(sum), scales[s/groupSteps][r]*words[s][0][t], acc[t][r])
//	if mins != nil { acc[t][r] = fma(mins[s/groupSteps][r], words[s][1][t], acc[t][r]) } } } }
// for t := range tokens { for r := range 16 { out[t*outStride+r] = acc[t][r] * aScale[t] } }
//
// func mulW4GAVX2(out *float32, outStride int, w, scales, mins *byte, halves int, panel *uint8, words *uint32, width, steps, stepTiles, groupSteps int, aScale *float32, tokens int)
TEXT ·mulW4GAVX2(SB), NOSPLIT, $16-112
#include "mul_group_avx2_amd64.h"
