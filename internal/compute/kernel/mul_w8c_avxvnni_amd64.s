//go:build !noasm

#include "textflag.h"
#include "vnni_vex_amd64.h"

// TOKEN adds the tile in Y12 and Y13 times the token at off(R12) to the sums in the registers numbered lo and hi.
#define TOKEN(off, lo, hi) \
	VPBROADCASTD off(R12), Y14; \
	VPDPBUSD_VEX(12, 14, lo);   \
	VPDPBUSD_VEX(13, 14, hi)

// NEXT moves to the next tile.
#define NEXT \
	ADDQ $64, R11; \
	ADDQ BX, R12;  \
	DECQ R13

// STORE writes one token's results, sums in lo and hi, and ends the function after the last token.
#define STORE(lo, hi) \
	VPSUBD       0(SP), lo, lo;   \
	VPSUBD       32(SP), hi, hi;  \
	VCVTDQ2PS    lo, lo;          \
	VCVTDQ2PS    hi, hi;          \
	VBROADCASTSS (R8), Y12;       \
	VMULPS       Y12, lo, lo;     \
	VMULPS       Y12, hi, hi;     \
	VMULPS       (R10), lo, lo;   \
	VMULPS       32(R10), hi, hi; \
	VMOVUPS      lo, (DI);        \
	VMOVUPS      hi, 32(DI);      \
	ADDQ         $4, R8;          \
	ADDQ         R9, DI;          \
	DECQ         AX;              \
	JZ           done

// for t := range tokens { for r := range 16 {
//	for k := range 4*k4 { sum += int32(int8(w[64*(k/4)+4*r+k%4])) * int32(panel[4*(k/4*width+t)+k%4]) }
//	out[t*outStride+r] = (float32(sum-128*wSum[r])*aScale[t])*wScale[r] } }
//
// func mulW8CAVXVNNI(out *float32, outStride int, w *byte, wScale *float32, wSum *int32, panel *uint8, width, k4 int, aScale *float32, tokens int)
TEXT ·mulW8CAVXVNNI(SB), NOSPLIT, $64-80
	MOVQ    out+0(FP), DI
	MOVQ    outStride+8(FP), R9
	SHLQ    $2, R9              // R9 = bytes from one token's results to the next
	MOVQ    w+16(FP), SI
	MOVQ    wScale+24(FP), R10
	MOVQ    wSum+32(FP), R11
	MOVQ    panel+40(FP), DX
	MOVQ    width+48(FP), BX
	SHLQ    $2, BX              // BX = bytes from one tile's activations to the next
	MOVQ    k4+56(FP), CX
	MOVQ    aScale+64(FP), R8
	MOVQ    tokens+72(FP), AX   // AX = tokens to store
	VMOVDQU (R11), Y0
	VMOVDQU 32(R11), Y1
	VPSLLD  $7, Y0, Y0
	VPSLLD  $7, Y1, Y1
	VMOVDQU Y0, 0(SP)           // 0(SP) = 128 x sum of each row: the share of the activations' bias
	VMOVDQU Y1, 32(SP)

group:  // up to six tokens: their twelve sums keep two multipliers of five cycles busy
	MOVQ  SI, R11       // R11 = tile
	MOVQ  DX, R12       // R12 = its activations of the group
	MOVQ  CX, R13       // R13 = tiles left
	VPXOR Y0, Y0, Y0    // Y(2t), Y(2t+1) = sums of token t, rows 0-7 and 8-15
	VPXOR Y1, Y1, Y1
	VPXOR Y2, Y2, Y2
	VPXOR Y3, Y3, Y3
	VPXOR Y4, Y4, Y4
	VPXOR Y5, Y5, Y5
	VPXOR Y6, Y6, Y6
	VPXOR Y7, Y7, Y7
	VPXOR Y8, Y8, Y8
	VPXOR Y9, Y9, Y9
	VPXOR Y10, Y10, Y10
	VPXOR Y11, Y11, Y11
	CMPQ  BX, $8
	JCS   one
	JEQ   two
	CMPQ  BX, $64
	JNE   four
	CMPQ  AX, $4
	JLS   four          // the last four columns are no six

six:
	VMOVDQU (R11), Y12
	VMOVDQU 32(R11), Y13
	TOKEN(0, 0, 1)
	TOKEN(4, 2, 3)
	TOKEN(8, 4, 5)
	TOKEN(12, 6, 7)
	TOKEN(16, 8, 9)
	TOKEN(20, 10, 11)
	NEXT
	JNZ     six
	STORE(Y0, Y1)
	STORE(Y2, Y3)
	STORE(Y4, Y5)
	STORE(Y6, Y7)
	STORE(Y8, Y9)
	STORE(Y10, Y11)
	ADDQ    $24, DX      // the next six tokens
	JMP     group

four:
	VMOVDQU (R11), Y12
	VMOVDQU 32(R11), Y13
	TOKEN(0, 0, 1)
	TOKEN(4, 2, 3)
	TOKEN(8, 4, 5)
	TOKEN(12, 6, 7)
	NEXT
	JNZ     four
	JMP     store

two:
	VMOVDQU (R11), Y12
	VMOVDQU 32(R11), Y13
	TOKEN(0, 0, 1)
	TOKEN(4, 2, 3)
	NEXT
	JNZ     two
	JMP     store

one:  // two tiles at a time into two pairs of sums, since one product waits five cycles for the one before
	SHRQ    $1, R13
	JCC     pairs
	VMOVDQU (R11), Y12
	VMOVDQU 32(R11), Y13
	TOKEN(0, 0, 1)
	ADDQ    $64, R11
	ADDQ    $4, R12

pairs:
	TESTQ R13, R13 // R13 = pairs of tiles left
	JZ    store1

pair:
	VMOVDQU (R11), Y12
	VMOVDQU 32(R11), Y13
	TOKEN(0, 0, 1)
	VMOVDQU 64(R11), Y12
	VMOVDQU 96(R11), Y13
	TOKEN(4, 2, 3)
	ADDQ    $128, R11
	ADDQ    $8, R12
	DECQ    R13
	JNZ     pair

store1:
	VPADDD Y2, Y0, Y0
	VPADDD Y3, Y1, Y1

store:
	STORE(Y0, Y1)
	STORE(Y2, Y3)
	STORE(Y4, Y5)
	STORE(Y6, Y7)
	ADDQ $16, DX // the next four tokens
	JMP  group

done:
	VZEROUPPER
	RET
