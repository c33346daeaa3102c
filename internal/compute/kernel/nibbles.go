package kernel

import "fmt"

// nibbles is a set's product with W4G strips whose nibbles have been made bytes, in steps of 32 columns and for widths from 4 on,
// and what makes them.
type nibbles struct {
	expand func(dst, w *byte, pairs int) // of tiles
	mul    mulGroups
}

// nibbleStep is the step of MulW4GBytes.
const nibbleStep = 32

// minNibbles is how many tokens pay for making a strip's nibbles bytes.
const minNibbles = 4 * MaxPanel

// UsesW4GBytes says whether that many tokens, in steps of step columns, gain by ExpandW4G on this CPU.
func UsesW4GBytes(tokens, step int) bool {
	return active.nibbles != nil && tokens >= minNibbles && step == nibbleStep
}

// ExpandW4G makes the nibbles of a W4G strip bytes, 0 to 15, in the order of W8G, for MulW4GBytes: dst has twice as many bytes as w,
// whose length is a multiple of 64.
func ExpandW4G(dst, w []byte) {
	if len(w) == 0 || len(w)%64 != 0 || len(dst) < 2*len(w) {
		panic(fmt.Sprintf("kernel.ExpandW4G: len(dst)=%d, len(w)=%d", len(dst), len(w)))
	}
	active.nibbles.expand(&dst[0], &w[0], len(w)/64)
}

// MulW4GBytes is MulW4G, the same bits, with a strip that ExpandW4G has made and a panel of width 4 or more.
func MulW4GBytes(out []float32, stride int, w GroupStrips, p *GroupPanel) {
	if p.Step != nibbleStep || p.Width < 4 {
		panic(fmt.Sprintf("kernel.MulW4GBytes: step=%d, width=%d", p.Step, p.Width))
	}
	mulGrouped("MulW4GBytes", active.nibbles.mul, 16, out, stride, w, p)
}
