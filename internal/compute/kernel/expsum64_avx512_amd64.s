//go:build !noasm

#include "textflag.h"
#include "expsum64_amd64.h"

// As expSum64Ref, 8 elements at a time.
//
// func expSum64AVX512(x []float32, max float32) float64
TEXT ·expSum64AVX512(SB), NOSPLIT, $0-40
	MOVQ         x_base+0(FP), SI
	MOVQ         x_len+8(FP), CX
	VXORPD       X8, X8, X8
	VCVTSS2SD    max+24(FP), X8, X8
	VBROADCASTSD X8, Z8
	VBROADCASTSD ·wide+0(SB), Z16   // log2 e
	VBROADCASTSD ·wide+8(SB), Z17   // what rounds
	VBROADCASTSD ·wide+16(SB), Z18  // ln 2
	VBROADCASTSD ·wide+24(SB), Z19
	VBROADCASTSD ·wide+32(SB), Z20  // 1/11! and so on
	VBROADCASTSD ·wide+40(SB), Z21
	VBROADCASTSD ·wide+48(SB), Z22
	VBROADCASTSD ·wide+56(SB), Z23
	VBROADCASTSD ·wide+64(SB), Z24
	VBROADCASTSD ·wide+72(SB), Z25
	VBROADCASTSD ·wide+80(SB), Z26
	VBROADCASTSD ·wide+88(SB), Z27
	VBROADCASTSD ·wide+96(SB), Z28
	VBROADCASTSD ·wide+104(SB), Z29
	VBROADCASTSD ·wide+112(SB), Z9
	VBROADCASTSD ·wide+120(SB), Z10
	VBROADCASTSD ·wide+128(SB), Z30 // the least exponent
	MOVL         $1023, AX
	VPBROADCASTQ AX, Z31
	VPXORQ       Z0, Z0, Z0         // Z0 = 8 lanes
	SHRQ         $3, CX             // CX = blocks of 8 left
	JZ           sum

block:
	VCVTPS2PD    (SI), Z2
	VSUBPD       Z8, Z2, Z2
	VCMPPD       $29, Z30, Z2, K1 // not below the least
	VMULPD       Z16, Z2, Z3
	VADDPD       Z17, Z3, Z3      // n in the lowest bits
	VSUBPD       Z17, Z3, Z4      // n
	VFNMADD231PD Z18, Z4, Z2
	VFNMADD231PD Z19, Z4, Z2      // r
	VMOVAPD      Z20, Z5
	VFMADD213PD  Z21, Z2, Z5
	VFMADD213PD  Z22, Z2, Z5
	VFMADD213PD  Z23, Z2, Z5
	VFMADD213PD  Z24, Z2, Z5
	VFMADD213PD  Z25, Z2, Z5
	VFMADD213PD  Z26, Z2, Z5
	VFMADD213PD  Z27, Z2, Z5
	VFMADD213PD  Z28, Z2, Z5
	VFMADD213PD  Z29, Z2, Z5
	VFMADD213PD  Z9, Z2, Z5
	VFMADD213PD  Z10, Z2, Z5
	VPADDQ       Z31, Z3, Z3
	VPSLLQ       $52, Z3, Z3      // 2^n
	VMULPD       Z3, Z5, Z5
	VADDPD       Z5, Z0, K1, Z0
	ADDQ         $32, SI
	DECQ         CX
	JNZ          block

sum:
	VEXTRACTF64X4 $1, Z0, Y1
	REDUCE64
	VMOVSD        X0, ret+32(FP)
	VZEROUPPER
	RET
