// The body of axpyF32AVX512 and axpyF16AVX512, which include it after they have defined
//	BYTES           the bytes of one element of v, 4 or 2
//	MADD(off, acc)  adds p[j], in every lane of Z16, times 16 elements of v from R9 + off elements on to acc
// and loaded
//	DI o, CX its length, SI p, BX its length, DX v.
//
// A block of o stays in registers while all rows of v pass: 256 floats (Gemma's head), then 64, then 16 at a time.

	IMUL3Q $BYTES, CX, R8 // R8 = bytes of a row
	TESTQ  BX, BX
	JZ     done
	SUBQ   $256, CX
	JCS    rest256

block256:
	VMOVUPS (DI), Z0
	VMOVUPS 64(DI), Z1
	VMOVUPS 128(DI), Z2
	VMOVUPS 192(DI), Z3
	VMOVUPS 256(DI), Z4
	VMOVUPS 320(DI), Z5
	VMOVUPS 384(DI), Z6
	VMOVUPS 448(DI), Z7
	VMOVUPS 512(DI), Z8
	VMOVUPS 576(DI), Z9
	VMOVUPS 640(DI), Z10
	VMOVUPS 704(DI), Z11
	VMOVUPS 768(DI), Z12
	VMOVUPS 832(DI), Z13
	VMOVUPS 896(DI), Z14
	VMOVUPS 960(DI), Z15
	MOVQ    DX, R9       // R9 = row j from the block's first column on
	XORQ    AX, AX       // AX = j

row256:
	VBROADCASTSS (SI)(AX*4), Z16
	MADD(0, Z0)
	MADD(16, Z1)
	MADD(32, Z2)
	MADD(48, Z3)
	MADD(64, Z4)
	MADD(80, Z5)
	MADD(96, Z6)
	MADD(112, Z7)
	MADD(128, Z8)
	MADD(144, Z9)
	MADD(160, Z10)
	MADD(176, Z11)
	MADD(192, Z12)
	MADD(208, Z13)
	MADD(224, Z14)
	MADD(240, Z15)
	ADDQ         R8, R9
	INCQ         AX
	CMPQ         AX, BX
	JNE          row256

	VMOVUPS Z0, (DI)
	VMOVUPS Z1, 64(DI)
	VMOVUPS Z2, 128(DI)
	VMOVUPS Z3, 192(DI)
	VMOVUPS Z4, 256(DI)
	VMOVUPS Z5, 320(DI)
	VMOVUPS Z6, 384(DI)
	VMOVUPS Z7, 448(DI)
	VMOVUPS Z8, 512(DI)
	VMOVUPS Z9, 576(DI)
	VMOVUPS Z10, 640(DI)
	VMOVUPS Z11, 704(DI)
	VMOVUPS Z12, 768(DI)
	VMOVUPS Z13, 832(DI)
	VMOVUPS Z14, 896(DI)
	VMOVUPS Z15, 960(DI)
	ADDQ    $1024, DI
	ADDQ    $(256*BYTES), DX
	SUBQ    $256, CX
	JCC     block256

rest256:
	ADDQ $(256-64), CX // CX = columns left - 64
	JCC  rest64

block64:
	VMOVUPS (DI), Z0
	VMOVUPS 64(DI), Z1
	VMOVUPS 128(DI), Z2
	VMOVUPS 192(DI), Z3
	MOVQ    DX, R9      // R9 = row j from the block's first column on
	XORQ    AX, AX      // AX = j

row64:
	VBROADCASTSS (SI)(AX*4), Z16
	MADD(0, Z0)
	MADD(16, Z1)
	MADD(32, Z2)
	MADD(48, Z3)
	ADDQ         R8, R9
	INCQ         AX
	CMPQ         AX, BX
	JNE          row64

	VMOVUPS Z0, (DI)
	VMOVUPS Z1, 64(DI)
	VMOVUPS Z2, 128(DI)
	VMOVUPS Z3, 192(DI)
	ADDQ    $256, DI
	ADDQ    $(64*BYTES), DX
	SUBQ    $64, CX
	JCC     block64

rest64:
	ADDQ $64, CX // CX = columns left: 0, 16, 32 or 48
	JZ   done

block16:
	VMOVUPS (DI), Z0
	MOVQ    DX, R9   // R9 = row j from the block's first column on
	XORQ    AX, AX   // AX = j

row16:
	VBROADCASTSS (SI)(AX*4), Z16
	MADD(0, Z0)
	ADDQ         R8, R9
	INCQ         AX
	CMPQ         AX, BX
	JNE          row16

	VMOVUPS Z0, (DI)
	ADDQ    $64, DI
	ADDQ    $(16*BYTES), DX
	SUBQ    $16, CX
	JNZ     block16

done:
	VZEROUPPER
	RET
