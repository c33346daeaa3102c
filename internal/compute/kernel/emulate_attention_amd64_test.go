//go:build amd64 && !noasm

package kernel

import (
	"fmt"
	"slices"

	"github.com/systemgemma/systemgemma/internal/compute/half"
	"github.com/systemgemma/systemgemma/internal/testkit/emulate"
)

// attention writes dot products and weighted sums of queries of d floats, with keys of all types.
func (e emulation) attention(d, queries int) {
	keys := KeyBlock * (1 + queries%2)
	stride := keys + 3
	q, p, few := e.floats(queries*d), e.floats((queries-1)*stride+keys), e.floats(97)
	c := newCached(keys*d, few)
	for i := range c.f16 {
		c.f16[i] = uint16(e.r.Uint32()) &^ 0x4000 // below 2
	}
	name := fmt.Sprintf("/d=%d/queries=%d/keys=", d, queries)
	dot := func(what string, f any, k emulate.Block, ref func(scores []float32)) {
		want := slices.Clone(p) // between the rows nothing changes
		ref(want)
		e.write(fmt.Sprint(what, name, keys), f,
			[]emulate.Arg{emulate.Ptr("scores"), emulate.Int(stride), emulate.Ptr("q"), emulate.Int(queries), emulate.Int(d), emulate.Ptr("k"), emulate.Int(keys), emulate.Ptr("q")},
			map[string]emulate.Block{"scores": emulate.Out(p), "q": emulate.In(q), "k": k}, map[string][]byte{"scores": emulate.Bytes(want)})
	}
	dot("dotF32", e.set.dotF32, emulate.In(c.f32), func(s []float32) { dotF32Ref(&s[0], stride, &q[0], queries, d, &c.f32[0], keys, &c.f32[0]) })
	dot("dotF16", e.set.dotF16, emulate.In(c.f16), func(s []float32) { dotF16Ref(&s[0], stride, &q[0], queries, d, &c.f16[0], keys, &c.f16[0]) })
	dot("dotI8", e.set.dotI8, emulate.In(c.i8), func(s []float32) { dotI8Ref(&s[0], stride, &q[0], queries, d, &c.i8[0], keys, &c.i8[0]) })

	axpy := func(what string, f any, v emulate.Block, n int, ref func(o []float32)) {
		want := slices.Clone(q)
		ref(want)
		e.write(fmt.Sprint(what, name, n), f,
			[]emulate.Arg{emulate.Ptr("o"), emulate.Ptr("p"), emulate.Int(stride), emulate.Int(queries), emulate.Int(d), emulate.Ptr("v"), emulate.Int(n), emulate.Ptr("p")},
			map[string]emulate.Block{"o": emulate.Out(q), "p": emulate.In(p), "v": v}, map[string][]byte{"o": emulate.Bytes(want)})
	}
	for _, n := range []int{1, keys - 3} {
		p = p[:(queries-1)*stride+n]
		axpy("axpyF32", e.set.axpyF32, emulate.In(c.f32[:n*d]), n, func(o []float32) { axpyF32Ref(&o[0], &p[0], stride, queries, d, &c.f32[0], n, &c.f32[0]) })
		axpy("axpyF16", e.set.axpyF16, emulate.In(c.f16[:n*d]), n, func(o []float32) { axpyF16Ref(&o[0], &p[0], stride, queries, d, &c.f16[0], n, &c.f16[0]) })
		axpy("axpyI8", e.set.axpyI8, emulate.In(c.i8[:n*d]), n, func(o []float32) { axpyI8Ref(&o[0], &p[0], stride, queries, d, &c.i8[0], n, &c.i8[0]) })
		p = p[:cap(p)]
	}

	halves := make([]uint16, d)
	want := slices.Clone(halves)
	for i := range want {
		want[i] = half.ToF16(q[i])
	}
	e.write(fmt.Sprintf("toF16/n=%d/%d", d, queries), e.set.toF16, []emulate.Arg{emulate.Ptr("dst"), emulate.Slice("x", d)},
		map[string]emulate.Block{"dst": emulate.Out(halves), "x": emulate.In(q[:d])}, map[string][]byte{"dst": emulate.Bytes(want)})
}
