//go:build !noasm

#include "textflag.h"
#include "neon_arm64.h"

DATA tableBytes<>+0(SB)/8, $0x0404040400000000  // the lowest byte of each lane, four times
DATA tableBytes<>+8(SB)/8, $0x0c0c0c0c08080808
DATA tableBytes<>+16(SB)/8, $0x0302010003020100 // bytes of a float32
DATA tableBytes<>+24(SB)/8, $0x0302010003020100
GLOBL tableBytes<>(SB), RODATA, $32

// LOOKUP sets V(7) to the numbers of 4 indices in V6, times the scales in V(s): bytes 4q to 4q+3 of the table in V16-V19.
#define LOOKUP(s) \
	VAND V28.B16, V6.B16, V6.B16;         \
	VSHL $2, V6.S4, V6.S4;                \
	VTBL V29.B16, [V6.B16], V6.B16;       \
	VADD V30.B16, V6.B16, V6.B16;         \
	VTBL V6.B16, [V16.B16, V17.B16, V18.B16, V19.B16], V7.B16; \
	FMUL(s, 7, 7)

#define COLUMN(shift, k) \
	VUSHR $shift, V0.S4, V6.S4; \
	LOOKUP(20);                 \
	FMOVQ F7, (64*k)(R0);       \
	VUSHR $shift, V1.S4, V6.S4; \
	LOOKUP(21);                 \
	FMOVQ F7, (64*k+16)(R0);    \
	VUSHR $shift, V2.S4, V6.S4; \
	LOOKUP(22);                 \
	FMOVQ F7, (64*k+32)(R0);    \
	VUSHR $shift, V3.S4, V6.S4; \
	LOOKUP(23);                 \
	FMOVQ F7, (64*k+48)(R0)

// for k := range 64*blocks { for r := range 16 { dst[16*k+r] = table[w[k/8*64+4*r+k%4]>>(k&4)&15] * scales[k/64*16+r] } }
//
// func expandW4LNeon(dst *float32, w *byte, scales, table *float32, blocks int)
TEXT ·expandW4LNeon(SB), NOSPLIT, $0-40
	MOVD  dst+0(FP), R0
	MOVD  w+8(FP), R1
	MOVD  scales+16(FP), R2
	MOVD  table+24(FP), R3
	MOVD  blocks+32(FP), R4
	VLD1  (R3), [V16.B16, V17.B16, V18.B16, V19.B16]
	MOVD  $tableBytes<>(SB), R5
	VLD1  (R5), [V29.B16, V30.B16]
	MOVD  $15, R5
	VDUP  R5, V28.S4
block:
	VLD1.P 64(R2), [V20.S4, V21.S4, V22.S4, V23.S4]
	MOVD  $8, R6           // R6 = tiles of 8 columns left
tile:
	VLD1.P 64(R1), [V0.B16, V1.B16, V2.B16, V3.B16] // a row's 8 indices in each lane: columns 0, 4, 1, 5, 2, 6, 3, 7
	VMOV  V0.B16, V6.B16
	LOOKUP(20)
	FMOVQ F7, 0(R0)
	VMOV  V1.B16, V6.B16
	LOOKUP(21)
	FMOVQ F7, 16(R0)
	VMOV  V2.B16, V6.B16
	LOOKUP(22)
	FMOVQ F7, 32(R0)
	VMOV  V3.B16, V6.B16
	LOOKUP(23)
	FMOVQ F7, 48(R0)
	COLUMN(4, 4)
	COLUMN(8, 1)
	COLUMN(12, 5)
	COLUMN(16, 2)
	COLUMN(20, 6)
	COLUMN(24, 3)
	COLUMN(28, 7)
	ADD   $512, R0
	SUBS  $1, R6
	BNE   tile
	SUBS  $1, R4
	BNE   block
	RET
