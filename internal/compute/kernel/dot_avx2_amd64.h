// The body of dotF32AVX2, dotF16AVX2 and dotI8AVX2, which include it after they have defined
//	BYTES                the bytes of one element of k: 4, 2 or 1
//	LOAD(off, src, reg)  widens 8 elements, off bytes behind the address src, to the 8 floats of reg
//	AHEAD(off, p)        fetches 32*BYTES bytes, off behind p, into the second-level cache, or the line around them
//
// Two queries alone (decode) wait for memory: their tile is 2 x 2, all lanes at once, so that keys are read in order, and as many
// bytes as k has are fetched from next. Pairs before them (prefill) wait for arithmetic: a tile of 2 queries x 4 keys takes two
// passes over the columns, lanes 0-7, then 8-15, so that a query's register serves four keys. A last query's tile is 1 x 4.

// LANES8 adds 8 lanes of 4 keys, off bytes behind theirs, to the sums of 2 queries, qoff bytes behind theirs.
#define LANES8(off, qoff) \
	VMOVUPS qoff(DX)(CX*4), Y8;      \
	VMOVUPS qoff(R11)(CX*4), Y9;     \
	LOAD(off, (R8)(CX*BYTES), Y10);  \
	LOAD(off, (R10)(CX*BYTES), Y11); \
	LOAD(off, (R13)(CX*BYTES), Y12); \
	LOAD(off, (BX)(CX*BYTES), Y13);  \
	VFMADD231PS Y10, Y8, Y0;         \
	VFMADD231PS Y10, Y9, Y4;         \
	VFMADD231PS Y11, Y8, Y1;         \
	VFMADD231PS Y11, Y9, Y5;         \
	VFMADD231PS Y12, Y8, Y2;         \
	VFMADD231PS Y12, Y9, Y6;         \
	VFMADD231PS Y13, Y8, Y3;         \
	VFMADD231PS Y13, Y9, Y7;         \
	ADDQ        $16, CX

// LANES16 adds all lanes of the key at src to the sums of the query Y8, Y9.
#define LANES16(src, lo, hi) \
	LOAD(0, src, Y12);         \
	LOAD((8*BYTES), src, Y13); \
	VFMADD231PS Y12, Y8, lo;   \
	VFMADD231PS Y13, Y9, hi

#define ZERO8 \
	VXORPS Y0, Y0, Y0; \
	VXORPS Y1, Y1, Y1; \
	VXORPS Y2, Y2, Y2; \
	VXORPS Y3, Y3, Y3; \
	VXORPS Y4, Y4, Y4; \
	VXORPS Y5, Y5, Y5; \
	VXORPS Y6, Y6, Y6; \
	VXORPS Y7, Y7, Y7

// JOIN_HALVES adds lanes 8-15, Y4-Y7, to lanes 0-7, Y0-Y3.
#define JOIN_HALVES \
	VADDPS Y4, Y0, Y0; \
	VADDPS Y5, Y1, Y1; \
	VADDPS Y6, Y2, Y2; \
	VADDPS Y7, Y3, Y3

// REDUCE4 is the rest of the tree for four sums of 8 lanes a, b, c, d into xa, the low half of a.
#define REDUCE4(a, b, c, d, xa) \
	VPERM2F128   $0x20, c, a, Y8;  \ // a0-3 | c0-3
	VPERM2F128   $0x31, c, a, Y9;  \ // a4-7 | c4-7
	VPERM2F128   $0x20, d, b, Y10; \
	VPERM2F128   $0x31, d, b, Y11; \
	VADDPS       Y9, Y8, Y8;       \ // halves of 4
	VADDPS       Y11, Y10, Y10;    \
	VUNPCKLPD    Y10, Y8, Y9;      \ // a0-1 b0-1 | c0-1 d0-1
	VUNPCKHPD    Y10, Y8, Y11;     \ // a2-3 b2-3 | c2-3 d2-3
	VADDPS       Y11, Y9, Y9;      \ // halves of 2
	VPSHUFD      $0xb1, Y9, Y8;    \
	VADDPS       Y8, Y9, a;        \ // halves of 1: a a b b | c c d d
	VEXTRACTF128 $1, a, X8;        \
	VSHUFPS      $0x88, X8, xa, xa

	MOVQ   scores+0(FP), DI
	MOVQ   stride+8(FP), AX
	MOVQ   q+16(FP), SI
	MOVQ   queries+24(FP), CX
	MOVQ   CX, left-8(SP)     // queries left
	MOVQ   dim+32(FP), R9
	IMUL3Q $BYTES, R9, R9     // R9 = bytes of a key
	SHLQ   $2, AX             // AX = bytes from one query's scores to the next's

next:   // two queries, or the last one
	MOVQ dim+32(FP), CX
	MOVQ k+40(FP), R8
	MOVQ keys+48(FP), R12 // R12 = keys left
	CMPQ left-8(SP), $2
	JLT  one
	CMPQ left-8(SP), $4
	JLT  two

	LEAQ (SI)(CX*4), DX   // DX, R11 = the queries' ends
	LEAQ (DX)(CX*4), R11
	ADDQ R9, R8           // R8, R10, R13, BX = the keys' ends
	NEGQ CX

tile4:
	LEAQ (R8)(R9*1), R10
	LEAQ (R8)(R9*2), R13
	LEAQ (R10)(R9*2), BX
	ZERO8

low:
	LANES8(0, 0)
	JNZ low

	SUBQ    dim+32(FP), CX
	VMOVUPS Y0, sums-264(SP)
	VMOVUPS Y1, sums-232(SP)
	VMOVUPS Y2, sums-200(SP)
	VMOVUPS Y3, sums-168(SP)
	VMOVUPS Y4, sums-136(SP)
	VMOVUPS Y5, sums-104(SP)
	VMOVUPS Y6, sums-72(SP)
	VMOVUPS Y7, sums-40(SP)
	ZERO8

high:
	LANES8((8*BYTES), 32)
	JNZ high

	SUBQ    dim+32(FP), CX
	VADDPS  sums-264(SP), Y0, Y0 // halves of 8
	VADDPS  sums-232(SP), Y1, Y1
	VADDPS  sums-200(SP), Y2, Y2
	VADDPS  sums-168(SP), Y3, Y3
	VADDPS  sums-136(SP), Y4, Y4
	VADDPS  sums-104(SP), Y5, Y5
	VADDPS  sums-72(SP), Y6, Y6
	VADDPS  sums-40(SP), Y7, Y7
	REDUCE4(Y0, Y1, Y2, Y3, X0)
	REDUCE4(Y4, Y5, Y6, Y7, X4)
	VMOVUPS X0, (DI)
	VMOVUPS X4, (DI)(AX*1)
	ADDQ    $16, DI
	LEAQ    (R8)(R9*4), R8
	SUBQ    $4, R12
	JNZ     tile4
	MOVQ    R11, SI
	JMP     row

two:
	LEAQ (CX*4), R11       // R11 = bytes of a query
	MOVQ next+56(FP), R13

tile2:  // DX walks the queries, R10 the keys, R13 what comes next
	MOVQ SI, DX
	MOVQ R8, R10
	MOVQ dim+32(FP), CX
	ZERO8

block2:
	VMOVUPS     (DX), Y8
	VMOVUPS     32(DX), Y9
	VMOVUPS     (DX)(R11*1), Y10
	VMOVUPS     32(DX)(R11*1), Y11
	LANES16((R10), Y0, Y4)
	VFMADD231PS Y12, Y10, Y2
	VFMADD231PS Y13, Y11, Y6
	LANES16((R10)(R9*1), Y1, Y5)
	VFMADD231PS Y12, Y10, Y3
	VFMADD231PS Y13, Y11, Y7
	AHEAD(0, (R13))
	ADDQ        $(32*BYTES), R13
	ADDQ        $64, DX
	ADDQ        $(16*BYTES), R10
	SUBQ        $16, CX
	JNZ         block2

	JOIN_HALVES
	REDUCE4(Y0, Y1, Y2, Y3, X0)
	VMOVLPS X0, (DI)
	VMOVHPS X0, (DI)(AX*1)
	ADDQ    $8, DI
	LEAQ    (R8)(R9*2), R8
	SUBQ    $2, R12
	JNZ     tile2
	LEAQ    (SI)(R11*2), SI

row:
	MOVQ keys+48(FP), CX
	SHLQ $2, CX
	SUBQ CX, DI
	LEAQ (DI)(AX*2), DI
	SUBQ $2, left-8(SP)
	JMP  next

one:
	CMPQ left-8(SP), $0
	JE   done

tile1:  // R10 walks keys 0 and 1, R13 keys 2 and 3
	MOVQ SI, DX
	MOVQ R8, R10
	LEAQ (R8)(R9*2), R13
	MOVQ dim+32(FP), CX
	ZERO8

block1:
	VMOVUPS (DX), Y8
	VMOVUPS 32(DX), Y9
	LANES16((R10), Y0, Y4)
	LANES16((R10)(R9*1), Y1, Y5)
	LANES16((R13), Y2, Y6)
	LANES16((R13)(R9*1), Y3, Y7)
	ADDQ    $64, DX
	ADDQ    $(16*BYTES), R10
	ADDQ    $(16*BYTES), R13
	SUBQ    $16, CX
	JNZ     block1

	JOIN_HALVES
	REDUCE4(Y0, Y1, Y2, Y3, X0)
	VMOVUPS X0, (DI)
	ADDQ    $16, DI
	LEAQ    (R8)(R9*4), R8
	SUBQ    $4, R12
	JNZ     tile1

done:
	VZEROUPPER
	RET
