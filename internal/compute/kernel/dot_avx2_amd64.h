// The body of dotF32AVX2 and dotF16AVX2, which include it after they have defined
//	BYTES              the bytes of one element of k, 4 or 2
//	MADD(src, lo, hi)  adds 16 elements of k, at the address src, times the 16 of q in Y8 and Y9 to lo and hi
// and loaded
//	DI scores, BX rows, SI q, CX its length, R8 k.

	MOVQ   CX, R13
	IMUL3Q $BYTES, CX, R9 // R9 = bytes of a row
	SHRQ   $4, R13        // R13 = blocks of 16 in a row
	SUBQ   $4, BX
	JCS    rest

four:  // four rows at once: Y(2j), Y(2j+1) = lanes 0-7, 8-15 of row j
	MOVQ   R8, R10         // R10, R10+R9, R11, R11+R9 = four rows
	LEAQ   (R8)(R9*2), R11
	MOVQ   SI, DX          // DX = q
	MOVQ   R13, CX         // CX = blocks left
	VXORPS Y0, Y0, Y0
	VXORPS Y1, Y1, Y1
	VXORPS Y2, Y2, Y2
	VXORPS Y3, Y3, Y3
	VXORPS Y4, Y4, Y4
	VXORPS Y5, Y5, Y5
	VXORPS Y6, Y6, Y6
	VXORPS Y7, Y7, Y7

block4:
	VMOVUPS (DX), Y8
	VMOVUPS 32(DX), Y9
	MADD((R10), Y0, Y1)
	MADD((R10)(R9*1), Y2, Y3)
	MADD((R11), Y4, Y5)
	MADD((R11)(R9*1), Y6, Y7)
	ADDQ    $64, DX
	ADDQ    $(16*BYTES), R10
	ADDQ    $(16*BYTES), R11
	DECQ    CX
	JNZ     block4

	VADDPS       Y1, Y0, Y0        // halves of 8: Y0, Y2, Y4, Y6 = rows a, b, c, d
	VADDPS       Y3, Y2, Y2
	VADDPS       Y5, Y4, Y4
	VADDPS       Y7, Y6, Y6
	VPERM2F128   $0x20, Y4, Y0, Y1 // a0-3 | c0-3
	VPERM2F128   $0x31, Y4, Y0, Y3 // a4-7 | c4-7
	VPERM2F128   $0x20, Y6, Y2, Y5
	VPERM2F128   $0x31, Y6, Y2, Y7
	VADDPS       Y3, Y1, Y1        // halves of 4
	VADDPS       Y7, Y5, Y5
	VUNPCKLPD    Y5, Y1, Y0        // a0-1 b0-1 | c0-1 d0-1
	VUNPCKHPD    Y5, Y1, Y2        // a2-3 b2-3 | c2-3 d2-3
	VADDPS       Y2, Y0, Y0        // halves of 2
	VPSHUFD      $0xb1, Y0, Y1
	VADDPS       Y1, Y0, Y0        // halves of 1: a a b b | c c d d
	VEXTRACTF128 $1, Y0, X1
	VSHUFPS      $0x88, X1, X0, X0 // a b c d
	VMOVUPS      X0, (DI)
	ADDQ         $16, DI
	LEAQ         (R8)(R9*4), R8
	SUBQ         $4, BX
	JCC          four

rest:
	ADDQ $4, BX // BX = rows left, 0 to 3
	JZ   done

one:
	MOVQ   SI, DX
	MOVQ   R13, CX
	VXORPS Y0, Y0, Y0
	VXORPS Y1, Y1, Y1

block1:
	VMOVUPS (DX), Y8
	VMOVUPS 32(DX), Y9
	MADD((R8), Y0, Y1)
	ADDQ    $64, DX
	ADDQ    $(16*BYTES), R8
	DECQ    CX
	JNZ     block1
	REDUCE(Y0, Y1, X0, X1)
	VMOVSS  X0, (DI)
	ADDQ    $4, DI
	DECQ    BX
	JNZ     one

done:
	VZEROUPPER
	RET
