//go:build !noasm

#include "textflag.h"
#include "vnni_vex_amd64.h"

// Y13 adds 128 to an int8; the row is that of -128*sum.

#define SETUP \
	VPCMPEQW  Y13, Y13, Y13; \
	VPSLLW    $15, Y13, Y13; \
	VPACKSSWB Y13, Y13, Y13; \
	LEAQ      (BX*4), R13

#define PAIRBYTES 128

#define PAIR(off) \
	VPXOR off(SI), Y13, Y8; \
	VPXOR 64+off(SI), Y13, Y9

#define DOT8(at, acc, n) \
	VPBROADCASTD at, Y12; \
	VPDPBUSD_VEX(12, 8, n)

#define DOT9(at, acc, n) \
	VPBROADCASTD at, Y12; \
	VPDPBUSD_VEX(12, 9, n)

// for s := range steps { for t := range tokens { for r := range 16 {
//	for k := range 4*stepTiles { sum += w[k of s][r] * int32(int8(panel[k of s][t])) }
//	acc[t][r] = fma(float32(sum), scales[s/groupSteps][r]*words[s][0][t], acc[t][r])
//	if mins != nil { acc[t][r] = fma(mins[s/groupSteps][r], words[s][1][t], acc[t][r]) } } } }
// for t := range tokens { for r := range 16 { out[t*outStride+r] = acc[t][r] * aScale[t] } }
//
// func mulW8GAVXVNNI(out *float32, outStride int, w, scales, mins *byte, halves int, panel *uint8, words *uint32, width, steps, stepTiles, groupSteps int, aScale *float32, tokens int)
TEXT ·mulW8GAVXVNNI(SB), NOSPLIT, $16-112
#include "mul_group_avx2_amd64.h"
