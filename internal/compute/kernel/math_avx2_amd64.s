//go:build !noasm

#include "textflag.h"
#include "math_avx2_amd64.h"
#include "reduce_avx2_amd64.h"

// EXP replaces x by e^x, 0 below EXPMIN.
#define EXP(x) \
	VBROADCASTSS EXPMIN, Y6;    \
	VCMPPS       $5, Y6, x, Y3; \ // not x < EXPMIN
	EXP2PARTS(x, Y4, Y5);       \
	VFMADD213PS  Y4, Y4, Y5;    \ // t*p + t
	VANDPS       Y3, Y5, x

// for i, v := range x { x[i] = expRef(v-max); lanes[i%16] += x[i] }; return reduce(&lanes)
//
// func expSumAVX2(x []float32, max float32) float32
TEXT ·expSumAVX2(SB), NOSPLIT, $0-36
	MOVQ         x_base+0(FP), SI
	MOVQ         x_len+8(FP), CX
	VBROADCASTSS max+24(FP), Y8
	VXORPS       Y0, Y0, Y0       // Y0, Y1 = lanes 0-7, 8-15
	VXORPS       Y1, Y1, Y1
	SHRQ         $4, CX           // CX = blocks of 16 left
	JZ           sum

block:
	VMOVUPS (SI), Y2
	VSUBPS  Y8, Y2, Y2
	EXP(Y2)
	VMOVUPS Y2, (SI)
	VADDPS  Y2, Y0, Y0
	VMOVUPS 32(SI), Y2
	VSUBPS  Y8, Y2, Y2
	EXP(Y2)
	VMOVUPS Y2, 32(SI)
	VADDPS  Y2, Y1, Y1
	ADDQ    $64, SI
	DECQ    CX
	JNZ     block

sum:
	REDUCE(Y0, Y1, X0, X1)
	VMOVSS X0, ret+32(FP)
	VZEROUPPER
	RET

// for i, v := range x { y := v*scale; if limit != 0 { y = limit * tanhRef(y/limit) }; x[i] = y }
//
// func softcapAVX2(x []float32, scale, limit float32)
TEXT ·softcapAVX2(SB), NOSPLIT, $0-32
	MOVQ         x_base+0(FP), SI
	MOVQ         x_len+8(FP), CX
	VBROADCASTSS scale+24(FP), Y8
	VBROADCASTSS limit+28(FP), Y9
	VPCMPEQD     Y10, Y10, Y10
	VPSLLD       $31, Y10, Y10    // Y10 = sign bit
	SHRQ         $3, CX           // CX = blocks of 8 left
	JZ           done
	MOVL         limit+28(FP), AX
	ADDL         AX, AX           // without its sign
	JZ           scale

block:
	VMULPS  (SI), Y8, Y2
	VDIVPS  Y9, Y2, Y2
	TANH(Y2, Y10)
	VMULPS  Y9, Y2, Y2
	VMOVUPS Y2, (SI)
	ADDQ    $32, SI
	DECQ    CX
	JNZ     block
	JMP     done

scale:
	VMULPS  (SI), Y8, Y2
	VMOVUPS Y2, (SI)
	ADDQ    $32, SI
	DECQ    CX
	JNZ     scale

done:
	VZEROUPPER
	RET

// for i, x := range gate { h := 0.5*x; dst[i] = fma(h, tanhRef(x*fma(x*x, geluC3, geluC)), h) * up[i] }
//
// func geluMulAVX2(dst, gate, up []float32)
TEXT ·geluMulAVX2(SB), NOSPLIT, $0-72
	MOVQ         dst_base+0(FP), DI
	MOVQ         gate_base+24(FP), SI
	MOVQ         gate_len+32(FP), CX
	MOVQ         up_base+48(FP), DX
	VBROADCASTSS GELUC, Y11
	VBROADCASTSS GELUC3, Y12
	VBROADCASTSS HALF, Y13
	VPCMPEQD     Y10, Y10, Y10
	VPSLLD       $31, Y10, Y10        // Y10 = sign bit
	SHRQ         $3, CX
	JZ           done

block:
	VMOVUPS     (SI), Y0
	VMULPS      Y0, Y0, Y2
	VFMADD213PS Y11, Y12, Y2 // x*x*geluC3 + geluC
	VMULPS      Y0, Y2, Y2
	TANH(Y2, Y10)
	VMULPS      Y13, Y0, Y0  // h
	VFMADD213PS Y0, Y0, Y2   // h*tanh + h
	VMULPS      (DX), Y2, Y2
	VMOVUPS     Y2, (DI)
	ADDQ        $32, SI
	ADDQ        $32, DX
	ADDQ        $32, DI
	DECQ        CX
	JNZ         block

done:
	VZEROUPPER
	RET
