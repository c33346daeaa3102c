// The body of axpyF32AVX2, axpyF16AVX2 and axpyI8AVX2, which include it after they have defined
//	BYTES                the bytes of one element of v: 4, 2 or 1
//	LOAD(off, src, reg)  widens 8 elements, off bytes behind the address src, to the 8 floats of reg
//	AHEAD(off, p)        fetches 32*BYTES bytes, off behind p, into the second-level cache, or the line around them
//
// With a pair's row of 32 columns, as many bytes of next are fetched, one line after the other: in v's order, a block of columns
// would ask for lines far apart, or for none. Two lines at once would be slower than one with each row.
//
// A block of o stays in registers while all rows of v pass: 32 columns, then 16, of 2 queries (Y0-Y3, Y4-Y7), then of 1.

#define ROW32(src) \
	LOAD(0, src, Y8);           \
	LOAD((8*BYTES), src, Y9);   \
	LOAD((16*BYTES), src, Y10); \
	LOAD((24*BYTES), src, Y11)

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

// ROW2 adds the row at src times the weights p bytes behind DX to two queries, ROW1 to one.
#define ROW2(p, src) \
	VBROADCASTSS p(DX), Y12;         \
	VBROADCASTSS p(DX)(AX*1), Y13;   \
	ROW32(src);                      \
	ADD32(Y12, Y0, Y1, Y2, Y3);      \
	ADD32(Y13, Y4, Y5, Y6, Y7)

#define ROW1(p, src) \
	VBROADCASTSS p(DX), Y12;   \
	ROW32(src);                \
	ADD32(Y12, Y0, Y1, Y2, Y3)

// PAIR ends a turn of two rows.
#define PAIR(loop) \
	ADDQ $(64*BYTES), R13;   \
	ADDQ $8, DX;             \
	LEAQ (R10)(R9*2), R10;   \
	SUBQ $2, CX;             \
	JGE  loop

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

	SUBQ $2, CX
	JLT  last2

pair2:
	AHEAD(0, (R13))
	ROW2(0, (R10))
	AHEAD((32*BYTES), (R13))
	ROW2(4, (R10)(R9*1))
	PAIR(pair2)

last2:
	TESTQ $1, CX
	JZ    put2
	ROW2(0, (R10))

put2:
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
	LOAD(0, (R10), Y8)
	LOAD((8*BYTES), (R10), Y9)
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

	SUBQ $2, CX
	JLT  last1

pair1:
	AHEAD(0, (R13))
	ROW1(0, (R10))
	AHEAD((32*BYTES), (R13))
	ROW1(4, (R10)(R9*1))
	PAIR(pair1)

last1:
	TESTQ $1, CX
	JZ    put1
	ROW1(0, (R10))

put1:
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
	LOAD(0, (R10), Y8)
	LOAD((8*BYTES), (R10), Y9)
	VBROADCASTSS (DX), Y12
	VFMADD231PS  Y8, Y12, Y0
	VFMADD231PS  Y9, Y12, Y1
	NEXT(row1x16)

	VMOVUPS Y0, (DI)
	VMOVUPS Y1, 32(DI)

done:
	VZEROUPPER
	RET
