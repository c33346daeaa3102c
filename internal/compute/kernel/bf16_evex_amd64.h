// VDPBF16PS_EVEX(a, w, acc) is VDPBF16PS acc, w, a on ZMM registers, given by number: to each float32 of acc it adds the product
// of the odd, then of the even bfloat16 of a and w. Go's assembler lacks it. TestMacrosEqualAssembler compares the bytes with
// those of GNU as.
#define VDPBF16PS_EVEX(a, w, acc) \
	BYTE $0x62;                                                                                                     \ // EVEX
	BYTE $(0xf2 ^ (((acc)>>3)&1)<<7 ^ (((a)>>4)&1)<<6 ^ (((a)>>3)&1)<<5 ^ (((acc)>>4)&1)<<4);                        \ // not R, X, B, R', map 0f38
	BYTE $(0x06 | (15-((w)&15))<<3);                                                                                \ // W 0, not w, prefix f3
	BYTE $(0x48 ^ (((w)>>4)&1)<<3);                                                                                 \ // 512 bits, not V', no mask
	BYTE $0x52;                                                                                                     \
	BYTE $(0xc0 | ((acc)&7)<<3 | (a)&7)                                                                               // registers acc and a
