// The body of axpyF32AVX512, axpyF16AVX512 and axpyI8AVX512, which include it after they have defined
//	BYTES           the bytes of one element of v: 4, 2 or 1
//	LOAD(off, reg)  widens 16 elements from R10 + off elements on to the 16 floats of reg
//	AHEAD(p)        fetches BYTES lines of 64 bytes at p into the second-level cache
//
// With 64 elements of v, as many of next are fetched, one after the other; not timed yet, on AVX2 it is far faster than in v's
// order.
//
// A block of o stays in registers while all rows of v pass: 64 columns, then 16 at a time, of 4 queries (Z0-Z3, Z4-Z7,
// Z8-Z11, Z12-Z15), then of 2, then of 1.

#define ROW64 \
	AHEAD((BX));          \
	ADDQ $(64*BYTES), BX; \
	LOAD(0, Z20);  \
	LOAD(16, Z21); \
	LOAD(32, Z22); \
	LOAD(48, Z23)

// ADD64 adds p, in every lane, times the row Z20-Z23 to one query's columns.
#define ADD64(p, a, b, c, d) \
	VFMADD231PS Z20, p, a; \
	VFMADD231PS Z21, p, b; \
	VFMADD231PS Z22, p, c; \
	VFMADD231PS Z23, p, d

#define GET64(src, a, b, c, d) \
	VMOVUPS 0 src, a;   \
	VMOVUPS 64 src, b;  \
	VMOVUPS 128 src, c; \
	VMOVUPS 192 src, d

#define PUT64(dst, a, b, c, d) \
	VMOVUPS a, 0 dst;   \
	VMOVUPS b, 64 dst;  \
	VMOVUPS c, 128 dst; \
	VMOVUPS d, 192 dst

// START points DX at the first weights, R10 at the first row's columns; CX counts rows.
#define START \
	MOVQ SI, DX;           \
	MOVQ R8, R10;          \
	MOVQ keys+48(FP), CX

#define NEXT(loop) \
	ADDQ $4, DX;  \
	ADDQ R9, R10; \
	DECQ CX;      \
	JNZ  loop

	MOVQ   o+0(FP), DI
	MOVQ   p+8(FP), SI
	MOVQ   stride+16(FP), AX
	MOVQ   queries+24(FP), CX
	MOVQ   CX, left-8(SP)     // queries left
	MOVQ   dim+32(FP), R11
	IMUL3Q $BYTES, R11, R9    // R9 = bytes of a row of v
	SHLQ   $2, R11            // R11 = bytes of a row of o
	SHLQ   $2, AX             // AX = bytes from one query's weights to the next's
	LEAQ   (AX)(AX*2), R13    // R13 = bytes of three

four:
	CMPQ left-8(SP), $4
	JLT  two
	MOVQ v+40(FP), R8
	MOVQ dim+32(FP), R12 // R12 = columns left
	MOVQ next+56(FP), BX
	SUBQ $64, R12
	JLT  rest4

block4:
	LEAQ (DI)(R11*2), R10
	GET64((DI), Z0, Z1, Z2, Z3)
	GET64((DI)(R11*1), Z4, Z5, Z6, Z7)
	GET64((R10), Z8, Z9, Z10, Z11)
	GET64((R10)(R11*1), Z12, Z13, Z14, Z15)
	START

row4:
	VBROADCASTSS (DX), Z16
	VBROADCASTSS (DX)(AX*1), Z17
	VBROADCASTSS (DX)(AX*2), Z18
	VBROADCASTSS (DX)(R13*1), Z19
	ROW64
	ADD64(Z16, Z0, Z1, Z2, Z3)
	ADD64(Z17, Z4, Z5, Z6, Z7)
	ADD64(Z18, Z8, Z9, Z10, Z11)
	ADD64(Z19, Z12, Z13, Z14, Z15)
	NEXT(row4)

	LEAQ (DI)(R11*2), R10
	PUT64((DI), Z0, Z1, Z2, Z3)
	PUT64((DI)(R11*1), Z4, Z5, Z6, Z7)
	PUT64((R10), Z8, Z9, Z10, Z11)
	PUT64((R10)(R11*1), Z12, Z13, Z14, Z15)
	ADDQ $256, DI
	ADDQ $(64*BYTES), R8
	SUBQ $64, R12
	JGE  block4

rest4:
	ADDQ $64, R12
	JZ   next4

block4x16:
	LEAQ    (DI)(R11*2), R10
	VMOVUPS (DI), Z0
	VMOVUPS (DI)(R11*1), Z4
	VMOVUPS (R10), Z8
	VMOVUPS (R10)(R11*1), Z12
	START

row4x16:
	LOAD(0, Z20)
	VBROADCASTSS (DX), Z16
	VBROADCASTSS (DX)(AX*1), Z17
	VBROADCASTSS (DX)(AX*2), Z18
	VBROADCASTSS (DX)(R13*1), Z19
	VFMADD231PS  Z20, Z16, Z0
	VFMADD231PS  Z20, Z17, Z4
	VFMADD231PS  Z20, Z18, Z8
	VFMADD231PS  Z20, Z19, Z12
	NEXT(row4x16)

	LEAQ    (DI)(R11*2), R10
	VMOVUPS Z0, (DI)
	VMOVUPS Z4, (DI)(R11*1)
	VMOVUPS Z8, (R10)
	VMOVUPS Z12, (R10)(R11*1)
	ADDQ    $64, DI
	ADDQ    $(16*BYTES), R8
	SUBQ    $16, R12
	JNZ     block4x16

next4:  // DI is one row on already
	LEAQ (DI)(R11*2), DI
	ADDQ R11, DI
	LEAQ (SI)(AX*4), SI
	SUBQ $4, left-8(SP)
	JMP  four

two:
	CMPQ left-8(SP), $2
	JLT  one
	MOVQ v+40(FP), R8
	MOVQ dim+32(FP), R12
	MOVQ next+56(FP), BX
	SUBQ $64, R12
	JLT  rest2

block2:
	GET64((DI), Z0, Z1, Z2, Z3)
	GET64((DI)(R11*1), Z4, Z5, Z6, Z7)
	START

row2:
	VBROADCASTSS (DX), Z16
	VBROADCASTSS (DX)(AX*1), Z17
	ROW64
	ADD64(Z16, Z0, Z1, Z2, Z3)
	ADD64(Z17, Z4, Z5, Z6, Z7)
	NEXT(row2)

	PUT64((DI), Z0, Z1, Z2, Z3)
	PUT64((DI)(R11*1), Z4, Z5, Z6, Z7)
	ADDQ $256, DI
	ADDQ $(64*BYTES), R8
	SUBQ $64, R12
	JGE  block2

rest2:
	ADDQ $64, R12
	JZ   next2

block2x16:
	VMOVUPS (DI), Z0
	VMOVUPS (DI)(R11*1), Z4
	START

row2x16:
	LOAD(0, Z20)
	VBROADCASTSS (DX), Z16
	VBROADCASTSS (DX)(AX*1), Z17
	VFMADD231PS  Z20, Z16, Z0
	VFMADD231PS  Z20, Z17, Z4
	NEXT(row2x16)

	VMOVUPS Z0, (DI)
	VMOVUPS Z4, (DI)(R11*1)
	ADDQ    $64, DI
	ADDQ    $(16*BYTES), R8
	SUBQ    $16, R12
	JNZ     block2x16

next2:
	ADDQ R11, DI
	LEAQ (SI)(AX*2), SI
	SUBQ $2, left-8(SP)

one:
	CMPQ left-8(SP), $0
	JE   done
	MOVQ  v+40(FP), R8
	MOVQ  dim+32(FP), R12
	MOVQ  next+56(FP), BX
	SUBQ  $64, R12
	JLT   rest1

block1:
	GET64((DI), Z0, Z1, Z2, Z3)
	START

row1:
	VBROADCASTSS (DX), Z16
	ROW64
	ADD64(Z16, Z0, Z1, Z2, Z3)
	NEXT(row1)

	PUT64((DI), Z0, Z1, Z2, Z3)
	ADDQ $256, DI
	ADDQ $(64*BYTES), R8
	SUBQ $64, R12
	JGE  block1

rest1:
	ADDQ $64, R12
	JZ   done

block1x16:
	VMOVUPS (DI), Z0
	START

row1x16:
	LOAD(0, Z20)
	VBROADCASTSS (DX), Z16
	VFMADD231PS  Z20, Z16, Z0
	NEXT(row1x16)

	VMOVUPS Z0, (DI)
	ADDQ    $64, DI
	ADDQ    $(16*BYTES), R8
	SUBQ    $16, R12
	JNZ     block1x16

done:
	VZEROUPPER
	RET
