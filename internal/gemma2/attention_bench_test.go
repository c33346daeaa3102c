package gemma2

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/systemgemma/systemgemma/internal/arch"
	"github.com/systemgemma/systemgemma/internal/compute/quant"
)

// fill makes a cache look as if it held n positions: random rows in its first page, copied to the others, so that each page
// is memory of its own.
func fill(t testing.TB, c *Cache, n int) {
	t.Helper()
	if err := c.reserve(n); err != nil {
		t.Fatal(err)
	}
	x, seed := make([]float32, c.pool.dim), uint32(1)
	for layer := range c.pool.slot {
		for i := range 2 * c.pool.heads * PageTokens {
			for j := range x {
				seed = seed*1664525 + 1013904223
				x[j] = float32(int32(seed)) / (1 << 31)
			}
			c.store(layer, i%2, i/2%c.pool.heads, i/2/c.pool.heads, x)
		}
	}
	for _, pages := range c.pages {
		for i := 1; i < len(pages); i++ {
			copy(pages[i].block.Bytes(), pages[0].block.Bytes())
		}
	}
	c.n = n
}

// BenchmarkAttention times the attention of all layers of the 2B shape, without the products: one token (decode) or 128
// (prefill) after depth positions. Other programs disturb some runs: best is the sum of each layer's best time, median the
// median of whole runs.
func BenchmarkAttention(b *testing.B) {
	c := arch.Defaults()
	c.VocabSize, c.HiddenSize, c.IntermediateSize = 64, 16, 16 // not part of it
	c.AlternateLayers()
	w := random(b, c, quant.F32)
	m := open(b, w, runtime.GOMAXPROCS(0), Options{})
	for i := range m.q.data {
		m.q.data[i] = float32(i*7%255-127) / 127
	}
	for _, kv := range []KVType{KVF32, KVF16, KVI8} {
		for _, rows := range []int{1, 128} {
			for _, depth := range []int{0, 128, 1024, 4096, 8192 - 128} {
				if rows == 1 && depth == 0 || rows > 1 && depth != 0 && depth != 4096 {
					continue
				}
				pool := NewPool(&c, kv, 0)
				cache := pool.NewCache()
				fill(b, cache, depth+rows)
				for t := range rows {
					m.rowCache[t], m.rowPos[t] = cache, depth+t
				}
				m.attention.plan(rows)
				b.Run(fmt.Sprintf("kv=%v/tokens=%d/depth=%d/threads=%d", kv, rows, depth, runtime.GOMAXPROCS(0)), func(b *testing.B) {
					var times []float64
					layers := slices.Repeat([]float64{math.Inf(1)}, len(w.Layers))
					for b.Loop() {
						all := 0.0
						for l := range layers {
							m.attention.layer = l
							start := time.Now()
							if err := m.attention.run(); err != nil {
								b.Fatal(err)
							}
							t := time.Since(start).Seconds()
							layers[l], all = min(layers[l], t), all+t
						}
						times = append(times, all)
					}
					slices.Sort(times)
					best := 0.0
					for _, t := range layers {
						best += t
					}
					b.ReportMetric(1e3*best/float64(rows), "best-ms/token")
					b.ReportMetric(1e3*times[len(times)/2]/float64(rows), "median-ms/token")
				})
				cache.Free()
				pool.Close()
			}
		}
	}
}

// BenchmarkDepth decodes tokens in turn at depth 128 and deeper, with all products: what depth costs, on one machine at one time.
// rate is the median, over the turns, of a depth's rate by that at 128 in the same turn.
func BenchmarkDepth(b *testing.B) {
	depths := []int{128, 1024, 4096, 8064}
	for name, c := range shapes() {
		w := noise(b, c)
		m := open(b, w, runtime.GOMAXPROCS(0), Options{})
		for _, kv := range []KVType{KVF16, KVI8} {
			b.Run(fmt.Sprintf("shape=%s/kv=%v/threads=%d", name, kv, runtime.GOMAXPROCS(0)), func(b *testing.B) {
				pool := NewPool(&w.Config, kv, 0)
				defer pool.Close()
				var caches []*Cache
				for _, depth := range depths {
					caches = append(caches, pool.NewCache())
					fill(b, caches[len(caches)-1], depth)
				}
				times, rates := make([][]float64, len(depths)), make([][]float64, len(depths))
				for b.Loop() {
					for i, cache := range caches {
						start := time.Now()
						if err := m.Forward(context.Background(), []Chunk{{Cache: cache, Tokens: []int32{5}, Logits: 1}}, func(int, int, []float32) error { return nil }); err != nil {
							b.Fatal(err)
						}
						took := time.Since(start).Seconds()
						times[i] = append(times[i], took)
						rates[i] = append(rates[i], times[0][len(times[0])-1]/took)
						cache.n-- // the same again; the page stays
					}
				}
				for i, depth := range depths {
					slices.Sort(times[i])
					slices.Sort(rates[i])
					b.ReportMetric(rates[i][len(rates[i])/2], fmt.Sprintf("rate/%d", depth))
					b.ReportMetric(1e3*times[i][0], fmt.Sprintf("best-ms/%d", depth))
					b.ReportMetric(1e3*times[i][len(times[i])/2], fmt.Sprintf("median-ms/%d", depth))
					caches[i].Free()
				}
			})
		}
	}
}
