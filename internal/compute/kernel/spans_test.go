package kernel

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// Strips that lie one after the other give what each of them gives alone, in every set, and leave what lies beside their results.
func TestStripsInOneCall(t *testing.T) {
	eachSet(t, func(t *rapid.T, set *table) {
		defer func(was *table) { active = was }(active)
		active = set
		n, tokens := rapid.IntRange(1, 5).Draw(t, "strips"), rapid.IntRange(1, MaxPanel).Draw(t, "tokens")
		next, width, stride := lcg(rapid.Uint64().Draw(t, "seed")), PanelWidth(tokens), 16*n+16*rapid.IntRange(0, 2).Draw(t, "stride")
		bytes := func(n int) []byte {
			b := make([]byte, n)
			for i := range b {
				b[i] = byte(next())
			}
			return b
		}
		check := func(what string, mul func(out []float32, first, n int)) {
			all, each := make([]float32, (tokens-1)*stride+16*n), make([]float32, (tokens-1)*stride+16*n)
			for i := range all {
				all[i], each[i] = 7, 7
			}
			mul(all, 0, n)
			for s := range n {
				mul(each[16*s:], s, 1)
			}
			diff(t, what, all, each)
		}

		k := 64 * rapid.IntRange(1, 3).Draw(t, "k")
		w, panel, scale := bytes(n*16*k), bytes(k*width), floats(t, n*16, "scales")
		for i := range panel { // int8 from -127 on
			panel[i] = uint8(int8(max(-127, int(int8(panel[i]))))) + set.bias
		}
		as, sums := floats(t, tokens, "activation scales"), make([]int32, n*16)
		for i, q := range w {
			sums[i/(16*k)*16+i%64/4] += int32(int8(q))
		}
		check("W8C", func(out []float32, first, n int) {
			strips, sums := w[first*16*k:(first+n)*16*k], sums[16*first:16*(first+n)]
			terms := RowTerms(make([]int32, 16*n), strips, sums, width)
			MulW8C(out, stride, strips, scale[16*first:16*(first+n)], terms, panel, width, as)
		})
		p := &GroupPanel{Values: bytes(k * width), Words: make([]uint32, GroupWords(k, 32, width)), Scales: as, Width: width, Step: 32}
		for col := range tokens {
			p.QuantizeBlocks(col, floats(t, k, "x"))
		}
		w4, scales := bytes(n*8*k), make([]byte, n*k) // two bytes for each row and 32 columns
		for i := range scales {
			scales[i] = byte(next()) & 0x3b // no infinities
		}
		mins := slices.Clone(scales)
		slices.Reverse(mins)
		group := func(w []byte, perStrip, first, n int) GroupStrips {
			return GroupStrips{n, w[first*perStrip : (first+n)*perStrip], scales[first*k : (first+n)*k], mins[first*k : (first+n)*k], true, 32}
		}
		check("W8G", func(out []float32, first, n int) { MulW8G(out, stride, group(w, 16*k, first, n), p) })
		check("W4G", func(out []float32, first, n int) { MulW4G(out, stride, group(w4, 8*k, first, n), p) })
	})
}
