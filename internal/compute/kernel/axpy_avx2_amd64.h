// The body of axpyF32AVX2, axpyF16AVX2 and axpyI8AVX2, which include it after they have defined
//	BYTES           the bytes of one element of v: 4, 2 or 1
//	LOAD(off, reg)  widens 8 elements from R10 + off elements on to the 8 floats of reg
//	AHEAD(p)        fetches 32*BYTES bytes at p into the second-level cache, or the line around them
//
// With 32 elements of v, as many of next are fetched, one after the other: columns of int8 are half a line wide, so in v's
// order a block would ask for many lines, and the one after it for none.
//
// A block of o stays in registers while all rows of v pass: 32 columns, then 16, of 2 queries (Y0-Y3, Y4-Y7), then of 1.

#define ROW32 \
	AHEAD((R13));         \
	ADDQ $(32*BYTES), R13; \
	LOAD(0, Y8);   \
	LOAD(8, Y9);   \
	LOAD(16, Y10); \
	LOAD(24, Y11)

// ADD32 adds p, in every lane, times the row Y8-Y11 to one query's columns.
#define ADD32(p, a, b, c, d) \
	VFMADD231PS Y8, p, a;  \
	VFMADD231PS Y9, p, b;  \
	VFMADD231PS Y10, p, c; \
	VFMADD231PS Y11, p, d

#define GET32(src, a, b, c, d) \
	VMOVUPS 0 src, a;  \
	VMOVUPS 32 src, b; \
	VMOVUPS 64 src, c; \
	VMOVUPS 96 src, d

#define PUT32(dst, a, b, c, d) \
	VMOVUPS a, 0 dst;  \
	VMOVUPS b, 32 dst; \
	VMOVUPS c, 64 dst; \
	VMOVUPS d, 96 dst

// START points DX at the first weights, R10 at the first row's columns; CX counts rows.
#define START \
	MOVQ SI, DX;         \
	MOVQ R8, R10;        \
	MOVQ keys+48(FP), CX

#define NEXT(loop) \
	ADDQ $4, DX;  \
	ADDQ R9, R10; \
	DECQ CX;      \
	JNZ  loop

	MOVQ   o+0(FP), DI
	MOVQ   p+8(FP), SI
	MOVQ   stride+16(FP), AX
	MOVQ   queries+24(FP), BX // BX = queries left
	MOVQ   dim+32(FP), R11
	IMUL3Q $BYTES, R11, R9    // R9 = bytes of a row of v
	SHLQ   $2, R11            // R11 = bytes of a row of o
	SHLQ   $2, AX             // AX = bytes from one query's weights to the next's

two:
	CMPQ BX, $2
	JLT  one
	MOVQ v+40(FP), R8
	MOVQ dim+32(FP), R12 // R12 = columns left
	MOVQ next+56(FP), R13
	SUBQ $32, R12
	JLT  rest2

block2:
	GET32((DI), Y0, Y1, Y2, Y3)
	GET32((DI)(R11*1), Y4, Y5, Y6, Y7)
	START

row2:
	VBROADCASTSS (DX), Y12
	VBROADCASTSS (DX)(AX*1), Y13
	ROW32
	ADD32(Y12, Y0, Y1, Y2, Y3)
	ADD32(Y13, Y4, Y5, Y6, Y7)
	NEXT(row2)

	PUT32((DI), Y0, Y1, Y2, Y3)
	PUT32((DI)(R11*1), Y4, Y5, Y6, Y7)
	ADDQ $128, DI
	ADDQ $(32*BYTES), R8
	SUBQ $32, R12
	JGE  block2

rest2:  // 0 or 16 columns
	ADDQ    $32, R12
	JZ      next2
	VMOVUPS (DI), Y0
	VMOVUPS 32(DI), Y1
	VMOVUPS (DI)(R11*1), Y4
	VMOVUPS 32(DI)(R11*1), Y5
	START

row2x16:
	LOAD(0, Y8)
	LOAD(8, Y9)
	VBROADCASTSS (DX), Y12
	VBROADCASTSS (DX)(AX*1), Y13
	VFMADD231PS  Y8, Y12, Y0
	VFMADD231PS  Y9, Y12, Y1
	VFMADD231PS  Y8, Y13, Y4
	VFMADD231PS  Y9, Y13, Y5
	NEXT(row2x16)

	VMOVUPS Y0, (DI)
	VMOVUPS Y1, 32(DI)
	VMOVUPS Y4, (DI)(R11*1)
	VMOVUPS Y5, 32(DI)(R11*1)
	ADDQ    $64, DI

next2:  // DI is one row on already
	ADDQ R11, DI
	LEAQ (SI)(AX*2), SI
	SUBQ $2, BX
	JMP  two

one:
	TESTQ BX, BX
	JZ    done
	MOVQ  v+40(FP), R8
	MOVQ  dim+32(FP), R12
	MOVQ  next+56(FP), R13
	SUBQ  $32, R12
	JLT   rest1

block1:
	GET32((DI), Y0, Y1, Y2, Y3)
	START

row1:
	VBROADCASTSS (DX), Y12
	ROW32
	ADD32(Y12, Y0, Y1, Y2, Y3)
	NEXT(row1)

	PUT32((DI), Y0, Y1, Y2, Y3)
	ADDQ $128, DI
	ADDQ $(32*BYTES), R8
	SUBQ $32, R12
	JGE  block1

rest1:
	ADDQ    $32, R12
	JZ      done
	VMOVUPS (DI), Y0
	VMOVUPS 32(DI), Y1
	START

row1x16:
	LOAD(0, Y8)
	LOAD(8, Y9)
	VBROADCASTSS (DX), Y12
	VFMADD231PS  Y8, Y12, Y0
	VFMADD231PS  Y9, Y12, Y1
	NEXT(row1x16)

	VMOVUPS Y0, (DI)
	VMOVUPS Y1, 32(DI)

done:
	VZEROUPPER
	RET
