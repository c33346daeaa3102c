// The body of mulF32AVX2, mulBF16AVX2 and mulF16AVX2, which include it after they have defined
//	TILE                                the bytes of 16 rows x 4 k
//	W0(src), W1(src), W2(src), W3(src)  Y8, Y9 = the weights of k = 0, 1, 2, 3 of the tile at src, rows 0-7 and 8-15, as float32
// and loaded
//	DI out, SI w, DX panel, BX bytes from one k of the panel to the next, CX tiles, AX tokens to store.
//
// Sixteen registers hold eight sums beside the weights, as many as the multipliers need: four tokens times one chain, two
// tokens times two chains or one token times four chains, each times two halves of the rows.
//
// Four tokens and more take the k in blocks that stay in the first-level cache: each group of four passes a block four times.
// Their sums lie in the frame: [group][k mod 4][token][16].

#define BLOCKTILES 8
#define LEFT       4096 // (SP): tiles left
#define GROUPS     4104 // groups left in the block

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

// LOAD takes the group's eight sums of a chain, at off(R12), into the registers; KEEP puts them back.
#define LOAD(off) \
	VMOVUPS off+0(R12), Y0;   \
	VMOVUPS off+32(R12), Y1;  \
	VMOVUPS off+64(R12), Y2;  \
	VMOVUPS off+96(R12), Y3;  \
	VMOVUPS off+128(R12), Y4; \
	VMOVUPS off+160(R12), Y5; \
	VMOVUPS off+192(R12), Y6; \
	VMOVUPS off+224(R12), Y7; \
	MOVQ    SI, R8;           \
	MOVQ    CX, R13

#define KEEP(off) \
	VMOVUPS Y0, off+0(R12);   \
	VMOVUPS Y1, off+32(R12);  \
	VMOVUPS Y2, off+64(R12);  \
	VMOVUPS Y3, off+96(R12);  \
	VMOVUPS Y4, off+128(R12); \
	VMOVUPS Y5, off+160(R12); \
	VMOVUPS Y6, off+192(R12); \
	VMOVUPS Y7, off+224(R12)

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
	MOVQ  AX, R13
	ADDQ  $3, R13
	SHRQ  $2, R13
	SHLQ  $10, R13
	VPXOR Y0, Y0, Y0

zero:
	SUBQ    $64, R13
	VMOVUPS Y0, (SP)(R13*1)
	VMOVUPS Y0, 32(SP)(R13*1)
	JNZ     zero
	MOVQ    CX, LEFT(SP)

block:
	MOVQ    LEFT(SP), CX    // CX = tiles of this block
	MOVQ    $BLOCKTILES, R8
	CMPQ    CX, R8
	CMOVQHI R8, CX
	SUBQ    CX, LEFT(SP)
	MOVQ    DX, R11         // R11 = the group's activations
	MOVQ    SP, R12         // R12 = its sums
	LEAQ    3(AX), R8
	SHRQ    $2, R8
	MOVQ    R8, GROUPS(SP)

four:
	LOAD(0)
	MOVQ R11, R9

four0:
	FOUR(W0)
	JNZ  four0
	KEEP(0)
	LOAD(256)
	LEAQ (R11)(BX*1), R9

four1:
	FOUR(W1)
	JNZ  four1
	KEEP(256)
	LOAD(512)
	LEAQ (R11)(BX*2), R9

four2:
	FOUR(W2)
	JNZ  four2
	KEEP(512)
	LOAD(768)
	LEAQ (R11)(R10*1), R9

four3:
	FOUR(W3)
	JNZ  four3
	KEEP(768)
	ADDQ $16, R11       // the next four tokens
	ADDQ $1024, R12
	DECQ GROUPS(SP)
	JNZ  four
	MOVQ R8, SI         // the last pass ended where the next block begins
	IMULQ BX, CX
	LEAQ (DX)(CX*4), DX
	CMPQ LEFT(SP), $0
	JNE  block
	MOVQ SP, R12
	MOVQ outStride+8(FP), R13

result:
	VMOVUPS (R12), Y0
	VMOVUPS 32(R12), Y1
	VADDPS  256(R12), Y0, Y0
	VADDPS  288(R12), Y1, Y1
	VMOVUPS 512(R12), Y2
	VMOVUPS 544(R12), Y3
	VADDPS  768(R12), Y2, Y2
	VADDPS  800(R12), Y3, Y3
	VADDPS  Y2, Y0, Y0
	VADDPS  Y3, Y1, Y1
	STORE(Y0, Y1)
	ADDQ    $64, R12
	MOVQ    R12, R8
	SUBQ    SP, R8
	TESTQ   $255, R8
	JNZ     result
	ADDQ    $768, R12
	JMP     result

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
