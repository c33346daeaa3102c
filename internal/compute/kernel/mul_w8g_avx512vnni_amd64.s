//go:build !noasm

#include "textflag.h"

#define SETUP \
	MOVL         $0x80808080, AX; \
	VPBROADCASTD AX, Z30;         \
	LEAQ         (BX*4), R13      // Z30 adds 128 to an int8; the row of -128*sum

#define TILES \
	VPXORD (SI), Z30, Z20;    \
	VPXORD 64(SI), Z30, Z21;  \
	VPXORD 128(SI), Z30, Z22; \
	VPXORD 192(SI), Z30, Z23; \
	VPXORD 256(SI), Z30, Z24; \
	VPXORD 320(SI), Z30, Z25; \
	VPXORD 384(SI), Z30, Z26; \
	VPXORD 448(SI), Z30, Z27; \
	ADDQ   $512, SI

#define AHEAD \
	PREFETCHT1 (8192+0)(SI); \
	PREFETCHT1 (8192+64)(SI); \
	PREFETCHT1 (8192+128)(SI); \
	PREFETCHT1 (8192+192)(SI); \
	PREFETCHT1 (8192+256)(SI); \
	PREFETCHT1 (8192+320)(SI); \
	PREFETCHT1 (8192+384)(SI); \
	PREFETCHT1 (8192+448)(SI)

#define PAIR \
	VPXORD (SI), Z30, Z20;   \
	VPXORD 64(SI), Z30, Z21; \
	ADDQ   $128, SI

#define AHEADPAIR \
	PREFETCHT1 (8192)(SI); \
	PREFETCHT1 (8192+64)(SI)

// for s := range steps { for t := range tokens { for r := range 16 {
//	for k := range 4*stepTiles { sum += w[k of s][r] * int32(int8(panel[k of s][t])) }
//	acc[t][r] = fma(float32(sum), scales[s/groupSteps][r]*words[s][0][t], acc[t][r])
//	if mins != nil { acc[t][r] = fma(mins[s/groupSteps][r], words[s][1][t], acc[t][r]) } } } }
// for t := range tokens { for r := range 16 { out[t*outStride+r] = acc[t][r] * aScale[t] } }
//
// func mulW8GAVX512VNNI(out *float32, outStride int, w, scales, mins *byte, halves int, panel *uint8, words *uint32, width, steps, stepTiles, groupSteps int, aScale *float32, tokens int)
TEXT ·mulW8GAVX512VNNI(SB), NOSPLIT, $0-112
#include "mul_group_avx512_amd64.h"
