//go:build !noasm

#include "textflag.h"

#define SETUP \
	MOVL         $0x0f0f0f0f, AX; \
	VPBROADCASTD AX, Z30;         \
	LEAQ         (BX)(BX*2), R13; \
	LEAQ         (BX*2), AX;      \
	TESTQ        R11, R11;        \
	CMOVQNE      AX, R13          // Z30 masks a nibble; the row of -8*sum, or of zeros where there are minima

// NIBBLES makes two tiles of 64 bytes.
#define NIBBLES(off, lo, hi) \
	VMOVDQU32 off(SI), hi;     \
	VPANDD    Z30, hi, lo;     \
	VPSRLD    $4, hi, hi;      \
	VPANDD    Z30, hi, hi

#define TILES \
	NIBBLES(0, Z20, Z21);   \
	NIBBLES(64, Z22, Z23);  \
	NIBBLES(128, Z24, Z25); \
	NIBBLES(192, Z26, Z27); \
	ADDQ $256, SI

#define AHEAD \
	PREFETCHT1 (8192+0)(SI); \
	PREFETCHT1 (8192+64)(SI); \
	PREFETCHT1 (8192+128)(SI); \
	PREFETCHT1 (8192+192)(SI)

#define PAIR \
	NIBBLES(0, Z20, Z21); \
	ADDQ $64, SI

#define AHEADPAIR PREFETCHT1 8192(SI)

// for s := range steps { for t := range tokens { for r := range 16 {
//	for k := range 4*stepTiles { sum += w[k of s][r] * int32(int8(panel[k of s][t])) }
//	acc[t][r] = fma(float32(sum), scales[s/groupSteps][r]*words[s][0][t], acc[t][r])
//	if mins != nil { acc[t][r] = fma(mins[s/groupSteps][r], words[s][1][t], acc[t][r]) } } } }
// for t := range tokens { for r := range 16 { out[t*outStride+r] = acc[t][r] * aScale[t] } }
//
// func mulW4GAVX512VNNI(out *float32, outStride int, w, scales, mins *byte, halves int, panel *uint8, words *uint32, width, steps, stepTiles, groupSteps int, aScale *float32, tokens int)
TEXT ·mulW4GAVX512VNNI(SB), NOSPLIT, $0-112
#include "mul_group_avx512_amd64.h"
