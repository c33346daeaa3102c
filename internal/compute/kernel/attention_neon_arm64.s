//go:build !noasm

#include "textflag.h"
#include "neon_arm64.h"

// Rows of k and v follow each other without gaps; a row is a multiple of 16 elements long. Two queries are taken together, so
// that a row is read and widened once for them; a last one goes alone.

#define ZERO4(a, b, c, d) \
	VEOR a.B16, a.B16, a.B16; \
	VEOR b.B16, b.B16, b.B16; \
	VEOR c.B16, c.B16, c.B16; \
	VEOR d.B16, d.B16, d.B16

// MADD adds V(n) to V(n+3), 16 floats, times V4-V7 to the 16 lanes V(d) to V(d+3).
#define MADD(n, d) \
	FMLA(n, 4, d); \
	FMLA((n)+1, 5, (d)+1); \
	FMLA((n)+2, 6, (d)+2); \
	FMLA((n)+3, 7, (d)+3)

// MADD1 adds V(n), one float in every lane, times V4-V7 to V(d) to V(d+3).
#define MADD1(n, d) \
	FMLA(n, 4, d); \
	FMLA(n, 5, (d)+1); \
	FMLA(n, 6, (d)+2); \
	FMLA(n, 7, (d)+3)

// LOAD_F32, LOAD_F16 and LOAD_I8 widen 16 elements at r to V4-V7, and step r on.
#define LOAD_F32(r) \
	VLD1.P 64(r), [V4.S4, V5.S4, V6.S4, V7.S4]

#define LOAD_F16(r) \
	VLD1.P 32(r), [V8.H8, V9.H8]; \
	FCVTL(8, 4); \
	FCVTL2(8, 5); \
	FCVTL(9, 6); \
	FCVTL2(9, 7)

#define LOAD_I8(r) \
	VLD1.P 16(r), [V8.B16]; \
	SXTL8H(8, 5);  \
	SXTL28H(8, 7); \
	SXTL4S(5, 4);  \
	SXTL24S(5, 5); \
	SXTL4S(7, 6);  \
	SXTL24S(7, 7); \
	SCVTF(4, 4);   \
	SCVTF(5, 5);   \
	SCVTF(6, 6);   \
	SCVTF(7, 7)

// HALVE_LANES adds lanes 8-15 of a sum to its lanes 0-7, then 4-7 to 0-3, which are V(a).
#define HALVE_LANES(a) \
	FADD((a)+2, a, a); \
	FADD((a)+3, (a)+1, (a)+1); \
	FADD((a)+1, a, a)

// REDUCE4 is REDUCE of four sums, V16-V31, into the four lanes of V0.
#define REDUCE4 \
	HALVE_LANES(16); \
	HALVE_LANES(20); \
	HALVE_LANES(24); \
	HALVE_LANES(28); \
	VZIP1 V20.D2, V16.D2, V0.D2; \
	VZIP2 V20.D2, V16.D2, V1.D2; \
	VZIP1 V28.D2, V24.D2, V2.D2; \
	VZIP2 V28.D2, V24.D2, V3.D2; \
	FADD(1, 0, 0);  \ // V0 = lanes 0 and 1 of sums 0 and 1
	FADD(3, 2, 2);  \ // V2 = lanes 0 and 1 of sums 2 and 3
	FADDP(2, 0, 0)

// DOTS is the body of the dot products, which differ in LOAD and in the bytes of an element, 1<<SHIFT. A tile is four sums:
// 2 queries x 2 keys, then 1 x 4. R6 to R9 walk the keys, R10 and R13 the queries.
#define DOTS(LOAD, SHIFT) \
	MOVD scores+0(FP), R0; \
	MOVD stride+8(FP), R12; \
	LSL  $2, R12; \ // bytes from one query's scores to the next's
	MOVD q+16(FP), R2; \
	MOVD queries+24(FP), R14; \ // queries left
	MOVD dim+32(FP), R3; \
	LSL  $(SHIFT), R3, R5; \ // bytes of a key
	LSL  $2, R3, R15; \ // bytes of a query
two: \
	CMP  $2, R14; \
	BLT  one; \
	MOVD k+40(FP), R4; \
	MOVD keys+48(FP), R1; \ // keys left
tile2: \
	MOVD R4, R6; \
	ADD  R5, R6, R7; \
	MOVD R2, R10; \
	ADD  R15, R10, R13; \
	MOVD R3, R11; \ // columns left
	ZERO4(V16, V17, V18, V19); \
	ZERO4(V20, V21, V22, V23); \
	ZERO4(V24, V25, V26, V27); \
	ZERO4(V28, V29, V30, V31); \
block2: \
	VLD1.P 64(R10), [V0.S4, V1.S4, V2.S4, V3.S4]; \
	VLD1.P 64(R13), [V10.S4, V11.S4, V12.S4, V13.S4]; \
	LOAD(R6); \
	MADD(0, 16); \
	MADD(10, 24); \
	LOAD(R7); \
	MADD(0, 20); \
	MADD(10, 28); \
	SUBS $16, R11; \
	BNE  block2; \
	REDUCE4; \
	VMOV V0.D[1], R7; \
	MOVD R7, (R0)(R12); \
	FMOVD.P F0, 8(R0); \
	ADD  R5<<1, R4; \
	SUBS $2, R1; \
	BNE  tile2; \
	MOVD keys+48(FP), R1; \
	SUB  R1<<2, R0; \
	ADD  R12<<1, R0; \
	ADD  R15<<1, R2; \
	SUB  $2, R14; \
	B    two; \
one: \
	CBZ  R14, done; \
	MOVD k+40(FP), R4; \
	MOVD keys+48(FP), R1; \
tile1: \
	MOVD R4, R6; \
	ADD  R5, R6, R7; \
	ADD  R5, R7, R8; \
	ADD  R5, R8, R9; \
	ADD  R5, R9, R4; \
	MOVD R2, R10; \
	MOVD R3, R11; \
	ZERO4(V16, V17, V18, V19); \
	ZERO4(V20, V21, V22, V23); \
	ZERO4(V24, V25, V26, V27); \
	ZERO4(V28, V29, V30, V31); \
block1: \
	VLD1.P 64(R10), [V0.S4, V1.S4, V2.S4, V3.S4]; \
	LOAD(R6); \
	MADD(0, 16); \
	LOAD(R7); \
	MADD(0, 20); \
	LOAD(R8); \
	MADD(0, 24); \
	LOAD(R9); \
	MADD(0, 28); \
	SUBS $16, R11; \
	BNE  block1; \
	REDUCE4; \
	FMOVQ.P F0, 16(R0); \
	SUBS $4, R1; \
	BNE  tile1; \
done: \
	RET

// AXPYS is the body of the weighted sums. 16 columns of o stay in registers, V16-V19 and V20-V23, while all rows pass:
// of 2 queries, then of 1. R6 walks the rows, R7 and R8 the weights.
#define AXPYS(LOAD, SHIFT) \
	MOVD o+0(FP), R0; \
	MOVD p+8(FP), R2; \
	MOVD stride+16(FP), R12; \
	LSL  $2, R12; \ // bytes from one query's weights to the next's
	MOVD queries+24(FP), R14; \ // queries left
	MOVD dim+32(FP), R3; \
	LSL  $(SHIFT), R3, R5; \ // bytes of a row of v
	SUB  $(16<<(SHIFT)), R5; \ // less what LOAD steps
	LSL  $2, R3, R15; \ // bytes of a row of o
two: \
	CMP  $2, R14; \
	BLT  one; \
	MOVD v+40(FP), R4; \
	MOVD R3, R11; \ // columns left
block2: \
	ADD  R15, R0, R10; \
	VLD1 (R0), [V16.S4, V17.S4, V18.S4, V19.S4]; \
	VLD1 (R10), [V20.S4, V21.S4, V22.S4, V23.S4]; \
	MOVD R4, R6; \
	MOVD R2, R7; \
	ADD  R12, R2, R8; \
	MOVD keys+48(FP), R1; \
row2: \
	VLD1R.P 4(R7), [V0.S4]; \
	VLD1R.P 4(R8), [V1.S4]; \
	LOAD(R6); \
	ADD  R5, R6; \
	MADD1(0, 16); \
	MADD1(1, 20); \
	SUBS $1, R1; \
	BNE  row2; \
	VST1.P [V16.S4, V17.S4, V18.S4, V19.S4], 64(R0); \
	VST1 [V20.S4, V21.S4, V22.S4, V23.S4], (R10); \
	ADD  $(16<<(SHIFT)), R4; \
	SUBS $16, R11; \
	BNE  block2; \
	ADD  R15, R0; \ // R0 is one row on already
	ADD  R12<<1, R2; \
	SUB  $2, R14; \
	B    two; \
one: \
	CBZ  R14, done; \
	MOVD v+40(FP), R4; \
	MOVD R3, R11; \
block1: \
	VLD1 (R0), [V16.S4, V17.S4, V18.S4, V19.S4]; \
	MOVD R4, R6; \
	MOVD R2, R7; \
	MOVD keys+48(FP), R1; \
row1: \
	VLD1R.P 4(R7), [V0.S4]; \
	LOAD(R6); \
	ADD  R5, R6; \
	MADD1(0, 16); \
	SUBS $1, R1; \
	BNE  row1; \
	VST1.P [V16.S4, V17.S4, V18.S4, V19.S4], 64(R0); \
	ADD  $(16<<(SHIFT)), R4; \
	SUBS $16, R11; \
	BNE  block1; \
done: \
	RET

// for i := range queries { for j := range keys {
//	for c, x := range q[i*dim:(i+1)*dim] { lanes[c%16] = fma(x, k[j*dim+c], lanes[c%16]) }; scores[i*stride+j] = reduce(&lanes)
// } }
//
// func dotF32Neon(scores *float32, stride int, q *float32, queries, dim int, k *float32, keys int, next *float32)
TEXT ·dotF32Neon(SB), NOSPLIT, $0-64
	DOTS(LOAD_F32, 2)

// for i := range queries { for j := range keys {
//	for c, x := range q[i*dim:(i+1)*dim] { lanes[c%16] = fma(x, f16(k[j*dim+c]), lanes[c%16]) }; scores[i*stride+j] = reduce(&lanes)
// } }
//
// func dotF16Neon(scores *float32, stride int, q *float32, queries, dim int, k *uint16, keys int, next *uint16)
TEXT ·dotF16Neon(SB), NOSPLIT, $0-64
	DOTS(LOAD_F16, 1)

// for i := range queries { for j := range keys {
//	for c, x := range q[i*dim:(i+1)*dim] { lanes[c%16] = fma(x, float32(k[j*dim+c]), lanes[c%16]) }; scores[i*stride+j] = reduce(&lanes)
// } }
//
// func dotI8Neon(scores *float32, stride int, q *float32, queries, dim int, k *int8, keys int, next *int8)
TEXT ·dotI8Neon(SB), NOSPLIT, $0-64
	DOTS(LOAD_I8, 0)

// for j := range keys { for i := range queries { for c := range dim {
//	o[i*dim+c] = fma(p[i*stride+j], v[j*dim+c], o[i*dim+c])
// } } }
//
// func axpyF32Neon(o, p *float32, stride, queries, dim int, v *float32, keys int, next *float32)
TEXT ·axpyF32Neon(SB), NOSPLIT, $0-64
	AXPYS(LOAD_F32, 2)

// for j := range keys { for i := range queries { for c := range dim {
//	o[i*dim+c] = fma(p[i*stride+j], f16(v[j*dim+c]), o[i*dim+c])
// } } }
//
// func axpyF16Neon(o, p *float32, stride, queries, dim int, v *uint16, keys int, next *uint16)
TEXT ·axpyF16Neon(SB), NOSPLIT, $0-64
	AXPYS(LOAD_F16, 1)

// for j := range keys { for i := range queries { for c := range dim {
//	o[i*dim+c] = fma(p[i*stride+j], float32(v[j*dim+c]), o[i*dim+c])
// } } }
//
// func axpyI8Neon(o, p *float32, stride, queries, dim int, v *int8, keys int, next *int8)
TEXT ·axpyI8Neon(SB), NOSPLIT, $0-64
	AXPYS(LOAD_I8, 0)

// for i, v := range x { dst[i] = half.ToF16(v) }
//
// func toF16Neon(dst *uint16, x []float32)
TEXT ·toF16Neon(SB), NOSPLIT, $0-32
	MOVD dst+0(FP), R0
	MOVD x_base+8(FP), R1
	MOVD x_len+16(FP), R2 // R2 = floats left, a multiple of 16
	CBZ  R2, done

loop:
	VLD1.P 64(R1), [V0.S4, V1.S4, V2.S4, V3.S4]
	FCVTN(0, 4)
	FCVTN2(1, 4)
	FCVTN(2, 5)
	FCVTN2(3, 5)
	VST1.P [V4.H8, V5.H8], 32(R0)
	SUBS   $16, R2
	BNE    loop

done:
	RET
