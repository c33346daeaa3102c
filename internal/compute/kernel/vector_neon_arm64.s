//go:build !noasm

#include "textflag.h"
#include "neon_arm64.h"

// All vectors are multiples of 16 floats long; a loop takes 16 unless it says otherwise.

// m := uint32(0); for _, v := range x { m = max(m, math.Float32bits(v)&^(1<<31)) }; return m
//
// func absMaxNeon(x []float32) uint32
TEXT ·absMaxNeon(SB), NOSPLIT, $0-28
	MOVD x_base+0(FP), R0
	MOVD x_len+8(FP), R1
	VEOR V16.B16, V16.B16, V16.B16 // V16-V19 = largest so far, as integers
	VEOR V17.B16, V17.B16, V17.B16
	VEOR V18.B16, V18.B16, V18.B16
	VEOR V19.B16, V19.B16, V19.B16
	CBZ  R1, done
loop:
	VLD1.P 64(R0), [V0.S4, V1.S4, V2.S4, V3.S4]
	FABS(0, 0) // clears the sign bit, of a NaN too
	FABS(1, 1)
	FABS(2, 2)
	FABS(3, 3)
	VUMAX V0.S4, V16.S4, V16.S4
	VUMAX V1.S4, V17.S4, V17.S4
	VUMAX V2.S4, V18.S4, V18.S4
	VUMAX V3.S4, V19.S4, V19.S4
	SUBS $16, R1
	BNE  loop
done:
	VUMAX V17.S4, V16.S4, V16.S4
	VUMAX V19.S4, V18.S4, V18.S4
	VUMAX V18.S4, V16.S4, V16.S4
	UMAXV(16, 16)
	FMOVS F16, ret+24(FP)
	RET

// for i, v := range x { dst[i/4*stride+i%4] = int8(clamp(math.RoundToEven(v/scale), -127, 127)) }
//
// func quantizeNeon(dst *uint8, stride int, x []float32, scale float32)
TEXT ·quantizeNeon(SB), NOSPLIT, $0-44
	MOVD dst+0(FP), R0
	MOVD stride+8(FP), R1
	MOVD x_base+16(FP), R2
	MOVD x_len+24(FP), R3
	FMOVS scale+40(FP), F4
	VDUP V4.S[0], V4.S4
	MOVD $-127, R4
	VDUP R4, V5.B16
	CBZ  R3, done
loop:
	VLD1.P 64(R2), [V0.S4, V1.S4, V2.S4, V3.S4]
	FDIV(4, 0, 0)
	FDIV(4, 1, 1)
	FDIV(4, 2, 2)
	FDIV(4, 3, 3)
	FCVTNS(0, 0)      // ties to even; what is too large becomes the largest int32
	FCVTNS(1, 1)
	FCVTNS(2, 2)
	FCVTNS(3, 3)
	SQXTN4H(0, 0)
	SQXTN8H(1, 0)
	SQXTN4H(2, 2)
	SQXTN8H(3, 2)
	SQXTN8B(0, 0)     // saturated to -128..127
	SQXTN16B(2, 0)
	SMAX16B(5, 0, 0)  // -128 -> -127
	VST1.P V0.S[0], (R0)(R1)
	VST1.P V0.S[1], (R0)(R1)
	VST1.P V0.S[2], (R0)(R1)
	VST1.P V0.S[3], (R0)(R1)
	SUBS $16, R3
	BNE  loop
done:
	RET

// var l [16]float32; for i, v := range x { l[i%16] = fma(v, v, l[i%16]) }; return reduce(&l)
//
// func sumSquaresNeon(x []float32) float32
TEXT ·sumSquaresNeon(SB), NOSPLIT, $0-28
	MOVD x_base+0(FP), R0
	MOVD x_len+8(FP), R1
	VEOR V16.B16, V16.B16, V16.B16 // V16-V19 = lanes 0-15
	VEOR V17.B16, V17.B16, V17.B16
	VEOR V18.B16, V18.B16, V18.B16
	VEOR V19.B16, V19.B16, V19.B16
	CBZ  R1, done
loop:
	VLD1.P 64(R0), [V0.S4, V1.S4, V2.S4, V3.S4]
	FMLA(0, 0, 16)
	FMLA(1, 1, 17)
	FMLA(2, 2, 18)
	FMLA(3, 3, 19)
	SUBS $16, R1
	BNE  loop
done:
	REDUCE(16, 17, 18, 19)
	FMOVS F16, ret+24(FP)
	RET

// for i, v := range x { dst[i] = (v * s) * w[i] }
//
// func scaleMulNeon(dst, x, w []float32, s float32)
TEXT ·scaleMulNeon(SB), NOSPLIT, $0-76
	MOVD dst_base+0(FP), R0
	MOVD x_base+24(FP), R1
	MOVD x_len+32(FP), R3
	MOVD w_base+48(FP), R2
	FMOVS s+72(FP), F8
	CBZ  R3, done
loop:
	VLD1.P 64(R1), [V0.S4, V1.S4, V2.S4, V3.S4]
	VLD1.P 64(R2), [V4.S4, V5.S4, V6.S4, V7.S4]
	FMUL_LANE(0, 8, 0, 0)
	FMUL_LANE(0, 8, 1, 1)
	FMUL_LANE(0, 8, 2, 2)
	FMUL_LANE(0, 8, 3, 3)
	FMUL(4, 0, 0)
	FMUL(5, 1, 1)
	FMUL(6, 2, 2)
	FMUL(7, 3, 3)
	VST1.P [V0.S4, V1.S4, V2.S4, V3.S4], 64(R0)
	SUBS $16, R3
	BNE  loop
done:
	RET

// for i, v := range y { x[i] += v }
//
// func addNeon(x, y []float32)
TEXT ·addNeon(SB), NOSPLIT, $0-48
	MOVD x_base+0(FP), R0
	MOVD y_base+24(FP), R1
	MOVD y_len+32(FP), R3
	MOVD R0, R2          // R0 reads, R2 writes: no load waits for a store's address
	CBZ  R3, done
loop:
	VLD1.P 64(R0), [V0.S4, V1.S4, V2.S4, V3.S4]
	VLD1.P 64(R1), [V4.S4, V5.S4, V6.S4, V7.S4]
	FADD(4, 0, 0)
	FADD(5, 1, 1)
	FADD(6, 2, 2)
	FADD(7, 3, 3)
	VST1.P [V0.S4, V1.S4, V2.S4, V3.S4], 64(R2)
	SUBS $16, R3
	BNE  loop
done:
	RET

// ROTATE turns the pairs V(a), V(b) by cosines V(c) and sines V(s); V16 and V17 are lost. No product is fused.
#define ROTATE(a, b, c, s) \
	FMUL(s, b, 16); \
	FMUL(s, a, 17); \
	FMUL(c, a, a); \
	FMUL(c, b, b); \
	FSUB(16, a, a); \
	FADD(17, b, b)

// for i, c := range cos { a, b, s := lo[i], hi[i], sin[i]; lo[i] = a*c - b*s; hi[i] = b*c + a*s }
// Eight pairs at a time.
//
// func rotateNeon(lo, hi, cos, sin []float32)
TEXT ·rotateNeon(SB), NOSPLIT, $0-96
	MOVD lo_base+0(FP), R0
	MOVD hi_base+24(FP), R1
	MOVD cos_base+48(FP), R2
	MOVD cos_len+56(FP), R4
	MOVD sin_base+72(FP), R3
	MOVD R0, R5          // R0 and R1 read, R5 and R6 write
	MOVD R1, R6
	CBZ  R4, done
loop:
	VLD1.P 32(R0), [V0.S4, V1.S4]
	VLD1.P 32(R1), [V2.S4, V3.S4]
	VLD1.P 32(R2), [V4.S4, V5.S4]
	VLD1.P 32(R3), [V6.S4, V7.S4]
	ROTATE(0, 2, 4, 6)
	ROTATE(1, 3, 5, 7)
	VST1.P [V0.S4, V1.S4], 32(R5)
	VST1.P [V2.S4, V3.S4], 32(R6)
	SUBS $8, R4
	BNE  loop
done:
	RET
