//go:build !noasm

#include "textflag.h"
#include "neon_arm64.h"

// SMMLA multiplies 2 rows of 8 bytes with 2 columns of 8 bytes: Vd = [n0*m0, n0*m1, n1*m0, n1*m1]. Two tiles give 8 k of a row:
// zipped by 32 bits, a vector of rows 4j to 4j+3 of each becomes rows 4j, 4j+1 and rows 4j+2, 4j+3 with 8 k each, and so do the
// tokens. Sums are kept as SMMLA has them, [token t: rows r, r+1 | token t+1: rows r, r+1], and are put in order at the end.

// ROWS adds rows 4j to 4j+3, from V(a) and V(b) of the two tiles, times tokens 0 to 3, in V8 and V9, to V(d) to V(d+3):
// rows 4j, 4j+1 of tokens 0, 1, then of tokens 2, 3; then rows 4j+2, 4j+3.
#define ROWS(a, b, d) \
	ZIP1(b, a, 12); \
	ZIP2(b, a, 13); \
	SMMLA(12, 8, d); \
	SMMLA(12, 9, (d)+1); \
	SMMLA(13, 8, (d)+2); \
	SMMLA(13, 9, (d)+3)

// ORDER adds the sums in V(d) to V(d+3) to rows 4j to 4j+3 of the four tokens at R5, R6, R7 and R8, and moves to the next rows.
#define ORDER(d) \
	ZIP1D((d)+2, d, 0); \
	ZIP2D((d)+2, d, 1); \
	ZIP1D((d)+3, (d)+1, 2); \
	ZIP2D((d)+3, (d)+1, 3); \
	VLD1 (R5), [V4.S4]; \
	VLD1 (R6), [V5.S4]; \
	VLD1 (R7), [V6.S4]; \
	VLD1 (R8), [V7.S4]; \
	ADD4S(4, 0, 0); \
	ADD4S(5, 1, 1); \
	ADD4S(6, 2, 2); \
	ADD4S(7, 3, 3); \
	VST1.P [V0.S4], 16(R5); \
	VST1.P [V1.S4], 16(R6); \
	VST1.P [V2.S4], 16(R7); \
	VST1.P [V3.S4], 16(R8)

// for i := range 2*pairs { for t := range 4 { for r := range 16 { for j := range 4 {
//	acc[t][r] += int32(w[64*i+4*r+j]) * int32(panel[stride*i+4*t+j]) } } } }
//
// func dotW8CI8MM4(acc *int32, w *byte, panel *uint8, stride, pairs int)
TEXT ·dotW8CI8MM4(SB), NOSPLIT, $0-40
	MOVD acc+0(FP), R5
	MOVD w+8(FP), R1      // R1 = next two tiles
	MOVD panel+16(FP), R2 // R2 = next 4 x 4 activations
	MOVD stride+24(FP), R3
	MOVD pairs+32(FP), R4 // R4 = pairs left
	ADD  $64, R5, R6
	ADD  $128, R5, R7
	ADD  $192, R5, R8     // R5-R8 = sums of the four tokens
	VEOR V16.B16, V16.B16, V16.B16
	VEOR V17.B16, V17.B16, V17.B16
	VEOR V18.B16, V18.B16, V18.B16
	VEOR V19.B16, V19.B16, V19.B16
	VEOR V20.B16, V20.B16, V20.B16
	VEOR V21.B16, V21.B16, V21.B16
	VEOR V22.B16, V22.B16, V22.B16
	VEOR V23.B16, V23.B16, V23.B16
	VEOR V24.B16, V24.B16, V24.B16
	VEOR V25.B16, V25.B16, V25.B16
	VEOR V26.B16, V26.B16, V26.B16
	VEOR V27.B16, V27.B16, V27.B16
	VEOR V28.B16, V28.B16, V28.B16
	VEOR V29.B16, V29.B16, V29.B16
	VEOR V30.B16, V30.B16, V30.B16
	VEOR V31.B16, V31.B16, V31.B16
pair:
	VLD1.P (R2)(R3), [V10.B16] // lane t = token t, the first 4 k
	VLD1.P (R2)(R3), [V11.B16]
	FLDPQ  (R1), (F0, F1)
	FLDPQ  32(R1), (F2, F3)
	FLDPQ  64(R1), (F4, F5)
	FLDPQ  96(R1), (F6, F7)
	ZIP1(11, 10, 8)       // tokens 0, 1
	ZIP2(11, 10, 9)       // tokens 2, 3
	ROWS(0, 4, 16)
	ROWS(1, 5, 20)
	ROWS(2, 6, 24)
	ROWS(3, 7, 28)
	ADD  $128, R1
	SUBS $1, R4
	BNE  pair
	ORDER(16)
	ORDER(20)
	ORDER(24)
	ORDER(28)
	RET
