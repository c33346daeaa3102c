//go:build !noasm

#include "textflag.h"
#include "mul_w8c_avx2_amd64.h"

// Weights give their magnitudes and activations take the weight's sign: |w| <= 128, and -128 <= a <= 127 with ~a, keep a pair
// from -2*128*128 = -2^15 to 2*128*127, within VPMADDUBSW's 16 bits.
//
// The sign is taken in two ways. VPSIGNB does it in one instruction that competes with the multiplications. Groups of four
// tokens use ~a instead of -a where w < 0, an exclusive or with the mask of w < 0, and add the sum of the negative weights'
// magnitudes at the end: |w|*~a = w*a - |w|. That sum, wSum, is made once a strip, by negativeSumsAVX2.

// TOKEN adds a tile, magnitudes in Y8 and Y9, masks in Y10 and Y11, times ~a or a of the token at off(R12).
#define TOKEN(off, lo, hi) \
	VPBROADCASTD off(R12), Y12;    \
	VPXOR        Y10, Y12, Y13;    \
	VPXOR        Y11, Y12, Y14;    \
	MADD(Y8, Y9, Y13, Y14, lo, hi)

// STORE writes one token's results, sums in lo and hi, and ends the function after the last token.
#define STORE(lo, hi) \
	VPADDD       0(SP), lo, lo;   \
	VPADDD       32(SP), hi, hi;  \
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
//	for k := range 4*k4 { sum += int32(int8(w[64*(k/4)+4*r+k%4])) * int32(int8(panel[4*(k/4*width+t)+k%4])) }
//	out[t*outStride+r] = (float32(sum)*aScale[t])*wScale[r] } }
//
// func mulW8CAVX2(out *float32, outStride int, w *byte, wScale *float32, wSum *int32, panel *uint8, width, k4 int, aScale *float32, tokens int)
TEXT ·mulW8CAVX2(SB), NOSPLIT, $64-80
	MOVQ     out+0(FP), DI
	MOVQ     outStride+8(FP), R9
	SHLQ     $2, R9              // R9 = bytes from one token's results to the next
	MOVQ     w+16(FP), SI
	MOVQ     wScale+24(FP), R10
	MOVQ     panel+40(FP), DX
	MOVQ     width+48(FP), BX
	SHLQ     $2, BX              // BX = bytes from one tile's activations to the next
	MOVQ     k4+56(FP), CX
	MOVQ     CX, R14
	SHLQ     $6, R14             // R14 = bytes of the strip
	MOVQ     aScale+64(FP), R8
	MOVQ     tokens+72(FP), AX   // AX = tokens to store
	VPCMPEQW Y15, Y15, Y15
	VPABSW   Y15, Y15            // Y15 = 1 in each 16 bits
	VPXOR    Y0, Y0, Y0          // Y0, Y1 = magnitudes of the negative weights, for groups of four
	VPXOR    Y1, Y1, Y1
	CMPQ     BX, $8
	JLS      save
	MOVQ     wSum+32(FP), R11
	VMOVDQU  (R11), Y0
	VMOVDQU  32(R11), Y1

save:
	VMOVDQU Y0, 0(SP)
	VMOVDQU Y1, 32(SP)

group:
	MOVQ  SI, R11    // R11 = tile
	MOVQ  DX, R12    // R12 = its activations of the group
	MOVQ  CX, R13    // R13 = tiles left
	VPXOR Y0, Y0, Y0 // Y(2t), Y(2t+1) = sums of token t, rows 0-7 and 8-15
	VPXOR Y1, Y1, Y1
	VPXOR Y2, Y2, Y2
	VPXOR Y3, Y3, Y3
	VPXOR Y4, Y4, Y4
	VPXOR Y5, Y5, Y5
	VPXOR Y6, Y6, Y6
	VPXOR Y7, Y7, Y7
	CMPQ  BX, $8
	JCS   one
	JEQ   two

four:
	PREFETCHT1 (R11)(R14*1)    // what lies behind the strip is the next one
	VPXOR      Y12, Y12, Y12
	VPCMPGTB   (R11), Y12, Y10 // Y10, Y11 = mask of w < 0
	VPCMPGTB   32(R11), Y12, Y11
	VPABSB     (R11), Y8       // Y8, Y9 = |w|
	VPABSB     32(R11), Y9
	TOKEN(0, Y0, Y1)
	TOKEN(4, Y2, Y3)
	TOKEN(8, Y4, Y5)
	TOKEN(12, Y6, Y7)
	ADDQ     $64, R11
	ADDQ     BX, R12
	DECQ     R13
	JNZ      four
	JMP      store

two:
	PREFETCHT0 1024(R11) // from memory: as for one token
	WEIGHTS(0, R11)
	SIGNED(0, Y0, Y1)
	SIGNED(4, Y2, Y3)
	ADDQ $64, R11
	ADDQ $8, R12
	DECQ R13
	JNZ  two
	JMP  store

one:
	PREFETCHT0 1024(R11) // from memory: one token does too little with a line to hide its way
	WEIGHTS(0, R11)
	SIGNED(0, Y0, Y1)
	ADDQ $64, R11
	ADDQ $4, R12
	DECQ R13
	JNZ  one

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

// for i := range k4 { for r := range 16 { for j := range 4 { terms[r] -= min(0, int32(int8(w[64*i+4*r+j]))) } } }, from zero
//
// func negativeSumsAVX2(terms *int32, w *byte, k4 int, rowSum *int32)
TEXT ·negativeSumsAVX2(SB), NOSPLIT, $0-32
	MOVQ      terms+0(FP), DI
	MOVQ      w+8(FP), R11
	MOVQ      k4+16(FP), R13
	VPCMPEQW  Y15, Y15, Y15
	VPABSW    Y15, Y15       // Y15 = 1 in each 16 bits
	VPXOR     Y0, Y0, Y0     // Y0, Y1 = sum of the negative weights, below 0
	VPXOR     Y1, Y1, Y1
	VPXOR     Y2, Y2, Y2
	VPABSB    Y15, Y14
	VPACKSSWB Y14, Y14, Y14  // Y14 = 1 in each byte

negative:
	PREFETCHT0 1024(R11) // from memory: four tokens and more find the strip in the cache then
	VPMINSB (R11), Y2, Y10
	VPMINSB 32(R11), Y2, Y11
	MADD(Y14, Y14, Y10, Y11, Y0, Y1)
	ADDQ    $64, R11
	DECQ    R13
	JNZ     negative
	VPSUBD  Y0, Y2, Y0
	VPSUBD  Y1, Y2, Y1
	VMOVDQU Y0, (DI)
	VMOVDQU Y1, 32(DI)
	VZEROUPPER
	RET
