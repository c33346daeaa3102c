//go:build !noasm

#include "textflag.h"

// HALF writes 8 rows of a column, whose indices are in idx, to off(DI): VPERMPS looks at 3 bits of an index, the fourth
// chooses between the halves of the table.
#define HALF(shift, v, scale, off) \
	VPSRLD    $shift, v, Y2;      \
	VPERMPS   Y12, Y2, Y3;        \
	VPERMPS   Y13, Y2, Y4;        \
	VPSLLD    $28, Y2, Y2;        \
	VBLENDVPS Y2, Y4, Y3, Y3;     \
	VMULPS    scale, Y3, Y3;      \
	VMOVUPS   Y3, (off)(DI)

#define COLUMN(shift, k) \
	HALF(shift, Y0, Y14, 64*k);     \
	HALF(shift, Y1, Y15, 64*k+32)

// for k := range 64*blocks { for r := range 16 { dst[16*k+r] = table[w[k/8*64+4*r+k%4]>>(k&4)&15] * scales[k/64*16+r] } }
//
// func expandW4LAVX2(dst *float32, w *byte, scales, table *float32, blocks int)
TEXT ·expandW4LAVX2(SB), NOSPLIT, $0-40
	MOVQ    dst+0(FP), DI
	MOVQ    w+8(FP), SI
	MOVQ    scales+16(FP), DX
	MOVQ    table+24(FP), AX
	MOVQ    blocks+32(FP), CX
	VMOVUPS (AX), Y12         // Y12, Y13 = table
	VMOVUPS 32(AX), Y13

block:
	VMOVUPS (DX), Y14         // Y14, Y15 = scale of each row
	VMOVUPS 32(DX), Y15
	MOVL    $8, BX            // BX = tiles of 8 columns left

tile:
	VMOVDQU (SI), Y0          // a row's 8 indices in each lane: columns 0, 4, 1, 5, 2, 6, 3, 7
	VMOVDQU 32(SI), Y1
	COLUMN(0, 0)
	COLUMN(4, 4)
	COLUMN(8, 1)
	COLUMN(12, 5)
	COLUMN(16, 2)
	COLUMN(20, 6)
	COLUMN(24, 3)
	COLUMN(28, 7)
	ADDQ    $64, SI
	ADDQ    $512, DI
	DECL    BX
	JNZ     tile
	ADDQ    $64, DX
	DECQ    CX
	JNZ     block
	VZEROUPPER
	RET
