//go:build !noasm

#include "textflag.h"

DATA signs1<>+0(SB)/8, $0x8000000000000000
DATA signs1<>+8(SB)/8, $0x8000000000000000
DATA signs1<>+16(SB)/8, $0x8000000000000000
DATA signs1<>+24(SB)/8, $0x8000000000000000
GLOBL signs1<>(SB), RODATA|NOPTR, $32

DATA signs2<>+0(SB)/8, $0
DATA signs2<>+8(SB)/8, $0x8000000080000000
DATA signs2<>+16(SB)/8, $0
DATA signs2<>+24(SB)/8, $0x8000000080000000
GLOBL signs2<>(SB), RODATA|NOPTR, $32

DATA signs4<>+0(SB)/8, $0
DATA signs4<>+8(SB)/8, $0
DATA signs4<>+16(SB)/8, $0x8000000080000000
DATA signs4<>+24(SB)/8, $0x8000000080000000
GLOBL signs4<>(SB), RODATA|NOPTR, $32

// NEAR does distances 1, 2 and 4 of the 8 elements in x: what is that far away, plus x with its second halves negated.
#define NEAR(x, t) \
	VPERMILPS  $0xb1, x, t;   \
	VXORPS     Y12, x, x;     \
	VADDPS     x, t, x;       \
	VPERMILPS  $0x4e, x, t;   \
	VXORPS     Y13, x, x;     \
	VADDPS     x, t, x;       \
	VPERM2F128 $0x01, x, x, t; \
	VXORPS     Y14, x, x;     \
	VADDPS     x, t, x

// for d := 1; d < len(x); d *= 2 { for each pair (a, b) of elements d apart { a, b = a+b, a-b } }
// for i := range x { x[i] *= scale }
//
// func hadamardAVX2(x []float32, scale float32)
TEXT ·hadamardAVX2(SB), NOSPLIT, $0-28
	MOVQ         x_base+0(FP), DI
	MOVQ         x_len+8(FP), CX
	VBROADCASTSS scale+24(FP), Y15
	SHLQ         $2, CX              // CX = bytes
	LEAQ         (DI)(CX*1), R12     // R12 = end
	VMOVUPS      signs1<>+0(SB), Y12
	VMOVUPS      signs2<>+0(SB), Y13
	VMOVUPS      signs4<>+0(SB), Y14
	MOVQ         DI, SI

near:
	VMOVUPS (SI), Y0
	VMOVUPS 32(SI), Y1
	NEAR(Y0, Y2)
	NEAR(Y1, Y3)
	VADDPS  Y1, Y0, Y2      // distance 8
	VSUBPS  Y1, Y0, Y3
	VMOVUPS Y2, (SI)
	VMOVUPS Y3, 32(SI)
	ADDQ    $64, SI
	CMPQ    SI, R12
	JNE     near
	MOVQ    $64, R10        // R10 = distance in bytes

far:
	CMPQ R10, CX
	JGE  scaled
	MOVQ DI, SI

block:
	LEAQ (SI)(R10*1), DX
	MOVQ DX, R11

pairs:
	VMOVUPS (SI), Y0
	VMOVUPS 32(SI), Y1
	VMOVUPS (DX), Y2
	VMOVUPS 32(DX), Y3
	VADDPS  Y2, Y0, Y4
	VADDPS  Y3, Y1, Y5
	VSUBPS  Y2, Y0, Y6
	VSUBPS  Y3, Y1, Y7
	VMOVUPS Y4, (SI)
	VMOVUPS Y5, 32(SI)
	VMOVUPS Y6, (DX)
	VMOVUPS Y7, 32(DX)
	ADDQ    $64, SI
	ADDQ    $64, DX
	CMPQ    SI, R11
	JNE     pairs
	MOVQ    DX, SI
	CMPQ    SI, R12
	JNE     block
	SHLQ    $1, R10
	JMP     far

scaled:
	VMULPS  (DI), Y15, Y0
	VMULPS  32(DI), Y15, Y1
	VMOVUPS Y0, (DI)
	VMOVUPS Y1, 32(DI)
	ADDQ    $64, DI
	CMPQ    DI, R12
	JNE     scaled
	VZEROUPPER
	RET

// for _, o := range list[:n] { for r := range 16 { acc[r] += float32(w[o.Column/4][r][o.Column%4]) * o.Value } }
// for r := range 16 { out[r] += acc[r] * wScale[r] }
//
// func addOutliersAVX2(out *float32, w *byte, wScale *float32, list *Outlier, n int)
TEXT ·addOutliersAVX2(SB), NOSPLIT, $0-40
	MOVQ   out+0(FP), DI
	MOVQ   w+8(FP), SI
	MOVQ   wScale+16(FP), DX
	MOVQ   list+24(FP), BX
	MOVQ   n+32(FP), CX
	VXORPS Y0, Y0, Y0        // Y0, Y1 = acc
	VXORPS Y1, Y1, Y1

outlier:
	MOVL         (BX), AX
	MOVL         AX, R8
	SHRQ         $2, AX
	SHLQ         $6, AX          // AX = the tile
	NOTL         R8
	ANDL         $3, R8
	SHLL         $3, R8          // R8 = bits by which the byte is below the highest
	VMOVD        R8, X4
	VMOVDQU      (SI)(AX*1), Y2
	VMOVDQU      32(SI)(AX*1), Y3
	VPSLLD       X4, Y2, Y2
	VPSLLD       X4, Y3, Y3
	VPSRAD       $24, Y2, Y2
	VPSRAD       $24, Y3, Y3
	VCVTDQ2PS    Y2, Y2
	VCVTDQ2PS    Y3, Y3
	VBROADCASTSS 4(BX), Y4
	VMULPS       Y4, Y2, Y2
	VMULPS       Y4, Y3, Y3
	VADDPS       Y2, Y0, Y0
	VADDPS       Y3, Y1, Y1
	ADDQ         $8, BX
	DECQ         CX
	JNZ          outlier
	VMULPS       (DX), Y0, Y0
	VMULPS       32(DX), Y1, Y1
	VADDPS       (DI), Y0, Y0
	VADDPS       32(DI), Y1, Y1
	VMOVUPS      Y0, (DI)
	VMOVUPS      Y1, 32(DI)
	VZEROUPPER
	RET
