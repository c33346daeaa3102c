// The body of mulF32AVX2, mulBF16AVX2 and mulF16AVX2, which include it after they have defined
//	TILE                                the bytes of 16 rows x 4 k
//	W0(src), W1(src), W2(src), W3(src)  Y8, Y9 = the weights of k = 0, 1, 2, 3 of the tile at src, rows 0-7 and 8-15, as float32
// and loaded
//	DI out, SI w, DX panel, BX bytes from one k of the panel to the next, CX tiles, AX tokens to store.
//
// Sixteen registers hold eight sums beside the weights, as many as the multipliers need: four tokens times one chain, two
// tokens times two chains or one token times four chains, each times two halves of the rows.

// FMA adds the weights in Y8 and Y9 times the float at src to the sums lo and hi.
#define FMA(src, x, lo, hi) \
	VBROADCASTSS src, x;    \
	VFMADD231PS  Y8, x, lo; \
	VFMADD231PS  Y9, x, hi

#define ZERO \
	VPXOR Y0, Y0, Y0; \
	VPXOR Y1, Y1, Y1; \
	VPXOR Y2, Y2, Y2; \
	VPXOR Y3, Y3, Y3; \
	VPXOR Y4, Y4, Y4; \
	VPXOR Y5, Y5, Y5; \
	VPXOR Y6, Y6, Y6; \
	VPXOR Y7, Y7, Y7

// START begins a pass over the weights: R8 = tile, R9 = the group's activations of its first k, R13 = tiles left.
#define START \
	MOVQ SI, R8;  \
	MOVQ DX, R9;  \
	MOVQ CX, R13; \
	ZERO

// NEXT moves to the next tile.
#define NEXT \
	ADDQ $TILE, R8;      \
	LEAQ (R9)(BX*4), R9; \
	DECQ R13

// FOUR adds one k, its weights by w, of the group's four tokens.
#define FOUR(w) \
	w(R8);                    \
	FMA(0(R9), Y10, Y0, Y1);  \
	FMA(4(R9), Y11, Y2, Y3);  \
	FMA(8(R9), Y12, Y4, Y5);  \
	FMA(12(R9), Y13, Y6, Y7); \
	NEXT

// ADDSAVED adds the eight sums at off(SP) to those in the registers, SAVE puts them there.
#define ADDSAVED(off) \
	VADDPS (off+0)(SP), Y0, Y0;   \
	VADDPS (off+32)(SP), Y1, Y1;  \
	VADDPS (off+64)(SP), Y2, Y2;  \
	VADDPS (off+96)(SP), Y3, Y3;  \
	VADDPS (off+128)(SP), Y4, Y4; \
	VADDPS (off+160)(SP), Y5, Y5; \
	VADDPS (off+192)(SP), Y6, Y6; \
	VADDPS (off+224)(SP), Y7, Y7

#define SAVE(off) \
	VMOVUPS Y0, (off+0)(SP);   \
	VMOVUPS Y1, (off+32)(SP);  \
	VMOVUPS Y2, (off+64)(SP);  \
	VMOVUPS Y3, (off+96)(SP);  \
	VMOVUPS Y4, (off+128)(SP); \
	VMOVUPS Y5, (off+160)(SP); \
	VMOVUPS Y6, (off+192)(SP); \
	VMOVUPS Y7, (off+224)(SP)

// STORE writes one token's results and ends the function after the last token.
#define STORE(lo, hi) \
	VMOVUPS lo, (DI);        \
	VMOVUPS hi, 32(DI);      \
	LEAQ    (DI)(R13*4), DI; \
	DECQ    AX;              \
	JZ      done

	LEAQ (BX)(BX*2), R10 // R10 = 3 k of the panel in bytes
	CMPQ BX, $8
	JCS  one
	JEQ  two

four:
	START

four0:
	FOUR(W0)
	JNZ  four0
	SAVE(0)
	START
	ADDQ BX, R9

four1:
	FOUR(W1)
	JNZ  four1
	ADDSAVED(0)         // 0+1
	SAVE(0)
	START
	LEAQ (R9)(BX*2), R9

four2:
	FOUR(W2)
	JNZ  four2
	SAVE(256)
	START
	ADDQ R10, R9

four3:
	FOUR(W3)
	JNZ  four3
	ADDSAVED(256)             // 2+3
	ADDSAVED(0)
	MOVQ outStride+8(FP), R13
	STORE(Y0, Y1)
	STORE(Y2, Y3)
	STORE(Y4, Y5)
	STORE(Y6, Y7)
	ADDQ $16, DX              // the next four tokens
	JMP  four

two:
	START

two01:  // Y0-Y3 = k mod 4 = 0, Y4-Y7 = 1, each token 0 and token 1
	W0(R8)
	FMA(0(R9), Y10, Y0, Y1)
	FMA(4(R9), Y11, Y2, Y3)
	W1(R8)
	FMA(0(R9)(BX*1), Y10, Y4, Y5)
	FMA(4(R9)(BX*1), Y11, Y6, Y7)
	NEXT
	JNZ     two01
	VADDPS  Y4, Y0, Y4
	VADDPS  Y5, Y1, Y5
	VADDPS  Y6, Y2, Y6
	VADDPS  Y7, Y3, Y7
	VMOVUPS Y4, 0(SP)
	VMOVUPS Y5, 32(SP)
	VMOVUPS Y6, 64(SP)
	VMOVUPS Y7, 96(SP)
	START

two23:
	W2(R8)
	FMA(0(R9)(BX*2), Y10, Y0, Y1)
	FMA(4(R9)(BX*2), Y11, Y2, Y3)
	W3(R8)
	FMA(0(R9)(R10*1), Y10, Y4, Y5)
	FMA(4(R9)(R10*1), Y11, Y6, Y7)
	NEXT
	JNZ    two23
	VADDPS Y4, Y0, Y0
	VADDPS Y5, Y1, Y1
	VADDPS Y6, Y2, Y2
	VADDPS Y7, Y3, Y3
	VADDPS 0(SP), Y0, Y0
	VADDPS 32(SP), Y1, Y1
	VADDPS 64(SP), Y2, Y2
	VADDPS 96(SP), Y3, Y3
	MOVQ   outStride+8(FP), R13
	STORE(Y0, Y1)
	STORE(Y2, Y3)

one:
	START

one0123:  // Y(2c), Y(2c+1) = k mod 4 = c
	PREFETCHT0 1024(R8) // from memory: one token does too little with a line to hide its way
	PREFETCHT0 1088(R8)
	W0(R8)
	FMA(0(R9), Y10, Y0, Y1)
	W1(R8)
	FMA(4(R9), Y10, Y2, Y3)
	W2(R8)
	FMA(8(R9), Y10, Y4, Y5)
	W3(R8)
	FMA(12(R9), Y10, Y6, Y7)
	NEXT
	JNZ     one0123
	VADDPS  Y2, Y0, Y0
	VADDPS  Y3, Y1, Y1
	VADDPS  Y6, Y4, Y4
	VADDPS  Y7, Y5, Y5
	VADDPS  Y4, Y0, Y0
	VADDPS  Y5, Y1, Y1
	VMOVUPS Y0, (DI)
	VMOVUPS Y1, 32(DI)

done:
	VZEROUPPER
	RET
