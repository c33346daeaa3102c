package kernel

import (
	"fmt"
	"math"
)

// MaxPanel is the largest number of tokens that one product takes.
const MaxPanel = 16

// PanelWidth is the number of columns of the panel that holds n tokens, 1 <= n <= MaxPanel: the next power of two.
// Columns beyond the tokens may hold anything; their products are not stored.
func PanelWidth(n int) int {
	switch {
	case n <= 2:
		return n
	case n <= 4:
		return 4
	case n <= 8:
		return 8
	}
	return MaxPanel
}

// PanelSize is the number of elements of a panel: columns of k elements, k rounded up to 16.
func PanelSize(k, width int) int { return (k + 15) &^ 15 * width }

// Quantize rounds one token's activations to int8, column col of a panel of shape [len(x)/4][width][4], and returns their
// scale: absmax/127, each element x/scale rounded half to even (golden/quant, rtn). A zero x has scale 0. Where x holds an
// infinity or a NaN the scale is one too, so that every product with it is a NaN and none passes for a number.
// len(x) is a multiple of 16. The bytes are for this process' products only: their bias depends on the CPU.
func Quantize(panel []uint8, width, col int, x []float32) (scale float32) {
	if len(x)%16 != 0 || len(panel) < len(x)*width || col < 0 || col >= width {
		panic(fmt.Sprintf("kernel.Quantize: len(panel)=%d, width=%d, col=%d, len(x)=%d", len(panel), width, col, len(x)))
	}
	if len(x) == 0 {
		return 0
	}
	scale = math.Float32frombits(active.absMax(x)) / 127
	if scale == 0 || math.IsInf(float64(scale), 0) || scale != scale {
		for i := range x {
			panel[4*(i/4*width+col)+i%4] = active.bias
		}
		return scale
	}
	active.quantize(&panel[4*col], 4*width, x, scale)
	return scale
}

// Pack stores one token's activations as column col of a float panel of shape [len(x)][width].
func Pack(panel []float32, width, col int, x []float32) {
	if width == 1 {
		copy(panel[:len(x)], x)
		return
	}
	for i, v := range x {
		panel[i*width+col] = v
	}
}

// RowTerms returns what MulW8C wants to know of each row of the strips w, for products with panels of that many columns or fewer:
// rowSum, the sums of its weights, or on some CPUs something else that takes a walk through the strips, and so is made once for
// all panels, in room, which is as long as rowSum.
func RowTerms(room []int32, w []byte, rowSum []int32, width int) []int32 {
	if active.rowTerms == nil || width <= 2 { // the products of one or two tokens, where the walk would cost, do without
		return rowSum
	}
	n := len(rowSum) / 16
	if n == 0 || len(rowSum)%16 != 0 || len(w) == 0 || len(w)%(64*n) != 0 || len(room) < len(rowSum) {
		panic(fmt.Sprintf("kernel.RowTerms: len(room)=%d, len(w)=%d, len(rowSum)=%d", len(room), len(w), len(rowSum)))
	}
	for s, strip := 0, len(w)/n; s < n; s++ {
		active.rowTerms(&room[16*s], &w[s*strip], strip/64, &rowSum[16*s])
	}
	return room[:len(rowSum)]
}

// MulW8C multiplies W8C strips that lie one after the other, 16 rows each, with the quantised tokens of a panel:
//
//	out[t*stride+r] = (float32(sum over k of w[r][k]*a[t][k]) * aScale[t]) * wScale[r]     r < len(wScale), t < len(aScale)
//
// A strip of w is [k/4][16][4] int8, the panel as Quantize fills it, terms are the strips' RowTerms. The integer sum is exact:
// k <= 2^16 keeps it within int32.
func MulW8C(out []float32, stride int, w []byte, wScale []float32, terms []int32, panel []uint8, width int, aScale []float32) {
	n, tokens := len(wScale)/16, len(aScale)
	if n == 0 || len(wScale)%16 != 0 || len(terms) != len(wScale) || len(w) == 0 || len(w)%(64*n) != 0 || len(w) > n<<20 ||
		len(panel) < width*(len(w)/(16*n)) || !fits(out, stride, 16*n, width, tokens) {
		panic(fmt.Sprintf("kernel.MulW8C: len(out)=%d, stride=%d, len(w)=%d, len(wScale)=%d, len(terms)=%d, len(panel)=%d, width=%d, tokens=%d",
			len(out), stride, len(w), len(wScale), len(terms), len(panel), width, tokens))
	}
	for s, strip := 0, len(w)/n; s < n; s++ {
		active.mulW8C(&out[16*s], stride, &w[s*strip], &wScale[16*s], &terms[16*s], &panel[0], width, strip/64, &aScale[0], tokens)
	}
}

// MulF32 multiplies one strip of float32 weights, shape [k][16], with the first tokens columns of a panel as Pack fills it:
// out[t*stride+r] = sum over k of w[k][r]*a[k][t], one chain of fused multiply-adds per k mod 4, added (0+1)+(2+3).
// k is a multiple of 4.
func MulF32(out []float32, stride int, w []byte, panel []float32, width, tokens int) {
	mulFloat("MulF32", active.mulF32, 256, out, stride, w, panel, width, tokens)
}

// MulBF16 is MulF32 for bfloat16 weights, shape [k/2][16][2].
func MulBF16(out []float32, stride int, w []byte, panel []float32, width, tokens int) {
	mulFloat("MulBF16", active.mulBF16, 128, out, stride, w, panel, width, tokens)
}

// MulF16 is MulF32 for half-precision weights, shape [k][16].
func MulF16(out []float32, stride int, w []byte, panel []float32, width, tokens int) {
	mulFloat("MulF16", active.mulF16, 128, out, stride, w, panel, width, tokens)
}

func mulFloat(name string, mul func(*float32, int, *byte, *float32, int, int, int), tile int, out []float32, stride int, w []byte, panel []float32, width, tokens int) {
	k4 := len(w) / tile
	if k4 == 0 || len(w)%tile != 0 || len(panel) < 4*width*k4 || !fits(out, stride, 16, width, tokens) {
		panic(fmt.Sprintf("kernel.%s: len(out)=%d, stride=%d, len(w)=%d, len(panel)=%d, width=%d, tokens=%d", name, len(out), stride, len(w), len(panel), width, tokens))
	}
	mul(&out[0], stride, &w[0], &panel[0], width, k4, tokens)
}

// fits says whether the results of tokens tokens, that many rows each, fit into out, and tokens into a panel of that width.
func fits(out []float32, stride, rows, width, tokens int) bool {
	return tokens > 0 && tokens <= width && width <= MaxPanel && width&(width-1) == 0 && stride >= rows && len(out) >= (tokens-1)*stride+rows
}
