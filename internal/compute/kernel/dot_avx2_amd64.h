// The body of dotF32AVX2, dotF16AVX2 and dotI8AVX2, which include it after they have defined
//	BYTES              the bytes of one element of k: 4, 2 or 1
//	LOAD(src, lo, hi)  widens 16 elements at the address src to the 16 floats of lo and hi
//	AHEAD(p)           fetches 32*BYTES bytes at p into the second-level cache, or the line around them
//
// With two queries, as many bytes as k has are fetched from next.
//
// A tile is 4 sums of 16 lanes, two registers each: 2 queries x 2 keys, then 1 x 4 for a last query.

// MADD adds the products of 16 floats of a key, Y12 and Y13, with a query's to one sum.
#define MADD(qlo, qhi, lo, hi) \
	VFMADD231PS Y12, qlo, lo; \
	VFMADD231PS Y13, qhi, hi

#define ZERO8 \
	VXORPS Y0, Y0, Y0; \
	VXORPS Y1, Y1, Y1; \
	VXORPS Y2, Y2, Y2; \
	VXORPS Y3, Y3, Y3; \
	VXORPS Y4, Y4, Y4; \
	VXORPS Y5, Y5, Y5; \
	VXORPS Y6, Y6, Y6; \
	VXORPS Y7, Y7, Y7

// REDUCE4 is the tree for four sums a, b, c, d into X0.
#define REDUCE4 \
	VADDPS       Y1, Y0, Y0;        \ // halves of 8: Y0, Y2, Y4, Y6 = a, b, c, d
	VADDPS       Y3, Y2, Y2;        \
	VADDPS       Y5, Y4, Y4;        \
	VADDPS       Y7, Y6, Y6;        \
	VPERM2F128   $0x20, Y4, Y0, Y1; \ // a0-3 | c0-3
	VPERM2F128   $0x31, Y4, Y0, Y3; \ // a4-7 | c4-7
	VPERM2F128   $0x20, Y6, Y2, Y5; \
	VPERM2F128   $0x31, Y6, Y2, Y7; \
	VADDPS       Y3, Y1, Y1;        \ // halves of 4
	VADDPS       Y7, Y5, Y5;        \
	VUNPCKLPD    Y5, Y1, Y0;        \ // a0-1 b0-1 | c0-1 d0-1
	VUNPCKHPD    Y5, Y1, Y2;        \ // a2-3 b2-3 | c2-3 d2-3
	VADDPS       Y2, Y0, Y0;        \ // halves of 2
	VPSHUFD      $0xb1, Y0, Y1;     \
	VADDPS       Y1, Y0, Y0;        \ // halves of 1: a a b b | c c d d
	VEXTRACTF128 $1, Y0, X1;        \
	VSHUFPS      $0x88, X1, X0, X0

	MOVQ   scores+0(FP), DI
	MOVQ   stride+8(FP), AX
	MOVQ   q+16(FP), SI
	MOVQ   queries+24(FP), BX // BX = queries left
	MOVQ   dim+32(FP), R11
	IMUL3Q $BYTES, R11, R9    // R9 = bytes of a key
	SHLQ   $2, R11            // R11 = bytes of a query
	SHLQ   $2, AX             // AX = bytes from one query's scores to the next's

two:
	CMPQ BX, $2
	JLT  one
	MOVQ k+40(FP), R8
	MOVQ keys+48(FP), R12 // R12 = keys left
	MOVQ next+56(FP), R13

tile2:  // DX walks the queries, R10 the keys, R13 what comes next
	MOVQ SI, DX
	MOVQ R8, R10
	MOVQ R11, CX
	ZERO8

block2:
	VMOVUPS (DX), Y8
	VMOVUPS 32(DX), Y9
	VMOVUPS (DX)(R11*1), Y10
	VMOVUPS 32(DX)(R11*1), Y11
	LOAD((R10), Y12, Y13)
	MADD(Y8, Y9, Y0, Y1)
	MADD(Y10, Y11, Y4, Y5)
	LOAD((R10)(R9*1), Y12, Y13)
	MADD(Y8, Y9, Y2, Y3)
	MADD(Y10, Y11, Y6, Y7)
	AHEAD((R13))
	ADDQ    $(32*BYTES), R13
	ADDQ    $64, DX
	ADDQ    $(16*BYTES), R10
	SUBQ    $64, CX
	JNZ     block2

	REDUCE4
	VMOVLPS X0, (DI)
	VMOVHPS X0, (DI)(AX*1)
	ADDQ    $8, DI
	LEAQ    (R8)(R9*2), R8
	SUBQ    $2, R12
	JNZ     tile2

	MOVQ keys+48(FP), CX
	SHLQ $2, CX
	SUBQ CX, DI
	LEAQ (DI)(AX*2), DI
	LEAQ (SI)(R11*2), SI
	SUBQ $2, BX
	JMP  two

one:
	TESTQ BX, BX
	JZ    done
	MOVQ  k+40(FP), R8
	MOVQ  keys+48(FP), R12

tile1:  // R10 walks keys 0 and 1, R13 keys 2 and 3
	MOVQ SI, DX
	MOVQ R8, R10
	LEAQ (R8)(R9*2), R13
	MOVQ R11, CX
	ZERO8

block1:
	VMOVUPS (DX), Y8
	VMOVUPS 32(DX), Y9
	LOAD((R10), Y12, Y13)
	MADD(Y8, Y9, Y0, Y1)
	LOAD((R10)(R9*1), Y12, Y13)
	MADD(Y8, Y9, Y2, Y3)
	LOAD((R13), Y12, Y13)
	MADD(Y8, Y9, Y4, Y5)
	LOAD((R13)(R9*1), Y12, Y13)
	MADD(Y8, Y9, Y6, Y7)
	ADDQ    $64, DX
	ADDQ    $(16*BYTES), R10
	ADDQ    $(16*BYTES), R13
	SUBQ    $64, CX
	JNZ     block1

	REDUCE4
	VMOVUPS X0, (DI)
	ADDQ    $16, DI
	LEAQ    (R8)(R9*4), R8
	SUBQ    $4, R12
	JNZ     tile1

done:
	VZEROUPPER
	RET
