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
func noise(b *testing.B, c arch.Config) *Weights {
	c.AlternateLayers()
	seed := uint64(1)
	matrix := func(rows, cols int) *quant.Matrix {
		m, block, err := quant.New(quant.W8C, rows, cols)
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
		w := noise(b, c)
		m := open(b, w, runtime.GOMAXPROCS(0), Options{})
		pool := NewPool(&w.Config, KVF16, 0)
		for _, n := range []int{1, 128} {
			b.Run(fmt.Sprintf("shape=%s/layout=W8C/tokens=%d/threads=%d", name, n, runtime.GOMAXPROCS(0)), func(b *testing.B) {
				cache := pool.NewCache()
				tokens := ids(128, c.VocabSize, 1)
				for b.Loop() {
					if cache.Len() >= 256 {
						b.StopTimer()
						cache.Free()
						b.StartTimer()
					}
					if err := m.Forward(context.Background(), []Chunk{{cache, tokens[:n], 1}}, func(int, int, []float32) error { return nil }); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "tok/s")
			})
		}
	}
}
