//go:build amd64 && !noasm

package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/systemgemma/systemgemma/internal/testkit/emulate"
)

// TestEmulatedGroupCases writes the products with weights in groups, as TestEmulatedCases the other functions.
func TestEmulatedGroupCases(t *testing.T) {
	if !emulate.Enabled() {
		t.Skip("ASM_EMULATE_CASES names no file for the cases")
	}
	for i, l := range levels {
		e := emulation{t, l.set, l.cpu, rand.New(rand.NewPCG(11, uint64(i)))}
		for n := range 2 * 3 * MaxPanel {
			tokens := 1 + n%MaxPanel
			w4, step := n >= 3*MaxPanel, []int{32, 64, 128}[n/MaxPanel%3]
			if !w4 && step == 128 {
				step = 16
			}
			for kind := range 4 {
				c := newGroupCase(e.r.Uint64, w4, kind%2 == 1, kind/2 == 1, (n+kind)%3 == 0, step, 1+(n+kind)%2, 2, tokens, 16*(1+tokens%3))
				e.groups(fmt.Sprintf("step=%d/tokens=%d/kind=%d", step, tokens, kind), c)
			}
		}
		if e.set.nibbles != nil {
			for n := range 4 * MaxPanel {
				tokens := 3 + n%(MaxPanel-2)
				e.nibbles(fmt.Sprintf("tokens=%d/n=%d", tokens, n), newGroupCase(e.r.Uint64, true, n%2 == 1, n/2%2 == 1, n%3 == 0, nibbleStep, 1+n%2, 2, tokens, 16*(1+tokens%3)))
			}
		}
		for blocks := range 3 {
			e.expand(1 + blocks)
		}
		for _, width := range []int{1, 2, 16} {
			for blocks := range 4 {
				e.blocks(width, 32*blocks)
			}
		}
	}
}

func (e emulation) groups(name string, c *groupCase) {
	if c.w4 {
		e.group("mulW4G/"+name, e.set.mulW4G, mulW4GRef, c, c.w)
	} else {
		e.group("mulW8G/"+name, e.set.mulW8G, mulW8GRef, c, c.w)
	}
}

// group writes one call of f, which wants the case's weights as w.
func (e emulation) group(name string, f, ref mulGroups, c *groupCase, w []byte) {
	out := e.floats((c.tokens-1)*c.stride + 16)
	want := slices.Clone(out)
	mins, minsArg := (*byte)(nil), emulate.Arg{"ptr": nil}
	memory := map[string]emulate.Block{"out": emulate.Out(out), "w": emulate.In(w), "scales": emulate.In(c.scales),
		"panel": emulate.In(c.values), "words": emulate.In(c.words), "aScale": emulate.In(c.aScale)}
	if c.mins != nil {
		mins, minsArg, memory["mins"] = &c.mins[0], emulate.Ptr("mins"), emulate.In(c.mins)
	}
	ref(&want[0], c.stride, &c.w[0], &c.scales[0], mins, c.halves, &c.values[0], &c.words[0], c.width, c.steps, c.stepTiles, c.groupSteps, &c.aScale[0], c.tokens)
	e.write(name, f, []emulate.Arg{emulate.Ptr("out"), emulate.Int(c.stride), emulate.Ptr("w"), emulate.Ptr("scales"), minsArg, emulate.Int(c.halves),
		emulate.Ptr("panel"), emulate.Ptr("words"), emulate.Int(c.width), emulate.Int(c.steps), emulate.Int(c.stepTiles), emulate.Int(c.groupSteps),
		emulate.Ptr("aScale"), emulate.Int(c.tokens)}, memory, map[string][]byte{"out": emulate.Bytes(want)})
}

// nibbles writes a call of expandW4G and one of the product with what it makes.
func (e emulation) nibbles(name string, c *groupCase) {
	n := e.set.nibbles
	bytes := make([]byte, 2*len(c.w))
	expandW4GRef(bytes, c.w)
	e.write("expandW4G/"+name, n.expand, []emulate.Arg{emulate.Ptr("dst"), emulate.Ptr("w"), emulate.Int(len(c.w) / 64)},
		map[string]emulate.Block{"dst": emulate.Out(make([]byte, len(bytes))), "w": emulate.In(c.w)}, map[string][]byte{"dst": bytes})
	e.group("mulW4GBytes/"+name, n.mul, mulW4GRef, c, bytes)
}

// expand writes one call of expandW4L.
func (e emulation) expand(blocks int) {
	w, scales, numbers := e.bytes(blocks*8*tableCols, false), e.floats(16*blocks), e.floats(16)
	out := make([]float32, 16*tableCols*blocks)
	want := slices.Clone(out)
	expandW4LRef(&want[0], &w[0], &scales[0], &numbers[0], blocks)
	e.write(fmt.Sprintf("expandW4L/blocks=%d", blocks), e.set.expandW4L,
		[]emulate.Arg{emulate.Ptr("dst"), emulate.Ptr("w"), emulate.Ptr("scales"), emulate.Ptr("table"), emulate.Int(blocks)},
		map[string]emulate.Block{"dst": emulate.Out(out), "w": emulate.In(w), "scales": emulate.In(scales), "table": emulate.In(numbers)},
		map[string][]byte{"dst": emulate.Bytes(want)})
}

// blocks writes one call of quantizeBlocks for the last column, a block of zeros and one with ties among them.
func (e emulation) blocks(width, n int) {
	if n == 0 {
		return
	}
	x, d, w := e.floats(n), e.bytes((n/4-1)*4*width+4, false), make([]uint32, (n/32*wordRows-1)*width+1)
	if n > 32 {
		clear(x[:32])
	}
	for i := n - 32; i < n; i++ {
		x[i] = float32(e.r.IntN(255)) - 127.5
	}
	x[n-1] = 127
	want, words := slices.Clone(d), slices.Clone(w)
	quantizeBlocksRef(&want[0], 4*width, &words[0], width, x)
	if s := math.Float32frombits(words[(n/32-1)*wordRows*width]); s != 127.5/127 && s != 1 {
		e.Fatalf("the last block has scale %v", s)
	}
	e.write(fmt.Sprintf("quantizeBlocks/width=%d/n=%d", width, n), e.set.quantizeBlocks,
		[]emulate.Arg{emulate.Ptr("dst"), emulate.Int(4 * width), emulate.Ptr("words"), emulate.Int(width), emulate.Slice("x", n)},
		map[string]emulate.Block{"dst": emulate.Out(d), "words": emulate.Out(w), "x": emulate.In(x)},
		map[string][]byte{"dst": emulate.Bytes(want), "words": emulate.Bytes(words)})
}
