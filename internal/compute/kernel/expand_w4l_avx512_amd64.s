//go:build !noasm

#include "textflag.h"

// COLUMN writes column k of a tile, whose indices are shift bits up in Z0; VPERMPS looks at their low 4 bits only.
#define COLUMN(shift, k) \
	VPSRLD  $shift, Z0, Z1;  \
	VPERMPS Z30, Z1, Z1;     \
	VMULPS  Z31, Z1, Z1;     \
	VMOVUPS Z1, (64*k)(DI)

// for k := range 64*blocks { for r := range 16 { dst[16*k+r] = table[w[k/8*64+4*r+k%4]>>(k&4)&15] * scales[k/64*16+r] } }
//
// func expandW4LAVX512(dst *float32, w *byte, scales, table *float32, blocks int)
TEXT ·expandW4LAVX512(SB), NOSPLIT, $0-40
	MOVQ    dst+0(FP), DI
	MOVQ    w+8(FP), SI
	MOVQ    scales+16(FP), DX
	MOVQ    table+24(FP), AX
	MOVQ    blocks+32(FP), CX
	VMOVUPS (AX), Z30         // Z30 = table

block:
	VMOVUPS (DX), Z31         // Z31 = scale of each row
	MOVL    $8, BX            // BX = tiles of 8 columns left

tile:
	VMOVDQU32 (SI), Z0        // a row's 8 indices in each lane: columns 0, 4, 1, 5, 2, 6, 3, 7
	COLUMN(0, 0)
	COLUMN(4, 4)
	COLUMN(8, 1)
	COLUMN(12, 5)
	COLUMN(16, 2)
	COLUMN(20, 6)
	COLUMN(24, 3)
	COLUMN(28, 7)
	ADDQ      $64, SI
	ADDQ      $512, DI
	DECL      BX
	JNZ       tile
	ADDQ      $64, DX
	DECQ      CX
	JNZ       block
	VZEROUPPER
	RET
