package kernel

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"unsafe"

	"pgregory.net/rapid"

	"github.com/systemgemma/systemgemma/internal/compute/half"
	"github.com/systemgemma/systemgemma/internal/testkit/guard"
)

// cached are keys or values of all types, from a few numbers: finite, of many sizes.
type cached struct {
	f32 []float32
	f16 []uint16
	i8  []int8
}

func newCached(n int, few []float32) cached {
	c := cached{make([]float32, n), make([]uint16, n), make([]int8, n)}
	for i := range n {
		c.f32[i] = few[i*11%len(few)]
		c.f16[i] = uint16(math.Float32bits(few[i*13%len(few)]) >> 14) // any finite or tiny half
		if c.f16[i]&0x7c00 == 0x7c00 {
			c.f16[i] &^= 0x4000
		}
		c.i8[i] = int8(math.Float32bits(few[i*7%len(few)]) >> 15)
	}
	return c
}

func (c cached) guarded(t *rapid.T) cached {
	return cached{guard.Copy(t, c.f32), guard.Copy(t, c.f16), guard.Copy(t, c.i8)}
}

// dots and sums run all types of a set into rows of stride floats, one type after the other.
func (c cached) dots(set *attention, scores []float32, stride int, q []float32, dim int) {
	queries, keys := len(q)/dim, len(c.f32)/dim
	n := (queries-1)*stride + keys
	set.dotF32(&scores[0], stride, &q[0], queries, dim, unsafe.SliceData(c.f32), keys, unsafe.SliceData(c.f32))
	set.dotF16(&scores[n], stride, &q[0], queries, dim, unsafe.SliceData(c.f16), keys, unsafe.SliceData(c.f16))
	set.dotI8(&scores[2*n], stride, &q[0], queries, dim, unsafe.SliceData(c.i8), keys, unsafe.SliceData(c.i8))
}

func (c cached) sums(set *attention, o, p []float32, stride, queries, dim int) {
	keys, n := len(c.f32)/dim, queries*dim
	set.axpyF32(&o[0], &p[0], stride, queries, dim, unsafe.SliceData(c.f32), keys, unsafe.SliceData(c.f32))
	set.axpyF16(&o[n], &p[0], stride, queries, dim, unsafe.SliceData(c.f16), keys, unsafe.SliceData(c.f16))
	set.axpyI8(&o[2*n], &p[0], stride, queries, dim, unsafe.SliceData(c.i8), keys, unsafe.SliceData(c.i8))
}

func TestAttentionEqualsReference(t *testing.T) {
	eachSet(t, func(t *rapid.T, set *table) {
		dim, queries := length(t, 20), rapid.IntRange(1, 11).Draw(t, "queries")
		few := floats(t, 97, "values")
		q, p := make([]float32, queries*dim), make([]float32, 11*64)
		for i := range q {
			q[i] = few[i*29%97]
		}
		for i := range p {
			p[i] = few[i*31%97]
		}

		keys := KeyBlock * rapid.IntRange(1, 3).Draw(t, "key blocks")
		stride := keys + rapid.IntRange(0, 5).Draw(t, "stride")
		c := newCached(keys*dim, few)
		n := 3 * ((queries-1)*stride + keys)
		got, want := guard.Copy(t, make([]float32, n)), make([]float32, n)
		c.guarded(t).dots(&set.attention, got, stride, guard.Copy(t, q), dim)
		c.dots(&attentionReference, want, stride, q, dim)
		diff(t, "dots", got, want)

		keys = rapid.IntRange(1, 40).Draw(t, "keys")
		stride = keys + rapid.IntRange(0, 5).Draw(t, "stride")
		c = newCached(keys*dim, few)
		start := slices.Concat(q, q, q)
		got, want = guard.Copy(t, start), slices.Clone(start)
		c.guarded(t).sums(&set.attention, got, guard.Copy(t, p[:(queries-1)*stride+keys]), stride, queries, dim)
		c.sums(&attentionReference, want, p, stride, queries, dim)
		diff(t, "sums", got, want)
	})
}

// What a query gets does not depend on the queries beside it.
func TestQueriesDoNotTouchEachOther(t *testing.T) {
	const dim, keys, queries = 80, 32, 7
	r := rand.New(rand.NewPCG(1, 2))
	few := make([]float32, 97)
	for i := range few {
		few[i] = float32(r.NormFloat64())
	}
	c, q, p := newCached(keys*dim, few), make([]float32, queries*dim), make([]float32, queries*keys)
	for i := range q {
		q[i] = few[i%97]
	}
	for i := range p {
		p[i] = few[i%89]
	}
	defer func(was *table) { active = was }(active)
	for _, active = range available() {
		scores, one := make([]float32, queries*keys), make([]float32, keys)
		DotI8(scores, keys, q, dim, c.i8, nil)
		o := slices.Clone(q)
		AxpyF16(o, dim, p, keys, c.f16, nil)
		for i := range queries {
			DotI8(one, keys, q[i*dim:(i+1)*dim], dim, c.i8, nil)
			if !sameBits(one, scores[i*keys:(i+1)*keys]) {
				t.Errorf("%s: scores of query %d differ alone", active.name, i)
			}
			alone := slices.Clone(q[i*dim : (i+1)*dim])
			AxpyF16(alone, dim, p[i*keys:(i+1)*keys], keys, c.f16, nil)
			if !sameBits(alone, o[i*dim:(i+1)*dim]) {
				t.Errorf("%s: sum of query %d differs alone", active.name, i)
			}
		}
	}
}

// Every half and every byte widens as the reference does it: -1 * x + 0 shows each value.
func TestEveryCachedNumberWidens(t *testing.T) {
	halves, bytes := make([]uint16, 1<<16), make([]int8, 256)
	for i := range halves {
		halves[i] = uint16(i)
	}
	for i := range bytes {
		bytes[i] = int8(i)
	}
	minus := float32(-1)
	eachEdge(t, func(t *testing.T, set *table) {
		got, want := make([]float32, len(halves)+len(bytes)), make([]float32, len(halves)+len(bytes))
		for _, c := range []struct {
			set *attention
			o   []float32
		}{{&set.attention, got}, {&attentionReference, want}} {
			c.set.axpyF16(&c.o[0], &minus, 1, 1, len(halves), &halves[0], 1, &halves[0])
			c.set.axpyI8(&c.o[len(halves)], &minus, 1, 1, len(bytes), &bytes[0], 1, &bytes[0])
		}
		for i := range want {
			if !sameBits(got[i:i+1], want[i:i+1]) {
				t.Fatalf("number %x: got %x, want %x", i, got[i], want[i])
			}
		}
	})
}

// Rounding to half precision equals half.ToF16 at every half, its neighbours, the middle between two, and numbers that are none.
func TestToF16EqualsHalf(t *testing.T) {
	inf := float32(math.Inf(1))
	var x []float32
	for h := range 1 << 16 {
		f := half.FromF16(uint16(h))
		bits := math.Float32bits(f)
		x = append(x, f, math.Nextafter32(f, inf), math.Nextafter32(f, -inf), math.Float32frombits(bits+0x1000), math.Float32frombits(bits+0xfff), math.Float32frombits(bits+0x1001))
	}
	x = append(x, inf, -inf, float32(math.NaN()), 65519.996, 65520, 1e10, -1e10, 0x1p-25, -0x1p-25, 0x1p-149, math.MaxFloat32, math.Float32frombits(0x7fabcdef), 0, 0, 0, 0)
	for len(x)%16 != 0 {
		x = append(x, 1)
	}
	defer func(was *table) { active = was }(active)
	for _, active = range available() {
		got := guard.Copy(t, make([]uint16, len(x)))
		ToF16(got, x)
		for i, v := range x {
			if want := half.ToF16(v); got[i] != want {
				t.Fatalf("%s: ToF16(%g, %08x) = %04x, want %04x", active.name, v, math.Float32bits(v), got[i], want)
			}
		}
	}
}

// ToI8 is Quantize without a bias, on every set.
func TestToI8EqualsQuantize(t *testing.T) {
	defer func(was *table) { active = was }(active)
	rapid.Check(t, func(t *rapid.T) {
		x := floats(t, length(t, 6), "x")
		active = &reference
		want := make([]uint8, len(x))
		wantScale := Quantize(want, 1, 0, x)
		for _, active = range available() {
			got := guard.Copy(t, make([]int8, len(x)))
			scale := ToI8(got, guard.Copy(t, x))
			for i := range got {
				if scale != wantScale || got[i] != int8(want[i]) {
					t.Fatalf("%s: ToI8(%v)[%d] = %d, scale %g; want %d, scale %g", active.name, x, i, got[i], scale, int8(want[i]), wantScale)
				}
			}
		}
	})
}

// A number that is none stays visible through an int8 row: the scale is none, and so is every product with it.
func TestToI8KeepsNonFiniteVisible(t *testing.T) {
	for _, bad := range []float32{float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1))} {
		x, q, row := slices.Repeat([]float32{1}, 16), slices.Repeat([]float32{1}, 16), make([]int8, 16)
		x[5] = bad
		scale := ToI8(row, x)
		if !slices.Equal(row, make([]int8, 16)) {
			t.Errorf("row with %v: bytes %v, want zeros on every CPU", bad, row)
		}
		score, weight, sum := make([]float32, 16), []float32{1 * scale}, make([]float32, 16)
		DotI8(score, 16, q, 16, slices.Repeat(row, 16), nil)
		AxpyI8(sum, 16, weight, 1, row, nil)
		if s := score[0] * scale; s == s || sum[0] == sum[0] {
			t.Errorf("row with %v: score %v, weighted %v; want NaN", bad, s, sum[0])
		}
	}
}

func TestAttentionRefusesWrongLengths(t *testing.T) {
	f, i := make([]float32, 512), make([]int8, 512)
	for name, call := range map[string]func(){
		"dim":          func() { DotF32(f, 16, f[:15], 15, f[:240], nil) },
		"dim 0":        func() { DotF32(f, 16, f, 0, f, nil) },
		"keys":         func() { DotF32(f, 32, f[:16], 16, f[:17*16], nil) },
		"half a key":   func() { DotI8(f, 32, f[:16], 16, i[:16*16+8], nil) },
		"half a query": func() { DotI8(f, 32, f[:24], 16, i[:16*16], nil) },
		"scores":       func() { DotI8(f[:31], 16, f[:32], 16, i[:16*16], nil) },
		"stride":       func() { DotI8(f, 15, f[:32], 16, i[:16*16], nil) },
		"weights":      func() { AxpyI8(f[:32], 16, f[:5], 3, i[:3*16], nil) },
		"values":       func() { AxpyI8(f[:32], 16, f, 3, i[:3*16-1], nil) },
		"ToF16":        func() { ToF16(make([]uint16, 15), f[:16]) },
		"ToI8":         func() { ToI8(i[:16], f[:32]) },
		"Mul":          func() { Mul(f[:16], f[:32]) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: want a panic", name)
				}
			}()
			call()
		}()
	}
}

// BenchmarkAttention counts multiplications with addition of one page of keys or values in the cache.
func BenchmarkAttention(b *testing.B) {
	const dim, keys = 256, 64
	c := newCached(keys*dim, []float32{1, 2, 3, -0.5, 0.25})
	for _, queries := range []int{1, 2, 16} {
		q, p := make([]float32, queries*dim), make([]float32, queries*keys)
		for _, set := range available() {
			work := 16 * float64(queries*keys*dim)
			for name, f := range map[string]func(){
				"dotF32":  func() { set.dotF32(&p[0], keys, &q[0], queries, dim, &c.f32[0], keys, &c.f32[0]) },
				"dotF16":  func() { set.dotF16(&p[0], keys, &q[0], queries, dim, &c.f16[0], keys, &c.f16[0]) },
				"dotI8":   func() { set.dotI8(&p[0], keys, &q[0], queries, dim, &c.i8[0], keys, &c.i8[0]) },
				"axpyF32": func() { set.axpyF32(&q[0], &p[0], keys, queries, dim, &c.f32[0], keys, &c.f32[0]) },
				"axpyF16": func() { set.axpyF16(&q[0], &p[0], keys, queries, dim, &c.f16[0], keys, &c.f16[0]) },
				"axpyI8":  func() { set.axpyI8(&q[0], &p[0], keys, queries, dim, &c.i8[0], keys, &c.i8[0]) },
			} {
				b.Run(fmt.Sprintf("func=%s/queries=%d/set=%s", name, queries, set.name), func(b *testing.B) {
					best(b, work, "GMAC/s", func(int) {
						for range 16 {
							f()
						}
					})
				})
			}
		}
	}
}
