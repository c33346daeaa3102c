// The body of mulF32AVX2, mulBF16AVX2 and mulF16AVX2, which include it after they have defined
//	TILE                      the bytes of 16 rows x 4 k
//	W0(off, p) to W3(off, p)  Y12, Y13 = the weights of k = 0, 1, 2, 3 of the tile at off(p), rows 0-7 and 8-15, as float32
// and loaded
//	DI out, SI w, DX panel, BX bytes from one k of the panel to the next, CX tiles, AX tokens to store.
//
// Sixteen registers hold twelve sums beside the weights, so that a sum need not be ready as soon as it could: six tokens times
// one chain, two tokens times two chains or one token times four chains, each times two halves of the rows.
//
// Three tokens and more take the k in blocks that stay in the first-level cache, since each group of four to six tokens passes
// a block four times. Their sums lie in the frame: [token][k mod 4][16].

#define BLOCKTILES 16
#define LEFT       4096 // (SP): tiles left
#define TOKENS     4104 // tokens left in the block

// FMA adds the weights in Y12 and Y13 times the float at src to the sums lo and hi.
#define FMA(src, lo, hi) \
	VBROADCASTSS src, Y14;     \
	VFMADD231PS  Y12, Y14, lo; \
	VFMADD231PS  Y13, Y14, hi

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

// FMA4, FMA5, FMA6 add one k to the sums of a group's tokens. LOAD takes the sums of a chain, at off(R12), into the registers,
// KEEP puts them back.
#define FMA4(src) \
	FMA(0 src, Y0, Y1); \
	FMA(4 src, Y2, Y3); \
	FMA(8 src, Y4, Y5); \
	FMA(12 src, Y6, Y7)

#define FMA5(src) FMA4(src); FMA(16 src, Y8, Y9)
#define FMA6(src) FMA5(src); FMA(20 src, Y10, Y11)

// A group of six, the first of 16 tokens, fetches the next block: its panel's lines and two lines a tile of its weights. A group of
// four fetches the weights: few tokens have them from memory.
#define FETCH6(src)    PREFETCHT0 (BLOCKTILES*256)src; FMA6(src)
#define FETCH0(off, p) PREFETCHT0 (off+BLOCKTILES*TILE)(p); W0(off, p)
#define FETCH2(off, p) PREFETCHT0 (off+BLOCKTILES*TILE+64)(p); W2(off, p)

#define LOAD4(off) \
	VMOVUPS off+0(R12), Y0;   \
	VMOVUPS off+32(R12), Y1;  \
	VMOVUPS off+256(R12), Y2; \
	VMOVUPS off+288(R12), Y3; \
	VMOVUPS off+512(R12), Y4; \
	VMOVUPS off+544(R12), Y5; \
	VMOVUPS off+768(R12), Y6; \
	VMOVUPS off+800(R12), Y7

#define LOAD5(off) LOAD4(off); VMOVUPS off+1024(R12), Y8; VMOVUPS off+1056(R12), Y9
#define LOAD6(off) LOAD5(off); VMOVUPS off+1280(R12), Y10; VMOVUPS off+1312(R12), Y11

#define KEEP4(off) \
	VMOVUPS Y0, off+0(R12);   \
	VMOVUPS Y1, off+32(R12);  \
	VMOVUPS Y2, off+256(R12); \
	VMOVUPS Y3, off+288(R12); \
	VMOVUPS Y4, off+512(R12); \
	VMOVUPS Y5, off+544(R12); \
	VMOVUPS Y6, off+768(R12); \
	VMOVUPS Y7, off+800(R12)

#define KEEP5(off) KEEP4(off); VMOVUPS Y8, off+1024(R12); VMOVUPS Y9, off+1056(R12)
#define KEEP6(off) KEEP5(off); VMOVUPS Y10, off+1280(R12); VMOVUPS Y11, off+1312(R12)

// CHAIN adds one k of each tile of the block, the weights by w, the activations from R9 on, to the sums at off: two tiles a turn,
// which begins with the second one where their number is odd. R8 = the second tile.
#define CHAIN(loop, second, w, off, load, fma, keep) \
	load(off);            \
	LEAQ TILE(SI), R8;    \
	MOVQ CX, R13;         \
	BTL  $0, R13;         \
	JCC  loop;            \
	MOVQ SI, R8;          \
	SUBQ BX, R9;          \
	SUBQ BX, R9;          \
	SUBQ BX, R9;          \
	SUBQ BX, R9;          \
	JMP  second;          \
loop:                  \
	w(-TILE, R8);         \
	fma((R9));            \
second:                \
	w(0, R8);             \
	fma((R9)(BX*4));      \
	ADDQ $(2*TILE), R8;   \
	LEAQ (R9)(BX*8), R9;  \
	SUBQ $2, R13;         \
	JGT  loop;            \
	keep(off)

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
	MOVQ    AX, TOKENS(SP)

group: // as few groups as can be, of sizes as equal as can be: 16 tokens are 6, 5 and 5
	MOVQ TOKENS(SP), R13
	MOVQ R11, R9
	MOVL $(1<<6|1<<11|1<<12|1<<16), R8
	BTL  R13, R8
	JCS  six
	MOVL $(1<<1|1<<2|1<<3|1<<4|1<<7|1<<8), R8
	BTL  R13, R8
	JCS  four
	CHAIN(five0, five0b, W0, 0, LOAD5, FMA5, KEEP5)
	LEAQ (R11)(BX*1), R9
	CHAIN(five1, five1b, W1, 64, LOAD5, FMA5, KEEP5)
	LEAQ (R11)(BX*2), R9
	CHAIN(five2, five2b, W2, 128, LOAD5, FMA5, KEEP5)
	LEAQ (R11)(R10*1), R9
	CHAIN(five3, five3b, W3, 192, LOAD5, FMA5, KEEP5)
	ADDQ $20, R11
	ADDQ $1280, R12
	SUBQ $5, TOKENS(SP)
	JGT  group
	JMP  next

six:
	CHAIN(six0, six0b, FETCH0, 0, LOAD6, FETCH6, KEEP6)
	LEAQ (R11)(BX*1), R9
	CHAIN(six1, six1b, W1, 64, LOAD6, FETCH6, KEEP6)
	LEAQ (R11)(BX*2), R9
	CHAIN(six2, six2b, FETCH2, 128, LOAD6, FETCH6, KEEP6)
	LEAQ (R11)(R10*1), R9
	CHAIN(six3, six3b, W3, 192, LOAD6, FETCH6, KEEP6)
	ADDQ $24, R11
	ADDQ $1536, R12
	SUBQ $6, TOKENS(SP)
	JGT  group
	JMP  next

four:
	CHAIN(four0, four0b, FETCH0, 0, LOAD4, FMA4, KEEP4)
	LEAQ (R11)(BX*1), R9
	CHAIN(four1, four1b, W1, 64, LOAD4, FMA4, KEEP4)
	LEAQ (R11)(BX*2), R9
	CHAIN(four2, four2b, FETCH2, 128, LOAD4, FMA4, KEEP4)
	LEAQ (R11)(R10*1), R9
	CHAIN(four3, four3b, W3, 192, LOAD4, FMA4, KEEP4)
	ADDQ $16, R11
	ADDQ $1024, R12
	SUBQ $4, TOKENS(SP)
	JGT  group

next:
	LEAQ  -TILE(R8), SI // the last pass ended where the next block begins
	IMULQ BX, CX
	LEAQ  (DX)(CX*4), DX
	CMPQ  LEFT(SP), $0
	JNE   block
	MOVQ  SP, R12
	MOVQ  outStride+8(FP), R13

result:
	VMOVUPS (R12), Y0
	VMOVUPS 32(R12), Y1
	VADDPS  64(R12), Y0, Y0
	VADDPS  96(R12), Y1, Y1
	VMOVUPS 128(R12), Y2
	VMOVUPS 160(R12), Y3
	VADDPS  192(R12), Y2, Y2
	VADDPS  224(R12), Y3, Y3
	VADDPS  Y2, Y0, Y0
	VADDPS  Y3, Y1, Y1
	STORE(Y0, Y1)
	ADDQ    $256, R12
	JMP     result

two:
	START

two01:  // Y0-Y3 = k mod 4 = 0, Y4-Y7 = 1, each token 0 and token 1
	W0(0, R8)
	FMA(0(R9), Y0, Y1)
	FMA(4(R9), Y2, Y3)
	W1(0, R8)
	FMA(0(R9)(BX*1), Y4, Y5)
	FMA(4(R9)(BX*1), Y6, Y7)
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
	W2(0, R8)
	FMA(0(R9)(BX*2), Y0, Y1)
	FMA(4(R9)(BX*2), Y2, Y3)
	W3(0, R8)
	FMA(0(R9)(R10*1), Y4, Y5)
	FMA(4(R9)(R10*1), Y6, Y7)
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
	W0(0, R8)
	FMA(0(R9), Y0, Y1)
	W1(0, R8)
	FMA(4(R9), Y2, Y3)
	W2(0, R8)
	FMA(8(R9), Y4, Y5)
	W3(0, R8)
	FMA(12(R9), Y6, Y7)
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
