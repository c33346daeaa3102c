package blocks

// Blocks of 256 weights: half-precision d and perhaps dmin, and a small scale and perhaps minimum for each 16 or 32 weights.

// Q2_K: 16 bytes (scale low, minimum high), 64 bytes of 2 bits, d, dmin; d*scale*q - dmin*min, groups of 16.
func unpackQ2K(b *Block, block []byte) {
	d, dmin := f16(block[80:]), f16(block[82:])
	for g, s := range block[:16] {
		b.Scales[g] = d * float32(s&15)
		b.Mins[g] = -(dmin * float32(s>>4))
	}
	for i := 0; i < 256; i += 8 {
		store(b.Codes[i:], twoBits(block[16:80], i))
	}
}

// Q3_K: 32 bytes of third bits, 64 bytes of 2 bits, 12 bytes of scales, d; d*(scale-32)*(q-4), groups of 16.
// Of the third bits, byte i%32 has that of weight i at bit i/32.
func unpackQ3K(b *Block, block []byte) {
	third, scales, d := block[:32], block[96:108], f16(block[108:])
	for g := range 16 {
		s := scales[g%8]>>(g/8*4)&15 | scales[8+g%4]>>(g/4*2)&3<<4
		b.Scales[g] = d * float32(int(s)-32)
	}
	for i := 0; i < 256; i += 8 {
		x := twoBits(block[32:96], i) | load(third[i%32:])>>(i/32)&ones<<2
		store(b.Codes[i:], less(x, 4))
	}
}

// twoBits gives weights i to i+7 of 256 in 64 bytes: each half has 32 bytes, whose bits 0-1 are its first 32 weights,
// bits 2-3 the next 32, and so on.
func twoBits(qs []byte, i int) uint64 {
	return load(qs[i/128*32+i%32:]) >> (i % 128 / 32 * 2) & (3 * ones)
}

// Q4_K: d, dmin, 12 bytes of scales and minima, 128 bytes of 4 bits; d*scale*q - dmin*min, groups of 32.
func unpackQ4K(b *Block, block []byte) {
	scalesK(b, block)
	for i := 0; i < 256; i += 8 {
		store(b.Codes[i:], fourBits(block[16:144], i))
	}
}

// Q5_K: as Q4_K, with 32 bytes of fifth bits before the others: byte i%32 has that of weight i at bit i/32.
func unpackQ5K(b *Block, block []byte) {
	scalesK(b, block)
	fifth := block[16:48]
	for i := 0; i < 256; i += 8 {
		store(b.Codes[i:], fourBits(block[48:176], i)|load(fifth[i%32:])>>(i/32)&ones<<4)
	}
}

// fourBits gives weights i to i+7 of 256 in 128 bytes: each 32 bytes have 32 weights in their low nibbles, then 32 in the
// high ones.
func fourBits(qs []byte, i int) uint64 {
	return load(qs[i/64*32+i%32:]) >> (i % 64 / 32 * 4) & (15 * ones)
}

// scalesK reads d, dmin and 12 bytes with eight scales and eight minima of 6 bits: bytes 0-3 and 4-7 have those of groups 0-3
// in their lower six bits, and above them the upper two bits of groups 4-7, whose lower four are in bytes 8-11: scale low,
// minimum high.
func scalesK(b *Block, block []byte) {
	d, dmin, s := f16(block), f16(block[2:]), block[4:16]
	for g := range 4 {
		b.Scales[g] = d * float32(s[g]&63)
		b.Mins[g] = -(dmin * float32(s[4+g]&63))
		b.Scales[4+g] = d * float32(s[8+g]&15|s[g]>>6<<4)
		b.Mins[4+g] = -(dmin * float32(s[8+g]>>4|s[4+g]>>6<<4))
	}
}

// Q6_K: 128 bytes of 4 bits, 64 bytes of the 2 bits above, 16 int8 scales, d; d*scale*(q-32), groups of 16. Each half of 128
// weights has 64 bytes of nibbles, the low ones first, and 32 bytes ordered as in twoBits.
func unpackQ6K(b *Block, block []byte) {
	d := f16(block[208:])
	for g, s := range block[192:208] {
		b.Scales[g] = d * float32(int8(s))
	}
	for i := 0; i < 256; i += 8 {
		x := load(block[i/128*64+i%64:])>>(i%128/64*4)&(15*ones) | twoBits(block[128:192], i)<<4
		store(b.Codes[i:], less(x, 32))
	}
}
