package blocks

import "encoding/binary"

// Blocks of 32 weights with their own half-precision scale d, and perhaps minimum m. The low nibbles of 16 bytes qs are
// weights 0 to 15, the high ones 16 to 31.

// Q4_0: d, qs; d*(q-8).
func unpackQ40(b *Block, block []byte) {
	b.Scales[0] = f16(block)
	nibbles(b.Codes[:32], block[2:18], 8)
}

// Q4_1: d, m, qs; d*q + m.
func unpackQ41(b *Block, block []byte) {
	b.Scales[0], b.Mins[0] = f16(block), f16(block[2:])
	nibbles(b.Codes[:32], block[4:20], 0)
}

// Q5_0: d, u32 whose bit i is the fifth bit of weight i, qs; d*(q-16).
func unpackQ50(b *Block, block []byte) {
	b.Scales[0] = f16(block)
	fiveBits(b.Codes[:32], block[2:6], block[6:22], 16)
}

// Q5_1: d, m, fifth bits, qs; d*q + m.
func unpackQ51(b *Block, block []byte) {
	b.Scales[0], b.Mins[0] = f16(block), f16(block[2:])
	fiveBits(b.Codes[:32], block[4:8], block[8:24], 0)
}

// Q8_0: d, int8; d*q.
func unpackQ80(b *Block, block []byte) {
	b.Scales[0] = f16(block)
	copy(b.Codes[:32], block[2:34])
}

// nibbles writes 32 codes less zero.
func nibbles(dst, qs []byte, zero uint64) {
	for i := 0; i < 16; i += 8 {
		x := load(qs[i:])
		store(dst[i:], less(x&(0x0f*ones), zero))
		store(dst[16+i:], less(x>>4&(0x0f*ones), zero))
	}
}

// fiveBits writes 32 codes of five bits less zero.
func fiveBits(dst, fifth, qs []byte, zero uint64) {
	for i := 0; i < 16; i += 8 {
		x := load(qs[i:])
		store(dst[i:], less(x&(0x0f*ones)|spread(fifth[i/8])<<4, zero))
		store(dst[16+i:], less(x>>4&(0x0f*ones)|spread(fifth[2+i/8])<<4, zero))
	}
}

// iq4Values are what a code of IQ4_NL and IQ4_XS stands for.
var iq4Values = [16]int8{-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113}

// IQ4_NL: d, qs; d*value[q].
func unpackIQ4NL(b *Block, block []byte) {
	b.Scales[0] = f16(block)
	iq4(b.Codes[:32], block[2:18])
}

// IQ4_XS, 256 weights: d, u16 with the upper two bits of eight scales, 4 bytes with their lower four bits, 8 times qs;
// d*(scale-32)*value[q].
func unpackIQ4XS(b *Block, block []byte) {
	d, upper := f16(block), binary.LittleEndian.Uint16(block[2:])
	for g := range 8 {
		scale := block[4+g/2]>>(4*(g%2))&15 | byte(upper>>(2*g)&3)<<4
		b.Scales[g] = d * float32(int(scale)-32)
		iq4(b.Codes[32*g:32*g+32], block[8+16*g:24+16*g])
	}
}

// iq4Pairs has the values of both nibbles of a byte.
var iq4Pairs = func() (pairs [256][2]byte) {
	for q := range pairs {
		pairs[q] = [2]byte{byte(iq4Values[q&15]), byte(iq4Values[q>>4])}
	}
	return pairs
}()

// iq4 writes 32 codes.
func iq4(dst, qs []byte) {
	lo, hi := dst[:16], dst[16:32]
	for i, q := range qs[:16] {
		pair := &iq4Pairs[q]
		lo[i], hi[i] = pair[0], pair[1]
	}
}
