package grammar

import "math/bits"

// A byteSet is a set of bytes.
type byteSet [4]uint64

func (s *byteSet) add(b byte) { s[b>>6] |= 1 << (b & 63) }

// addRange adds the bytes lo to hi, both of them too.
func (s *byteSet) addRange(lo, hi byte) {
	for b := int(lo); b <= int(hi); b++ {
		s.add(byte(b))
	}
}

func (s *byteSet) has(b byte) bool { return s[b>>6]>>(b&63)&1 != 0 }

func (s *byteSet) union(o byteSet) {
	for i := range s {
		s[i] |= o[i]
	}
}

// cuts returns the bytes b for which s has one of b and b-1, not both: where a run of equal answers begins.
func (s *byteSet) cuts() (c byteSet) {
	carry := uint64(0)
	for i, w := range s {
		c[i] = w ^ (w<<1 | carry)
		carry = w >> 63
	}
	return c
}

// next returns the lowest member that is at least b, or 256.
func (s *byteSet) next(b int) int {
	for b < 256 {
		if w := s[b>>6] >> (b & 63); w != 0 {
			return b + bits.TrailingZeros64(w)
		}
		b = (b>>6 + 1) << 6
	}
	return 256
}

// rangesOf calls do with the first and last byte of each run that the cuts make of all bytes, until it returns false.
func (c *byteSet) rangesOf(do func(lo, hi byte) bool) {
	for lo := 0; lo < 256; {
		hi := c.next(lo + 1)
		if !do(byte(lo), byte(hi-1)) {
			return
		}
		lo = hi
	}
}
