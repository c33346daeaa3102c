// The body of mulW8GAVX512VNNI and mulW4GAVX512VNNI, which define
//
//	SETUP  sets Z30 and R13: bytes from a step's words to the row that its sums begin with; BX = 4*width
//	TILES  loads 8 tiles as unsigned bytes to Z20-Z27 and moves SI beyond them
//	PAIR   loads 2 tiles to Z20 and Z21 and moves SI beyond them
//	AHEAD, AHEADPAIR  fetch what TILES, or PAIR, will load 8 KiB further on, into the second-level cache, where more lines can be
//	       under way than into the first; for one token, loads by themselves reach far enough
//
// A sum of unsigned weights begins with what makes it that of the signed ones (GroupPanel.Words). Activations are the signed
// operand, broadcast by VPDPBUSD itself. Steps of 32 columns are the fast way: their 8 tiles stay in registers for all
// tokens, four of which are summed at a time; each token has a float sum. Other steps take 8 tokens at a time.
//
// SI = weights, DX = activations, R12 = words of the next step; R10 = scales, R11 = minima or 0 of the next group;
// AX = steps until then; CX = steps left; Z28, Z29 = scales and minima of this group.

// SCALES loads the scales of the next group when it begins. Its arguments are labels.
#define SCALES(floats, have) \
	DECQ      AX;                    \
	JNZ       have;                  \
	MOVQ      groupSteps+88(FP), AX; \
	CMPQ      halves+40(FP), $0;     \
	JEQ       floats;                \
	VCVTPH2PS (R10), Z28;            \
	ADDQ      $32, R10;              \
	TESTQ     R11, R11;              \
	JZ        have;                  \
	VCVTPH2PS (R11), Z29;            \
	ADDQ      $32, R11;              \
	JMP       have;                  \
floats:                              \
	VMOVUPS   (R10), Z28;            \
	ADDQ      $64, R10;              \
	TESTQ     R11, R11;              \
	JZ        have;                  \
	VMOVUPS   (R11), Z29;            \
	ADDQ      $64, R11;              \
have:

// BEGIN begins the sum of the token at off.
#define BEGIN(off, acc) VPBROADCASTD (off)(R12)(R13*1), acc

// DOT adds a tile times the token whose activations are at off.
#define DOT(off, tile, acc) VPDPBUSD.BCST (off)(DX), tile, acc

// END adds the sum in acc to the float sum of the token at off.
#define END(off, acc, sum) \
	VCVTDQ2PS   acc, acc;              \
	VMULPS.BCST (off)(R12), Z28, Z31;  \
	VFMADD231PS Z31, acc, sum

// MIN adds the minima times the sum of the activations, in the words' second row.
#define MIN(off, W, sum) VFMADD231PS.BCST (4*W+off)(R12), Z29, sum

#define DOT2(off, tile) \
	DOT(off, tile, Z16);    \
	DOT(off+4, tile, Z17)

#define DOT4(off, tile) \
	DOT2(off, tile);        \
	DOT(off+8, tile, Z18);  \
	DOT(off+12, tile, Z19)

#define EIGHT(DOTS, off, W) \
	DOTS(off, Z20);      \
	DOTS(off+4*W, Z21);  \
	DOTS(off+8*W, Z22);  \
	DOTS(off+12*W, Z23); \
	DOTS(off+16*W, Z24); \
	DOTS(off+20*W, Z25); \
	DOTS(off+24*W, Z26); \
	DOTS(off+28*W, Z27)

// FOUR is one step of four tokens from off.
#define FOUR(off, W, a, b, c, d) \
	BEGIN(off, Z16);       \
	BEGIN(off+4, Z17);     \
	BEGIN(off+8, Z18);     \
	BEGIN(off+12, Z19);    \
	EIGHT(DOT4, off, W);   \
	END(off, Z16, a);      \
	END(off+4, Z17, b);    \
	END(off+8, Z18, c);    \
	END(off+12, Z19, d)

#define MIN4(off, W, a, b, c, d) \
	MIN(off, W, a);    \
	MIN(off+4, W, b);  \
	MIN(off+8, W, c);  \
	MIN(off+12, W, d)

// NEXT ends a step of 32 columns.
#define NEXT(W, loop) \
	ADDQ $(32*W), DX;  \
	ADDQ $(20*W), R12; \
	DECQ CX;           \
	JNZ  loop;         \
	JMP  store

// STORE writes one token's results and ends the function after the last token.
#define STORE(sum) \
	VMULPS.BCST (R8), sum, sum; \
	VMOVUPS     sum, (DI);      \
	ADDQ        $4, R8;         \
	ADDQ        R9, DI;         \
	DECQ        AX;             \
	JZ          done

	MOVQ   w+16(FP), SI
	MOVQ   scales+24(FP), R10
	MOVQ   mins+32(FP), R11
	MOVQ   panel+48(FP), DX
	MOVQ   words+56(FP), R12
	MOVQ   width+64(FP), BX
	SHLQ   $2, BX               // BX = bytes of a row of words, and of a tile's activations
	MOVQ   steps+72(FP), CX
	SETUP
	MOVQ   $1, AX
	VPXORD Z0, Z0, Z0           // Zt = float sums of token t
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
	CMPQ   stepTiles+80(FP), $8
	JNE    long
	CMPQ   BX, $32
	JHI    width16
	JEQ    width8
	CMPQ   BX, $8
	JHI    width4
	JEQ    width2

width1:
	SCALES(floats1, have1)
	TILES
	BEGIN(0, Z16)
	VPXORD Z17, Z17, Z17
	DOT(0, Z20, Z16)
	DOT(4, Z21, Z17)
	DOT(8, Z22, Z16)
	DOT(12, Z23, Z17)
	DOT(16, Z24, Z16)
	DOT(20, Z25, Z17)
	DOT(24, Z26, Z16)
	DOT(28, Z27, Z17)
	VPADDD Z17, Z16, Z16
	END(0, Z16, Z0)
	TESTQ  R11, R11
	JZ     next1
	MIN(0, 1, Z0)

next1:
	NEXT(1, width1)

width2:
	SCALES(floats2, have2)
	AHEAD
	TILES
	BEGIN(0, Z16)
	BEGIN(4, Z17)
	EIGHT(DOT2, 0, 2)
	END(0, Z16, Z0)
	END(4, Z17, Z1)
	TESTQ R11, R11
	JZ    next2
	MIN(0, 2, Z0)
	MIN(4, 2, Z1)

next2:
	NEXT(2, width2)

width4:
	SCALES(floats4, have4)
	AHEAD
	TILES
	FOUR(0, 4, Z0, Z1, Z2, Z3)
	TESTQ R11, R11
	JZ    next4
	MIN4(0, 4, Z0, Z1, Z2, Z3)

next4:
	NEXT(4, width4)

width8:
	SCALES(floats8, have8)
	AHEAD
	TILES
	FOUR(0, 8, Z0, Z1, Z2, Z3)
	FOUR(16, 8, Z4, Z5, Z6, Z7)
	TESTQ R11, R11
	JZ    next8
	MIN4(0, 8, Z0, Z1, Z2, Z3)
	MIN4(16, 8, Z4, Z5, Z6, Z7)

next8:
	NEXT(8, width8)

width16:
	SCALES(floats16, have16)
	AHEAD
	TILES
	FOUR(0, 16, Z0, Z1, Z2, Z3)
	FOUR(16, 16, Z4, Z5, Z6, Z7)
	FOUR(32, 16, Z8, Z9, Z10, Z11)
	FOUR(48, 16, Z12, Z13, Z14, Z15)
	TESTQ R11, R11
	JZ    next16
	MIN4(0, 16, Z0, Z1, Z2, Z3)
	MIN4(16, 16, Z4, Z5, Z6, Z7)
	MIN4(32, 16, Z8, Z9, Z10, Z11)
	MIN4(48, 16, Z12, Z13, Z14, Z15)

next16:
	NEXT(16, width16)

store:
	MOVQ out+0(FP), DI
	MOVQ outStride+8(FP), R9
	SHLQ $2, R9              // R9 = bytes from one token's results to the next
	MOVQ aScale+96(FP), R8
	MOVQ tokens+104(FP), AX
	STORE(Z0)
	STORE(Z1)
	STORE(Z2)
	STORE(Z3)
	STORE(Z4)
	STORE(Z5)
	STORE(Z6)
	STORE(Z7)
	STORE(Z8)
	STORE(Z9)
	STORE(Z10)
	STORE(Z11)
	STORE(Z12)
	STORE(Z13)
	STORE(Z14)
	STORE(Z15)

// Steps of other sizes: integer sums in Z16-Z19 and Z24-Z27, float sums in Z0-Z7; DI = pairs of tiles left in the step.
// Width 16 takes a second pass over the weights for tokens 8 to 15, whose float sums go to Z8-Z15: Z0-Z7 are exchanged.
#define LONG(DOTS, tiles) \
	MOVQ stepTiles+80(FP), DI; \
	SHRQ $1, DI;               \
tiles:                         \
	PAIR;                      \
	DOTS;                      \
	LEAQ (DX)(BX*2), DX;       \
	DECQ DI;                   \
	JNZ  tiles

// BOTH adds both tiles of a pair for the token at off.
#define BOTH(off, acc) \
	VPDPBUSD.BCST (off)(DX), Z20, acc;       \
	VPDPBUSD.BCST (off)(DX)(BX*1), Z21, acc

#define BOTH2 \
	BOTH(0, Z16); \
	BOTH(4, Z17)

#define BOTH4 \
	BOTH2;         \
	BOTH(8, Z18);  \
	BOTH(12, Z19)

#define BOTH8 \
	BOTH4;         \
	BOTH(16, Z24); \
	BOTH(20, Z25); \
	BOTH(24, Z26); \
	BOTH(28, Z27)

// MINIMUM is MIN for any width.
#define MINIMUM(off, sum) VFMADD231PS.BCST (off)(R12)(BX*1), Z29, sum

#define AFTER(loop) \
	LEAQ (BX)(BX*4), R9; \
	ADDQ R9, R12;        \
	DECQ CX;             \
	JNZ  loop

long:
	CMPQ BX, $8
	JCS  long1
	JEQ  long2
	CMPQ BX, $16
	JEQ  long4
	XORL R8, R8  // R8 = 1 in the second pass

long8:
	SCALES(floatsLong8, haveLong8)
	BEGIN(0, Z16)
	BEGIN(4, Z17)
	BEGIN(8, Z18)
	BEGIN(12, Z19)
	BEGIN(16, Z24)
	BEGIN(20, Z25)
	BEGIN(24, Z26)
	BEGIN(28, Z27)
	LONG(AHEADPAIR; BOTH8, tilesLong8)
	END(0, Z16, Z0)
	END(4, Z17, Z1)
	END(8, Z18, Z2)
	END(12, Z19, Z3)
	END(16, Z24, Z4)
	END(20, Z25, Z5)
	END(24, Z26, Z6)
	END(28, Z27, Z7)
	TESTQ R11, R11
	JZ    nextLong8
	MINIMUM(0, Z0)
	MINIMUM(4, Z1)
	MINIMUM(8, Z2)
	MINIMUM(12, Z3)
	MINIMUM(16, Z4)
	MINIMUM(20, Z5)
	MINIMUM(24, Z6)
	MINIMUM(28, Z7)

nextLong8:
	AFTER(long8)
	CMPQ   BX, $32
	JEQ    store
	VMOVAPS Z0, Z16 // exchange Z0-Z7 with Z8-Z15
	VMOVAPS Z1, Z17
	VMOVAPS Z2, Z18
	VMOVAPS Z3, Z19
	VMOVAPS Z4, Z24
	VMOVAPS Z5, Z25
	VMOVAPS Z6, Z26
	VMOVAPS Z7, Z27
	VMOVAPS Z8, Z0
	VMOVAPS Z9, Z1
	VMOVAPS Z10, Z2
	VMOVAPS Z11, Z3
	VMOVAPS Z12, Z4
	VMOVAPS Z13, Z5
	VMOVAPS Z14, Z6
	VMOVAPS Z15, Z7
	VMOVAPS Z16, Z8
	VMOVAPS Z17, Z9
	VMOVAPS Z18, Z10
	VMOVAPS Z19, Z11
	VMOVAPS Z24, Z12
	VMOVAPS Z25, Z13
	VMOVAPS Z26, Z14
	VMOVAPS Z27, Z15
	XORQ    $1, R8
	JZ      store
	MOVQ    w+16(FP), SI
	MOVQ    scales+24(FP), R10
	MOVQ    mins+32(FP), R11
	MOVQ    panel+48(FP), DX
	MOVQ    words+56(FP), R12
	MOVQ    steps+72(FP), CX
	ADDQ    $32, DX
	ADDQ    $32, R12
	MOVQ    $1, AX
	JMP     long8

long4:
	SCALES(floatsLong4, haveLong4)
	BEGIN(0, Z16)
	BEGIN(4, Z17)
	BEGIN(8, Z18)
	BEGIN(12, Z19)
	LONG(AHEADPAIR; BOTH4, tilesLong4)
	END(0, Z16, Z0)
	END(4, Z17, Z1)
	END(8, Z18, Z2)
	END(12, Z19, Z3)
	TESTQ R11, R11
	JZ    nextLong4
	MINIMUM(0, Z0)
	MINIMUM(4, Z1)
	MINIMUM(8, Z2)
	MINIMUM(12, Z3)

nextLong4:
	AFTER(long4)
	JMP store

long2:
	SCALES(floatsLong2, haveLong2)
	BEGIN(0, Z16)
	BEGIN(4, Z17)
	LONG(AHEADPAIR; BOTH2, tilesLong2)
	END(0, Z16, Z0)
	END(4, Z17, Z1)
	TESTQ R11, R11
	JZ    nextLong2
	MINIMUM(0, Z0)
	MINIMUM(4, Z1)

nextLong2:
	AFTER(long2)
	JMP store

long1:
	SCALES(floatsLong1, haveLong1)
	BEGIN(0, Z16)
	LONG(BOTH(0, Z16), tilesLong1)
	END(0, Z16, Z0)
	TESTQ R11, R11
	JZ    nextLong1
	MINIMUM(0, Z0)

nextLong1:
	AFTER(long1)
	JMP store

done:
	VZEROUPPER
	RET
