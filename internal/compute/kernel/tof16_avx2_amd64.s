//go:build !noasm

#include "textflag.h"

// for i, v := range x { dst[i] = half.ToF16(v) }
//
// func toF16AVX2(dst *uint16, x []float32)
TEXT ·toF16AVX2(SB), NOSPLIT, $0-32
	MOVQ dst+0(FP), DI
	MOVQ x_base+8(FP), SI
	MOVQ x_len+16(FP), CX // CX = floats left, a multiple of 16
	SUBQ $16, CX
	JLT  done

loop:
	VMOVUPS   (SI), Y0
	VMOVUPS   32(SI), Y1
	VCVTPS2PH $0, Y0, (DI)   // 0: to nearest, ties to even, whatever MXCSR says
	VCVTPS2PH $0, Y1, 16(DI)
	ADDQ      $64, SI
	ADDQ      $32, DI
	SUBQ      $16, CX
	JGE       loop

done:
	VZEROUPPER
	RET
