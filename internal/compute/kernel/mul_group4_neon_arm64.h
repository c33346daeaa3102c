// The body of groupsW8GNeon4 and groupsW4GNeon4: four tokens, included behind mul_group_neon_arm64.h, whose macros and registers it
// has. Integer sums of token t are in V(16+4t) on. The float sums have no registers while tiles pass: 64 bytes a token on the
// stack at R0. At the end of a step each token's take the place of integers that are done: V4-V7, V16-V19, V20-V23, V24-V27.

	ARGS
	MOVD $acc-256(SP), R0
	VEOR V4.B16, V4.B16, V4.B16
	FSTPQ (F4, F4), (R0)
	FSTPQ (F4, F4), 32(R0)
	FSTPQ (F4, F4), 64(R0)
	FSTPQ (F4, F4), 96(R0)
	FSTPQ (F4, F4), 128(R0)
	FSTPQ (F4, F4), 160(R0)
	FSTPQ (F4, F4), 192(R0)
	FSTPQ (F4, F4), 224(R0)
four:
	ADD   R11, R3, R12
	FMOVQ (R12), F14
	BEGIN(0, 16)
	BEGIN(1, 20)
	BEGIN(2, 24)
	BEGIN(3, 28)
	MOVD  stepTiles+80(FP), R7
	LSR   $1, R7
tiles4:
	FMOVQ (R2), F8         // lanes = tokens
	ADD   R8, R2, R12
	FMOVQ (R12), F9        // of the next tile
	ADD   R8<<1, R2, R2
	PAIR
	DOT(0, 8, 0, 16)
	DOT(1, 8, 0, 20)
	DOT(2, 8, 0, 24)
	DOT(3, 8, 0, 28)
	DOT(0, 9, 4, 16)
	DOT(1, 9, 4, 20)
	DOT(2, 9, 4, 24)
	DOT(3, 9, 4, 28)
	SUBS  $1, R7
	BNE   tiles4
	VECTOR(R4, floats4, have4)
	FMOVQ (R3), F14
	FLDPQ (R0), (F4, F5)
	FLDPQ 32(R0), (F6, F7)
	END(0, 16, 4)
	FLDPQ 64(R0), (F16, F17)
	FLDPQ 96(R0), (F18, F19)
	END(1, 20, 16)
	FLDPQ 128(R0), (F20, F21)
	FLDPQ 160(R0), (F22, F23)
	END(2, 24, 20)
	FLDPQ 192(R0), (F24, F25)
	FLDPQ 224(R0), (F26, F27)
	END(3, 28, 24)
	CBZ   R5, next4
	VECTOR(R5, minFloats4, minHave4)
	ADD   R8, R3, R12
	FMOVQ (R12), F14
	MIN(0, 4)
	MIN(1, 16)
	MIN(2, 20)
	MIN(3, 24)
next4:
	FSTPQ (F4, F5), (R0)
	FSTPQ (F6, F7), 32(R0)
	FSTPQ (F16, F17), 64(R0)
	FSTPQ (F18, F19), 96(R0)
	FSTPQ (F20, F21), 128(R0)
	FSTPQ (F22, F23), 160(R0)
	FSTPQ (F24, F25), 192(R0)
	FSTPQ (F26, F27), 224(R0)
	NEXTSTEP(four, same4)
	MOVD out+0(FP), R0
	MOVD outStride+8(FP), R12
	LSL  $2, R12
	MOVD aScale+96(FP), R4
	STORE(4)
	ADD  R12, R0
	STORE(16)
	ADD  R12, R0
	STORE(20)
	MOVD tokens+104(FP), R7
	CMP  $3, R7
	BEQ  done4
	ADD  R12, R0
	STORE(24)
done4:
	RET
