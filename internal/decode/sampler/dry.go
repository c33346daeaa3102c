package sampler

import (
	"math"
	"slices"

	"github.com/systemgemma/systemgemma/internal/compute/portable"
)

// dry punishes tokens that would go on with a repetition, the more the longer that is already (p-e-w's "don't repeat yourself",
// as in llama.cpp): n tokens, of any content, at the end of the history, that stood once before in the window.
type dry struct {
	multiplier, base float64
	allowed, window  int // window 0: all
	breakers         breaking
	history          *history

	common []int32         // scratch: see lengths
	after  map[int32]int32 // scratch: by token, the longest repetition that it would go on with
}

func newDRY(p *Params, h *history) *dry {
	h.keep = true
	d := &dry{multiplier: p.DRYMultiplier, base: p.DRYBase, allowed: p.DRYAllowedLength, window: p.DRYWindow, history: h, breakers: newBreaking(p.DRYBreakers), after: map[int32]int32{}}
	if d.base == 0 {
		d.base = 1.75
	}
	if d.allowed == 0 {
		d.allowed = 2
	}
	return d
}

func (d *dry) apply(c *candidates) {
	d.find()
	longest := math.Inf(1) // exponent at which float32 would overflow
	if d.base > 1.000001 {
		longest = 88.7228391 / portable.Log(d.base)
	}
	c.each(d.after, func(x *candidate, n int32) {
		penalty := d.multiplier * portable.Pow(d.base, min(float64(int(n)-d.allowed), longest))
		x.change(float32(float64(x.score) - penalty))
	})
}

// find fills in after.
func (d *dry) find() {
	clear(d.after)
	ids, from := d.history.ids, 0
	if d.window > 0 {
		from = max(0, len(ids)-d.window)
	}
	if len(ids)-from <= d.allowed {
		return
	}
	limit := d.breakers.after(ids, from) // no repetition counts as longer
	if limit < d.allowed {
		return
	}
	ids = ids[from:]
	d.lengths(ids)
	for i := 1; i < len(ids); i++ {
		n := min(d.common[i], int32(limit))
		next := ids[len(ids)-i] // follows the tokens that end i before the end
		if int(n) >= d.allowed && n > d.after[next] && !d.breakers.isAlone(next) {
			d.after[next] = n
		}
	}
}

// lengths sets common[i] to how many tokens before the last i equal those at the very end, for i from 1: the Z algorithm
// (D. Gusfield) on the reversed ids, in time that grows with their number only.
func (d *dry) lengths(ids []int32) {
	n := len(ids)
	d.common = slices.Grow(d.common[:0], n)[:n]
	at := func(i int) int32 { return ids[n-1-i] }
	left, right := 0, 0 // [left, right) equals the beginning, right as far as known
	for i := 1; i < n; i++ {
		k := 0
		if i < right {
			k = min(right-i, int(d.common[i-left]))
		}
		for i+k < n && at(k) == at(i+k) {
			k++
		}
		d.common[i] = int32(k)
		if i+k > right {
			left, right = i, i+k
		}
	}
}
