package sampler

import "math/bits"

// Philox 2x64-10 (J. Salmon and others, "Parallel random numbers: as easy as 1, 2, 3", SC11): a block of random bits is a
// function of key and counter, so the number at a position needs no state.
const (
	philoxMultiplier = 0xD2B74407B1CE6E93
	philoxWeyl       = 0x9E3779B97F4A7C15
)

// philox returns the block of counter (c0, c1) under key.
func philox(c0, c1, key uint64) (uint64, uint64) {
	for range 10 {
		hi, lo := bits.Mul64(philoxMultiplier, c0)
		c0, c1 = hi^key^c1, lo
		key += philoxWeyl
	}
	return c0, c1
}

// coin is a second one, independent of uniform's.
func coin(seed, position uint64) float64 {
	_, y := philox(position, 0, seed)
	return float64(y>>11) * 0x1p-53
}

// uniform is the random number of a seed at a position: a multiple of 2^-53 in [0, 1).
func uniform(seed, position uint64) float64 {
	x, _ := philox(position, 0, seed)
	return float64(x>>11) * 0x1p-53
}
