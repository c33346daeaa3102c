// The body of axpyF32AVX2 and axpyF16AVX2, which include it after they have defined
//	BYTES           the bytes of one element of v, 4 or 2
//	MADD(off, acc)  adds p[j], in every lane of Y8, times 8 elements of v from R9 + off elements on to acc
// and loaded
//	DI o, CX its length, SI p, BX its length, DX v.
//
// A block of o stays in registers while all rows of v pass: 64 floats at a time, then 16 at a time.

	IMUL3Q $BYTES, CX, R8 // R8 = bytes of a row
	TESTQ  BX, BX
	JZ     done
	SUBQ   $64, CX
	JCS    rest

block64:
	VMOVUPS (DI), Y0
	VMOVUPS 32(DI), Y1
	VMOVUPS 64(DI), Y2
	VMOVUPS 96(DI), Y3
	VMOVUPS 128(DI), Y4
	VMOVUPS 160(DI), Y5
	VMOVUPS 192(DI), Y6
	VMOVUPS 224(DI), Y7
	MOVQ    DX, R9      // R9 = row j from the block's first column on
	XORQ    AX, AX      // AX = j

row64:
	VBROADCASTSS (SI)(AX*4), Y8
	MADD(0, Y0)
	MADD(8, Y1)
	MADD(16, Y2)
	MADD(24, Y3)
	MADD(32, Y4)
	MADD(40, Y5)
	MADD(48, Y6)
	MADD(56, Y7)
	ADDQ         R8, R9
	INCQ         AX
	CMPQ         AX, BX
	JNE          row64

	VMOVUPS Y0, (DI)
	VMOVUPS Y1, 32(DI)
	VMOVUPS Y2, 64(DI)
	VMOVUPS Y3, 96(DI)
	VMOVUPS Y4, 128(DI)
	VMOVUPS Y5, 160(DI)
	VMOVUPS Y6, 192(DI)
	VMOVUPS Y7, 224(DI)
	ADDQ    $256, DI
	ADDQ    $(64*BYTES), DX
	SUBQ    $64, CX
	JCC     block64

rest:
	ADDQ $64, CX // CX = columns left: 0, 16, 32 or 48
	JZ   done

block16:
	VMOVUPS (DI), Y0
	VMOVUPS 32(DI), Y1
	MOVQ    DX, R9
	XORQ    AX, AX

row16:
	VBROADCASTSS (SI)(AX*4), Y8
	MADD(0, Y0)
	MADD(8, Y1)
	ADDQ         R8, R9
	INCQ         AX
	CMPQ         AX, BX
	JNE          row16

	VMOVUPS Y0, (DI)
	VMOVUPS Y1, 32(DI)
	ADDQ    $64, DI
	ADDQ    $(16*BYTES), DX
	SUBQ    $16, CX
	JNZ     block16

done:
	VZEROUPPER
	RET
