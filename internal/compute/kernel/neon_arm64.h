// The vector instructions that Go's assembler lacks, each beside its mnemonic. Operands are register numbers in Go's order:
// sources first (m before n), destination last; i is a lane. TestNeonMacrosEncodeTheirMnemonics compares them with GNU as.

#define SDOT_LANE(i, m, n, d) WORD $(0x4F80E000 | ((i)&1)<<21 | ((i)>>1)<<11 | (m)<<16 | (n)<<5 | (d)) // sdot Vd.4s, Vn.16b, Vm.4b[i]
#define SMMLA(m, n, d) WORD $(0x4E80A400 | (m)<<16 | (n)<<5 | (d)) // smmla Vd.4s, Vn.16b, Vm.16b
#define FMLA_LANE(i, m, n, d) WORD $(0x4F801000 | ((i)&1)<<21 | ((i)>>1)<<11 | (m)<<16 | (n)<<5 | (d)) // fmla Vd.4s, Vn.4s, Vm.s[i]
#define FMLS_LANE(i, m, n, d) WORD $(0x4F805000 | ((i)&1)<<21 | ((i)>>1)<<11 | (m)<<16 | (n)<<5 | (d)) // fmls Vd.4s, Vn.4s, Vm.s[i]
#define FMUL_LANE(i, m, n, d) WORD $(0x4F809000 | ((i)&1)<<21 | ((i)>>1)<<11 | (m)<<16 | (n)<<5 | (d)) // fmul Vd.4s, Vn.4s, Vm.s[i]
#define DUP_LANE(i, n, d)     WORD $(0x4E040400 | (i)<<19 | (n)<<5 | (d)) // dup Vd.4s, Vn.s[i]

#define FADD(m, n, d)   WORD $(0x4E20D400 | (m)<<16 | (n)<<5 | (d)) // fadd Vd.4s, Vn.4s, Vm.4s
#define FSUB(m, n, d)   WORD $(0x4EA0D400 | (m)<<16 | (n)<<5 | (d)) // fsub Vd.4s, Vn.4s, Vm.4s
#define FMUL(m, n, d)   WORD $(0x6E20DC00 | (m)<<16 | (n)<<5 | (d)) // fmul Vd.4s, Vn.4s, Vm.4s
#define FMLA(m, n, d)   WORD $(0x4E20CC00 | (m)<<16 | (n)<<5 | (d)) // fmla Vd.4s, Vn.4s, Vm.4s
#define FDIV(m, n, d)   WORD $(0x6E20FC00 | (m)<<16 | (n)<<5 | (d)) // fdiv Vd.4s, Vn.4s, Vm.4s
#define FADDP(m, n, d)  WORD $(0x6E20D400 | (m)<<16 | (n)<<5 | (d)) // faddp Vd.4s, Vn.4s, Vm.4s
#define FMIN(m, n, d)   WORD $(0x4EA0F400 | (m)<<16 | (n)<<5 | (d)) // fmin Vd.4s, Vn.4s, Vm.4s
#define FMAXNM(m, n, d) WORD $(0x4E20C400 | (m)<<16 | (n)<<5 | (d)) // fmaxnm Vd.4s, Vn.4s, Vm.4s
#define FCMGT(m, n, d)  WORD $(0x6EA0E400 | (m)<<16 | (n)<<5 | (d)) // fcmgt Vd.4s, Vn.4s, Vm.4s
#define AND16B(m, n, d) WORD $(0x4E201C00 | (m)<<16 | (n)<<5 | (d)) // and Vd.16b, Vn.16b, Vm.16b
#define BIC(m, n, d)    WORD $(0x4E601C00 | (m)<<16 | (n)<<5 | (d)) // bic Vd.16b, Vn.16b, Vm.16b
#define BIT(m, n, d)    WORD $(0x6EA01C00 | (m)<<16 | (n)<<5 | (d)) // bit Vd.16b, Vn.16b, Vm.16b
#define ADD4S(m, n, d)  WORD $(0x4EA08400 | (m)<<16 | (n)<<5 | (d)) // add Vd.4s, Vn.4s, Vm.4s
#define SMAX16B(m, n, d) WORD $(0x4E206400 | (m)<<16 | (n)<<5 | (d)) // smax Vd.16b, Vn.16b, Vm.16b
#define ZIP1(m, n, d)   WORD $(0x4E803800 | (m)<<16 | (n)<<5 | (d)) // zip1 Vd.4s, Vn.4s, Vm.4s
#define ZIP2(m, n, d)   WORD $(0x4E807800 | (m)<<16 | (n)<<5 | (d)) // zip2 Vd.4s, Vn.4s, Vm.4s
#define ZIP1D(m, n, d)  WORD $(0x4EC03800 | (m)<<16 | (n)<<5 | (d)) // zip1 Vd.2d, Vn.2d, Vm.2d
#define ZIP2D(m, n, d)  WORD $(0x4EC07800 | (m)<<16 | (n)<<5 | (d)) // zip2 Vd.2d, Vn.2d, Vm.2d
#define CMTST8H(m, n, d) WORD $(0x4E608C00 | (m)<<16 | (n)<<5 | (d)) // cmtst Vd.8h, Vn.8h, Vm.8h
#define EXT8(m, n, d)   WORD $(0x6E004000 | (m)<<16 | (n)<<5 | (d)) // ext Vd.16b, Vn.16b, Vm.16b, #8

#define FABS(n, d)     WORD $(0x4EA0F800 | (n)<<5 | (d)) // fabs Vd.4s, Vn.4s
#define MOV16B(n, d)   WORD $(0x4EA01C00 | (n)<<16 | (n)<<5 | (d)) // mov Vd.16b, Vn.16b
#define FRINTN(n, d)   WORD $(0x4E218800 | (n)<<5 | (d)) // frintn Vd.4s, Vn.4s
#define FCVTNS(n, d)   WORD $(0x4E21A800 | (n)<<5 | (d)) // fcvtns Vd.4s, Vn.4s
#define SCVTF(n, d)    WORD $(0x4E21D800 | (n)<<5 | (d)) // scvtf Vd.4s, Vn.4s
#define FCVTL(n, d)    WORD $(0x0E217800 | (n)<<5 | (d)) // fcvtl Vd.4s, Vn.4h
#define FCVTL2(n, d)   WORD $(0x4E217800 | (n)<<5 | (d)) // fcvtl2 Vd.4s, Vn.8h
#define FCVTN(n, d)    WORD $(0x0E216800 | (n)<<5 | (d)) // fcvtn Vd.4h, Vn.4s
#define FCVTN2(n, d)   WORD $(0x4E216800 | (n)<<5 | (d)) // fcvtn2 Vd.8h, Vn.4s
#define SXTL8H(n, d)   WORD $(0x0F08A400 | (n)<<5 | (d)) // sxtl Vd.8h, Vn.8b
#define SXTL28H(n, d)  WORD $(0x4F08A400 | (n)<<5 | (d)) // sxtl2 Vd.8h, Vn.16b
#define SXTL4S(n, d)   WORD $(0x0F10A400 | (n)<<5 | (d)) // sxtl Vd.4s, Vn.4h
#define SXTL24S(n, d)  WORD $(0x4F10A400 | (n)<<5 | (d)) // sxtl2 Vd.4s, Vn.8h
#define SQXTN4H(n, d)  WORD $(0x0E614800 | (n)<<5 | (d)) // sqxtn Vd.4h, Vn.4s
#define SQXTN8H(n, d)  WORD $(0x4E614800 | (n)<<5 | (d)) // sqxtn2 Vd.8h, Vn.4s
#define SQXTN8B(n, d)  WORD $(0x0E214800 | (n)<<5 | (d)) // sqxtn Vd.8b, Vn.8h
#define SQXTN16B(n, d) WORD $(0x4E214800 | (n)<<5 | (d)) // sqxtn2 Vd.16b, Vn.8h
#define FMAXNMV(n, d)  WORD $(0x6E30C800 | (n)<<5 | (d)) // fmaxnmv Sd, Vn.4s
#define UMAXV(n, d)    WORD $(0x6EB0A800 | (n)<<5 | (d)) // umaxv Sd, Vn.4s
#define SHL16(n, d)    WORD $(0x4F305400 | (n)<<5 | (d)) // shl Vd.4s, Vn.4s, #16
#define SHL23(n, d)    WORD $(0x4F375400 | (n)<<5 | (d)) // shl Vd.4s, Vn.4s, #23

// REDUCE adds 16 lanes in the fixed tree (reduce in reference.go) into lane 0 of a; lanes 0-3 are a, 4-7 b, 8-11 c, 12-15 d.
#define REDUCE(a, b, c, d) \
	FADD(c, a, a); \
	FADD(d, b, b); \
	FADD(b, a, a); \
	EXT8(a, a, b); \
	FADD(b, a, a); \
	FADDP(a, a, a)
