//go:build !noasm

#include "textflag.h"
#include "mul_w8c_avx2_amd64.h"

// Sixteen columns, as bounded.go explains: within a block of 16 k, u = w + offset is unsigned, and where the block's bounds say
// that no pair of products leaves 16 bits and that no sum of eight true products does, the four tiles are summed in 16 bits,
// modulo 2^16, from -offset times the sum of the activations, and widened once.

// BLOCK loads the four tiles at SI plus the offset: tile i is Y(2i), rows 0-7, and Y(2i+1), rows 8-15. Y9 = -offset in each 16 bits.
#define BLOCK \
	VPBROADCASTB (R8), Y9;        \
	VPADDB       (SI), Y9, Y0;    \
	VPADDB       32(SI), Y9, Y1;  \
	VPADDB       64(SI), Y9, Y2;  \
	VPADDB       96(SI), Y9, Y3;  \
	VPADDB       128(SI), Y9, Y4; \
	VPADDB       160(SI), Y9, Y5; \
	VPADDB       192(SI), Y9, Y6; \
	VPADDB       224(SI), Y9, Y7; \
	VPBROADCASTW 2(R8), Y9

// TILE adds a tile, in lo and hi, times the activations at off(R12), to the sums in Y11 and Y12.
#define TILE(off, lo, hi) \
	VPBROADCASTD off(R12), Y10;  \
	VPMADDUBSW   Y10, lo, Y13;   \
	VPMADDUBSW   Y10, hi, Y14;   \
	VPADDW       Y13, Y11, Y11;  \
	VPADDW       Y14, Y12, Y12

// TOKEN adds the block times token t of four, whose sums of activations are at (DI), to its sums at (BX). Y15 = 1 in each 16 bits.
#define TOKEN(t) \
	VPBROADCASTD 4*t(DI), Y12;         \
	VPBROADCASTD 4*t(R12), Y10;        \
	VPMULLW      Y9, Y12, Y12;         \
	VPMADDUBSW   Y10, Y0, Y13;         \
	VPMADDUBSW   Y10, Y1, Y14;         \
	VPADDW       Y13, Y12, Y11;        \
	VPADDW       Y14, Y12, Y12;        \
	TILE(64+4*t, Y2, Y3);              \
	TILE(128+4*t, Y4, Y5);             \
	TILE(192+4*t, Y6, Y7);             \
	VPMADDWD     Y15, Y11, Y11;        \
	VPMADDWD     Y15, Y12, Y12;        \
	VPADDD       64*t(BX), Y11, Y11;   \
	VPADDD       32+64*t(BX), Y12, Y12; \
	VMOVDQU      Y11, 64*t(BX);        \
	VMOVDQU      Y12, 32+64*t(BX)

// SLOWTILE adds the tile at off(SI) times four tokens to Y0-Y7.
#define SLOWTILE(off) \
	WEIGHTS(off, SI);         \
	SIGNED(off, Y0, Y1);      \
	SIGNED(off+4, Y2, Y3);    \
	SIGNED(off+8, Y4, Y5);    \
	SIGNED(off+12, Y6, Y7)

#define TOKENFOURS  0 // (SP): number of fours of tokens
#define ACTIVATIONS 8 // the panel's block

// What mulW8CAVX2 computes, with panels of 16 columns and k4 = 4*k16. As many lines of ahead as lines says are fetched into the second-level
// cache in each block.
//
// SI = block of weights, R8 = its bounds, R12 = activations and DI = bounds of four tokens in it, DX = bounds of the panel's block;
// R9 = sums of all tokens, int32 [16 tokens][16 rows], aligned; BX = those of the four. R10, R11 = spread and square of the block.
//
// func mulBoundedAVX2(out *float32, outStride int, w *byte, wScale *float32, strip *StripBlock, panel *uint8, blocks *PanelBlock, k16 int, aScale *float32, tokens int, ahead *byte, lines int)
TEXT ·mulBoundedAVX2(SB), 0, $1104-96
	MOVQ     w+16(FP), SI
	MOVQ     strip+32(FP), R8
	MOVQ     panel+40(FP), R12
	MOVQ     blocks+48(FP), DX
	MOVQ     k16+56(FP), CX
	MOVQ     tokens+72(FP), AX
	LEAQ     16+63(SP), R9
	ANDQ     $~63, R9
	ADDQ     $3, AX
	SHRQ     $2, AX
	MOVQ     AX, TOKENFOURS(SP)
	MOVQ     R12, ACTIVATIONS(SP)
	VPCMPEQW Y15, Y15, Y15
	VPABSW   Y15, Y15
	VPXOR    Y0, Y0, Y0
	MOVQ     $1024, AX

zero:
	SUBQ    $64, AX
	VMOVDQU Y0, (R9)(AX*1)
	VMOVDQU Y0, 32(R9)(AX*1)
	JNZ     zero

block:
	MOVQ ahead+80(FP), AX
	MOVQ lines+88(FP), R10

fetch:
	PREFETCHT1 (AX)
	ADDQ       $64, AX
	DECQ       R10
	JNZ        fetch
	MOVQ       AX, ahead+80(FP)
	BLOCK
	MOVWLZX 4(R8), R10
	MOVWLZX 6(R8), R11
	MOVQ    R9, BX
	MOVQ    DX, DI
	MOVQ    TOKENFOURS(SP), R13

four:
	MOVWLZX 16(DI), AX
	IMULL   R10, AX
	CMPL    AX, $32767
	JHI     slow
	MOVWLZX 18(DI), AX
	IMULQ   R11, AX
	CMPQ    AX, $268419072
	JHI     slow
	TOKEN(0)
	TOKEN(1)
	TOKEN(2)
	TOKEN(3)

next:
	ADDQ $256, BX
	ADDQ $20, DI
	ADDQ $16, R12
	DECQ R13
	JNZ  four
	ADDQ $256, SI
	ADDQ $80, DX
	ADDQ $8, R8
	MOVQ ACTIVATIONS(SP), R12
	ADDQ $256, R12
	MOVQ R12, ACTIVATIONS(SP)
	DECQ CX
	JNZ  block

	MOVQ    out+0(FP), DI
	MOVQ    outStride+8(FP), DX
	SHLQ    $2, DX
	MOVQ    wScale+24(FP), SI
	MOVQ    aScale+64(FP), R8
	MOVQ    tokens+72(FP), AX
	VMOVUPS (SI), Y0
	VMOVUPS 32(SI), Y1

result:
	VBROADCASTSS (R8), Y4
	VCVTDQ2PS    (R9), Y2
	VCVTDQ2PS    32(R9), Y3
	VMULPS       Y4, Y2, Y2
	VMULPS       Y4, Y3, Y3
	VMULPS       Y0, Y2, Y2
	VMULPS       Y1, Y3, Y3
	VMOVUPS      Y2, (DI)
	VMOVUPS      Y3, 32(DI)
	ADDQ         $4, R8
	ADDQ         $64, R9
	ADDQ         DX, DI
	DECQ         AX
	JNZ          result
	VZEROUPPER
	RET

slow: // four tokens of a block whose numbers are too large
	VMOVDQU (BX), Y0
	VMOVDQU 32(BX), Y1
	VMOVDQU 64(BX), Y2
	VMOVDQU 96(BX), Y3
	VMOVDQU 128(BX), Y4
	VMOVDQU 160(BX), Y5
	VMOVDQU 192(BX), Y6
	VMOVDQU 224(BX), Y7
	SLOWTILE(0)
	SLOWTILE(64)
	SLOWTILE(128)
	SLOWTILE(192)
	VMOVDQU Y0, (BX)
	VMOVDQU Y1, 32(BX)
	VMOVDQU Y2, 64(BX)
	VMOVDQU Y3, 96(BX)
	VMOVDQU Y4, 128(BX)
	VMOVDQU Y5, 160(BX)
	VMOVDQU Y6, 192(BX)
	VMOVDQU Y7, 224(BX)
	BLOCK
	JMP     next

// SQUARES takes 32 weights at off(SI) into the least in Y8, the largest in Y9 and half of the sums of squares in q.
#define SQUARES(off, q) \
	VMOVDQU    off(SI), Y0; \
	VPMINSB    Y0, Y8, Y8;  \
	VPMAXSB    Y0, Y9, Y9;  \
	VPABSB     Y0, Y0;      \
	VPMADDUBSW Y0, Y0, Y0;  \
	VPAVGW     Y15, Y0, Y0; \
	VPADDW     Y0, q, q

// func boundStripAVX2(blocks *StripBlock, w *byte, k16 int) (spread, square int)
TEXT ·boundStripAVX2(SB), NOSPLIT, $0-40
	MOVQ     blocks+0(FP), DI
	MOVQ     w+8(FP), SI
	MOVQ     k16+16(FP), CX
	XORQ     R8, R8           // R8, R9 = sums of spreads and squares
	XORQ     R9, R9
	VPXOR    Y15, Y15, Y15
	VPCMPEQB Y14, Y14, Y14
	VPSRLW   $9, Y14, Y13
	VPACKUSWB Y13, Y13, Y13   // Y13 = 127 in each byte
	VPXOR    Y13, Y14, Y12    // Y12 = 128 in each byte

block:
	VPXOR        Y8, Y8, Y8
	VPXOR        Y9, Y9, Y9
	VPXOR        Y10, Y10, Y10
	VPXOR        Y11, Y11, Y11
	SQUARES(0, Y10)
	SQUARES(32, Y11)
	SQUARES(64, Y10)
	SQUARES(96, Y11)
	SQUARES(128, Y10)
	SQUARES(160, Y11)
	SQUARES(192, Y10)
	SQUARES(224, Y11)
	VEXTRACTI128 $1, Y8, X0
	VPMINSB      X0, X8, X8
	VPXOR        X12, X8, X8     // least + 128, unsigned
	VPSRLW       $8, X8, X0
	VPMINUB      X0, X8, X8      // 16 bits each, of two bytes
	VPHMINPOSUW  X8, X8
	VMOVD        X8, AX
	MOVWLZX      AX, AX
	MOVL         $128, R10
	SUBL         AX, R10         // R10 = offset = -least
	VEXTRACTI128 $1, Y9, X0
	VPMAXSB      X0, X9, X9
	VPXOR        X13, X9, X9     // 127 - largest
	VPSRLW       $8, X9, X0
	VPMINUB      X0, X9, X9
	VPHMINPOSUW  X9, X9
	VMOVD        X9, AX
	MOVWLZX      AX, AX
	MOVL         $127, R11
	SUBL         AX, R11
	ADDL         R10, R11        // R11 = spread = largest - least
	CMPL         R10, $128
	JNE          whole
	MOVL         $65535, R11     // the square of -128 was taken for one of a signed byte

whole:
	VPMAXUW      Y11, Y10, Y10
	VEXTRACTI128 $1, Y10, X0
	VPMAXUW      X0, X10, X10
	VPXOR        X14, X10, X10
	VPHMINPOSUW  X10, X10
	VMOVD        X10, AX
	NOTL         AX
	MOVWLZX      AX, AX
	MOVB         R10, (DI)
	NEGL         R10
	MOVW         R10, 2(DI)
	MOVW         R11, 4(DI)
	MOVW         AX, 6(DI)
	ADDQ         R11, R8
	ADDQ         AX, R9
	ADDQ         $8, DI
	ADDQ         $256, SI
	DECQ         CX
	JNZ          block
	MOVQ         R8, spread+24(FP)
	MOVQ         R9, square+32(FP)
	VZEROUPPER
	RET

// EIGHT takes 4 k of eight tokens at off(SI) into their sums in Y10, the pairs' largest in Y11, half of the sums of squares in Y12.
#define EIGHT(off) \
	VMOVDQU    off(SI), Y0;   \
	VPMAXSB    Y15, Y0, Y1;   \
	VPMINSB    Y15, Y0, Y2;   \
	VPMADDUBSW Y1, Y13, Y1;   \
	VPMADDUBSW Y2, Y13, Y2;   \
	VPADDW     Y1, Y10, Y10;  \
	VPADDW     Y2, Y10, Y10;  \
	VPSUBW     Y2, Y15, Y2;   \
	VPMAXSW    Y1, Y11, Y11;  \
	VPMAXSW    Y2, Y11, Y11;  \
	VPABSB     Y0, Y0;        \
	VPMADDUBSW Y0, Y0, Y0;    \
	VPAVGW     Y15, Y0, Y0;   \
	VPADDW     Y0, Y12, Y12

// LARGEST writes the largest of the complements in x to off(DI) and adds it to sum.
#define LARGEST(x, off, sum) \
	VPHMINPOSUW x, X0;       \
	VMOVD       X0, AX;      \
	NOTL        AX;          \
	MOVWLZX     AX, AX;      \
	MOVW        AX, off(DI); \
	ADDQ        AX, sum

// FOURS makes the bounds, at DI, of two times four tokens whose activations begin at off(SI).
#define FOURS(off) \
	VPXOR        Y10, Y10, Y10;   \
	VPXOR        Y11, Y11, Y11;   \
	VPXOR        Y12, Y12, Y12;   \
	EIGHT(off);                   \
	EIGHT(64+off);                \
	EIGHT(128+off);               \
	EIGHT(192+off);               \
	VMOVDQU      X10, (DI);       \
	VEXTRACTI128 $1, Y10, 20(DI); \
	VPXOR        Y14, Y11, Y11;   \
	VPXOR        Y14, Y12, Y12;   \
	LARGEST(X11, 16, R8);         \
	LARGEST(X12, 18, R9);         \
	VEXTRACTI128 $1, Y11, X11;    \
	VEXTRACTI128 $1, Y12, X12;    \
	LARGEST(X11, 36, R8);         \
	LARGEST(X12, 38, R9);         \
	ADDQ         $40, DI

// func boundPanelAVX2(blocks *PanelBlock, panel *uint8, k16 int) (pair, square int)
TEXT ·boundPanelAVX2(SB), NOSPLIT, $0-40
	MOVQ      blocks+0(FP), DI
	MOVQ      panel+8(FP), SI
	MOVQ      k16+16(FP), CX
	XORQ      R8, R8           // R8, R9 = sums of pairs and squares
	XORQ      R9, R9
	VPXOR     Y15, Y15, Y15
	VPCMPEQB  Y14, Y14, Y14
	VPABSB    Y14, Y13         // Y13 = 1 in each byte

block:
	FOURS(0)
	FOURS(32)
	ADDQ $256, SI
	DECQ CX
	JNZ  block
	MOVQ R8, pair+24(FP)
	MOVQ R9, square+32(FP)
	VZEROUPPER
	RET
