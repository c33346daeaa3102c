package gemma2

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"testing"

	"github.com/systemgemma/systemgemma/internal/compute/half"
	"github.com/systemgemma/systemgemma/internal/compute/kernel"
	"github.com/systemgemma/systemgemma/internal/compute/offheap"
	"github.com/systemgemma/systemgemma/internal/compute/quant"
)

// cachedRow is a key (part 0) or value (part 1) as it was stored, made float32, and its scale.
func cachedRow(c *Cache, layer, part, kvHead, pos int) (row []float32, scale float32) {
	dim := c.pool.dim
	bytes, at := c.rows(layer, part, kvHead, pos/PageTokens), pos%PageTokens*dim
	row = make([]float32, dim)
	for i := range row {
		switch c.pool.typ {
		case KVF32:
			row[i] = offheap.Cast[float32](bytes)[at+i]
		case KVF16:
			row[i] = half.FromF16(offheap.Cast[uint16](bytes)[at+i])
		case KVI8:
			row[i] = float32(offheap.Cast[int8](bytes)[at+i])
		}
	}
	if c.pool.typ == KVI8 {
		return row, c.scales(layer, part, kvHead, pos/PageTokens)[pos%PageTokens]
	}
	return row, 1
}

// alone is the attention of one query by itself, key by key: what defines the bits.
func alone(m *Model, c *Cache, layer, kvHead, pos int, q []float32) []float32 {
	var out []float32
	var top, sum float32
	first := 0
	if !m.config.Global[layer] {
		first = max(0, pos+1-m.config.SlidingWindow)
	}
	for lo := first; lo <= pos; {
		hi := min(lo/segment*segment+segment, pos+1)
		scores, part := make([]float32, pad16(hi-lo)), make([]float32, len(q))
		for p := lo; p < hi; p++ {
			k, scale := cachedRow(c, layer, 0, kvHead, p)
			var s [kernel.KeyBlock]float32
			kernel.DotF32(s[:], kernel.KeyBlock, q, len(q), slices.Repeat(k, kernel.KeyBlock), nil)
			scores[p-lo] = s[0] * scale
		}
		kernel.Softcap(scores, m.queryScale, m.config.AttnSoftcap)
		for i := hi - lo; i < len(scores); i++ {
			scores[i] = float32(math.Inf(-1))
		}
		partTop := kernel.Max(scores)
		partSum := kernel.ExpSum(scores, partTop)
		for p := lo; p < hi; p++ {
			v, scale := cachedRow(c, layer, 1, kvHead, p)
			kernel.AxpyF32(part, len(q), []float32{scores[p-lo] * scale}, 1, v, nil)
		}
		if lo == first {
			out, top, sum = part, partTop, partSum
		} else {
			joined := max(top, partTop)
			keep, add := kernel.Exp(top-joined), kernel.Exp(partTop-joined)
			for i := range out {
				out[i] *= keep
			}
			kernel.AxpyF32(out, len(q), []float32{add}, 1, part, nil)
			top, sum = joined, float32(sum*keep)+float32(partSum*add)
		}
		lo = hi
	}
	for i := range out {
		out[i] *= 1 / sum
	}
	return out
}

// Each query gets the bits that it would get alone, whatever queries are in its block, wherever its window and the segments
// end, and however the work is shared out.
func TestQueriesGetTheirBitsAlone(t *testing.T) {
	split := 0
	for _, shape := range []struct{ heads, kvHeads, dim, window int }{{4, 2, 12, 70}, {6, 1, 32, 600}, {2, 2, 16, 1}, {20, 1, 16, 513}} {
		c := tiny()
		c.NumHeads, c.NumKVHeads, c.HeadDim, c.SlidingWindow, c.NumLayers = shape.heads, shape.kvHeads, shape.dim, shape.window, 2
		c.AlternateLayers()
		w := random(t, c, quant.F32)
		for i, kv := range []KVType{KVF32, KVF16, KVI8} {
			m := open(t, w, 1+i, Options{})
			cache := NewPool(&c, kv, 0).NewCache()
			fill(t, cache, 1200)
			r := rand.New(rand.NewPCG(uint64(i), 3))
			for i := range m.q.data {
				if m.q.data[i] = 0; i%pad16(c.HeadDim) < c.HeadDim { // padding stays zero
					m.q.data[i] = float32(r.NormFloat64())
				}
			}
			for _, run := range []struct{ pos, rows int }{{0, 1}, {0, 40}, {63, 3}, {500, 20}, {511, 1}, {512, 2}, {1023, 9}, {1190, 10}} {
				if os.Getenv("SYSTEMGEMMA_TEST_SAMPLE") != "" && (run.rows > 3 || shape.heads > 6) { // a slow leg
					continue
				}
				for row := range run.rows {
					m.rowCache[row], m.rowPos[row] = cache, run.pos+row
				}
				m.attention.plan(run.rows)
				for layer := range w.Layers {
					m.attention.layer = layer
					if m.attention.split[m.attention.kind()] {
						split++
					}
					if err := m.attention.run(); err != nil {
						t.Fatal(err)
					}
					for _, row := range []int{0, run.rows / 2, run.rows - 1} {
						for h := range c.NumHeads {
							q := m.q.row(row)[h*pad16(c.HeadDim) : (h+1)*pad16(c.HeadDim)]
							want := alone(m, cache, layer, h/(c.NumHeads/c.NumKVHeads), run.pos+row, q)[:c.HeadDim]
							if got := m.attn.row(row)[h*c.HeadDim : (h+1)*c.HeadDim]; !slices.Equal(got, want) {
								t.Fatalf("%+v, KV %v, layer %d, head %d, row %d of %+v: got %v, want %v", shape, kv, layer, h, row, run, got, want)
							}
						}
					}
				}
			}
		}
	}
	if split == 0 {
		t.Error("no run had its segments computed side by side")
	}
}

// The pages outside of all windows are not read: they may be gone.
func TestWindowsReadNoPageOutside(t *testing.T) {
	c := tiny()
	c.SlidingWindow, c.NumLayers = 65, 1
	c.AlternateLayers()
	w := random(t, c, quant.F32)
	m := open(t, w, 1, Options{})
	cache := NewPool(&c, KVI8, 0).NewCache()
	fill(t, cache, 1000)
	if m.config.Global[0] {
		t.Fatal("layer 0 is global: want a local one")
	}
	for i := range cache.pages[localKind] {
		if (i+1)*PageTokens <= 900+1-65 || i*PageTokens > 920 {
			cache.pages[localKind][i] = nil // a read of it panics
		}
	}
	for row := range 21 {
		m.rowCache[row], m.rowPos[row] = cache, 900+row
	}
	m.attention.plan(21)
	m.attention.layer = 0
	if err := m.attention.run(); err != nil {
		t.Fatal(err)
	}
}

// What is no number when it is stored gives an error, and never an answer.
func TestBrokenKeysAndValuesGiveAnError(t *testing.T) {
	w := random(t, tiny(), quant.F32)
	m := open(t, w, 1, Options{})
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	for _, c := range []struct {
		kv  KVType
		bad float32
	}{{KVF32, nan}, {KVF16, nan}, {KVI8, nan}, {KVI8, inf}, {KVI8, -inf}} {
		for part := range 2 {
			cache := NewPool(&w.Config, c.kv, 0).NewCache()
			feed(t, m, cache, ids(20, 117, 1), 20)
			x := make([]float32, cache.pool.dim)
			x[3] = c.bad
			cache.store(1, part, 0, 7, x)
			err := m.Forward(context.Background(), []Chunk{{Cache: cache, Tokens: []int32{1}, Logits: 1}}, func(int, int, []float32) error { return nil })
			if !errors.Is(err, ErrNonFinite) {
				t.Errorf("KV %v, part %d, %v: %v, want ErrNonFinite", c.kv, part, c.bad, err)
			}
		}
	}
}

// A stored row comes back within half a step of its type, beside its neighbours.
func TestStoreKeepsRows(t *testing.T) {
	c := tiny()
	r := rand.New(rand.NewPCG(5, 5))
	for kv, step := range map[KVType]float64{KVF32: 0, KVF16: 0x1p-10, KVI8: 1. / 127} {
		cache := NewPool(&c, kv, 0).NewCache()
		if err := cache.reserve(130); err != nil {
			t.Fatal(err)
		}
		type place struct{ layer, part, head, pos int }
		want := map[place][]float32{}
		for range 300 {
			p := place{r.IntN(3), r.IntN(2), r.IntN(2), r.IntN(130)}
			x := make([]float32, 16)
			for i := range 12 {
				x[i] = float32(r.NormFloat64()) * float32(p.pos+1)
			}
			cache.store(p.layer, p.part, p.head, p.pos, x)
			want[p] = x
		}
		for p, x := range want {
			row, scale := cachedRow(cache, p.layer, p.part, p.head, p.pos)
			limit := 0.0
			for _, v := range x {
				limit = max(limit, 0.51*step*math.Abs(float64(v)))
			}
			for i, v := range x {
				if got := row[i] * scale; math.Abs(float64(got-v)) > limit {
					t.Fatalf("KV %v, %+v: element %d = %v, want %v within %v", kv, p, i, got, v, limit)
				}
			}
		}
	}
}

// Need is what a cache of so many positions takes, for each type: keys and values of every layer, and the scales of int8.
func TestNeedCountsEveryType(t *testing.T) {
	c := tiny()
	rows := c.NumLayers * 2 * c.NumKVHeads * PageTokens
	for kv, bytes := range map[KVType]int{KVF32: 4 * 16, KVF16: 2 * 16, KVI8: 16 + 4} {
		pool := NewPool(&c, kv, 0)
		cache := pool.NewCache()
		if err := cache.reserve(65); err != nil {
			t.Fatal(err)
		}
		if want := int64(2 * rows * bytes); pool.Need(65) != want || pool.Bytes() != want {
			t.Errorf("KV %v: 65 positions need %d, hold %d bytes; want %d", kv, pool.Need(65), pool.Bytes(), want)
		}
	}
	if got := fmt.Sprint(KVF32, KVF16, KVI8); got != "f32 f16 int8" {
		t.Errorf("names %q", got)
	}
}

// The memory for segments side by side is bounded; what needs more is done without it.
func TestSlotsAreBounded(t *testing.T) {
	c := tiny()
	c.NumHeads, c.MaxPositions = 64, 1<<20
	c.NumKVHeads = 64
	w := random(t, c, quant.F32)
	m := open(t, w, 64, Options{})
	if n := len(m.attention.slots.top); n != maxSlots {
		t.Fatalf("%d slots, want %d", n, maxSlots)
	}
	cache := NewPool(&c, KVI8, 0).NewCache()
	for pos, want := range map[int]bool{511: false, 512: true, 64*512 - 1: true, 64 * 512: false} {
		m.rowCache[0], m.rowPos[0] = cache, pos
		m.attention.plan(1)
		if m.attention.split[globalKind] != want {
			t.Errorf("position %d: split %v, want %v", pos, !want, want)
		}
	}
}
