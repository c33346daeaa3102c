//go:build !noasm

#include "textflag.h"

DATA limits<>+0(SB)/4, $0x42fe0000 // 127
DATA limits<>+4(SB)/4, $0xc2fe0000 // -127
GLOBL limits<>(SB), RODATA, $8

// for _, v := range x { m = max(m, math.Float32bits(v)&^(1<<31)) }
//
// func absMaxAVX2(x []float32) uint32
TEXT ·absMaxAVX2(SB), NOSPLIT, $0-28
	MOVQ     x_base+0(FP), SI
	MOVQ     x_len+8(FP), CX
	VPCMPEQD Y15, Y15, Y15
	VPSRLD   $1, Y15, Y15     // Y15 = all bits but the sign
	VPXOR    Y0, Y0, Y0       // Y0, Y1 = largest so far, as integers
	VPXOR    Y1, Y1, Y1
	SHRQ     $4, CX           // CX = blocks of 16 left
	JZ       sum

block:
	VPAND   (SI), Y15, Y2
	VPAND   32(SI), Y15, Y3
	VPMAXUD Y2, Y0, Y0
	VPMAXUD Y3, Y1, Y1
	ADDQ    $64, SI
	DECQ    CX
	JNZ     block

sum:
	VPMAXUD      Y1, Y0, Y0
	VEXTRACTI128 $1, Y0, X1
	VPMAXUD      X1, X0, X0
	VPSHUFD      $0x4e, X0, X1  // upper half
	VPMAXUD      X1, X0, X0
	VPSHUFD      $0xb1, X0, X1  // neighbour
	VPMAXUD      X1, X0, X0
	VMOVD        X0, AX
	MOVL         AX, ret+24(FP)
	VZEROUPPER
	RET

// for i, v := range x { dst[i/4*stride+i%4] = uint8(int8(min(max(math.RoundToEven(v/scale), -127), 127))) }
//
// func quantizeAVX2(dst *uint8, stride int, x []float32, scale float32)
TEXT ·quantizeAVX2(SB), NOSPLIT, $0-44
	VPXOR Y7, Y7, Y7
	JMP   quantize<>(SB)

// for i, v := range x { dst[i/4*stride+i%4] = uint8(int8(min(max(math.RoundToEven(v/scale), -127), 127))) + 128 }
//
// func quantizeBiasedAVX2(dst *uint8, stride int, x []float32, scale float32)
TEXT ·quantizeBiasedAVX2(SB), NOSPLIT, $0-44
	VPCMPEQW  Y7, Y7, Y7
	VPSLLW    $15, Y7, Y7
	VPACKSSWB Y7, Y7, Y7     // 0x80 in each byte
	JMP       quantize<>(SB)

// quantize is the rest of both functions. Y7 = what each byte is xored with: 0x80 adds 128 to an int8.
TEXT quantize<>(SB), NOSPLIT, $0-44
	MOVQ         dst+0(FP), DI
	MOVQ         stride+8(FP), BX
	MOVQ         x_base+16(FP), SI
	MOVQ         x_len+24(FP), CX
	VBROADCASTSS scale+40(FP), Y4
	VBROADCASTSS limits<>+0(SB), Y5
	VBROADCASTSS limits<>+4(SB), Y6
	SHRQ         $4, CX             // CX = blocks of 16 left
	JZ           done

block:
	VMOVUPS      (SI), Y0
	VMOVUPS      32(SI), Y1
	VDIVPS       Y4, Y0, Y0
	VDIVPS       Y4, Y1, Y1
	VMINPS       Y5, Y0, Y0         // the limits are integers, so they may come before the rounding
	VMINPS       Y5, Y1, Y1
	VMAXPS       Y6, Y0, Y0
	VMAXPS       Y6, Y1, Y1
	VCVTPS2DQ    Y0, Y0             // half to even
	VCVTPS2DQ    Y1, Y1
	VPACKSSDW    Y1, Y0, Y0         // as int16: x[0:4], x[8:12] | x[4:8], x[12:16]
	VPACKSSWB    Y0, Y0, Y0         // as int8: 0-3, 8-11, again | 4-7, 12-15, again
	VPXOR        Y7, Y0, Y0
	VEXTRACTI128 $1, Y0, X1
	LEAQ         (DI)(BX*2), R8
	VMOVD        X0, (DI)
	VMOVD        X1, (DI)(BX*1)
	VPEXTRD      $1, X0, (R8)
	VPEXTRD      $1, X1, (R8)(BX*1)
	LEAQ         (DI)(BX*4), DI
	ADDQ         $64, SI
	DECQ         CX
	JNZ          block

done:
	VZEROUPPER
	RET
