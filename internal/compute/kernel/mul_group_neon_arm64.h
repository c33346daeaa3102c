// The body of groupsW8GNeon and groupsW4GNeon, and macros of mul_group4_neon_arm64.h. They define
//
//	SETUP  sets R11, bytes from a step's words to the row that its sums begin with, and V15; R8 = 4*width
//	PAIR   loads 2 tiles to V0-V3 and V4-V7, rows 0-3 first, and moves R1 beyond them
//
// Integer sums are in V16-V19 (token 0, rows 0-15) and V20-V23 (token 1), float sums in V24-V27 and V28-V31. With width 1 the
// second four of integers are those of odd tiles.
//
// R1 = weights, R2 = activations, R3 = words of the next step; R4 = scales, R5 = minima or 0 of this group, R9 = their bytes,
// R10 = steps left in it; R6 = steps left, R7 = pairs of tiles left.

// ARGS loads what a pass begins with. R8 = bytes of a row of words, and of a tile's activations; R9 = 64 bytes of 16 scales, 32 in
// half precision.
#define ARGS \
	MOVD w+16(FP), R1;           \
	MOVD scales+24(FP), R4;      \
	MOVD mins+32(FP), R5;        \
	MOVD panel+48(FP), R2;       \
	MOVD words+56(FP), R3;       \
	MOVD width+64(FP), R8;       \
	LSL  $2, R8;                 \
	MOVD steps+72(FP), R6;       \
	MOVD groupSteps+88(FP), R10; \
	MOVD halves+40(FP), R12;     \
	MOVD $64, R9;                \
	LSR  R12, R9, R9;            \
	SETUP

// VECTOR loads 16 scales or minima to V10-V13. Its last arguments are labels.
#define VECTOR(p, floats, have) \
	TBZ  $5, R9, floats;  \
	FLDPQ (p), (F2, F3);  \
	FCVTL(2, 10);         \
	FCVTL2(2, 11);        \
	FCVTL(3, 12);         \
	FCVTL2(3, 13);        \
	JMP  have;            \
floats:                 \
	VLD1 (p), [V10.S4, V11.S4, V12.S4, V13.S4]; \
have:

// DOT adds the tile in V(w) to V(w+3) times lane i of V(a) to V(d) to V(d+3).
#define DOT(i, a, w, d) \
	SDOT_LANE(i, a, w, d);         \
	SDOT_LANE(i, a, (w)+1, (d)+1); \
	SDOT_LANE(i, a, (w)+2, (d)+2); \
	SDOT_LANE(i, a, (w)+3, (d)+3)

// BEGIN sets V(d) to V(d+3) to lane i of V14.
#define BEGIN(i, d) \
	DUP_LANE(i, 14, d);     \
	DUP_LANE(i, 14, (d)+1); \
	DUP_LANE(i, 14, (d)+2); \
	DUP_LANE(i, 14, (d)+3)

// END adds the integers from V(d) on to the floats from V(f) on, times the scales, times lane i of V14.
#define END(i, d, f) \
	FMUL_LANE(i, 14, 10, 0); \
	FMUL_LANE(i, 14, 11, 1); \
	FMUL_LANE(i, 14, 12, 2); \
	FMUL_LANE(i, 14, 13, 3); \
	SCVTF(d, d);             \
	SCVTF((d)+1, (d)+1);     \
	SCVTF((d)+2, (d)+2);     \
	SCVTF((d)+3, (d)+3);     \
	FMLA(0, d, f);           \
	FMLA(1, (d)+1, (f)+1);   \
	FMLA(2, (d)+2, (f)+2);   \
	FMLA(3, (d)+3, (f)+3)

// MIN adds the minima times lane i of V14.
#define MIN(i, f) \
	FMLA_LANE(i, 14, 10, f);     \
	FMLA_LANE(i, 14, 11, (f)+1); \
	FMLA_LANE(i, 14, 12, (f)+2); \
	FMLA_LANE(i, 14, 13, (f)+3)

// NEXTSTEP ends a step, and a group with its last step.
#define NEXTSTEP(loop, same) \
	ADD  R8<<2, R3, R3;          \
	ADD  R8, R3;                 \
	SUBS $1, R10;                \
	BNE  same;                   \
	MOVD groupSteps+88(FP), R10; \
	ADD  R9, R4;                 \
	CBZ  R5, same;               \
	ADD  R9, R5;                 \
same:                          \
	SUBS $1, R6;                 \
	BNE  loop

// STORE multiplies the floats from V(f) on with the token's scale.
#define STORE(f) \
	FMOVS.P 4(R4), F14;                  \
	FMUL_LANE(0, 14, f, 0);              \
	FMUL_LANE(0, 14, (f)+1, 1);          \
	FMUL_LANE(0, 14, (f)+2, 2);          \
	FMUL_LANE(0, 14, (f)+3, 3);          \
	VST1    [V0.S4, V1.S4, V2.S4, V3.S4], (R0)

	ARGS
	VEOR V24.B16, V24.B16, V24.B16
	VEOR V25.B16, V25.B16, V25.B16
	VEOR V26.B16, V26.B16, V26.B16
	VEOR V27.B16, V27.B16, V27.B16
	VEOR V28.B16, V28.B16, V28.B16
	VEOR V29.B16, V29.B16, V29.B16
	VEOR V30.B16, V30.B16, V30.B16
	VEOR V31.B16, V31.B16, V31.B16
	CMP  $4, R8
	BEQ  one
two:
	ADD   R11, R3, R12
	FMOVD (R12), F14
	BEGIN(0, 16)
	BEGIN(1, 20)
	MOVD  stepTiles+80(FP), R7
	LSR   $1, R7
tiles2:
	FMOVD (R2), F8         // lanes 0 and 1 = both tokens
	ADD   R8, R2, R12
	FMOVD (R12), F9        // of the next tile
	ADD   R8<<1, R2, R2
	PAIR
	DOT(0, 8, 0, 16)
	DOT(1, 8, 0, 20)
	DOT(0, 9, 4, 16)
	DOT(1, 9, 4, 20)
	SUBS  $1, R7
	BNE   tiles2
	VECTOR(R4, floats2, have2)
	FMOVD (R3), F14
	END(0, 16, 24)
	END(1, 20, 28)
	CBZ   R5, next2
	VECTOR(R5, minFloats2, minHave2)
	ADD   R8, R3, R12
	FMOVD (R12), F14
	MIN(0, 24)
	MIN(1, 28)
next2:
	NEXTSTEP(two, same2)
	MOVD out+0(FP), R0
	MOVD outStride+8(FP), R12
	MOVD aScale+96(FP), R4
	STORE(24)
	MOVD tokens+104(FP), R7
	CMP  $1, R7
	BEQ  done
	ADD  R12<<2, R0, R0
	STORE(28)
done:
	RET
one:
	ADD   R11, R3, R12
	FMOVS (R12), F14
	BEGIN(0, 16)
	VEOR  V20.B16, V20.B16, V20.B16
	VEOR  V21.B16, V21.B16, V21.B16
	VEOR  V22.B16, V22.B16, V22.B16
	VEOR  V23.B16, V23.B16, V23.B16
	MOVD  stepTiles+80(FP), R7
	LSR   $1, R7
tiles1:
	FMOVD (R2), F8         // lanes 0 and 1 = two tiles
	ADD   $8, R2
	PAIR
	DOT(0, 8, 0, 16)
	DOT(1, 8, 4, 20)
	SUBS  $1, R7
	BNE   tiles1
	VADD  V20.S4, V16.S4, V16.S4
	VADD  V21.S4, V17.S4, V17.S4
	VADD  V22.S4, V18.S4, V18.S4
	VADD  V23.S4, V19.S4, V19.S4
	VECTOR(R4, floats1, have1)
	FMOVS (R3), F14
	END(0, 16, 24)
	CBZ   R5, next1
	VECTOR(R5, minFloats1, minHave1)
	FMOVS 4(R3), F14
	MIN(0, 24)
next1:
	NEXTSTEP(one, same1)
	MOVD out+0(FP), R0
	MOVD aScale+96(FP), R4
	STORE(24)
	RET
