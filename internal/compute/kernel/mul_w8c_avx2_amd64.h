// What the products of W8C for avx2 share. VPMADDUBSW multiplies unsigned bytes with signed ones and adds neighbours in 16 bits.

// MADD adds the products of x and y with the magnitudes in v and w, four in each 32 bits, to the sums in lo and hi. It walks
// through both halves side by side: one after the other is 9 % slower. Y15 = 1 in each 16 bits.
#define MADD(v, w, x, y, lo, hi) \
	VPMADDUBSW x, v, x;   \
	VPMADDUBSW y, w, y;   \
	VPMADDWD   Y15, x, x; \
	VPMADDWD   Y15, y, y; \
	VPADDD     x, lo, lo; \
	VPADDD     y, hi, hi

// SIGNED adds a tile, magnitudes in Y8 and Y9, weights in Y10 and Y11, times the token at off(R12), -127 <= a <= 127.
#define SIGNED(off, lo, hi) \
	VPBROADCASTD off(R12), Y12;    \
	VPSIGNB      Y10, Y12, Y13;    \
	VPSIGNB      Y11, Y12, Y14;    \
	MADD(Y8, Y9, Y13, Y14, lo, hi)

// WEIGHTS loads the tile at off(p) for SIGNED.
#define WEIGHTS(off, p) \
	VMOVDQU off(p), Y10;    \
	VMOVDQU 32+off(p), Y11; \
	VPABSB  Y10, Y8;        \
	VPABSB  Y11, Y9
