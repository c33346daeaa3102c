//go:build !noasm

#include "textflag.h"
#include "math_avx512_amd64.h"
#include "reduce_avx2_amd64.h"

// EXP replaces x by e^x, 0 below EXPMIN.
#define EXP(x) \
	VCMPPS      $5, EXPMIN, x, K1; \ // not x < EXPMIN
	EXP2PARTS(x, Z4, Z5);          \
	VFMADD213PS Z4, Z4, Z5;        \ // t*p + t
	VMOVAPS.Z   Z5, K1, x

// for i, v := range x { x[i] = expRef(v-max); lanes[i%16] += x[i] }; return reduce(&lanes)
//
// func expSumAVX512(x []float32, max float32) float32
TEXT ·expSumAVX512(SB), NOSPLIT, $0-36
	MOVQ         x_base+0(FP), SI
	MOVQ         x_len+8(FP), CX
	VBROADCASTSS max+24(FP), Z8
	CONSTANTS
	VPXORD       Z0, Z0, Z0       // Z0 = 16 lanes
	SHRQ         $4, CX           // CX = blocks of 16 left
	JZ           sum

block:
	VMOVUPS (SI), Z2
	VSUBPS  Z8, Z2, Z2
	EXP(Z2)
	VMOVUPS Z2, (SI)
	VADDPS  Z2, Z0, Z0
	ADDQ    $64, SI
	DECQ    CX
	JNZ     block

sum:
	VEXTRACTF64X4 $1, Z0, Y1
	REDUCE(Y0, Y1, X0, X1)
	VMOVSS        X0, ret+32(FP)
	VZEROUPPER
	RET

// for i, v := range x { y := v*scale; if limit != 0 { y = limit * tanhRef(y/limit) }; x[i] = y }
//
// func softcapAVX512(x []float32, scale, limit float32)
TEXT ·softcapAVX512(SB), NOSPLIT, $0-32
	MOVQ         x_base+0(FP), SI
	MOVQ         x_len+8(FP), CX
	VBROADCASTSS scale+24(FP), Z8
	VBROADCASTSS limit+28(FP), Z9
	CONSTANTS
	VPTERNLOGD   $255, Z10, Z10, Z10
	VPSLLD       $31, Z10, Z10       // Z10 = sign bit
	SHRQ         $4, CX              // CX = blocks of 16 left
	JZ           done
	MOVL         limit+28(FP), AX
	ADDL         AX, AX              // without its sign
	JZ           scale

block:
	VMULPS  (SI), Z8, Z2
	VDIVPS  Z9, Z2, Z2
	TANH(Z2, Z10)
	VMULPS  Z9, Z2, Z2
	VMOVUPS Z2, (SI)
	ADDQ    $64, SI
	DECQ    CX
	JNZ     block
	JMP     done

scale:
	VMULPS  (SI), Z8, Z2
	VMOVUPS Z2, (SI)
	ADDQ    $64, SI
	DECQ    CX
	JNZ     scale

done:
	VZEROUPPER
	RET

// for i, x := range gate { h := 0.5*x; dst[i] = fma(h, tanhRef(x*fma(x*x, geluC3, geluC)), h) * up[i] }
//
// func geluMulAVX512(dst, gate, up []float32)
TEXT ·geluMulAVX512(SB), NOSPLIT, $0-72
	MOVQ       dst_base+0(FP), DI
	MOVQ       gate_base+24(FP), SI
	MOVQ       gate_len+32(FP), CX
	MOVQ       up_base+48(FP), DX
	CONSTANTS
	VPTERNLOGD $255, Z10, Z10, Z10
	VPSLLD     $31, Z10, Z10        // Z10 = sign bit
	SHRQ       $4, CX
	JZ         done

block:
	VMOVUPS     (SI), Z0
	VMULPS      Z0, Z0, Z2
	VFMADD213PS GELUC, GELUC3, Z2 // x*x*geluC3 + geluC
	VMULPS      Z0, Z2, Z2
	TANH(Z2, Z10)
	VMULPS      HALF, Z0, Z0      // h
	VFMADD213PS Z0, Z0, Z2        // h*tanh + h
	VMULPS      (DX), Z2, Z2
	VMOVUPS     Z2, (DI)
	ADDQ        $64, SI
	ADDQ        $64, DX
	ADDQ        $64, DI
	DECQ        CX
	JNZ         block

done:
	VZEROUPPER
	RET
