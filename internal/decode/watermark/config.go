package watermark

import "fmt"

// Config says how text is marked. Whoever looks for the mark needs the same one; Keys are the secret.
type Config struct {
	// Keys are the secret, one for each step of the tournament: 1 to 100.
	Keys []int64
	// NgramLen is how many tokens, the one to be marked included, a bit depends on: 2 to 100. 0 means 5.
	NgramLen int
	// ContextHistory is how many contexts are remembered; a repeated one is not marked again, which would show. 0 means 1024;
	// at most 1<<20.
	ContextHistory int
	// TableSize is the number of random bits that hashes choose from. 0 means 65536; at most 1<<24.
	TableSize int
	// TableSeed makes the table of random bits.
	TableSeed uint32
	// SkipFirst leaves the first NgramLen-1 tokens, whose context is not full, unmarked.
	SkipFirst bool
}

// withDefaults fills in what zero means.
func (c Config) withDefaults() Config {
	for _, f := range []struct {
		p     *int
		value int
	}{{&c.NgramLen, 5}, {&c.ContextHistory, 1024}, {&c.TableSize, 1 << 16}} {
		if *f.p == 0 {
			*f.p = f.value
		}
	}
	return c
}

// Validate reports the first field that is out of range: its name, what was expected and what was found.
func (c Config) Validate() error {
	d := c.withDefaults()
	switch {
	case len(d.Keys) < 1 || len(d.Keys) > 100:
		return fmt.Errorf("keys: want 1 to 100, found %d", len(d.Keys))
	case d.NgramLen < 2 || d.NgramLen > 100:
		return fmt.Errorf("ngram_len: want 0 (meaning 5) or 2 to 100, found %d", d.NgramLen)
	case d.ContextHistory < 1 || d.ContextHistory > 1<<20:
		return fmt.Errorf("context_history_size: want 0 (meaning 1024) or 1 to %d, found %d", 1<<20, d.ContextHistory)
	case d.TableSize < 1 || d.TableSize > 1<<24:
		return fmt.Errorf("sampling_table_size: want 0 (meaning 65536) or 1 to %d, found %d", 1<<24, d.TableSize)
	}
	return nil
}

// hash adds one number to a hash: a step of a linear congruential generator, in wrapping 64 bits.
func hash(h uint64, x int64) uint64 { return (h+uint64(x))*6364136223846793005 + 1 }

// bit is the random bit that a hash chooses.
func bit(table []uint8, h uint64) uint8 {
	n := int64(len(table))
	return table[((int64(h)%n)+n)%n]
}

// newTable draws bits: the lowest of each output of the Mersenne Twister MT19937 (M. Matsumoto, T. Nishimura, ACM TOMACS 8,
// 1998), initialised as its init_genrand does.
func newTable(size int, seed uint32) []uint8 {
	const n, m = 624, 397
	var state [n]uint32
	state[0] = seed
	for i := uint32(1); i < n; i++ {
		last := state[i-1]
		state[i] = 1812433253*(last^last>>30) + i
	}
	table := make([]uint8, size)
	next := n
	for i := range table {
		if next == n {
			for k := range state {
				y := state[k]&0x80000000 | state[(k+1)%n]&0x7fffffff
				state[k] = state[(k+m)%n] ^ y>>1 ^ y&1*0x9908b0df
			}
			next = 0
		}
		y := state[next]
		next++
		y ^= y >> 11
		y ^= y << 7 & 0x9d2c5680
		y ^= y << 15 & 0xefc60000
		y ^= y >> 18
		table[i] = uint8(y & 1)
	}
	return table
}
