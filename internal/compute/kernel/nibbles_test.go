package kernel

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/systemgemma/systemgemma/internal/testkit/guard"
)

func expandW4GRef(dst, w []byte) {
	for i := range dst {
		pair, row, k := i/128, i/4%16, i/64%2*4+i%4
		dst[i] = w[64*pair+4*row+k%4] >> (k & 4) & 15
	}
}

// Nibbles made bytes are the same numbers, and their product has the bits of W4G's.
func TestNibblesAsBytesEqualReference(t *testing.T) {
	eachSet(t, func(t *rapid.T, set *table) {
		if set.nibbles == nil {
			return
		}
		tokens := rapid.IntRange(3, MaxPanel).Draw(t, "tokens")
		c := newGroupCase(lcg(rapid.Uint64().Draw(t, "seed")), true, rapid.Bool().Draw(t, "halves"), rapid.Bool().Draw(t, "mins"), rapid.Bool().Draw(t, "extreme"),
			nibbleStep, rapid.SampledFrom([]int{1, 1, 2, 4}).Draw(t, "steps of a group"), rapid.IntRange(1, 5).Draw(t, "groups"), tokens, 16+16*rapid.IntRange(0, 2).Draw(t, "stride"))
		want := c.run(&reference, func(b []byte) []byte { return b }, c.words)
		plain, got := make([]byte, 2*len(c.w)), guard.Copy(t, make([]byte, 2*len(c.w)))
		expandW4GRef(plain, c.w)
		set.nibbles.expand(&got[0], &guard.Copy(t, c.w)[0], len(c.w)/64)
		if !slices.Equal(got, plain) {
			t.Fatal("expandW4G differs")
		}
		bytes, s := *c, *set
		bytes.w, s.mulW4G = plain, set.nibbles.mul
		diff(t, "guarded end", bytes.run(&s, func(b []byte) []byte { return guard.Copy(t, b) }, guard.Copy(t, c.words)), want)
		diff(t, "guarded start", bytes.run(&s, func(b []byte) []byte { return guard.CopyFront(t, b) }, guard.CopyFront(t, c.words)), want)
	})
}

// The largest sums that a step can have, with one sign.
func TestNibblesAsBytesExtremes(t *testing.T) {
	for _, set := range available() {
		if set.nibbles == nil {
			continue
		}
		for _, a := range []byte{0x81, 0x7f} {
			for tokens := 3; tokens <= MaxPanel; tokens++ {
				c := newGroupCase(lcg(uint64(tokens)), true, true, tokens%2 == 0, false, nibbleStep, 1, 2, tokens, 16)
				for i := range c.w {
					c.w[i] = 0xff
				}
				for i := range c.values {
					c.values[i] = a
				}
				p := GroupPanel{Values: c.values, Words: c.words, Width: c.width, Step: nibbleStep}
				for s := range c.steps {
					for col := range c.width {
						p.setWords(s, col, 1)
					}
				}
				same := func(b []byte) []byte { return b }
				want := c.run(&reference, same, c.words)
				bytes, s := *c, *set
				bytes.w, s.mulW4G = make([]byte, 2*len(c.w)), set.nibbles.mul
				expandW4GRef(bytes.w, c.w)
				if got := bytes.run(&s, same, c.words); !slices.Equal(got, want) {
					t.Errorf("%s: activations %#x, %d tokens: %v, want %v", set.name, a, tokens, got, want)
				}
			}
		}
	}
}

// What no kernel may be called with panics.
func TestNibblesAsBytesRefuse(t *testing.T) {
	defer func(was *table) { active = was }(active)
	sets := available()
	i := slices.IndexFunc(sets, func(s *table) bool { return s.nibbles != nil })
	if i < 0 {
		t.Skip("no set of this CPU has such a product")
	}
	active = sets[i]
	if !UsesW4GBytes(minNibbles, nibbleStep) || UsesW4GBytes(minNibbles-1, nibbleStep) || UsesW4GBytes(minNibbles, 2*nibbleStep) {
		t.Error("UsesW4GBytes: want it from 64 tokens on, in steps of 32 only")
	}
	strip, scales := make([]byte, 16*32), make([]byte, 64)
	panel := func(step, width int) *GroupPanel {
		return &GroupPanel{Values: make([]uint8, 32*width), Words: make([]uint32, GroupWords(32, step, width)), Scales: make([]float32, 1), Width: width, Step: step}
	}
	mul := func(scales []byte, p *GroupPanel) {
		MulW4GBytes(make([]float32, 64), 16, GroupStrips{N: 1, Weights: strip, Scales: scales, Size: 32}, p)
	}
	mul(scales, panel(32, 4))
	for name, call := range map[string]func(){
		"no strip":   func() { ExpandW4G(nil, nil) },
		"half":       func() { ExpandW4G(make([]byte, 256), make([]byte, 96)) },
		"no room":    func() { ExpandW4G(make([]byte, 127), make([]byte, 64)) },
		"step":       func() { mul(scales, panel(16, 4)) },
		"width":      func() { mul(scales, panel(32, 2)) },
		"few scales": func() { mul(scales[:32], panel(32, 4)) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			call()
		}()
	}
}
