// The body of mulF32AVX512, mulBF16AVX512 and mulF16AVX512, which include it after they have defined
//	TILE       the bytes of 16 rows x 4 k
//	LOAD(src)  Z16, Z17, Z18, Z19 = the weights of k = 0, 1, 2, 3 of the tile at src, as float32
//	AHEAD      for four tokens: fetches the tile 8 KiB further on into the second-level cache (mul_w8c_avx512vnni_amd64.s), or nothing
// and loaded
//	DI out, SI w, DX panel, BX bytes from one k of the panel to the next, CX tiles, AX tokens to store.
//
// Sums of token t over k = c mod 4 are in Z(4c+t). Up to four tokens go through the weights at once; more would need more
// than the 16 chains that already keep the multipliers busy, and the weights of the first pass are in the cache for the next.

// CHAIN4 adds the products of one k, its weights in w, with the four tokens at src.
#define CHAIN4(src, w, a0, a1, a2, a3) \
	VFMADD231PS.BCST (src), w, a0;  \
	VFMADD231PS.BCST 4(src), w, a1; \
	VFMADD231PS.BCST 8(src), w, a2; \
	VFMADD231PS.BCST 12(src), w, a3

// STORE adds a token's four chains, writes them and ends the function after the last token.
#define STORE(c0, c1, c2, c3) \
	VADDPS  c1, c0, c0;      \
	VADDPS  c3, c2, c2;      \
	VADDPS  c2, c0, c0;      \
	VMOVUPS c0, (DI);        \
	LEAQ    (DI)(R13*4), DI; \
	DECQ    AX;              \
	JZ      done

// NEXT moves to the next tile.
#define NEXT \
	ADDQ $TILE, R8;        \
	LEAQ (R9)(BX*4), R9;   \
	LEAQ (R10)(BX*4), R10; \
	LEAQ (R11)(BX*4), R11; \
	LEAQ (R12)(BX*4), R12; \
	DECQ R13

group:
	MOVQ   SI, R8           // R8 = tile
	MOVQ   DX, R9           // R9, R10, R11, R12 = the group's activations of k = 0, 1, 2, 3 of the tile
	LEAQ   (DX)(BX*1), R10
	LEAQ   (DX)(BX*2), R11
	LEAQ   (R10)(BX*2), R12
	MOVQ   CX, R13          // R13 = tiles left
	VPXORD Z0, Z0, Z0
	VPXORD Z1, Z1, Z1
	VPXORD Z2, Z2, Z2
	VPXORD Z3, Z3, Z3
	VPXORD Z4, Z4, Z4
	VPXORD Z5, Z5, Z5
	VPXORD Z6, Z6, Z6
	VPXORD Z7, Z7, Z7
	VPXORD Z8, Z8, Z8
	VPXORD Z9, Z9, Z9
	VPXORD Z10, Z10, Z10
	VPXORD Z11, Z11, Z11
	VPXORD Z12, Z12, Z12
	VPXORD Z13, Z13, Z13
	VPXORD Z14, Z14, Z14
	VPXORD Z15, Z15, Z15
	CMPQ   BX, $8
	JCS    one
	JEQ    two

four:
	AHEAD
	LOAD(R8)
	CHAIN4(R9, Z16, Z0, Z1, Z2, Z3)
	CHAIN4(R10, Z17, Z4, Z5, Z6, Z7)
	CHAIN4(R11, Z18, Z8, Z9, Z10, Z11)
	CHAIN4(R12, Z19, Z12, Z13, Z14, Z15)
	NEXT
	JNZ four
	JMP store

two:
	LOAD(R8)
	VFMADD231PS.BCST (R9), Z16, Z0
	VFMADD231PS.BCST (R10), Z17, Z4
	VFMADD231PS.BCST (R11), Z18, Z8
	VFMADD231PS.BCST (R12), Z19, Z12
	VFMADD231PS.BCST 4(R9), Z16, Z1
	VFMADD231PS.BCST 4(R10), Z17, Z5
	VFMADD231PS.BCST 4(R11), Z18, Z9
	VFMADD231PS.BCST 4(R12), Z19, Z13
	NEXT
	JNZ              two
	JMP              store

one:
	LOAD(R8)
	VFMADD231PS.BCST (R9), Z16, Z0
	VFMADD231PS.BCST (R10), Z17, Z4
	VFMADD231PS.BCST (R11), Z18, Z8
	VFMADD231PS.BCST (R12), Z19, Z12
	NEXT
	JNZ              one

store:
	MOVQ outStride+8(FP), R13
	STORE(Z0, Z4, Z8, Z12)
	STORE(Z1, Z5, Z9, Z13)
	STORE(Z2, Z6, Z10, Z14)
	STORE(Z3, Z7, Z11, Z15)
	ADDQ $16, DX              // the next four tokens
	JMP  group

done:
	VZEROUPPER
	RET
