//go:build !noasm

#include "textflag.h"
#include "neon_arm64.h"

// SDOT multiplies signed bytes: a sum begins with the row of zeros.
#define SETUP LSL $1, R8, R11

#define PAIR \
	FLDPQ (R1), (F0, F1);   \
	FLDPQ 32(R1), (F2, F3); \
	FLDPQ 64(R1), (F4, F5); \
	FLDPQ 96(R1), (F6, F7); \
	ADD   $128, R1

// for s := range steps { for t := range min(tokens, 2) { for r := range 16 {
//	for k := range 4*stepTiles { sum += w[k of s][r] * int32(int8(panel[k of s][t])) }
//	acc[t][r] = fma(float32(sum), scales[s/groupSteps][r]*words[s][0][t], acc[t][r])
//	if mins != nil { acc[t][r] = fma(mins[s/groupSteps][r], words[s][1][t], acc[t][r]) } } } }
// for t := range min(tokens, 2) { for r := range 16 { out[t*outStride+r] = acc[t][r] * aScale[t] } }
//
// func groupsW8GNeon(out *float32, outStride int, w, scales, mins *byte, halves int, panel *uint8, words *uint32, width, steps, stepTiles, groupSteps int, aScale *float32, tokens int)
TEXT ·groupsW8GNeon(SB), NOSPLIT, $0-112
#include "mul_group_neon_arm64.h"

// groupsW8GNeon for 3 or 4 tokens.
//
// func groupsW8GNeon4(out *float32, outStride int, w, scales, mins *byte, halves int, panel *uint8, words *uint32, width, steps, stepTiles, groupSteps int, aScale *float32, tokens int)
TEXT ·groupsW8GNeon4(SB), NOSPLIT, $256-112
#include "mul_group4_neon_arm64.h"
