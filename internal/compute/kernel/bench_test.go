package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// product is one weight layout with data to multiply: tokens tokens, strips of k columns.
type product struct {
	name  string
	strip int // bytes of one strip
	run   func(w []byte)
}

func products(k, tokens int) []product {
	panel, as := make([]uint8, PanelSize(k, tokens)), make([]float32, tokens)
	x, out := make([]float32, PanelSize(k, tokens)), make([]float32, 16*tokens)
	ws, sum := make([]float32, 16), make([]int32, 16)
	blocks, tokenwise := groupPanel(k, tokens, 32), groupPanel(k, tokens, 128)
	halves, mins, floats := make([]byte, k), make([]byte, k), make([]byte, k/2)
	return []product{
		{"W8C", 16 * k, func(w []byte) { MulW8C(out, 16, w, ws, sum, panel, tokens, as) }},
		{"W8G", 16 * k, func(w []byte) { MulW8G(out, 16, GroupStrips{1, w, halves, nil, true, 32}, blocks) }},
		{"W8G-g128-token", 16 * k, func(w []byte) { MulW8G(out, 16, GroupStrips{1, w, floats, nil, false, 128}, tokenwise) }},
		{"W4G", 8 * k, func(w []byte) { MulW4G(out, 16, GroupStrips{1, w, halves, nil, true, 32}, blocks) }},
		{"W4G-min", 8 * k, func(w []byte) { MulW4G(out, 16, GroupStrips{1, w, halves, mins, true, 32}, blocks) }},
		{"F32", 64 * k, func(w []byte) { MulF32(out, 16, w, x, tokens, tokens) }},
		{"BF16", 32 * k, func(w []byte) { MulBF16(out, 16, w, x, tokens, tokens) }},
		{"BF16-rounded", 32 * k, func(w []byte) { MulBF16Rounded(out, 16, w, x, tokens, tokens) }},
		{"F16", 32 * k, func(w []byte) { MulF16(out, 16, w, x, tokens, tokens) }},
	}
}

func groupPanel(k, tokens, step int) *GroupPanel {
	width := PanelWidth(tokens)
	return &GroupPanel{make([]uint8, PanelSize(k, width)), make([]uint32, GroupWords(k, step, width)), make([]float32, tokens), width, step}
}

// best measures f, which does the given work, many times and reports the fastest and the median run: other programs on the
// machine disturb some runs, and a mean would count them.
func best(b *testing.B, work float64, unit string, f func(i int)) {
	var times []float64
	for i := 0; b.Loop(); i++ {
		start := time.Now()
		f(i)
		times = append(times, time.Since(start).Seconds())
	}
	slices.Sort(times)
	b.ReportMetric(work/times[0]/1e9, "best-"+unit)
	b.ReportMetric(work/times[len(times)/2]/1e9, "median-"+unit)
}

// BenchmarkHot shows the limit of arithmetic: four strips that stay in the cache.
func BenchmarkHot(b *testing.B) {
	const k, strips = 2304, 4
	defer func(was *table) { active = was }(active)
	for _, tokens := range []int{1, 2, 4, 8, 16} {
		for _, p := range products(k, tokens) {
			w := make([]byte, strips*p.strip)
			for _, set := range available()[1:] {
				active = set
				b.Run(fmt.Sprintf("layout=%s/tokens=%d/set=%s", p.name, tokens, set.name), func(b *testing.B) {
					best(b, 2*16*k*strips*float64(tokens), "GOPS", func(int) {
						for s := range strips {
							p.run(w[s*p.strip : (s+1)*p.strip])
						}
					})
				})
			}
		}
	}
}

// BenchmarkBounded shows what bounds bring 16 tokens and what a strip's cost, for bell-shaped weights and two widths of activations.
func BenchmarkBounded(b *testing.B) {
	const k, n = 2304, 2304 / boundedK
	r := rand.New(rand.NewPCG(1, 2))
	draw := func(sigma float64) []byte {
		x := make([]byte, 16*k)
		for i := range x {
			x[i] = byte(int8(max(-127, min(127, math.Round(sigma*r.NormFloat64())))))
		}
		return x
	}
	out, one := make([]float32, 256), slices.Repeat([]float32{1}, 16)
	var terms [16]int32
	for _, set := range available() {
		if set.bounded == nil {
			continue
		}
		for _, sigma := range []float64{15, 36} {
			w, a := draw(36), draw(sigma)
			strip, panel := make([]StripBlock, n), make([]PanelBlock, n)
			set.bounded.panel(&panel[0], &a[0], n)
			for _, c := range []struct {
				name string
				run  func()
			}{
				{"plain", func() { set.mulW8C(&out[0], 16, &w[0], &one[0], &terms[0], &a[0], MaxPanel, k/4, &one[0], MaxPanel) }},
				{"strip", func() { set.bounded.strip(&strip[0], &w[0], n) }},
				{"bounded", func() {
					set.bounded.mul(&out[0], 16, &w[0], &one[0], &strip[0], &a[0], &panel[0], n, &one[0], MaxPanel, &w[0], 1)
				}},
			} {
				b.Run(fmt.Sprintf("set=%s/activations=%v/%s", set.name, sigma, c.name), func(b *testing.B) {
					best(b, 2*16*16*k, "GOPS", func(int) { c.run() })
				})
			}
		}
	}
}

// BenchmarkCold shows the limit of memory: one token, 340 MB of weights read in order, 5.3 MB or more at a time.
func BenchmarkCold(b *testing.B) {
	const k, strips = 2304, 144
	defer func(was *table) { active = was }(active)
	w := make([]byte, 340<<20)
	for i := range w {
		w[i] = byte(i >> 12) // pages of its own behind every address
	}
	for _, p := range products(k, 1) {
		matrix := strips * p.strip
		for _, set := range available()[1:] {
			active = set
			b.Run(fmt.Sprintf("layout=%s/tokens=1/set=%s", p.name, set.name), func(b *testing.B) {
				best(b, float64(matrix), "GB/s", func(i int) {
					m := w[i%(len(w)/matrix)*matrix:][:matrix]
					for s := range strips {
						p.run(m[s*p.strip : (s+1)*p.strip])
					}
				})
			})
		}
	}
}

// BenchmarkVectors shows the elements per nanosecond of the functions of vectors, 2304 long, in the first-level cache.
func BenchmarkVectors(b *testing.B) {
	const n, d = 2304, 256
	x, y, z, q := make([]float32, n), make([]float32, n), make([]float32, n), make([]uint8, n)
	for _, set := range available() {
		for _, c := range []struct {
			name     string
			elements int
			run      func()
		}{
			{"quantize", n, func() { set.absMax(x); set.quantize(&q[0], 4, x, 1) }},
			{"norm", n, func() { set.sumSquares(x); set.scaleMul(x, y, z, 1) }},
			{"add", n, func() { set.add(x, y) }},
			{"rotate", d, func() { set.rotate(x[:d/2], x[d/2:d], y[:d/2], z[:d/2]) }},
			{"softcap", n, func() { set.softcap(x, 1, 50) }},
			{"geluMul", n, func() { set.geluMul(x, y, z) }},
			{"softmax", n, func() { set.max(x); set.expSum(x, 1) }},
		} {
			b.Run(fmt.Sprintf("func=%s/set=%s", c.name, set.name), func(b *testing.B) {
				best(b, 16*float64(c.elements), "elements/ns", func(int) {
					for range 16 {
						c.run()
					}
				})
			})
		}
	}
}
