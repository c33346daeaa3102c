// The body of mulW8GAVX2 and mulW4GAVX2 for panels of four tokens and more. They define
//
//	WIDESETUP  sets constants in Y14 and Y15; may use AX and CX
//	SUMS       makes the integer sums of four tokens in Y0-Y7, Y(2t) = rows 0-7 of token t, Y(2t+1) = rows 8-15; may use
//	           AX, CX, R8, R13, Y8-Y13
//	TILEBYTES  is the size of a tile
//	TOKENS     if defined, replaces the loop over the step's tokens, four at a time: all labels are its own
//
// All tokens pass a step before the next one, so that its weights stay in the first-level cache and its scales are widened
// once. The float sums of all tokens lie in the frame, aligned: what crosses a line cost 2 to 4 %.
//
// SI = weights, DX = activations, R12 = words of the step; R10 = scales, R11 = minima or 0 of this group; R9 = the aligned
// part of the frame; BX = bytes of a row of words, and of a tile's activations; DI = 4 * first of the four tokens.

#define STEPSLEFT  0  // (SP): steps left
#define GROUPLEFT  8  // steps left in the group
#define TOKENBYTES 16 // 4 * tokens, rounded up to 16
#define BEGINROW   24 // bytes from a step's words to the row that its sums begin with
#define SCALEBYTES 32 // bytes of a group's scales
#define CHUNKS     40 // for SUMS
#define CHUNKPAIRS 48

#define SUM   0    // (R9): float32 [16 tokens][16 rows]
#define SCALE 1024 // float32 [16 rows]
#define LEAST 1088 // float32 [16 rows], the minima
#define PART  1152 // int32 [4 tokens][16 rows], for SUMS

// VECTOR16 puts 16 scales or minima as float32 at o(R9). Its last arguments are labels.
#define VECTOR16(p, o, floats, have) \
	CMPQ      halves+40(FP), $0; \
	JEQ       floats;            \
	VCVTPH2PS (p), Y0;           \
	VCVTPH2PS 16(p), Y1;         \
	JMP       have;              \
floats:                          \
	VMOVUPS   (p), Y0;           \
	VMOVUPS   32(p), Y1;         \
have:                            \
	VMOVUPS   Y0, o(R9);         \
	VMOVUPS   Y1, 32+o(R9)

// FLOAT makes the float sums, at R13, of token t of its integer sums.
#define FLOAT(t, lo, hi) \
	VBROADCASTSS 4*t(R12)(DI*1), Y12;    \
	VCVTDQ2PS    lo, lo;                 \
	VCVTDQ2PS    hi, hi;                 \
	VMULPS       SCALE(R9), Y12, Y13;    \
	VMULPS       32+SCALE(R9), Y12, Y12; \
	VFMADD213PS  64*t(R13), Y13, lo;     \
	VFMADD213PS  32+64*t(R13), Y12, hi

// MINIMA adds the minima times the sum of the activations, in the words' second row, at CX.
#define MINIMA(t, lo, hi) \
	VBROADCASTSS 4*t(CX)(DI*1), Y12; \
	VFMADD231PS  LEAST(R9), Y12, lo; \
	VFMADD231PS  32+LEAST(R9), Y12, hi

#define KEEP(t, lo, hi) \
	VMOVUPS lo, 64*t(R13); \
	VMOVUPS hi, 32+64*t(R13)

wide:
	LEAQ 64+63(SP), R9
	ANDQ $~63, R9
	MOVQ R13, BEGINROW(SP)
	WIDESETUP
	MOVQ tokens+104(FP), AX
	ADDQ $3, AX
	ANDQ $~3, AX
	SHLQ $2, AX
	MOVQ AX, TOKENBYTES(SP)
	SHLQ $4, AX
	VPXOR Y0, Y0, Y0

zero:
	SUBQ    $64, AX
	VMOVUPS Y0, SUM(R9)(AX*1)
	VMOVUPS Y0, 32+SUM(R9)(AX*1)
	JNZ     zero
	MOVQ    w+16(FP), SI
	MOVQ    scales+24(FP), R10
	MOVQ    mins+32(FP), R11
	MOVQ    panel+48(FP), DX
	MOVQ    words+56(FP), R12
	MOVQ    steps+72(FP), AX
	MOVQ    AX, STEPSLEFT(SP)
	MOVQ    groupSteps+88(FP), AX
	MOVQ    AX, GROUPLEFT(SP)
	MOVQ    $64, AX
	CMPQ    halves+40(FP), $0
	JEQ     scaleBytes
	SHRQ    $1, AX

scaleBytes:
	MOVQ AX, SCALEBYTES(SP)

step:
	MOVQ stepTiles+80(FP), AX
	LEAQ 2048(SI), R8

fetch: // the weights of steps to come, from memory or another cache
	PREFETCHT0 (R8)
	ADDQ       $64, R8
	SUBQ       $(64/TILEBYTES), AX
	JNZ        fetch
	VECTOR16(R10, SCALE, wideFloats, wideHave)
	TESTQ R11, R11
	JZ    noMinima
	VECTOR16(R11, LEAST, wideMinFloats, wideMinHave)

noMinima:
	XORQ DI, DI
#ifdef TOKENS
	TOKENS
#else

group:
	SUMS
	LEAQ SUM(R9)(DI*8), R13
	LEAQ (R13)(DI*8), R13
	FLOAT(0, Y0, Y1)
	FLOAT(1, Y2, Y3)
	FLOAT(2, Y4, Y5)
	FLOAT(3, Y6, Y7)
	TESTQ R11, R11
	JZ    keep
	LEAQ (R12)(BX*1), CX
	MINIMA(0, Y0, Y1)
	MINIMA(1, Y2, Y3)
	MINIMA(2, Y4, Y5)
	MINIMA(3, Y6, Y7)

keep:
	KEEP(0, Y0, Y1)
	KEEP(1, Y2, Y3)
	KEEP(2, Y4, Y5)
	KEEP(3, Y6, Y7)
	ADDQ  $16, DI
	CMPQ  DI, TOKENBYTES(SP)
	JCS   group
#endif
	MOVQ  stepTiles+80(FP), AX
	MOVQ  AX, CX
	IMULQ $TILEBYTES, AX
	ADDQ  AX, SI
	IMULQ BX, CX
	ADDQ  CX, DX
	LEAQ  (BX)(BX*4), CX
	ADDQ  CX, R12
	DECQ  GROUPLEFT(SP)
	JNZ   sameGroup
	MOVQ  groupSteps+88(FP), AX
	MOVQ  AX, GROUPLEFT(SP)
	MOVQ  SCALEBYTES(SP), AX
	ADDQ  AX, R10
	TESTQ R11, R11
	JZ    sameGroup
	ADDQ  AX, R11

sameGroup:
	DECQ STEPSLEFT(SP)
	JNZ  step
	MOVQ out+0(FP), DI
	LEAQ SUM(R9), R13
	MOVQ outStride+8(FP), R9
	SHLQ $2, R9               // R9 = bytes from one token's results to the next
	MOVQ aScale+96(FP), R8
	MOVQ tokens+104(FP), AX   // AX = tokens left

result:
	VBROADCASTSS (R8), Y12
	VMULPS       (R13), Y12, Y0
	VMULPS       32(R13), Y12, Y1
	VMOVUPS      Y0, (DI)
	VMOVUPS      Y1, 32(DI)
	ADDQ         $4, R8
	ADDQ         $64, R13
	ADDQ         R9, DI
	DECQ         AX
	JNZ          result
	VZEROUPPER
	RET
