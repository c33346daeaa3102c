//go:build !noasm

#include "textflag.h"
#include "bf16_evex_amd64.h"

#define LOAD \
	VMOVDQU32 (R8), Z16;  \
	VMOVDQU32 64(R8), Z17

#define TOKEN(t, c0, n0, c1, n1) \
	VPBROADCASTD   (4*t)(R9), Z18;         \
	VPBROADCASTD   (4*t)(R9)(BX*1), Z19;   \
	VDPBF16PS_EVEX(18, 16, n0);            \
	VDPBF16PS_EVEX(19, 17, n1)

// As mulRoundedAVX2, with a panel of pairs: 32 bits at (pair*width+t), the odd k above the even k. VDPBF16PS itself takes
// subnormal weights as zeros.
//
// func mulRoundedAVX512BF16(out *float32, outStride int, w *byte, panel *float32, width, k4, tokens int)
TEXT ·mulRoundedAVX512BF16(SB), NOSPLIT, $0-56
	MOVQ out+0(FP), DI
	MOVQ w+16(FP), SI
	MOVQ panel+24(FP), DX
	MOVQ width+32(FP), R12
	SHLQ $2, R12
	MOVQ R12, BX
	LEAQ (R12*2), R10
	MOVQ k4+40(FP), CX
	MOVQ tokens+48(FP), AX

#include "mul_rounded_avx512_amd64.h"
