//go:build !noasm

#include "textflag.h"
#include "neon_arm64.h"

// A pair of k is 64 bytes: of each 32 bits the lower half is the even k, the upper one the odd k, which is multiplied first.

// MASKS sets V10 = exponents of both halves, V11 = upper halves.
#define MASKS \
	MOVD $0x7f807f807f807f80, R6; \
	VDUP R6, V10.D2; \
	MOVD $0xffff0000ffff0000, R6; \
	VDUP R6, V11.D2

// PAIR makes V0 to V3 = the even k and V4 to V7 = the odd k of the weights at off(R1), rows 0 to 15, as float32. Subnormals,
// whose exponent is 0, become zeros.
#define PAIR(off) \
	FLDPQ (off)(R1), (F0, F1); \
	FLDPQ (off+32)(R1), (F2, F3); \
	CMTST8H(10, 0, 12); \
	CMTST8H(10, 1, 13); \
	CMTST8H(10, 2, 14); \
	CMTST8H(10, 3, 15); \
	AND16B(12, 0, 0); \
	AND16B(13, 1, 1); \
	AND16B(14, 2, 2); \
	AND16B(15, 3, 3); \
	AND16B(11, 0, 4); \
	AND16B(11, 1, 5); \
	AND16B(11, 2, 6); \
	AND16B(11, 3, 7); \
	SHL16(0, 0); \
	SHL16(1, 1); \
	SHL16(2, 2); \
	SHL16(3, 3)

// ODD and EVEN add the pair times lane i of V(m) to V(d) to V(d+3).
#define ODD(i, m, d) \
	FMLA_LANE(i, m, 4, d); \
	FMLA_LANE(i, m, 5, (d)+1); \
	FMLA_LANE(i, m, 6, (d)+2); \
	FMLA_LANE(i, m, 7, (d)+3)

#define EVEN(i, m, d) \
	FMLA_LANE(i, m, 0, d); \
	FMLA_LANE(i, m, 1, (d)+1); \
	FMLA_LANE(i, m, 2, (d)+2); \
	FMLA_LANE(i, m, 3, (d)+3)

// for pair := range 2*k4 { for r := range 16 { for k := 2*pair+1; k >= 2*pair; k-- {
//	acc[pair%2*16+r] = fma(normalBF16(w[32*pair+2*r+k%2]), panel[k], acc[pair%2*16+r]) } } }
//
// func roundedNeon1(acc *float32, w *byte, panel *float32, k4 int)
TEXT ·roundedNeon1(SB), NOSPLIT, $0-32
	MOVD acc+0(FP), R0
	MOVD w+8(FP), R1      // R1 = next tile
	MOVD panel+16(FP), R2 // R2 = next 4 activations
	MOVD k4+24(FP), R3    // R3 = tiles left
	MASKS
	MOVD R0, R5
	VLD1.P 64(R5), [V16.S4, V17.S4, V18.S4, V19.S4] // V16-V19 = chain 0, rows 0-15
	VLD1   (R5), [V20.S4, V21.S4, V22.S4, V23.S4]   // V20-V23 = chain 1
tile:
	FMOVQ.P 16(R2), F8
	PAIR(0)
	ODD(1, 8, 16)
	EVEN(0, 8, 16)
	PAIR(64)
	ODD(3, 8, 20)
	EVEN(2, 8, 20)
	ADD  $128, R1
	SUBS $1, R3
	BNE  tile
	VST1.P [V16.S4, V17.S4, V18.S4, V19.S4], 64(R0)
	VST1   [V20.S4, V21.S4, V22.S4, V23.S4], (R0)
	RET

// for pair := range 2*k4 { for t := range 2 { for r := range 16 { for k := 2*pair+1; k >= 2*pair; k-- {
//	acc[pair%2*32+16*t+r] = fma(normalBF16(w[32*pair+2*r+k%2]), panel[2*k+t], acc[pair%2*32+16*t+r]) } } } }
//
// func roundedNeon2(acc *float32, w *byte, panel *float32, k4 int)
TEXT ·roundedNeon2(SB), NOSPLIT, $0-32
	MOVD acc+0(FP), R0
	MOVD w+8(FP), R1      // R1 = next tile
	MOVD panel+16(FP), R2 // R2 = next 4 x 2 activations
	MOVD k4+24(FP), R3    // R3 = tiles left
	MASKS
	MOVD R0, R5
	VLD1.P 64(R5), [V16.S4, V17.S4, V18.S4, V19.S4] // chain 0, token 0
	VLD1.P 64(R5), [V20.S4, V21.S4, V22.S4, V23.S4] // chain 0, token 1
	VLD1.P 64(R5), [V24.S4, V25.S4, V26.S4, V27.S4] // chain 1, token 0
	VLD1   (R5), [V28.S4, V29.S4, V30.S4, V31.S4]   // chain 1, token 1
tile:
	FLDPQ (R2), (F8, F9) // V8 = k0: t0 t1, k1: t0 t1; V9 = k2, k3
	PAIR(0)
	ODD(2, 8, 16)
	ODD(3, 8, 20)
	EVEN(0, 8, 16)
	EVEN(1, 8, 20)
	PAIR(64)
	ODD(2, 9, 24)
	ODD(3, 9, 28)
	EVEN(0, 9, 24)
	EVEN(1, 9, 28)
	ADD  $32, R2
	ADD  $128, R1
	SUBS $1, R3
	BNE  tile
	VST1.P [V16.S4, V17.S4, V18.S4, V19.S4], 64(R0)
	VST1.P [V20.S4, V21.S4, V22.S4, V23.S4], 64(R0)
	VST1.P [V24.S4, V25.S4, V26.S4, V27.S4], 64(R0)
	VST1   [V28.S4, V29.S4, V30.S4, V31.S4], (R0)
	RET

// for i := range k4 { for t := range 4 { for r := range 16 { for k := 1; k >= 0; k-- {
//	acc[16*t+r] = fma(normalBF16(w[64*i+2*r+k]), panel[(4*i+k)*stride/4+t], acc[16*t+r]) } } } }
//
// func roundedNeon4(acc *float32, w *byte, panel *float32, stride, k4 int)
TEXT ·roundedNeon4(SB), NOSPLIT, $0-40
	MOVD acc+0(FP), R0
	MOVD w+8(FP), R1      // R1 = next pair of this chain
	MOVD panel+16(FP), R2 // R2 = its activations
	MOVD stride+24(FP), R3
	MOVD k4+32(FP), R4    // R4 = tiles left
	MASKS
	MOVD R0, R5
	VLD1.P 64(R5), [V16.S4, V17.S4, V18.S4, V19.S4] // V16-V19 = token 0, rows 0-15
	VLD1.P 64(R5), [V20.S4, V21.S4, V22.S4, V23.S4] // token 1
	VLD1.P 64(R5), [V24.S4, V25.S4, V26.S4, V27.S4] // token 2
	VLD1   (R5), [V28.S4, V29.S4, V30.S4, V31.S4]   // token 3
	ADD    R3, R2, R5     // R5 = activations of the odd k
	LSL    $2, R3         // R3 = bytes to the next tile's activations
tile:
	VLD1.P (R5)(R3), [V8.S4]
	VLD1.P (R2)(R3), [V9.S4]
	PAIR(0)
	ODD(0, 8, 16)
	ODD(1, 8, 20)
	ODD(2, 8, 24)
	ODD(3, 8, 28)
	EVEN(0, 9, 16)
	EVEN(1, 9, 20)
	EVEN(2, 9, 24)
	EVEN(3, 9, 28)
	ADD  $128, R1
	SUBS $1, R4
	BNE  tile
	VST1.P [V16.S4, V17.S4, V18.S4, V19.S4], 64(R0)
	VST1.P [V20.S4, V21.S4, V22.S4, V23.S4], 64(R0)
	VST1.P [V24.S4, V25.S4, V26.S4, V27.S4], 64(R0)
	VST1   [V28.S4, V29.S4, V30.S4, V31.S4], (R0)
	RET
