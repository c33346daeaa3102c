// The body of mulRounded for AVX-512 with and without VDPBF16PS, which include it after they have defined
//	LOAD                      the weights of the tile at R8, ready for TOKEN, in Z16-Z21
//	TOKEN(t, c0, n0, c1, n1)  adds the tile times token t of the group to its chains: register c0 is number n0
// and loaded
//	DI out, SI w, DX panel, CX tiles, AX tokens to store, R12 4*width
//	BX, R10  bytes from one pair of k of the panel to the next, from one tile to the next
//
// Chains 0 and 1 of token t are Z(t) and Z(8+t): up to eight tokens go through the weights at once.

// STORE adds and scales a token's chains, writes them and ends the function after the last token. Z16 = 2^-64.
#define STORE(c0, c1) \
	VADDPS  c1, c0, c0;      \
	VMULPS  Z16, c0, c0;     \
	VMOVUPS c0, (DI);        \
	LEAQ    (DI)(R13*4), DI; \
	DECQ    AX;              \
	JZ      done

#define NEXT \
	ADDQ $128, R8; \
	ADDQ R10, R9;  \
	DECQ R13

group:
	MOVQ   SI, R8           // R8 = tile
	MOVQ   DX, R9           // R9 = the group's activations of the tile
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
	CMPQ   R12, $8
	JCS    one
	JEQ    two
	CMPQ   R12, $16
	JEQ    four

eight:
	PREFETCHT1 8192(R8) // as in mul_w8c_avx512vnni_amd64.s
	PREFETCHT1 8256(R8)
	LOAD
	TOKEN(0, Z0, 0, Z8, 8)
	TOKEN(1, Z1, 1, Z9, 9)
	TOKEN(2, Z2, 2, Z10, 10)
	TOKEN(3, Z3, 3, Z11, 11)
	TOKEN(4, Z4, 4, Z12, 12)
	TOKEN(5, Z5, 5, Z13, 13)
	TOKEN(6, Z6, 6, Z14, 14)
	TOKEN(7, Z7, 7, Z15, 15)
	NEXT
	JNZ eight
	JMP store

four:
	LOAD
	TOKEN(0, Z0, 0, Z8, 8)
	TOKEN(1, Z1, 1, Z9, 9)
	TOKEN(2, Z2, 2, Z10, 10)
	TOKEN(3, Z3, 3, Z11, 11)
	NEXT
	JNZ four
	JMP store

two:
	LOAD
	TOKEN(0, Z0, 0, Z8, 8)
	TOKEN(1, Z1, 1, Z9, 9)
	NEXT
	JNZ two
	JMP store

one:
	LOAD
	TOKEN(0, Z0, 0, Z8, 8)
	NEXT
	JNZ one

store:
	MOVL         $0x1f800000, R13
	VPBROADCASTD R13, Z16
	MOVQ         outStride+8(FP), R13
	STORE(Z0, Z8)
	STORE(Z1, Z9)
	STORE(Z2, Z10)
	STORE(Z3, Z11)
	STORE(Z4, Z12)
	STORE(Z5, Z13)
	STORE(Z6, Z14)
	STORE(Z7, Z15)
	ADDQ         $32, DX // the next eight tokens
	JMP          group

done:
	VZEROUPPER
	RET
