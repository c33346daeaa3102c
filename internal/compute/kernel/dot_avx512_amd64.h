// The body of dotF32AVX512 and dotF16AVX512, which include it after they have defined
//	BYTES           the bytes of one element of k, 4 or 2
//	MADD(src, acc)  adds 16 elements of k, at the address src, times the 16 of q in Z8 to acc
// and loaded
//	DI scores, BX rows, SI q, CX its length, R8 k.

DATA order<>+0(SB)/8, $0x0000000400000000
DATA order<>+8(SB)/8, $0x0000000c00000008
DATA order<>+16(SB)/8, $0x0000000500000001
DATA order<>+24(SB)/8, $0x0000000d00000009
GLOBL order<>(SB), RODATA, $32

	MOVQ      CX, R13
	IMUL3Q    $BYTES, CX, R9   // R9 = bytes of a row
	LEAQ      (R9)(R9*2), R12  // R12 = bytes of three
	SHRQ      $4, R13          // R13 = blocks of 16 in a row
	VMOVDQU32 order<>(SB), Y30 // Y30 = lanes 0, 4, 8, 12, 1, 5, 9, 13
	SUBQ      $8, BX
	JCS       rest

eight:  // eight rows at once: Zj = the 16 lanes of row j
	MOVQ   R8, R10         // R10 = rows 0-3, R11 = rows 4-7
	LEAQ   (R8)(R9*4), R11
	MOVQ   SI, DX          // DX = q
	MOVQ   R13, CX         // CX = blocks left
	VPXORD Z0, Z0, Z0
	VPXORD Z1, Z1, Z1
	VPXORD Z2, Z2, Z2
	VPXORD Z3, Z3, Z3
	VPXORD Z4, Z4, Z4
	VPXORD Z5, Z5, Z5
	VPXORD Z6, Z6, Z6
	VPXORD Z7, Z7, Z7

block8:
	VMOVUPS (DX), Z8
	MADD((R10), Z0)
	MADD((R10)(R9*1), Z1)
	MADD((R10)(R9*2), Z2)
	MADD((R10)(R12*1), Z3)
	MADD((R11), Z4)
	MADD((R11)(R9*1), Z5)
	MADD((R11)(R9*2), Z6)
	MADD((R11)(R12*1), Z7)
	ADDQ    $64, DX
	ADDQ    $(16*BYTES), R10
	ADDQ    $(16*BYTES), R11
	DECQ    CX
	JNZ     block8

	// Rows a to h. Each sum is one level of the tree, for two, four, then eight rows in one register.
	VSHUFF64X2 $0x44, Z1, Z0, Z10 // a0-7 b0-7
	VSHUFF64X2 $0xee, Z1, Z0, Z11 // a8-15 b8-15
	VSHUFF64X2 $0x44, Z3, Z2, Z12
	VSHUFF64X2 $0xee, Z3, Z2, Z13
	VSHUFF64X2 $0x44, Z5, Z4, Z14
	VSHUFF64X2 $0xee, Z5, Z4, Z15
	VSHUFF64X2 $0x44, Z7, Z6, Z16
	VSHUFF64X2 $0xee, Z7, Z6, Z17
	VADDPS     Z11, Z10, Z0       // halves of 8: a b
	VADDPS     Z13, Z12, Z1       // c d
	VADDPS     Z15, Z14, Z2       // e f
	VADDPS     Z17, Z16, Z3       // g h
	VSHUFF64X2 $0x88, Z1, Z0, Z10 // a0-3 b0-3 c0-3 d0-3
	VSHUFF64X2 $0xdd, Z1, Z0, Z11 // a4-7 b4-7 c4-7 d4-7
	VSHUFF64X2 $0x88, Z3, Z2, Z12
	VSHUFF64X2 $0xdd, Z3, Z2, Z13
	VADDPS     Z11, Z10, Z0       // halves of 4: a b c d
	VADDPS     Z13, Z12, Z1       // e f g h
	VUNPCKLPD  Z1, Z0, Z2         // a0-1 e0-1 b0-1 f0-1 ...
	VUNPCKHPD  Z1, Z0, Z3         // a2-3 e2-3 b2-3 f2-3 ...
	VADDPS     Z3, Z2, Z0         // halves of 2
	VSHUFPS    $0x88, Z0, Z0, Z2  // a0 e0 a0 e0, b0 f0 b0 f0, ...
	VSHUFPS    $0xdd, Z0, Z0, Z3  // a1 e1 a1 e1, ...
	VADDPS     Z3, Z2, Z0         // halves of 1: a e . . b f . . c g . . d h . .
	VPERMPS    Z0, Z30, Z0        // a b c d e f g h
	VMOVUPS    Y0, (DI)
	ADDQ       $32, DI
	LEAQ       (R8)(R9*8), R8
	SUBQ       $8, BX
	JCC        eight

rest:
	ADDQ $8, BX // BX = rows left, 0 to 7
	JZ   done

one:
	MOVQ   SI, DX
	MOVQ   R13, CX
	VPXORD Z0, Z0, Z0

block1:
	VMOVUPS       (DX), Z8
	MADD((R8), Z0)
	ADDQ          $64, DX
	ADDQ          $(16*BYTES), R8
	DECQ          CX
	JNZ           block1
	VEXTRACTF64X4 $1, Z0, Y1
	REDUCE(Y0, Y1, X0, X1)
	VMOVSS        X0, (DI)
	ADDQ          $4, DI
	DECQ          BX
	JNZ           one

done:
	VZEROUPPER
	RET
