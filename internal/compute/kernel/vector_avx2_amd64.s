//go:build !noasm

#include "textflag.h"
#include "reduce_avx2_amd64.h"

// for i, v := range x { lanes[i%16] = fma(v, v, lanes[i%16]) }; return reduce(&lanes)
//
// func sumSquaresAVX2(x []float32) float32
TEXT ·sumSquaresAVX2(SB), NOSPLIT, $0-28
	MOVQ   x_base+0(FP), SI
	MOVQ   x_len+8(FP), CX
	VXORPS Y0, Y0, Y0       // Y0, Y1 = lanes 0-7, 8-15
	VXORPS Y1, Y1, Y1
	SHRQ   $4, CX           // CX = blocks of 16 left
	JZ     sum

block:
	VMOVUPS     (SI), Y2
	VMOVUPS     32(SI), Y3
	VFMADD231PS Y2, Y2, Y0
	VFMADD231PS Y3, Y3, Y1
	ADDQ        $64, SI
	DECQ        CX
	JNZ         block

sum:
	REDUCE(Y0, Y1, X0, X1)
	VMOVSS X0, ret+24(FP)
	VZEROUPPER
	RET

// for i, v := range x { dst[i] = (v * s) * w[i] }
//
// func scaleMulAVX2(dst, x, w []float32, s float32)
TEXT ·scaleMulAVX2(SB), NOSPLIT, $0-76
	MOVQ         dst_base+0(FP), DI
	MOVQ         x_base+24(FP), SI
	MOVQ         x_len+32(FP), CX
	MOVQ         w_base+48(FP), DX
	VBROADCASTSS s+72(FP), Y2
	SHRQ         $4, CX
	JZ           done

block:
	VMULPS  (SI), Y2, Y0
	VMULPS  32(SI), Y2, Y1
	VMULPS  (DX), Y0, Y0
	VMULPS  32(DX), Y1, Y1
	VMOVUPS Y0, (DI)
	VMOVUPS Y1, 32(DI)
	ADDQ    $64, SI
	ADDQ    $64, DX
	ADDQ    $64, DI
	DECQ    CX
	JNZ     block

done:
	VZEROUPPER
	RET

// for i, v := range y { x[i] += v }
//
// func addAVX2(x, y []float32)
TEXT ·addAVX2(SB), NOSPLIT, $0-48
	MOVQ x_base+0(FP), DI
	MOVQ y_base+24(FP), SI
	MOVQ y_len+32(FP), CX
	SHRQ $4, CX
	JZ   done

block:
	VMOVUPS (DI), Y0
	VMOVUPS 32(DI), Y1
	VADDPS  (SI), Y0, Y0
	VADDPS  32(SI), Y1, Y1
	VMOVUPS Y0, (DI)
	VMOVUPS Y1, 32(DI)
	ADDQ    $64, SI
	ADDQ    $64, DI
	DECQ    CX
	JNZ     block

done:
	VZEROUPPER
	RET

// for i, c := range cos { a, b, s := lo[i], hi[i], sin[i]; lo[i], hi[i] = a*c-b*s, b*c+a*s }
//
// func rotateAVX2(lo, hi, cos, sin []float32)
TEXT ·rotateAVX2(SB), NOSPLIT, $0-96
	MOVQ lo_base+0(FP), DI
	MOVQ hi_base+24(FP), SI
	MOVQ cos_base+48(FP), DX
	MOVQ cos_len+56(FP), CX
	MOVQ sin_base+72(FP), BX
	SHRQ $3, CX              // CX = blocks of 8 left
	JZ   done

block:  // no fused multiply-adds: each product is rounded
	VMOVUPS (DI), Y0   // a
	VMOVUPS (SI), Y1   // b
	VMOVUPS (DX), Y2   // c
	VMOVUPS (BX), Y3   // s
	VMULPS  Y2, Y0, Y4 // a*c
	VMULPS  Y3, Y1, Y5 // b*s
	VMULPS  Y2, Y1, Y1 // b*c
	VMULPS  Y3, Y0, Y0 // a*s
	VSUBPS  Y5, Y4, Y4
	VADDPS  Y0, Y1, Y1
	VMOVUPS Y4, (DI)
	VMOVUPS Y1, (SI)
	ADDQ    $32, DI
	ADDQ    $32, SI
	ADDQ    $32, DX
	ADDQ    $32, BX
	DECQ    CX
	JNZ     block

done:
	VZEROUPPER
	RET

// m := -Inf; for _, v := range x { if v > m { m = v } }
//
// func maxAVX2(x []float32) float32
TEXT ·maxAVX2(SB), NOSPLIT, $0-28
	MOVQ     x_base+0(FP), SI
	MOVQ     x_len+8(FP), CX
	VPCMPEQD Y0, Y0, Y0
	VPSLLD   $24, Y0, Y0
	VPSRAD   $1, Y0, Y0       // Y0, Y1 = 0xff800000 = -Inf in every lane
	VMOVAPS  Y0, Y1
	SHRQ     $4, CX
	JZ       sum

block:  // VMAXPS m, v, m is v > m ? v : m, also for a NaN
	VMOVUPS (SI), Y2
	VMOVUPS 32(SI), Y3
	VMAXPS  Y0, Y2, Y0
	VMAXPS  Y1, Y3, Y1
	ADDQ    $64, SI
	DECQ    CX
	JNZ     block

sum:
	VMAXPS       Y1, Y0, Y0
	VEXTRACTF128 $1, Y0, X1
	VMAXPS       X1, X0, X0
	VPSHUFD      $0x4e, X0, X1
	VMAXPS       X1, X0, X0
	VPSHUFD      $0xb1, X0, X1
	VMAXSS       X1, X0, X0
	VMOVSS       X0, ret+24(FP)
	VZEROUPPER
	RET
