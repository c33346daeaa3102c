// The body of dotF32AVX512, dotF16AVX512 and dotI8AVX512, which include it after they have defined
//	BYTES           the bytes of one element of k: 4, 2 or 1
//	LOAD(src, reg)  widens 16 elements at the address src to the 16 floats of reg
//	AHEAD(p)        fetches BYTES lines of 64 bytes at p into the second-level cache
//
// As many bytes as k has are fetched from next, a tile's share with each tile.
//
// A tile is 16 sums of 16 lanes, Z0-Z15: 4 queries x 4 keys, then 2 x 8, then 1 x 16 for what is left of the queries.
// REDUCE16 puts sum 4m+l into element m of 128-bit lane l, so that a lane holds four keys of one query.

#define ZERO16 \
	VPXORD Z0, Z0, Z0;    \
	VPXORD Z1, Z1, Z1;    \
	VPXORD Z2, Z2, Z2;    \
	VPXORD Z3, Z3, Z3;    \
	VPXORD Z4, Z4, Z4;    \
	VPXORD Z5, Z5, Z5;    \
	VPXORD Z6, Z6, Z6;    \
	VPXORD Z7, Z7, Z7;    \
	VPXORD Z8, Z8, Z8;    \
	VPXORD Z9, Z9, Z9;    \
	VPXORD Z10, Z10, Z10; \
	VPXORD Z11, Z11, Z11; \
	VPXORD Z12, Z12, Z12; \
	VPXORD Z13, Z13, Z13; \
	VPXORD Z14, Z14, Z14; \
	VPXORD Z15, Z15, Z15

// HALVES adds lanes 8-15 of sums a and b to their lanes 0-7: a0-7 b0-7.
#define HALVES(a, b, sum) \
	VSHUFF64X2 $0x44, b, a, Z24; \
	VSHUFF64X2 $0xee, b, a, Z25; \
	VADDPS     Z25, Z24, sum

// QUARTERS adds lanes 4-7 to lanes 0-3: a0-3 b0-3 c0-3 d0-3 of a pair of a and b and one of c and d.
#define QUARTERS(ab, cd, sum) \
	VSHUFF64X2 $0x88, cd, ab, Z24; \
	VSHUFF64X2 $0xdd, cd, ab, Z25; \
	VADDPS     Z25, Z24, sum

#define REDUCE16 \
	HALVES(Z0, Z1, Z0);         \
	HALVES(Z2, Z3, Z1);         \
	HALVES(Z4, Z5, Z2);         \
	HALVES(Z6, Z7, Z3);         \
	HALVES(Z8, Z9, Z4);         \
	HALVES(Z10, Z11, Z5);       \
	HALVES(Z12, Z13, Z6);       \
	HALVES(Z14, Z15, Z7);       \
	QUARTERS(Z0, Z1, Z0);       \
	QUARTERS(Z2, Z3, Z1);       \
	QUARTERS(Z4, Z5, Z2);       \
	QUARTERS(Z6, Z7, Z3);       \
	VUNPCKLPD Z1, Z0, Z24;      \ // lanes 0-1 of sums 0 4, 1 5, 2 6, 3 7
	VUNPCKHPD Z1, Z0, Z25;      \ // their lanes 2-3
	VADDPS    Z25, Z24, Z0;     \
	VUNPCKLPD Z3, Z2, Z24;      \ // 8 12, 9 13, 10 14, 11 15
	VUNPCKHPD Z3, Z2, Z25;      \
	VADDPS    Z25, Z24, Z1;     \
	VSHUFPS   $0x88, Z1, Z0, Z24; \ // lane 0 of sums 0 4 8 12, 1 5 9 13, ...
	VSHUFPS   $0xdd, Z1, Z0, Z25; \ // their lane 1
	VADDPS    Z25, Z24, Z0

// KEY4 adds the products of the key at src with the queries Z16-Z19 to four sums; KEY2 with Z16 and Z17.
#define KEY4(src, s0, s1, s2, s3) \
	LOAD(src, Z20);            \
	VFMADD231PS Z20, Z16, s0;  \
	VFMADD231PS Z20, Z17, s1;  \
	VFMADD231PS Z20, Z18, s2;  \
	VFMADD231PS Z20, Z19, s3

#define KEY2(src, s0, s1) \
	LOAD(src, Z20);           \
	VFMADD231PS Z20, Z16, s0; \
	VFMADD231PS Z20, Z17, s1

#define KEY1(src, s0) \
	LOAD(src, Z20);           \
	VFMADD231PS Z20, Z16, s0

	MOVQ   scores+0(FP), DI
	MOVQ   q+16(FP), SI
	MOVQ   queries+24(FP), BX // BX = queries left
	MOVQ   dim+32(FP), R11
	IMUL3Q $BYTES, R11, R9    // R9 = bytes of a key
	LEAQ   (R9)(R9*2), R12    // R12 = bytes of three
	SHLQ   $2, R11            // R11 = bytes of a query

four:
	CMPQ BX, $4
	JLT  two
	MOVQ k+40(FP), R8
	MOVQ keys+48(FP), CX
	MOVQ CX, left-8(SP)
	LEAQ (R11)(R11*2), R13 // R13 = bytes of three queries
	MOVQ next+56(FP), AX
	MOVQ AX, ahead-16(SP)

tile4:  // DX walks the queries, R10 the keys, AX what comes next
	MOVQ ahead-16(SP), AX
	MOVQ SI, DX
	MOVQ R8, R10
	MOVQ R11, CX
	ZERO16

block4:
	VMOVUPS (DX), Z16
	VMOVUPS (DX)(R11*1), Z17
	VMOVUPS (DX)(R11*2), Z18
	VMOVUPS (DX)(R13*1), Z19
	KEY4((R10), Z0, Z1, Z2, Z3)
	KEY4((R10)(R9*1), Z4, Z5, Z6, Z7)
	KEY4((R10)(R9*2), Z8, Z9, Z10, Z11)
	KEY4((R10)(R12*1), Z12, Z13, Z14, Z15)
	AHEAD((AX))
	ADDQ    $(64*BYTES), AX
	ADDQ    $64, DX
	ADDQ    $(16*BYTES), R10
	SUBQ    $64, CX
	JNZ     block4

	MOVQ          AX, ahead-16(SP)
	MOVQ          stride+8(FP), AX
	SHLQ          $2, AX // AX = bytes from one query's scores to the next's
	REDUCE16
	LEAQ          (DI)(AX*2), DX
	VMOVUPS       X0, (DI)
	VEXTRACTF32X4 $1, Z0, (DI)(AX*1)
	VEXTRACTF32X4 $2, Z0, (DX)
	VEXTRACTF32X4 $3, Z0, (DX)(AX*1)
	ADDQ          $16, DI
	LEAQ          (R8)(R9*4), R8
	SUBQ          $4, left-8(SP)
	JNZ           tile4

	MOVQ keys+48(FP), CX
	SHLQ $2, CX
	SUBQ CX, DI
	LEAQ (DI)(AX*4), DI
	LEAQ (SI)(R11*4), SI
	SUBQ $4, BX
	JMP  four

two:
	CMPQ BX, $2
	JLT  one
	MOVQ k+40(FP), R8
	MOVQ keys+48(FP), CX
	MOVQ CX, left-8(SP)
	MOVQ next+56(FP), AX
	MOVQ AX, ahead-16(SP)

tile2:  // R10 walks keys 0-3, R13 keys 4-7
	MOVQ ahead-16(SP), AX
	MOVQ SI, DX
	MOVQ R8, R10
	LEAQ (R8)(R9*4), R13
	MOVQ R11, CX
	ZERO16

block2:
	VMOVUPS (DX), Z16
	VMOVUPS (DX)(R11*1), Z17
	KEY2((R10), Z0, Z2)
	KEY2((R10)(R9*1), Z4, Z6)
	KEY2((R10)(R9*2), Z8, Z10)
	KEY2((R10)(R12*1), Z12, Z14)
	KEY2((R13), Z1, Z3)
	KEY2((R13)(R9*1), Z5, Z7)
	KEY2((R13)(R9*2), Z9, Z11)
	KEY2((R13)(R12*1), Z13, Z15)
	AHEAD((AX))
	ADDQ    $(64*BYTES), AX
	AHEAD((AX))
	ADDQ    $(64*BYTES), AX
	ADDQ    $64, DX
	ADDQ    $(16*BYTES), R10
	ADDQ    $(16*BYTES), R13
	SUBQ    $64, CX
	JNZ     block2

	MOVQ          AX, ahead-16(SP)
	MOVQ          stride+8(FP), AX
	SHLQ          $2, AX
	REDUCE16
	VMOVUPS       Y0, (DI)
	VEXTRACTF64X4 $1, Z0, (DI)(AX*1)
	ADDQ          $32, DI
	LEAQ          (R8)(R9*8), R8
	SUBQ          $8, left-8(SP)
	JNZ           tile2

	MOVQ keys+48(FP), CX
	SHLQ $2, CX
	SUBQ CX, DI
	LEAQ (DI)(AX*2), DI
	LEAQ (SI)(R11*2), SI
	SUBQ $2, BX

one:
	TESTQ BX, BX
	JZ    done
	MOVQ  k+40(FP), R8
	MOVQ  keys+48(FP), CX
	MOVQ  CX, left-8(SP)

tile1:  // R10, R13, AX and BX walk keys 0-3, 4-7, 8-11 and 12-15
	MOVQ SI, DX
	MOVQ R8, R10
	LEAQ (R8)(R9*4), R13
	LEAQ (R8)(R9*8), AX
	LEAQ (R13)(R9*8), BX
	MOVQ R11, CX
	ZERO16

block1:
	VMOVUPS (DX), Z16
	KEY1((R10), Z0)
	KEY1((R10)(R9*1), Z4)
	KEY1((R10)(R9*2), Z8)
	KEY1((R10)(R12*1), Z12)
	KEY1((R13), Z1)
	KEY1((R13)(R9*1), Z5)
	KEY1((R13)(R9*2), Z9)
	KEY1((R13)(R12*1), Z13)
	KEY1((AX), Z2)
	KEY1((AX)(R9*1), Z6)
	KEY1((AX)(R9*2), Z10)
	KEY1((AX)(R12*1), Z14)
	KEY1((BX), Z3)
	KEY1((BX)(R9*1), Z7)
	KEY1((BX)(R9*2), Z11)
	KEY1((BX)(R12*1), Z15)
	ADDQ    $64, DX
	ADDQ    $(16*BYTES), R10
	ADDQ    $(16*BYTES), R13
	ADDQ    $(16*BYTES), AX
	ADDQ    $(16*BYTES), BX
	SUBQ    $64, CX
	JNZ     block1

	REDUCE16
	VMOVUPS Z0, (DI)
	ADDQ    $64, DI
	LEAQ    (R8)(R9*8), R8
	LEAQ    (R8)(R9*8), R8
	SUBQ    $16, left-8(SP)
	JNZ     tile1

done:
	VZEROUPPER
	RET
