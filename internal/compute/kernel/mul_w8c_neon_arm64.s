//go:build !noasm

#include "textflag.h"
#include "neon_arm64.h"

// One tile is 64 bytes: 16 rows x 4 k, rows 4j to 4j+3 in its vector j. SDOT by lane multiplies each row's 4 bytes with the
// 4 bytes of one lane of the panel and adds the sum to the row's int32.
// All four loads of a tile are LDP with offsets from one pointer, so that no load waits for another's address.

// TILE1 adds the tile at off(R1) times lane i of V8 to V(d) to V(d+3), rows 0 to 15.
#define TILE1(off, i, d) \
	FLDPQ (off)(R1), (F0, F1); \
	FLDPQ (off+32)(R1), (F2, F3); \
	SDOT_LANE(i, 8, 0, d); \
	SDOT_LANE(i, 8, 1, (d)+1); \
	SDOT_LANE(i, 8, 2, (d)+2); \
	SDOT_LANE(i, 8, 3, (d)+3)

// TILE2 is TILE1 for two tokens: lane i to V16 to V19, lane i+1 to V20 to V23.
#define TILE2(off, i) \
	TILE1(off, i, 16); \
	SDOT_LANE((i)+1, 8, 0, 20); \
	SDOT_LANE((i)+1, 8, 1, 21); \
	SDOT_LANE((i)+1, 8, 2, 22); \
	SDOT_LANE((i)+1, 8, 3, 23)

// for i := range k4 { for r := range 16 { for j := range 4 { acc[r] += int32(w[64*i+4*r+j]) * int32(panel[4*i+j]) } } }
// acc is written, not added to. Four tiles at a time; even and odd tiles have their own sums.
//
// func dotW8CNeon1(acc *[16]int32, w *byte, panel *uint8, k4 int)
TEXT ·dotW8CNeon1(SB), NOSPLIT, $0-32
	MOVD acc+0(FP), R0
	MOVD w+8(FP), R1     // R1 = next tile
	MOVD panel+16(FP), R2 // R2 = next 4 activations
	MOVD k4+24(FP), R3   // R3 = tiles left
	VEOR V16.B16, V16.B16, V16.B16 // V16-V19 = rows 0-15, even tiles
	VEOR V17.B16, V17.B16, V17.B16
	VEOR V18.B16, V18.B16, V18.B16
	VEOR V19.B16, V19.B16, V19.B16
	VEOR V20.B16, V20.B16, V20.B16 // V20-V23 = rows 0-15, odd tiles
	VEOR V21.B16, V21.B16, V21.B16
	VEOR V22.B16, V22.B16, V22.B16
	VEOR V23.B16, V23.B16, V23.B16
	SUBS $4, R3
	BLT  rest
tiles4:
	FMOVQ.P 16(R2), F8   // V8 = activations of 4 tiles
	TILE1(0, 0, 16)
	TILE1(64, 1, 20)
	TILE1(128, 2, 16)
	TILE1(192, 3, 20)
	ADD  $256, R1
	SUBS $4, R3
	BGE  tiles4
rest:
	ADDS $4, R3
	BEQ  done
tile:
	FMOVS.P 4(R2), F8
	TILE1(0, 0, 16)
	ADD  $64, R1
	SUBS $1, R3
	BNE  tile
done:
	VADD V20.S4, V16.S4, V16.S4
	VADD V21.S4, V17.S4, V17.S4
	VADD V22.S4, V18.S4, V18.S4
	VADD V23.S4, V19.S4, V19.S4
	VST1 [V16.S4, V17.S4, V18.S4, V19.S4], (R0)
	RET

// for i := range k4 { for t := range 2 { for r := range 16 { for j := range 4 {
//	acc[t][r] += int32(w[64*i+4*r+j]) * int32(panel[8*i+4*t+j]) } } } }
// acc is written, not added to.
//
// func dotW8CNeon2(acc *[2][16]int32, w *byte, panel *uint8, k4 int)
TEXT ·dotW8CNeon2(SB), NOSPLIT, $0-32
	MOVD acc+0(FP), R0
	MOVD w+8(FP), R1     // R1 = next tile
	MOVD panel+16(FP), R2 // R2 = next 2 x 4 activations
	MOVD k4+24(FP), R3   // R3 = tiles left
	VEOR V16.B16, V16.B16, V16.B16 // V16-V19 = token 0
	VEOR V17.B16, V17.B16, V17.B16
	VEOR V18.B16, V18.B16, V18.B16
	VEOR V19.B16, V19.B16, V19.B16
	VEOR V20.B16, V20.B16, V20.B16 // V20-V23 = token 1
	VEOR V21.B16, V21.B16, V21.B16
	VEOR V22.B16, V22.B16, V22.B16
	VEOR V23.B16, V23.B16, V23.B16
	SUBS $2, R3
	BLT  rest
tiles2:
	FMOVQ.P 16(R2), F8   // V8 = both tokens' activations of 2 tiles
	TILE2(0, 0)
	TILE2(64, 2)
	ADD  $128, R1
	SUBS $2, R3
	BGE  tiles2
rest:
	ADDS $2, R3
	BEQ  done
	FMOVD (R2), F8
	TILE2(0, 0)
done:
	VST1.P [V16.S4, V17.S4, V18.S4, V19.S4], 64(R0)
	VST1 [V20.S4, V21.S4, V22.S4, V23.S4], (R0)
	RET

// for i := range k4 { for t := range 4 { for r := range 16 { for j := range 4 {
//	acc[t][r] += int32(w[64*i+4*r+j]) * int32(panel[stride*i+4*t+j]) } } } }
//
// func dotW8CNeon4(acc *int32, w *byte, panel *uint8, stride, k4 int)
TEXT ·dotW8CNeon4(SB), NOSPLIT, $0-40
	MOVD acc+0(FP), R0
	MOVD w+8(FP), R1      // R1 = next tile
	MOVD panel+16(FP), R2 // R2 = next 4 x 4 activations
	MOVD stride+24(FP), R3
	MOVD k4+32(FP), R4    // R4 = tiles left
	MOVD R0, R5
	VLD1.P 64(R5), [V16.S4, V17.S4, V18.S4, V19.S4] // V16-V19 = token 0, rows 0-15
	VLD1.P 64(R5), [V20.S4, V21.S4, V22.S4, V23.S4] // token 1
	VLD1.P 64(R5), [V24.S4, V25.S4, V26.S4, V27.S4] // token 2
	VLD1   (R5), [V28.S4, V29.S4, V30.S4, V31.S4]   // token 3
tile:
	VLD1.P (R2)(R3), [V8.B16] // lane t = token t
	TILE1(0, 0, 16)
	SDOT_LANE(1, 8, 0, 20)
	SDOT_LANE(1, 8, 1, 21)
	SDOT_LANE(1, 8, 2, 22)
	SDOT_LANE(1, 8, 3, 23)
	SDOT_LANE(2, 8, 0, 24)
	SDOT_LANE(2, 8, 1, 25)
	SDOT_LANE(2, 8, 2, 26)
	SDOT_LANE(2, 8, 3, 27)
	SDOT_LANE(3, 8, 0, 28)
	SDOT_LANE(3, 8, 1, 29)
	SDOT_LANE(3, 8, 2, 30)
	SDOT_LANE(3, 8, 3, 31)
	ADD  $64, R1
	SUBS $1, R4
	BNE  tile
	VST1.P [V16.S4, V17.S4, V18.S4, V19.S4], 64(R0)
	VST1.P [V20.S4, V21.S4, V22.S4, V23.S4], 64(R0)
	VST1.P [V24.S4, V25.S4, V26.S4, V27.S4], 64(R0)
	VST1   [V28.S4, V29.S4, V30.S4, V31.S4], (R0)
	RET

// for t := range tokens { for r := range 16 { out[t*stride+r] = (float32(acc[t][r]) * aScale[t]) * wScale[r] } }
//
// func scaleW8CNeon(out *float32, stride int, acc *int32, wScale, aScale *float32, tokens int)
TEXT ·scaleW8CNeon(SB), NOSPLIT, $0-48
	MOVD out+0(FP), R0
	MOVD stride+8(FP), R1
	LSL  $2, R1          // R1 = bytes between tokens
	MOVD acc+16(FP), R2
	MOVD wScale+24(FP), R3
	MOVD aScale+32(FP), R4
	MOVD tokens+40(FP), R5
	VLD1 (R3), [V4.S4, V5.S4, V6.S4, V7.S4] // V4-V7 = wScale
token:
	VLD1.P  64(R2), [V0.S4, V1.S4, V2.S4, V3.S4]
	FMOVS.P 4(R4), F8    // V8 lane 0 = aScale[t]
	SCVTF(0, 0)
	SCVTF(1, 1)
	SCVTF(2, 2)
	SCVTF(3, 3)
	FMUL_LANE(0, 8, 0, 0)
	FMUL_LANE(0, 8, 1, 1)
	FMUL_LANE(0, 8, 2, 2)
	FMUL_LANE(0, 8, 3, 3)
	FMUL(4, 0, 0)
	FMUL(5, 1, 1)
	FMUL(6, 2, 2)
	FMUL(7, 3, 3)
	VST1 [V0.S4, V1.S4, V2.S4, V3.S4], (R0)
	ADD  R1, R0
	SUBS $1, R5
	BNE  token
	RET
