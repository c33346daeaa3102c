// e^x and tanh of math.go on 16 floats, instruction by instruction.

// Z16 to Z31 hold the constants, in the order of the table.
#define LOG2E  Z16
#define LN2HI  Z17
#define LN2LO  Z18
#define EXPC0  Z19
#define EXPC1  Z20
#define EXPC2  Z21
#define EXPC3  Z22
#define EXPC4  Z23
#define EXPC5  Z24
#define EXPMIN Z25
#define ONE    Z26
#define TWO    Z27
#define FORTY  Z28
#define HALF   Z29
#define GELUC  Z30
#define GELUC3 Z31

#define CONSTANTS \
	VBROADCASTSS ·constants+0(SB), Z16;  \
	VBROADCASTSS ·constants+4(SB), Z17;  \
	VBROADCASTSS ·constants+8(SB), Z18;  \
	VBROADCASTSS ·constants+12(SB), Z19; \
	VBROADCASTSS ·constants+16(SB), Z20; \
	VBROADCASTSS ·constants+20(SB), Z21; \
	VBROADCASTSS ·constants+24(SB), Z22; \
	VBROADCASTSS ·constants+28(SB), Z23; \
	VBROADCASTSS ·constants+32(SB), Z24; \
	VBROADCASTSS ·constants+36(SB), Z25; \
	VBROADCASTSS ·constants+40(SB), Z26; \
	VBROADCASTSS ·constants+44(SB), Z27; \
	VBROADCASTSS ·constants+48(SB), Z28; \
	VBROADCASTSS ·constants+52(SB), Z29; \
	VBROADCASTSS ·constants+56(SB), Z30; \
	VBROADCASTSS ·constants+60(SB), Z31

// EXP2PARTS splits e^x into t * (1 + p), t a power of two. It changes x and Z7.
#define EXP2PARTS(x, t, p) \
	VMULPS       LOG2E, x, t; \
	VRNDSCALEPS  $8, t, t;    \ // n, half to even
	VFNMADD231PS LN2HI, t, x; \
	VFNMADD231PS LN2LO, t, x; \ // r
	VMOVAPS      EXPC0, p;    \
	VFMADD213PS  EXPC1, x, p; \
	VFMADD213PS  EXPC2, x, p; \
	VFMADD213PS  EXPC3, x, p; \
	VFMADD213PS  EXPC4, x, p; \
	VFMADD213PS  EXPC5, x, p; \
	VMULPS       x, x, Z7;    \
	VFMADD213PS  x, Z7, p;    \ // r*r*q + r
	VCVTPS2DQ    t, t;        \
	VPSLLD       $23, t, t;   \
	VPADDD       ONE, t, t    // (n + 127) << 23: 127 << 23 is the float 1

// TANH replaces x by tanh(x). s is the sign bit in every lane. It changes Z3 to Z7.
#define TANH(x, s) \
	VPANDD      s, x, Z3;      \ // sign
	VPANDND     x, s, Z4;      \
	VADDPS      Z4, Z4, Z4;    \
	VMINPS      Z4, FORTY, Z4; \ // z = 40 < 2|x| ? 40 : 2|x|; a NaN stays
	EXP2PARTS(Z4, Z5, x);      \
	VSUBPS      ONE, Z5, Z4;   \ // t - 1
	VFMADD213PS Z4, Z5, x;     \ // e^z - 1
	VADDPS      TWO, x, Z4;    \
	VDIVPS      Z4, x, x;      \
	VPORD       Z3, x, x
