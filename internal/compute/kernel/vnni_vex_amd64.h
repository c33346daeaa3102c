// VPDPBUSD_VEX(w, a, acc) is VPDPBUSD acc, a, w on YMM registers, given by number, in the VEX encoding of AVX-VNNI: to each 32
// bits of acc it adds the products of four unsigned bytes of a with four signed bytes of w. Go's assembler knows the EVEX
// encoding only, which needs AVX-512. TestMacrosEqualAssembler compares the bytes with those of GNU as.
#define VPDPBUSD_VEX(w, a, acc) \
	BYTE $0xc4;                                 \ // three-byte VEX
	BYTE $(0xe2 ^ ((acc)>>3)<<7 ^ ((w)>>3)<<5); \ // not R, not X, not B, map 0f38
	BYTE $(0x05 | (15-(a))<<3);                 \ // W 0, not a, 256 bits, prefix 66
	BYTE $0x50;                                 \
	BYTE $(0xc0 | ((acc)&7)<<3 | (w)&7)         // registers acc and w
