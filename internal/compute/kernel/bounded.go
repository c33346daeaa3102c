package kernel

import "fmt"

// A product of 16 tokens with W8C can add in 16 bits where that stays exact, as it nearly always does for bell-shaped numbers, few of
// which are near the largest one, 127: trained weights, and inputs with a few large channels.
//
// Within a block of 16 k, sum of w*a = sum of u*a - offset * sum of a, where u = w+offset is unsigned: offset = -least weight.
// A pair of neighbours' u*a fits 16 bits if spread*pair does: spread is the largest u, pair the largest sum of neighbouring
// activations of one sign. Sums of pairs may wrap: they are known modulo 2^16, and so is the true sum of eight w*a, which fits
// 16 bits if the sums of the eight squares of each are small enough (Cauchy, Schwarz). Both are asked block by block, for four
// tokens at a time; where one is not so, the product adds in 32 bits.

// bounded is a set's product that uses bounds, and what makes them.
type bounded struct {
	strip func(blocks *StripBlock, w *byte, k16 int) (spread, square int)
	panel func(blocks *PanelBlock, panel *uint8, k16 int) (pair, square int)
	mul   func(out *float32, outStride int, w *byte, wScale *float32, strip *StripBlock, panel *uint8, blocks *PanelBlock, k16 int, aScale *float32, tokens int, ahead *byte, lines int)
}

// StripBlock bounds 16 k of 16 rows, as assembly reads it.
type StripBlock struct {
	offset         uint8
	_              uint8
	minus          int16 // -offset
	spread, square uint16
}

// PanelBlock bounds 16 k of 16 tokens, four by four.
//
// A square, of it and of a StripBlock, is at least half a sum of eight squares, those of k mod 4 < 2 or those of the others:
// the largest of both, and of the four tokens or all rows.
type PanelBlock [4]struct {
	sums         [4][2]int16 // of each token's activations: k mod 4 < 2, and the others
	pair, square uint16
}

const (
	boundedK    = 16 // of a block
	spreadLimit = 1<<15 - 1
	squareLimit = spreadLimit * spreadLimit / 4
	minBounded  = MaxPanel // tokens that pay for a strip's bounds
)

// StripBounds are those of one strip of W8C, PanelBounds those of one panel of MaxPanel columns. Blocks is room for one per 16 k,
// which the caller makes.
type StripBounds struct {
	Blocks         []StripBlock
	n              int // blocks in use
	spread, square int // their sums
}

// PanelBounds: see StripBounds.
type PanelBounds struct {
	Blocks       []PanelBlock
	n            int
	pair, square int
}

// UsesBounds says whether products of that many tokens gain by bounds on this CPU; where not, none can be set.
func UsesBounds(tokens int) bool { return active.bounded != nil && tokens >= minBounded }

// Set makes the bounds of the strip w, once for all panels. len(w) is a multiple of 256.
func (b *StripBounds) Set(w []byte) {
	b.n = len(w) / (boundedK * 16)
	if b.n == 0 || b.n > len(b.Blocks) || len(w)%(boundedK*16) != 0 {
		panic(fmt.Sprintf("kernel.StripBounds: len(w)=%d, room for %d blocks", len(w), len(b.Blocks)))
	}
	b.spread, b.square = active.bounded.strip(&b.Blocks[0], &w[0], b.n)
}

// Set makes the bounds of a panel, all of whose tokens are rounded, once for all strips. len(panel) is a multiple of 256.
func (b *PanelBounds) Set(panel []uint8) {
	b.n = len(panel) / (boundedK * MaxPanel)
	if b.n == 0 || b.n > len(b.Blocks) || len(panel)%(boundedK*MaxPanel) != 0 {
		panic(fmt.Sprintf("kernel.PanelBounds: len(panel)=%d, room for %d blocks", len(panel), len(b.Blocks)))
	}
	b.pair, b.square = active.bounded.panel(&b.Blocks[0], &panel[0], b.n)
}

// Suit says whether most blocks keep within the limits, as far as means tell, so that MulW8CBounded is faster than MulW8C.
func (b *StripBounds) Suit(p *PanelBounds) bool {
	fours := int64(b.n) * int64(p.n) * 4
	return int64(b.spread)*int64(p.pair) <= fours*(spreadLimit/32*27) && int64(b.square)*int64(p.square) <= fours*(squareLimit/32*27)
}

// MulW8CBounded is MulW8C, the same bits, with a panel of MaxPanel columns. Meanwhile it fetches ahead, if any, into the cache: all
// of the strip that comes next, a half or a quarter. Read when it is wanted, a strip would have the whole product wait for memory.
func MulW8CBounded(out []float32, stride int, w []byte, wScale []float32, strip *StripBounds, panel []uint8, bounds *PanelBounds, aScale []float32, ahead []byte) {
	n, tokens := strip.n, len(aScale)
	if n == 0 || bounds.n != n || len(w) != n*boundedK*16 || len(panel) != n*boundedK*MaxPanel || len(wScale) < 16 || !fits(out, stride, 16, MaxPanel, tokens) || len(ahead)%(64*n) != 0 {
		panic(fmt.Sprintf("kernel.MulW8CBounded: len(out)=%d, stride=%d, len(w)=%d, len(panel)=%d, blocks %d and %d, tokens=%d, len(ahead)=%d", len(out), stride, len(w), len(panel), n, bounds.n, tokens, len(ahead)))
	}
	lines := 1
	if len(ahead) == 0 {
		ahead = w
	} else {
		lines = len(ahead) / (64 * n)
	}
	active.bounded.mul(&out[0], stride, &w[0], &wScale[0], &strip.Blocks[0], &panel[0], &bounds.Blocks[0], n, &aScale[0], tokens, &ahead[0], lines)
}
