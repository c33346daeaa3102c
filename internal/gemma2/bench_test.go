package gemma2

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"testing"

	"github.com/systemgemma/systemgemma/internal/arch"
	"github.com/systemgemma/systemgemma/internal/compute/offheap"
	"github.com/systemgemma/systemgemma/internal/compute/quant"
)

// shapes of the benchmark; the 2B takes 2.7 GB in W8C and some seconds to make, so it runs only when SYSTEMGEMMA_BENCH_2B is set.
func shapes() map[string]arch.Config {
	small := arch.Defaults()
	small.VocabSize, small.HiddenSize, small.IntermediateSize, small.NumLayers = 32000, 512, 2048, 8
	all := map[string]arch.Config{"small": small}
	if os.Getenv("SYSTEMGEMMA_BENCH_2B") != "" {
		all["2b"] = arch.Defaults()
	}
	return all
}

// noise fills a model with random int8 weights of the size that trained ones have: the speed of a pass, not its sense.
func noise(b *testing.B, c arch.Config) *Weights { return noiseAs(b, c, "W8C") }

// noiseAs is noise in an integer format.
func noiseAs(b *testing.B, c arch.Config, format string) *Weights {
	spec, err := quant.ParseFormat(format)
	if err != nil {
		b.Fatal(err)
	}
	c.AlternateLayers()
	seed := uint64(1)
	matrix := func(rows, cols int) *quant.Matrix {
		m, block, err := spec.New(rows, cols)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = block.Free() })
		for i := range offheap.Cast[uint32](m.Data) {
			seed = seed*6364136223846793005 + 1442695040888963407
			offheap.Cast[uint32](m.Data)[i] = uint32(seed>>32) &^ 0x80808080 // 0 to 127: no -128
		}
		for r := range m.Scale {
			m.Scale[r] = 1 / (64 * float32(cols))
		}
		for i := range offheap.Cast[uint16](m.Scales) { // 2^-12 as a half, or about 2^-47 as a float32
			offheap.Cast[uint16](m.Scales)[i] = 0x0c00
		}
		return m
	}
	norm := make([]float32, pad16(c.HiddenSize))
	for i := range norm[:c.HiddenSize] {
		norm[i] = 1
	}
	w := &Weights{Config: c, Embed: matrix(c.VocabSize, c.HiddenSize), FinalNorm: norm}
	w.Head = w.Embed
	q, kv := c.NumHeads*c.HeadDim, c.NumKVHeads*c.HeadDim
	for range c.NumLayers {
		w.Layers = append(w.Layers, Layer{norm, norm, norm, norm, matrix(q, c.HiddenSize), matrix(kv, c.HiddenSize), matrix(kv, c.HiddenSize),
			matrix(c.HiddenSize, q), matrix(c.IntermediateSize, c.HiddenSize), matrix(c.IntermediateSize, c.HiddenSize), matrix(c.HiddenSize, c.IntermediateSize)})
	}
	return w
}

func BenchmarkForward(b *testing.B) {
	for name, c := range shapes() {
		for _, format := range []string{"W8C", "W8G-g32-f16", "W4G-g32-f16", "W4G-g32-f16-min", "W8G-g128-token"} {
			b.Run(fmt.Sprintf("shape=%s/layout=%s", name, format), func(b *testing.B) { benchmarkForward(b, noiseAs(b, c, format)) })
		}
	}
}

// benchmarkForward does 1, 128 and 512 tokens a pass, at depths up to 512.
func benchmarkForward(b *testing.B, w *Weights) {
	m := open(b, w, runtime.GOMAXPROCS(0), Options{})
	pool := NewPool(&w.Config, KVF16, 0)
	for _, n := range []int{1, 128, 512} {
		b.Run(fmt.Sprintf("tokens=%d/threads=%d", n, runtime.GOMAXPROCS(0)), func(b *testing.B) {
			cache := pool.NewCache()
			tokens := ids(512, w.Config.VocabSize, 1)
			for b.Loop() {
				if cache.Len() >= 256 {
					b.StopTimer()
					cache.Free()
					b.StartTimer()
				}
				for first := 0; first < n; first += MaxRows {
					chunk := tokens[first:min(n, first+MaxRows)]
					if err := m.Forward(context.Background(), []Chunk{{Cache: cache, Tokens: chunk, Logits: 1}}, func(int, int, []float32) error { return nil }); err != nil {
						b.Fatal(err)
					}
				}
			}
			b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "tok/s")
		})
	}
}
