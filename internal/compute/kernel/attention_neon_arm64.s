//go:build !noasm

#include "textflag.h"
#include "neon_arm64.h"

// Rows of k and v follow each other without gaps; a row is a multiple of 16 elements long. Four rows are taken together, so
// that q or o is read once for them; the rows that are left go one by one.
//
// R0 scores or o, R1 rows left, R2 q or p, R3 floats in a row, R4 the next row, R5 bytes of a row,
// R6-R9 the four rows, R10 q or o, R11 floats left of the row, R12 o where it is written (R10 reads: no load waits for a
// store's address).

#define FOUR_ROWS \
	MOVD R4, R6; \
	ADD  R5, R6, R7; \
	ADD  R5, R7, R8; \
	ADD  R5, R8, R9; \
	ADD  R5, R9, R4; \
	MOVD R3, R11

#define ZERO4(a, b, c, d) \
	VEOR a.B16, a.B16, a.B16; \
	VEOR b.B16, b.B16, b.B16; \
	VEOR c.B16, c.B16, c.B16; \
	VEOR d.B16, d.B16, d.B16

// DOT adds V0-V3 times V4-V7 to the 16 lanes V(d) to V(d+3).
#define DOT(d) \
	FMLA(0, 4, d); \
	FMLA(1, 5, (d)+1); \
	FMLA(2, 6, (d)+2); \
	FMLA(3, 7, (d)+3)

// AXPY adds lane i of V0, one weight, times V4-V7 to V16-V19.
#define AXPY(i) \
	FMLA_LANE(i, 0, 4, 16); \
	FMLA_LANE(i, 0, 5, 17); \
	FMLA_LANE(i, 0, 6, 18); \
	FMLA_LANE(i, 0, 7, 19)

// LOAD_F32 and LOAD_F16 read 16 elements of the row at r into V4-V7.
#define LOAD_F32(r) \
	VLD1.P 64(r), [V4.S4, V5.S4, V6.S4, V7.S4]

#define LOAD_F16(r) \
	VLD1.P 32(r), [V8.H8, V9.H8]; \
	FCVTL(8, 4); \
	FCVTL2(8, 5); \
	FCVTL(9, 6); \
	FCVTL2(9, 7)

// HALVE_LANES adds lanes 8-15 of a row to its lanes 0-7, then 4-7 to 0-3, which are V(a).
#define HALVE_LANES(a) \
	FADD((a)+2, a, a); \
	FADD((a)+3, (a)+1, (a)+1); \
	FADD((a)+1, a, a)

// REDUCE4 is REDUCE of four rows, V16-V31, into the four lanes of V0.
#define REDUCE4 \
	HALVE_LANES(16); \
	HALVE_LANES(20); \
	HALVE_LANES(24); \
	HALVE_LANES(28); \
	VZIP1 V20.D2, V16.D2, V0.D2; \
	VZIP2 V20.D2, V16.D2, V1.D2; \
	VZIP1 V28.D2, V24.D2, V2.D2; \
	VZIP2 V28.D2, V24.D2, V3.D2; \
	FADD(1, 0, 0);  \ // V0 = lanes 0 and 1 of rows 0 and 1
	FADD(3, 2, 2);  \ // V2 = lanes 0 and 1 of rows 2 and 3
	FADDP(2, 0, 0)

// DOTS is the body of both dot products, which differ in LOAD.
#define DOTS(LOAD) \
	SUBS $4, R1; \
	BLT  rest; \
rows: \
	FOUR_ROWS; \
	MOVD R2, R10; \
	ZERO4(V16, V17, V18, V19); \
	ZERO4(V20, V21, V22, V23); \
	ZERO4(V24, V25, V26, V27); \
	ZERO4(V28, V29, V30, V31); \
columns4: \
	VLD1.P 64(R10), [V0.S4, V1.S4, V2.S4, V3.S4]; \
	LOAD(R6); \
	DOT(16); \
	LOAD(R7); \
	DOT(20); \
	LOAD(R8); \
	DOT(24); \
	LOAD(R9); \
	DOT(28); \
	SUBS $16, R11; \
	BNE  columns4; \
	REDUCE4; \
	FMOVQ.P F0, 16(R0); \
	SUBS $4, R1; \
	BGE  rows; \
rest: \
	ADDS $4, R1; \
	BEQ  done; \
row: \
	MOVD R2, R10; \
	MOVD R3, R11; \
	ZERO4(V16, V17, V18, V19); \
columns: \
	VLD1.P 64(R10), [V0.S4, V1.S4, V2.S4, V3.S4]; \
	LOAD(R4); \
	DOT(16); \
	SUBS $16, R11; \
	BNE  columns; \
	REDUCE(16, 17, 18, 19); \
	FMOVS.P F16, 4(R0); \
	SUBS $1, R1; \
	BNE  row; \
done: \
	RET

// AXPYS is the body of both sums of rows, which differ in LOAD.
#define AXPYS(LOAD) \
	SUBS $4, R1; \
	BLT  rest; \
rows: \
	FOUR_ROWS; \
	MOVD R0, R10; \
	MOVD R0, R12; \
	FMOVQ.P 16(R2), F0; \
columns4: \
	VLD1.P 64(R10), [V16.S4, V17.S4, V18.S4, V19.S4]; \
	LOAD(R6); \
	AXPY(0); \
	LOAD(R7); \
	AXPY(1); \
	LOAD(R8); \
	AXPY(2); \
	LOAD(R9); \
	AXPY(3); \
	VST1.P [V16.S4, V17.S4, V18.S4, V19.S4], 64(R12); \
	SUBS $16, R11; \
	BNE  columns4; \
	SUBS $4, R1; \
	BGE  rows; \
rest: \
	ADDS $4, R1; \
	BEQ  done; \
row: \
	MOVD R0, R10; \
	MOVD R0, R12; \
	MOVD R3, R11; \
	FMOVS.P 4(R2), F0; \
columns: \
	VLD1.P 64(R10), [V16.S4, V17.S4, V18.S4, V19.S4]; \
	LOAD(R4); \
	AXPY(0); \
	VST1.P [V16.S4, V17.S4, V18.S4, V19.S4], 64(R12); \
	SUBS $16, R11; \
	BNE  columns; \
	SUBS $1, R1; \
	BNE  row; \
done: \
	RET

// for j := range scores { var l [16]float32
//	for i, v := range q { l[i%16] = fma(v, k[j*len(q)+i], l[i%16]) }; scores[j] = reduce(&l) }
//
// func dotF32Neon(scores, q []float32, k *float32)
TEXT ·dotF32Neon(SB), NOSPLIT, $0-56
	MOVD scores_base+0(FP), R0
	MOVD scores_len+8(FP), R1
	MOVD q_base+24(FP), R2
	MOVD q_len+32(FP), R3
	MOVD k+48(FP), R4
	LSL  $2, R3, R5
	DOTS(LOAD_F32)

// dotF32Neon with half-precision rows.
//
// func dotF16Neon(scores, q []float32, k *uint16)
TEXT ·dotF16Neon(SB), NOSPLIT, $0-56
	MOVD scores_base+0(FP), R0
	MOVD scores_len+8(FP), R1
	MOVD q_base+24(FP), R2
	MOVD q_len+32(FP), R3
	MOVD k+48(FP), R4
	LSL  $1, R3, R5
	DOTS(LOAD_F16)

// for j, x := range p { for i := range o { o[i] = fma(x, v[j*len(o)+i], o[i]) } }
//
// func axpyF32Neon(o, p []float32, v *float32)
TEXT ·axpyF32Neon(SB), NOSPLIT, $0-56
	MOVD o_base+0(FP), R0
	MOVD o_len+8(FP), R3
	MOVD p_base+24(FP), R2
	MOVD p_len+32(FP), R1
	MOVD v+48(FP), R4
	LSL  $2, R3, R5
	AXPYS(LOAD_F32)

// axpyF32Neon with half-precision rows.
//
// func axpyF16Neon(o, p []float32, v *uint16)
TEXT ·axpyF16Neon(SB), NOSPLIT, $0-56
	MOVD o_base+0(FP), R0
	MOVD o_len+8(FP), R3
	MOVD p_base+24(FP), R2
	MOVD p_len+32(FP), R1
	MOVD v+48(FP), R4
	LSL  $1, R3, R5
	AXPYS(LOAD_F16)
