//go:build !noasm

#include "textflag.h"
#include "neon_arm64.h"

// The functions of math.go, four floats at a time, step by step the same. Their constants are in neonMath, four a register:
// V28 = log2E, ln2Hi, ln2Lo, expC0; V29 = expC1 to expC4; V30 = expC5, expMin, geluC, geluC3; V31 = 40, 1, 2, 0.5.
// V27 = 127 as integers, V26 = 40, V25 = 1, V24 = 2, V23 = the sign bit, V22 = expMin in all lanes.
#define CONSTANTS \
	MOVD $·neonMath(SB), R9; \
	VLD1 (R9), [V28.S4, V29.S4, V30.S4, V31.S4]; \
	MOVD $127, R9; \
	VDUP R9, V27.S4; \
	VDUP V31.S[0], V26.S4; \
	VDUP V31.S[1], V25.S4; \
	VDUP V31.S[2], V24.S4; \
	MOVD $0x80000000, R9; \
	VDUP R9, V23.S4; \
	VDUP V30.S[1], V22.S4

// EXP2PARTS(x, t, a, b) is exp2Parts: V(t) = 2^n, V(x) becomes p; V(a) and V(b) are lost. A NaN gives t = 1, p = NaN.
#define EXP2PARTS(x, t, a, b) \
	FMUL_LANE(0, 28, x, t); \
	FRINTN(t, t);           \ // n = roundToEven(x*log2E)
	FMLS_LANE(1, 28, t, x); \ // r = x - n*ln2Hi
	FMLS_LANE(2, 28, t, x); \ // r = r - n*ln2Lo
	FCVTNS(t, t);           \
	ADD4S(27, t, t);        \
	SHL23(t, t);            \ // t = bits of 2^n
	DUP_LANE(0, 29, a);     \
	FMLA_LANE(3, 28, x, a); \ // a = expC0*r + expC1
	DUP_LANE(1, 29, b);     \
	FMLA(a, x, b);          \ // b = a*r + expC2
	DUP_LANE(2, 29, a);     \
	FMLA(b, x, a);          \ // a = b*r + expC3
	DUP_LANE(3, 29, b);     \
	FMLA(a, x, b);          \ // b = a*r + expC4
	DUP_LANE(0, 30, a);     \
	FMLA(b, x, a);          \ // a = b*r + expC5
	FMUL(x, x, b);          \
	FMLA(a, b, x)             // p = (r*r)*a + r

// TANH(x, z, t, a, b): V(x) = tanhRef(V(x)); the others are lost.
#define TANH(x, z, t, a, b) \
	FABS(x, z);            \
	FADD(z, z, z);         \
	FMIN(26, z, z);        \ // z = min(2|x|, 40); a NaN stays
	EXP2PARTS(z, t, a, b); \
	FSUB(25, t, a);        \
	FMLA(z, t, a);         \ // a = t*p + (t-1) = e^z - 1
	FADD(24, a, b);        \
	FDIV(b, a, a);         \
	BIT(23, x, a);         \ // the sign of x
	MOV16B(a, x)

// for i, v := range x { y := v*scale; if limit != 0 { y = limit * tanh(y/limit) }; x[i] = y }
// Four at a time.
//
// func softcapNeon(x []float32, scale, limit float32)
TEXT ·softcapNeon(SB), NOSPLIT, $0-32
	MOVD x_base+0(FP), R0
	MOVD x_len+8(FP), R1
	FMOVS scale+24(FP), F16
	FMOVS limit+28(FP), F17
	VDUP V17.S[0], V18.S4
	MOVD R0, R2          // R0 reads, R2 writes: no load waits for a store's address
	CBZ  R1, done
	FCMPS $(0.0), F17
	BEQ  scaleOnly
	CONSTANTS
loop:
	FMOVQ.P 16(R0), F0
	FMUL_LANE(0, 16, 0, 0)
	FDIV(18, 0, 0)
	TANH(0, 1, 2, 3, 4)
	FMUL(18, 0, 0)
	FMOVQ.P F0, 16(R2)
	SUBS $4, R1
	BNE  loop
	RET
scaleOnly:
	FMOVQ.P 16(R0), F0
	FMUL_LANE(0, 16, 0, 0)
	FMOVQ.P F0, 16(R2)
	SUBS $4, R1
	BNE  scaleOnly
done:
	RET

// for i, g := range gate { dst[i] = gelu(g) * up[i] }
// Four at a time.
//
// func geluMulNeon(dst, gate, up []float32)
TEXT ·geluMulNeon(SB), NOSPLIT, $0-72
	MOVD dst_base+0(FP), R0
	MOVD gate_base+24(FP), R1
	MOVD gate_len+32(FP), R3
	MOVD up_base+48(FP), R2
	CBZ  R3, done
	CONSTANTS
loop:
	FMOVQ.P 16(R1), F5
	FMOVQ.P 16(R2), F6
	FMUL(5, 5, 1)           // V1 = g*g
	DUP_LANE(2, 30, 0)
	FMLA_LANE(3, 30, 1, 0)  // V0 = g*g*geluC3 + geluC
	FMUL(5, 0, 0)           // V0 = inner
	TANH(0, 1, 2, 3, 4)
	FMUL_LANE(3, 31, 5, 5)  // V5 = h = g/2
	FMLA(0, 5, 5)           // V5 = h*tanh + h
	FMUL(6, 5, 5)
	FMOVQ.P F5, 16(R0)
	SUBS $4, R3
	BNE  loop
done:
	RET

// m := -Inf; for _, v := range x { if v > m { m = v } }; return m
//
// func maxNeon(x []float32) float32
TEXT ·maxNeon(SB), NOSPLIT, $0-28
	MOVD x_base+0(FP), R0
	MOVD x_len+8(FP), R1
	MOVD $0xff800000, R2
	VDUP R2, V16.S4 // V16-V19 = -Inf
	VDUP R2, V17.S4
	VDUP R2, V18.S4
	VDUP R2, V19.S4
	CBZ  R1, done
loop:
	VLD1.P 64(R0), [V0.S4, V1.S4, V2.S4, V3.S4]
	FMAXNM(0, 16, 16)
	FMAXNM(1, 17, 17)
	FMAXNM(2, 18, 18)
	FMAXNM(3, 19, 19)
	SUBS $16, R1
	BNE  loop
done:
	FMAXNM(17, 16, 16)
	FMAXNM(19, 18, 18)
	FMAXNM(18, 16, 16)
	FMAXNMV(16, 16)
	FMOVS F16, ret+24(FP)
	RET

// EXPSUM replaces V(x) by exp(V(x) - V20) and adds it to V(lanes); V4 to V7 are lost.
#define EXPSUM(x, lanes) \
	FSUB(20, x, x);           \
	FCMGT(x, 22, 7);          \ // V7 = where x < -87; not for a NaN
	EXP2PARTS(x, 4, 5, 6);    \
	FMLA(x, 4, 4);            \ // t*p + t
	BIC(7, 4, x);             \
	FADD(x, lanes, lanes)

// var l [16]float32; for i, v := range x { x[i] = exp(v - max); l[i%16] += x[i] }; return reduce(&l)
//
// func expSumNeon(x []float32, max float32) float32
TEXT ·expSumNeon(SB), NOSPLIT, $0-36
	MOVD x_base+0(FP), R0
	MOVD x_len+8(FP), R1
	FMOVS max+24(FP), F20
	VDUP V20.S[0], V20.S4
	VEOR V16.B16, V16.B16, V16.B16 // V16-V19 = lanes 0-15
	VEOR V17.B16, V17.B16, V17.B16
	VEOR V18.B16, V18.B16, V18.B16
	VEOR V19.B16, V19.B16, V19.B16
	CONSTANTS
	MOVD R0, R2          // R0 reads, R2 writes
	CBZ  R1, done
loop:
	VLD1.P 64(R0), [V0.S4, V1.S4, V2.S4, V3.S4]
	EXPSUM(0, 16)
	EXPSUM(1, 17)
	EXPSUM(2, 18)
	EXPSUM(3, 19)
	VST1.P [V0.S4, V1.S4, V2.S4, V3.S4], 64(R2)
	SUBS $16, R1
	BNE  loop
done:
	REDUCE(16, 17, 18, 19)
	FMOVS F16, ret+32(FP)
	RET
