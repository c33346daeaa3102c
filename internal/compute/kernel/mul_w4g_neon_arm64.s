//go:build !noasm

#include "textflag.h"
#include "neon_arm64.h"

// The row of -8*sum, or of zeros where there are minima. V15 masks a nibble.
#define SETUP \
	LSL   $1, R8, R11;      \
	ADD   R8, R11, R12;     \
	CMP   $0, R5;           \
	CSEL  EQ, R12, R11, R11; \
	VMOVI $15, V15.B16

#define PAIR \
	FLDPQ (R1), (F4, F5);   \
	FLDPQ 32(R1), (F6, F7); \
	ADD   $64, R1;          \
	VAND  V15.B16, V4.B16, V0.B16; \
	VAND  V15.B16, V5.B16, V1.B16; \
	VAND  V15.B16, V6.B16, V2.B16; \
	VAND  V15.B16, V7.B16, V3.B16; \
	VUSHR $4, V4.B16, V4.B16; \
	VUSHR $4, V5.B16, V5.B16; \
	VUSHR $4, V6.B16, V6.B16; \
	VUSHR $4, V7.B16, V7.B16

// for s := range steps { for t := range min(tokens, 2) { for r := range 16 {
//	for k := range 4*stepTiles { sum += w[k of s][r] * int32(int8(panel[k of s][t])) }
//	acc[t][r] = fma(float32(sum), scales[s/groupSteps][r]*words[s][0][t], acc[t][r])
//	if mins != nil { acc[t][r] = fma(mins[s/groupSteps][r], words[s][1][t], acc[t][r]) } } } }
// for t := range min(tokens, 2) { for r := range 16 { out[t*outStride+r] = acc[t][r] * aScale[t] } }
//
// func groupsW4GNeon(out *float32, outStride int, w, scales, mins *byte, halves int, panel *uint8, words *uint32, width, steps, stepTiles, groupSteps int, aScale *float32, tokens int)
TEXT ·groupsW4GNeon(SB), NOSPLIT, $0-112
#include "mul_group_neon_arm64.h"

// groupsW4GNeon for 3 or 4 tokens.
//
// func groupsW4GNeon4(out *float32, outStride int, w, scales, mins *byte, halves int, panel *uint8, words *uint32, width, steps, stepTiles, groupSteps int, aScale *float32, tokens int)
TEXT ·groupsW4GNeon4(SB), NOSPLIT, $256-112
#include "mul_group4_neon_arm64.h"
