package kernel

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/systemgemma/systemgemma/internal/compute/half"
	"github.com/systemgemma/systemgemma/internal/testkit/guard"
)

// groupCase is one product with weights in groups: all arguments of mulW8G or mulW4G.
type groupCase struct {
	w4                                  bool
	w, scales, mins                     []byte
	halves                              int
	values                              []uint8
	words                               []uint32
	width, steps, stepTiles, groupSteps int
	aScale                              []float32
	tokens, stride                      int
}

// run multiplies with a set; copyOf lays each input where a byte too far is a fault.
func (c *groupCase) run(s *table, copyOf func([]byte) []byte, words []uint32) []float32 {
	mul := s.mulW8G
	if c.w4 {
		mul = s.mulW4G
	}
	out := make([]float32, (c.tokens-1)*c.stride+16)
	var mins *byte
	if c.mins != nil {
		mins = &copyOf(c.mins)[0]
	}
	mul(&out[0], c.stride, &copyOf(c.w)[0], &copyOf(c.scales)[0], mins, c.halves, &copyOf(c.values)[0], &words[0],
		c.width, c.steps, c.stepTiles, c.groupSteps, &c.aScale[0], c.tokens)
	return out
}

// newGroupCase fills a case from next, which gives random bits; extreme: only the largest weights and activations.
func newGroupCase(next func() uint64, w4, halves, mins, extreme bool, step, groupSteps, groups, tokens, stride int) *groupCase {
	c := &groupCase{w4: w4, steps: groups * groupSteps, stepTiles: step / 4, groupSteps: groupSteps, width: PanelWidth(tokens), tokens: tokens, stride: stride}
	k := c.steps * step
	c.w = make([]byte, 16*k)
	if w4 {
		c.w = c.w[:8*k]
	}
	for i := range c.w {
		c.w[i] = byte(next())
		if extreme {
			c.w[i] = []byte{0x80, 0x7f, 0x81, 0xff, 0}[next()%5]
		}
	}
	vector := func() []byte {
		b := make([]byte, 0, 64*groups)
		for range 16 * groups {
			v := float32(int64(next())>>40) * 0x1p-20
			if halves {
				h := half.ToF16(v)
				if next()%8 == 0 {
					h &= 0x83ff // zeros and subnormals
				}
				b = append(b, byte(h), byte(h>>8))
				continue
			}
			bits := math.Float32bits(v)
			b = append(b, byte(bits), byte(bits>>8), byte(bits>>16), byte(bits>>24))
		}
		return b
	}
	c.scales = vector()
	if halves {
		c.halves = 1
	}
	if mins {
		c.mins = vector()
	}
	p := GroupPanel{Values: make([]uint8, k*c.width), Words: make([]uint32, GroupWords(k, step, c.width)), Width: c.width, Step: step}
	for i := range p.Values {
		p.Values[i] = byte(int(next()%255) - 127)
		if extreme {
			p.Values[i] = []byte{0x81, 0x7f}[next()%2]
		}
	}
	for s := range c.steps {
		for t := range c.width {
			p.setWords(s, t, float32(int64(next())>>40)*0x1p-22)
		}
	}
	c.values, c.words = p.Values, p.Words
	for range tokens {
		c.aScale = append(c.aScale, float32(int64(next())>>40)*0x1p-23)
	}
	return c
}

func lcg(seed uint64) func() uint64 {
	return func() uint64 {
		seed = seed*6364136223846793005 + 1442695040888963407
		return seed>>33 ^ seed<<31
	}
}

func TestMulGroupsEqualReference(t *testing.T) {
	eachSet(t, func(t *rapid.T, set *table) {
		w4 := rapid.Bool().Draw(t, "4 bit")
		step := rapid.SampledFrom([]int{32, 32, 32, 16, 64, 128, 256, 512}).Draw(t, "step")
		if w4 {
			step = max(32, step)
		}
		tokens := rapid.IntRange(1, MaxPanel).Draw(t, "tokens")
		c := newGroupCase(lcg(rapid.Uint64().Draw(t, "seed")), w4, rapid.Bool().Draw(t, "halves"), rapid.Bool().Draw(t, "mins"), rapid.Bool().Draw(t, "extreme"),
			step, rapid.SampledFrom([]int{1, 1, 2, 4}).Draw(t, "steps of a group"), rapid.IntRange(1, 5).Draw(t, "groups"), tokens, 16+16*rapid.IntRange(0, 2).Draw(t, "stride"))
		want := c.run(&reference, func(b []byte) []byte { return b }, c.words)
		diff(t, "guarded end", c.run(set, func(b []byte) []byte { return guard.Copy(t, b) }, guard.Copy(t, c.words)), want)
		diff(t, "guarded start", c.run(set, func(b []byte) []byte { return guard.CopyFront(t, b) }, guard.CopyFront(t, c.words)), want)
	})
}

// TestMulGroupsExtremes has the largest sums that a step can have, with one sign: drawn values cancel each other.
func TestMulGroupsExtremes(t *testing.T) {
	for _, set := range available()[1:] {
		for _, w := range []byte{0xff, 0x80, 0x7f, 0x00} {
			for _, a := range []byte{0x7f, 0x81} {
				for _, tokens := range []int{1, 2, 3, 16} {
					for _, step := range []int{32, 64, 512} {
						for kind := range 4 {
							c := newGroupCase(lcg(uint64(kind)), kind%2 == 0, true, kind > 1, true, step, 1, 2, tokens, 16)
							for i := range c.w {
								c.w[i] = w
							}
							for i := range c.values {
								c.values[i] = a
							}
							p := GroupPanel{Values: c.values, Words: c.words, Width: c.width, Step: step}
							for i := range c.steps * c.width {
								p.setWords(i/c.width, i%c.width, 0.5)
							}
							same := func(b []byte) []byte { return b }
							if !sameBits(c.run(set, same, c.words), c.run(&reference, same, c.words)) {
								t.Errorf("%s: weights %#x, activations %#x, %d tokens, step %d, kind %d differ from the reference", set.name, w, a, tokens, step, kind)
							}
						}
					}
				}
			}
		}
	}
}

func TestQuantizeBlocksEqualsReference(t *testing.T) {
	eachSet(t, func(t *rapid.T, set *table) {
		n, width := 32*rapid.IntRange(1, 6).Draw(t, "blocks"), []int{1, 2, 4, 8, 16}[rapid.IntRange(0, 4).Draw(t, "width")]
		col := rapid.IntRange(0, width-1).Draw(t, "column")
		x := floats(t, n, "x")
		if bad := rapid.IntRange(0, 3*n).Draw(t, "bad"); bad < n {
			x[bad] = rapid.SampledFrom([]float32{float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1))}).Draw(t, "value")
		}
		if zero := rapid.IntRange(0, n/32).Draw(t, "zero block"); zero < n/32 {
			clear(x[32*zero : 32*zero+32])
		}
		run := func(s *table, copyX func([]float32) []float32, d []uint8, w []uint32) ([]uint8, []uint32) {
			s.quantizeBlocks(&d[4*col], 4*width, &w[col], width, copyX(x))
			return d, w
		}
		d, w := n*width, GroupWords(n, 32, width)
		want, wantWords := run(&reference, slices.Clone[[]float32], make([]uint8, d), make([]uint32, w))
		got, words := run(set, func(x []float32) []float32 { return guard.Copy(t, x) }, guard.Copy(t, make([]uint8, d)), guard.Copy(t, make([]uint32, w)))
		if !slices.Equal(got, want) {
			t.Fatalf("quantizeBlocks(%v), width %d, column %d:\n got %v\nwant %v", x, width, col, got, want)
		}
		for i, v := range wantWords {
			if f, g := math.Float32frombits(v), math.Float32frombits(words[i]); v != words[i] && (f == f || g == g) {
				t.Fatalf("quantizeBlocks(%v): word %d = %08x, want %08x", x, i, words[i], v)
			}
		}
	})
}

func TestExpandW4LEqualsReference(t *testing.T) {
	eachSet(t, func(t *rapid.T, set *table) {
		blocks, next := rapid.IntRange(1, 4).Draw(t, "blocks"), lcg(rapid.Uint64().Draw(t, "seed"))
		w := make([]byte, blocks*8*tableCols)
		for i := range w {
			w[i] = byte(next())
		}
		scales, numbers := floats(t, 16*blocks, "scales"), floats(t, 16, "table")
		want, got := make([]float32, 16*tableCols*blocks), guard.Copy(t, make([]float32, 16*tableCols*blocks))
		expandW4LRef(&want[0], &w[0], &scales[0], &numbers[0], blocks)
		set.expandW4L(&got[0], &guard.Copy(t, w)[0], &guard.Copy(t, scales)[0], &guard.Copy(t, numbers)[0], blocks)
		diff(t, "expandW4L", got, want)
	})
}
