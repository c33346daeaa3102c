//go:build !noasm

#include "textflag.h"
#include "neon_arm64.h"

// Each function below is, for T tokens (the digit of its name), R = 16/T rows a pass and T passes over the weights:
//
//	for g := range T { for k := range 4*k4 { for t := range T { for r := range R {
//		acc[64*g+16*(k%4)+R*t+r] = fma(w[k][R*g+r], panel[k*stride/4+t], acc[64*g+16*(k%4)+R*t+r]) } } } }
//
// Sixteen vectors V16 to V31 always hold the 4 chains of T tokens x R rows: V16-V19 are chain 0 (k%4 = 0), V20-V23 chain 1
// and so on; in a chain, token by token. All passes walk w from its start to its end, so that memory sees one stream.
//
// R0 acc, R1 weights of the pass, R2 panel, R3 bytes between the panel's k (T = 4), R4 steps of 4 k, R5 passes left,
// R6 weights, R7 panel, R8 steps left in the loop.

#define LOAD_ACC \
	VLD1.P 64(R0), [V16.S4, V17.S4, V18.S4, V19.S4]; \
	VLD1.P 64(R0), [V20.S4, V21.S4, V22.S4, V23.S4]; \
	VLD1.P 64(R0), [V24.S4, V25.S4, V26.S4, V27.S4]; \
	VLD1   (R0), [V28.S4, V29.S4, V30.S4, V31.S4]; \
	SUB    $192, R0

// STORE_ACC leaves R0 at the next pass' accumulators.
#define STORE_ACC \
	VST1.P [V16.S4, V17.S4, V18.S4, V19.S4], 64(R0); \
	VST1.P [V20.S4, V21.S4, V22.S4, V23.S4], 64(R0); \
	VST1.P [V24.S4, V25.S4, V26.S4, V27.S4], 64(R0); \
	VST1.P [V28.S4, V29.S4, V30.S4, V31.S4], 64(R0)

// FMA1 adds rows V(w) to V(w+3) times lane i of V(p), one token, to chain d.
#define FMA1(i, p, w, d) \
	FMLA_LANE(i, p, w, d); \
	FMLA_LANE(i, p, (w)+1, (d)+1); \
	FMLA_LANE(i, p, (w)+2, (d)+2); \
	FMLA_LANE(i, p, (w)+3, (d)+3)

// FMA2 adds rows V(w), V(w+1) times lanes i and i+1 of V(p), two tokens, to chain d.
#define FMA2(i, p, w, d) \
	FMLA_LANE(i, p, w, d); \
	FMLA_LANE(i, p, (w)+1, (d)+1); \
	FMLA_LANE((i)+1, p, w, (d)+2); \
	FMLA_LANE((i)+1, p, (w)+1, (d)+3)

// FMA4 adds rows V(w) times lanes 0 to 3 of V(p), four tokens, to chain d.
#define FMA4(p, w, d) \
	FMLA_LANE(0, p, w, d); \
	FMLA_LANE(1, p, w, (d)+1); \
	FMLA_LANE(2, p, w, (d)+2); \
	FMLA_LANE(3, p, w, (d)+3)

// FMA4S reads four k of the panel, four tokens each, into V8 to V11 and adds rows V0 to V3, one register a k.
#define FMA4S \
	VLD1.P (R7)(R3), [V8.B16]; \
	VLD1.P (R7)(R3), [V9.B16]; \
	VLD1.P (R7)(R3), [V10.B16]; \
	VLD1.P (R7)(R3), [V11.B16]; \
	FMA4(8, 0, 16); \
	FMA4(9, 1, 20); \
	FMA4(10, 2, 24); \
	FMA4(11, 3, 28)

// func mulF32Neon1(acc *float32, w *byte, panel *float32, k4 int)
TEXT ·mulF32Neon1(SB), NOSPLIT, $0-32
	MOVD acc+0(FP), R0
	MOVD w+8(FP), R6
	MOVD panel+16(FP), R7
	MOVD k4+24(FP), R8
	LOAD_ACC
step:
	FMOVQ.P 16(R7), F8          // V8 = 4 k of the token
	FLDPQ (R6), (F0, F1)        // V0-V3 = k 0, rows 0-15
	FLDPQ 32(R6), (F2, F3)
	FLDPQ 64(R6), (F4, F5)      // V4-V7 = k 1
	FLDPQ 96(R6), (F6, F7)
	FMA1(0, 8, 0, 16)
	FMA1(1, 8, 4, 20)
	FLDPQ 128(R6), (F0, F1)     // V0-V3 = k 2
	FLDPQ 160(R6), (F2, F3)
	FLDPQ 192(R6), (F4, F5)     // V4-V7 = k 3
	FLDPQ 224(R6), (F6, F7)
	FMA1(2, 8, 0, 24)
	FMA1(3, 8, 4, 28)
	ADD  $256, R6
	SUBS $1, R8
	BNE  step
	STORE_ACC
	RET

// func mulF32Neon2(acc *float32, w *byte, panel *float32, k4 int)
TEXT ·mulF32Neon2(SB), NOSPLIT, $0-32
	MOVD acc+0(FP), R0
	MOVD w+8(FP), R1
	MOVD panel+16(FP), R2
	MOVD k4+24(FP), R4
	MOVD $2, R5
pass:
	MOVD R1, R6
	MOVD R2, R7
	MOVD R4, R8
	LOAD_ACC
step:
	FLDPQ.P 32(R7), (F8, F9)    // V8 = k 0, 1 of both tokens, V9 = k 2, 3
	FLDPQ (R6), (F0, F1)        // V0-V1 = k 0, 8 rows
	FLDPQ 64(R6), (F2, F3)
	FLDPQ 128(R6), (F4, F5)
	FLDPQ 192(R6), (F6, F7)
	FMA2(0, 8, 0, 16)
	FMA2(2, 8, 2, 20)
	FMA2(0, 9, 4, 24)
	FMA2(2, 9, 6, 28)
	ADD  $256, R6
	SUBS $1, R8
	BNE  step
	STORE_ACC
	ADD  $32, R1
	SUBS $1, R5
	BNE  pass
	RET

// func mulF32Neon4(acc *float32, w *byte, panel *float32, stride, k4 int)
TEXT ·mulF32Neon4(SB), NOSPLIT, $0-40
	MOVD acc+0(FP), R0
	MOVD w+8(FP), R1
	MOVD panel+16(FP), R2
	MOVD stride+24(FP), R3
	MOVD k4+32(FP), R4
	MOVD $4, R5
pass:
	MOVD R1, R6
	MOVD R2, R7
	MOVD R4, R8
	LOAD_ACC
step:
	FMOVQ (R6), F0              // V0 = k 0, 4 rows
	FMOVQ 64(R6), F1
	FMOVQ 128(R6), F2
	FMOVQ 192(R6), F3
	FMA4S
	ADD  $256, R6
	SUBS $1, R8
	BNE  step
	STORE_ACC
	ADD  $16, R1
	SUBS $1, R5
	BNE  pass
	RET

// Half precision, shape [k][16]: FCVTL widens exactly.
//
// func mulF16Neon1(acc *float32, w *byte, panel *float32, k4 int)
TEXT ·mulF16Neon1(SB), NOSPLIT, $0-32
	MOVD acc+0(FP), R0
	MOVD w+8(FP), R6
	MOVD panel+16(FP), R7
	MOVD k4+24(FP), R8
	LOAD_ACC
step:
	FMOVQ.P 16(R7), F8          // V8 = 4 k of the token
	FLDPQ (R6), (F9, F10)       // V9-V10 = k 0, rows 0-15
	FLDPQ 32(R6), (F11, F12)    // V11-V12 = k 1
	FCVTL(9, 0)
	FCVTL2(9, 1)
	FCVTL(10, 2)
	FCVTL2(10, 3)
	FCVTL(11, 4)
	FCVTL2(11, 5)
	FCVTL(12, 6)
	FCVTL2(12, 7)
	FMA1(0, 8, 0, 16)
	FMA1(1, 8, 4, 20)
	FLDPQ 64(R6), (F9, F10)     // k 2
	FLDPQ 96(R6), (F11, F12)    // k 3
	FCVTL(9, 0)
	FCVTL2(9, 1)
	FCVTL(10, 2)
	FCVTL2(10, 3)
	FCVTL(11, 4)
	FCVTL2(11, 5)
	FCVTL(12, 6)
	FCVTL2(12, 7)
	FMA1(2, 8, 0, 24)
	FMA1(3, 8, 4, 28)
	ADD  $128, R6
	SUBS $1, R8
	BNE  step
	STORE_ACC
	RET

// func mulF16Neon2(acc *float32, w *byte, panel *float32, k4 int)
TEXT ·mulF16Neon2(SB), NOSPLIT, $0-32
	MOVD acc+0(FP), R0
	MOVD w+8(FP), R1
	MOVD panel+16(FP), R2
	MOVD k4+24(FP), R4
	MOVD $2, R5
pass:
	MOVD R1, R6
	MOVD R2, R7
	MOVD R4, R8
	LOAD_ACC
step:
	FLDPQ.P 32(R7), (F8, F9)    // V8 = k 0, 1 of both tokens, V9 = k 2, 3
	FMOVQ (R6), F10             // V10 = k 0, 8 rows
	FMOVQ 32(R6), F11
	FMOVQ 64(R6), F12
	FMOVQ 96(R6), F13
	FCVTL(10, 0)
	FCVTL2(10, 1)
	FCVTL(11, 2)
	FCVTL2(11, 3)
	FCVTL(12, 4)
	FCVTL2(12, 5)
	FCVTL(13, 6)
	FCVTL2(13, 7)
	FMA2(0, 8, 0, 16)
	FMA2(2, 8, 2, 20)
	FMA2(0, 9, 4, 24)
	FMA2(2, 9, 6, 28)
	ADD  $128, R6
	SUBS $1, R8
	BNE  step
	STORE_ACC
	ADD  $16, R1
	SUBS $1, R5
	BNE  pass
	RET

// func mulF16Neon4(acc *float32, w *byte, panel *float32, stride, k4 int)
TEXT ·mulF16Neon4(SB), NOSPLIT, $0-40
	MOVD acc+0(FP), R0
	MOVD w+8(FP), R1
	MOVD panel+16(FP), R2
	MOVD stride+24(FP), R3
	MOVD k4+32(FP), R4
	MOVD $4, R5
pass:
	MOVD R1, R6
	MOVD R2, R7
	MOVD R4, R8
	LOAD_ACC
step:
	FMOVD (R6), F0              // V0 = k 0, 4 rows
	FMOVD 32(R6), F1
	FMOVD 64(R6), F2
	FMOVD 96(R6), F3
	FCVTL(0, 0)
	FCVTL(1, 1)
	FCVTL(2, 2)
	FCVTL(3, 3)
	FMA4S
	ADD  $128, R6
	SUBS $1, R8
	BNE  step
	STORE_ACC
	ADD  $8, R1
	SUBS $1, R5
	BNE  pass
	RET

// Bfloat16, shape [k/2][16][2]: each 4 bytes hold two k of one row, the even one in the low half. A shift by 16 leaves the
// even one as float32; the mask V15 leaves the odd one.

// SPLIT makes the even k of V(n) V(e), the odd ones V(o).
#define SPLIT(n, e, o) \
	SHL16(n, e); \
	AND16B(15, n, o)

#define HIGH_HALVES \
	MOVD $0xffff0000, R9; \
	VDUP R9, V15.S4

// func mulBF16Neon1(acc *float32, w *byte, panel *float32, k4 int)
TEXT ·mulBF16Neon1(SB), NOSPLIT, $0-32
	MOVD acc+0(FP), R0
	MOVD w+8(FP), R6
	MOVD panel+16(FP), R7
	MOVD k4+24(FP), R8
	HIGH_HALVES
	LOAD_ACC
step:
	FMOVQ.P 16(R7), F8          // V8 = 4 k of the token
	FLDPQ (R6), (F9, F10)       // V9-V12 = k 0 and 1, rows 0-15
	FLDPQ 32(R6), (F11, F12)
	SPLIT(9, 0, 4)
	SPLIT(10, 1, 5)
	SPLIT(11, 2, 6)
	SPLIT(12, 3, 7)
	FMA1(0, 8, 0, 16)
	FMA1(1, 8, 4, 20)
	FLDPQ 64(R6), (F9, F10)     // k 2 and 3
	FLDPQ 96(R6), (F11, F12)
	SPLIT(9, 0, 4)
	SPLIT(10, 1, 5)
	SPLIT(11, 2, 6)
	SPLIT(12, 3, 7)
	FMA1(2, 8, 0, 24)
	FMA1(3, 8, 4, 28)
	ADD  $128, R6
	SUBS $1, R8
	BNE  step
	STORE_ACC
	RET

// func mulBF16Neon2(acc *float32, w *byte, panel *float32, k4 int)
TEXT ·mulBF16Neon2(SB), NOSPLIT, $0-32
	MOVD acc+0(FP), R0
	MOVD w+8(FP), R1
	MOVD panel+16(FP), R2
	MOVD k4+24(FP), R4
	MOVD $2, R5
	HIGH_HALVES
pass:
	MOVD R1, R6
	MOVD R2, R7
	MOVD R4, R8
	LOAD_ACC
step:
	FLDPQ.P 32(R7), (F8, F9)    // V8 = k 0, 1 of both tokens, V9 = k 2, 3
	FLDPQ (R6), (F10, F11)      // V10-V11 = k 0 and 1, 8 rows
	FLDPQ 64(R6), (F12, F13)    // V12-V13 = k 2 and 3
	SPLIT(10, 0, 2)
	SPLIT(11, 1, 3)
	SPLIT(12, 4, 6)
	SPLIT(13, 5, 7)
	FMA2(0, 8, 0, 16)
	FMA2(2, 8, 2, 20)
	FMA2(0, 9, 4, 24)
	FMA2(2, 9, 6, 28)
	ADD  $128, R6
	SUBS $1, R8
	BNE  step
	STORE_ACC
	ADD  $32, R1
	SUBS $1, R5
	BNE  pass
	RET

// func mulBF16Neon4(acc *float32, w *byte, panel *float32, stride, k4 int)
TEXT ·mulBF16Neon4(SB), NOSPLIT, $0-40
	MOVD acc+0(FP), R0
	MOVD w+8(FP), R1
	MOVD panel+16(FP), R2
	MOVD stride+24(FP), R3
	MOVD k4+32(FP), R4
	MOVD $4, R5
	HIGH_HALVES
pass:
	MOVD R1, R6
	MOVD R2, R7
	MOVD R4, R8
	LOAD_ACC
step:
	FMOVQ (R6), F12             // V12 = k 0 and 1, 4 rows
	FMOVQ 64(R6), F13           // V13 = k 2 and 3
	SPLIT(12, 0, 1)
	SPLIT(13, 2, 3)
	FMA4S
	ADD  $128, R6
	SUBS $1, R8
	BNE  step
	STORE_ACC
	ADD  $16, R1
	SUBS $1, R5
	BNE  pass
	RET
