package kernel

import (
	"fmt"
	"math"
	"unsafe"
)

// mulGroups is the type of mulW8G and mulW4G: one strip times the first tokens columns of a panel. It has steps steps of
// stepTiles tiles (4 columns each); each groupSteps steps share one vector of 16 scales (and mins, if not nil), half
// precision if halves is 1. words has wordRows rows of width for each step; see GroupPanel.
type mulGroups = func(out *float32, outStride int, w, scales, mins *byte, halves int, panel *uint8, words *uint32, width, steps, stepTiles, groupSteps int, aScale *float32, tokens int)

// wordRows is the number of rows that a step has in a GroupPanel's words.
const wordRows = 5

// GroupPanel is up to MaxPanel tokens, rounded to int8 for products with W8G and W4G. Its integers are summed in steps.
type GroupPanel struct {
	// Values are int8 without bias, shape [k/4][Width][4].
	Values []uint8
	// Words are 32 bits each, shape [k/Step][5][Width]: the scale s of the step, float32; float32(sum)*s, sum being that of
	// the step's values; then what x86 begins a sum with instead of signed weights, int32: 0, -8*sum, -128*sum.
	Words []uint32
	// Scales is the scale of each token as a whole.
	Scales []float32
	Width  int // 1, 2, 4, 8 or 16
	Step   int // columns in a step: 16, 32, 64, 128, 256 or 512
}

// GroupWords is the length of Words for k columns.
func GroupWords(k, step, width int) int { return k / step * wordRows * width }

// check panics unless token col of k columns fits.
func (p *GroupPanel) check(what string, k, col int) {
	if p.Step < 16 || p.Step > 512 || p.Step&(p.Step-1) != 0 || k < p.Step || k%p.Step != 0 || len(p.Values) < k*p.Width ||
		len(p.Words) < GroupWords(k, p.Step, p.Width) || p.Width > MaxPanel || col < 0 || col >= p.Width || col >= len(p.Scales) {
		panic(fmt.Sprintf("kernel.%s: k=%d, step=%d, len(values)=%d, len(words)=%d, width=%d, column=%d of %d",
			what, k, p.Step, len(p.Values), len(p.Words), p.Width, col, len(p.Scales)))
	}
}

// QuantizeBlocks rounds one token as column col: each 32 elements have their own scale, absmax/127, and each is x/scale,
// rounded half to even. The token's own scale is 1. Step is 16 or 32; len(x) is a multiple of 32. A block with an infinity
// or a NaN has such a scale, so that every product with it is a NaN.
func (p *GroupPanel) QuantizeBlocks(col int, x []float32) {
	p.check("QuantizeBlocks", len(x), col)
	if len(x)%32 != 0 || p.Step > 32 {
		panic(fmt.Sprintf("kernel.QuantizeBlocks: len(x)=%d, step=%d", len(x), p.Step))
	}
	p.Scales[col] = 1
	if p.Step == 32 {
		active.quantizeBlocks(&p.Values[4*col], 4*p.Width, &p.Words[col], p.Width, x)
		return
	}
	for b := 0; b < len(x); b += 32 { // groups of 16 (Q2_K, Q3_K, Q6_K): two steps share a scale
		words := p.Words[b/16*wordRows*p.Width+col:]
		active.quantizeBlocks(&p.Values[b*p.Width+4*col], 4*p.Width, &words[0], p.Width, x[b:b+32])
		scale := math.Float32frombits(words[0])
		p.setWords(b/16, col, scale)
		p.setWords(b/16+1, col, scale)
	}
}

// QuantizeToken rounds one token as column col with one scale, as Quantize does. The scales of its steps are 1.
func (p *GroupPanel) QuantizeToken(col int, x []float32) {
	p.check("QuantizeToken", len(x), col)
	scale := math.Float32frombits(active.absMax(x)) / 127
	p.Scales[col] = scale
	if usable(scale) {
		active.quantizeSigned(&p.Values[4*col], 4*p.Width, x, scale)
	} else {
		for i := range x {
			p.Values[4*(i/4*p.Width+col)+i%4] = 0
		}
	}
	for s := range len(x) / p.Step {
		p.setWords(s, col, 1)
	}
}

// setWords writes the words of column col in step s, whose values are there.
func (p *GroupPanel) setWords(s, col int, scale float32) {
	sum := int32(0)
	for i := s * p.Step / 4; i < (s+1)*p.Step/4; i++ {
		v := p.Values[4*(i*p.Width+col):][:4]
		sum += int32(int8(v[0])) + int32(int8(v[1])) + int32(int8(v[2])) + int32(int8(v[3]))
	}
	putWords(p.Words[s*wordRows*p.Width+col:], p.Width, scale, sum)
}

// putWords writes what GroupPanel.Words has for one step and token.
func putWords(words []uint32, width int, scale float32, sum int32) {
	words[0] = math.Float32bits(scale)
	words[width] = math.Float32bits(float32(sum) * scale)
	words[2*width] = 0
	words[3*width] = uint32(-8 * sum)
	words[4*width] = uint32(-128 * sum)
}

// usable says whether numbers can be divided by a scale: it is no zero, infinity or NaN.
func usable(scale float32) bool {
	return scale != 0 && !math.IsInf(float64(scale), 0) && scale == scale
}

// GroupStrips are strips of W8G or W4G weights, 16 rows each, that lie one after the other.
type GroupStrips struct {
	N       int // strips
	Weights []byte
	Scales  []byte // of each strip [groups][16 rows], 4-byte aligned
	Mins    []byte // as Scales, or nil
	Halves  bool   // scales and minima are half precision, else float32
	Size    int    // columns in a group: a multiple of the panel's Step
}

// MulW8G multiplies W8G strips with the tokens of a panel. For each step i in ascending order, with d and m the scale and
// the minimum of its group, s its activations' scale and both sums exact integers,
//
//	acc = fma(sum of w*a, d*s, acc)
//	acc = fma(m, sum of a * s, acc)    where there are minima
//	out[t*stride+r] = acc * Scales[t]
//
// The products d*s and sum*s are rounded to float32.
func MulW8G(out []float32, stride int, w GroupStrips, p *GroupPanel) {
	mulGrouped("MulW8G", active.mulW8G, 16, out, stride, w, p)
}

// MulW4G is MulW8G for 4-bit weights; q-8 stands for w where there are no minima, q where there are.
func MulW4G(out []float32, stride int, w GroupStrips, p *GroupPanel) {
	mulGrouped("MulW4G", active.mulW4G, 8, out, stride, w, p)
}

func mulGrouped(name string, mul mulGroups, bytesPerCol int, out []float32, stride int, w GroupStrips, p *GroupPanel) {
	k, size, halves, tokens := 0, 4, 0, len(p.Scales)
	if w.Halves {
		size, halves = 2, 1
	}
	if w.N > 0 {
		k = len(w.Weights) / (w.N * bytesPerCol)
	}
	p.check(name, k, tokens-1)
	if len(w.Weights) != w.N*k*bytesPerCol || k > 1<<16 || w.Size < p.Step || w.Size%p.Step != 0 || k%w.Size != 0 || p.Step < 128/bytesPerCol ||
		len(w.Scales) != w.N*(k/w.Size*16*size) || w.Mins != nil && len(w.Mins) != len(w.Scales) || !fits(out, stride, 16*w.N, p.Width, tokens) {
		panic(fmt.Sprintf("kernel.%s: len(out)=%d, stride=%d, strips=%d, len(w)=%d, len(scales)=%d, len(mins)=%d, group=%d, step=%d, width=%d, tokens=%d",
			name, len(out), stride, w.N, len(w.Weights), len(w.Scales), len(w.Mins), w.Size, p.Step, p.Width, tokens))
	}
	strip, scales, steps, groupSteps := k*bytesPerCol, len(w.Scales)/w.N, k/p.Step, w.Size/p.Step
	mins := unsafe.SliceData(w.Mins)
	for s := range w.N {
		if mins != nil {
			mins = &w.Mins[s*scales]
		}
		mul(&out[16*s], stride, &w.Weights[s*strip], &w.Scales[s*scales], mins, halves, &p.Values[0], &p.Words[0], p.Width,
			steps, p.Step/4, groupSteps, &p.Scales[0], tokens)
	}
}
