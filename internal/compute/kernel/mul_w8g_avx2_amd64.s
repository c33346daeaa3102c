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

// for s := range steps { for t := range tokens { for r := range 16 {
//	for k := range 4*stepTiles { sum += w[k of s][r] * int32(int8(panel[k of s][t])) }
//	acc[t][r] = fma(float32(sum), scales[s/groupSteps][r]*words[s][0][t], acc[t][r])
//	if mins != nil { acc[t][r] = fma(mins[s/groupSteps][r], words[s][1][t], acc[t][r]) } } } }
// for t := range tokens { for r := range 16 { out[t*outStride+r] = acc[t][r] * aScale[t] } }
//
// func mulW8GAVX2(out *float32, outStride int, w, scales, mins *byte, halves int, panel *uint8, words *uint32, width, steps, stepTiles, groupSteps int, aScale *float32, tokens int)
TEXT ·mulW8GAVX2(SB), NOSPLIT, $16-112
#include "mul_group_avx2_amd64.h"
