//go:build !noasm

#include "textflag.h"

// TOKEN adds the tile in Z16 times the 4 activations at off(DX) to the 16 row sums in acc. The middle operand of VPDPBUSD
// is the unsigned one. The broadcast is a load without arithmetic, so the loop runs at the speed of VPDPBUSD alone.
#define TOKEN(off, tmp, acc) \
	VPBROADCASTD off(DX), tmp; \
	VPDPBUSD     Z16, tmp, acc

// AHEAD fetches weights into the second-level cache, where more of them can be under way than into the first. Loads by themselves
// reach far enough only where one token takes each tile.
#define AHEAD PREFETCHT1 8192(SI)

// STORE writes one token's results and ends the function after the last token: acc holds its sums.
#define STORE(acc) \
	VPSUBD      Z30, acc, acc;  \
	VCVTDQ2PS   acc, acc;       \
	VMULPS.BCST (R8), acc, acc; \
	VMULPS      Z31, acc, acc;  \
	VMOVUPS     acc, (DI);      \
	ADDQ        $4, R8;         \
	ADDQ        R9, DI;         \
	DECQ        AX;             \
	JZ          done

// for t := range tokens { for r := range 16 {
//	for k := range 4*k4 { sum += int32(int8(w[64*(k/4)+4*r+k%4])) * int32(panel[4*(k/4*width+t)+k%4]) }
//	out[t*outStride+r] = (float32(sum-128*wSum[r])*aScale[t])*wScale[r] } }
//
// func mulW8CAVX512VNNI(out *float32, outStride int, w *byte, wScale *float32, wSum *int32, panel *uint8, width, k4 int, aScale *float32, tokens int)
TEXT ·mulW8CAVX512VNNI(SB), NOSPLIT, $0-80
	MOVQ    out+0(FP), DI
	MOVQ    outStride+8(FP), R9
	SHLQ    $2, R9              // R9 = bytes from one token's results to the next
	MOVQ    w+16(FP), SI        // SI = next tile: 16 rows x 4 k
	MOVQ    wScale+24(FP), R10
	MOVQ    wSum+32(FP), R11
	MOVQ    panel+40(FP), DX    // DX = activations of the next tile: width x 4 k
	MOVQ    width+48(FP), BX
	MOVQ    k4+56(FP), CX       // CX = tiles left
	MOVQ    aScale+64(FP), R8
	MOVQ    tokens+72(FP), AX   // AX = tokens to store
	PREFETCHT0 64(R10)          // what the next strip wants of these: nothing else would fetch a line in 2 µs
	PREFETCHT0 64(R11)
	VMOVUPS (R10), Z31          // Z31 = scale of each row
	VPSLLD  $7, (R11), Z30      // Z30 = 128 x sum of each row: the share of the activations' bias
	VPXORD  Z0, Z0, Z0          // Zt = sums of token t
	VPXORD  Z1, Z1, Z1
	VPXORD  Z2, Z2, Z2
	VPXORD  Z3, Z3, Z3
	VPXORD  Z4, Z4, Z4
	VPXORD  Z5, Z5, Z5
	VPXORD  Z6, Z6, Z6
	VPXORD  Z7, Z7, Z7
	VPXORD  Z8, Z8, Z8
	VPXORD  Z9, Z9, Z9
	VPXORD  Z10, Z10, Z10
	VPXORD  Z11, Z11, Z11
	VPXORD  Z12, Z12, Z12
	VPXORD  Z13, Z13, Z13
	VPXORD  Z14, Z14, Z14
	VPXORD  Z15, Z15, Z15
	CMPQ    BX, $8
	JHI     width16
	JEQ     width8
	CMPQ    BX, $2
	JHI     width4
	JEQ     width2

	// Width 1: four tiles at a time into four sums, since one VPDPBUSD waits four cycles for the one before.
	SUBQ $4, CX
	JCS  width1rest

width1by4:
	VPBROADCASTD (DX), Z16
	VPBROADCASTD 4(DX), Z17
	VPBROADCASTD 8(DX), Z18
	VPBROADCASTD 12(DX), Z19
	VPDPBUSD     (SI), Z16, Z0
	VPDPBUSD     64(SI), Z17, Z1
	VPDPBUSD     128(SI), Z18, Z2
	VPDPBUSD     192(SI), Z19, Z3
	ADDQ         $256, SI
	ADDQ         $16, DX
	SUBQ         $4, CX
	JCC          width1by4

width1rest:
	ADDQ $4, CX    // CX = tiles left, 0 to 3
	JZ   width1sum

width1:
	VPBROADCASTD (DX), Z16
	VPDPBUSD     (SI), Z16, Z0
	ADDQ         $64, SI
	ADDQ         $4, DX
	DECQ         CX
	JNZ          width1

width1sum:
	VPADDD Z1, Z0, Z0
	VPADDD Z3, Z2, Z2
	VPADDD Z2, Z0, Z0
	JMP    store

width2:
	AHEAD
	VMOVDQU32 (SI), Z16
	TOKEN(0, Z17, Z0)
	TOKEN(4, Z18, Z1)
	ADDQ      $64, SI
	ADDQ      $8, DX
	DECQ      CX
	JNZ       width2
	JMP       store

width4:
	AHEAD
	VMOVDQU32 (SI), Z16
	TOKEN(0, Z17, Z0)
	TOKEN(4, Z18, Z1)
	TOKEN(8, Z19, Z2)
	TOKEN(12, Z20, Z3)
	ADDQ      $64, SI
	ADDQ      $16, DX
	DECQ      CX
	JNZ       width4
	JMP       store

width8:
	AHEAD
	VMOVDQU32 (SI), Z16
	TOKEN(0, Z17, Z0)
	TOKEN(4, Z18, Z1)
	TOKEN(8, Z19, Z2)
	TOKEN(12, Z20, Z3)
	TOKEN(16, Z21, Z4)
	TOKEN(20, Z22, Z5)
	TOKEN(24, Z23, Z6)
	TOKEN(28, Z24, Z7)
	ADDQ      $64, SI
	ADDQ      $32, DX
	DECQ      CX
	JNZ       width8
	JMP       store

width16:
	AHEAD
	VMOVDQU32 (SI), Z16
	TOKEN(0, Z17, Z0)
	TOKEN(4, Z18, Z1)
	TOKEN(8, Z19, Z2)
	TOKEN(12, Z20, Z3)
	TOKEN(16, Z21, Z4)
	TOKEN(20, Z22, Z5)
	TOKEN(24, Z23, Z6)
	TOKEN(28, Z24, Z7)
	TOKEN(32, Z17, Z8)
	TOKEN(36, Z18, Z9)
	TOKEN(40, Z19, Z10)
	TOKEN(44, Z20, Z11)
	TOKEN(48, Z21, Z12)
	TOKEN(52, Z22, Z13)
	TOKEN(56, Z23, Z14)
	TOKEN(60, Z24, Z15)
	ADDQ      $64, SI
	ADDQ      $64, DX
	DECQ      CX
	JNZ       width16

store:
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

done:
	VZEROUPPER
	RET
