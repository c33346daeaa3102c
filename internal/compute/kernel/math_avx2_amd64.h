// e^x and tanh of math.go on 8 floats, instruction by instruction. Constants are loaded where they are used: a broadcast from
// memory is a load without arithmetic.

#define LOG2E  ·constants+0(SB)
#define LN2HI  ·constants+4(SB)
#define LN2LO  ·constants+8(SB)
#define EXPC0  ·constants+12(SB)
#define EXPC1  ·constants+16(SB)
#define EXPC2  ·constants+20(SB)
#define EXPC3  ·constants+24(SB)
#define EXPC4  ·constants+28(SB)
#define EXPC5  ·constants+32(SB)
#define EXPMIN ·constants+36(SB)
#define ONE    ·constants+40(SB)
#define TWO    ·constants+44(SB)
#define FORTY  ·constants+48(SB)
#define HALF   ·constants+52(SB)
#define GELUC  ·constants+56(SB)
#define GELUC3 ·constants+60(SB)

// HORNER is q = q*x + c, rounded once.
#define HORNER(c, x, q) \
	VBROADCASTSS c, Y6;   \
	VFMADD213PS  Y6, x, q

// EXP2PARTS splits e^x into t * (1 + p), t a power of two. It changes x and Y7 and leaves 1 in Y6.
#define EXP2PARTS(x, t, p) \
	VBROADCASTSS LOG2E, Y6; \
	VMULPS       Y6, x, t;  \
	VROUNDPS     $8, t, t;  \ // n, half to even
	VBROADCASTSS LN2HI, Y6; \
	VFNMADD231PS Y6, t, x;  \
	VBROADCASTSS LN2LO, Y6; \
	VFNMADD231PS Y6, t, x;  \ // r
	VBROADCASTSS EXPC0, p;  \
	HORNER(EXPC1, x, p);    \
	HORNER(EXPC2, x, p);    \
	HORNER(EXPC3, x, p);    \
	HORNER(EXPC4, x, p);    \
	HORNER(EXPC5, x, p);    \
	VMULPS       x, x, Y7;  \
	VFMADD213PS  x, Y7, p;  \ // r*r*q + r
	VBROADCASTSS ONE, Y6;   \
	VCVTPS2DQ    t, t;      \
	VPSLLD       $23, t, t; \
	VPADDD       Y6, t, t   // (n + 127) << 23: 127 << 23 is the float 1

// TANH replaces x by tanh(x). s is the sign bit in every lane. It changes Y3 to Y7.
#define TANH(x, s) \
	VANDPS       s, x, Y3;   \ // sign
	VANDNPS      x, s, Y4;   \
	VADDPS       Y4, Y4, Y4; \
	VBROADCASTSS FORTY, Y6;  \
	VMINPS       Y4, Y6, Y4; \ // z = 40 < 2|x| ? 40 : 2|x|; a NaN stays
	EXP2PARTS(Y4, Y5, x);    \
	VSUBPS       Y6, Y5, Y4; \ // t - 1, since Y6 is 1
	VFMADD213PS  Y4, Y5, x;  \ // e^z - 1
	VBROADCASTSS TWO, Y6;    \
	VADDPS       Y6, x, Y4;  \
	VDIVPS       Y4, x, x;   \
	VORPS        Y3, x, x
