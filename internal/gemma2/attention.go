package gemma2

import (
	"math"

	"github.com/systemgemma/systemgemma/internal/compute/kernel"
	"github.com/systemgemma/systemgemma/internal/compute/offheap"
)

const (
	// segment is the number of positions over which one softmax runs. Segments lie at fixed places, multiples of segment
	// counted from position 0, and their results are joined in order: so bits depend on a position and its window only.
	segment = 8 * PageTokens
	// scoreStride is the length of one query's scores: a segment, and room for the padding of a slice that ends with it.
	scoreStride = segment + 16
	// blockQueries is the most queries that read keys and values together, unless one row has more for a KV head.
	blockQueries = 16
	// maxSlots bounds the memory for results of segments that are computed side by side.
	maxSlots = 4096
)

// attention does one layer's attention for the rows of a pass, block by block.
type attention struct {
	m      *Model
	layer  int
	group  int // queries that share a KV head
	blocks []block
	units  [2][]unit // per kind of layer
	split  [2]bool   // the units are single segments, whose results lie in slots
	work   []attentionScratch
	slots  parts
}

// block is a run of rows of one sequence: row, row+1, ... at positions pos, pos+1, ... The queries of one KV head of all its
// rows read keys and values together; each sees what it would see alone.
type block struct {
	cache       *Cache
	row, n, pos int
}

// unit is a part of the loop: all segments of a block and KV head, or the one segment seg, whose results go to slots slot,
// slot+1, ...
type unit struct{ block, kvHead, seg, slot int }

// parts are results of queries: the weighted sum of values, the largest score, the sum of e^(score-largest).
type parts struct {
	out      []float32 // [queries][head dim, padded]
	top, sum []float32
}

func newParts(scratch *arena, queries, dim int) parts {
	return parts{scratch.floats(queries * dim), scratch.floats(queries), scratch.floats(queries)}
}

// attentionScratch is one worker's.
type attentionScratch struct {
	q      []float32 // [blockQueries][head dim, padded]
	scores []float32 // [blockQueries][scoreStride], by position in the segment
	scales [2][]float32
	part   parts     // of one segment
	all    parts     // of the segments so far
	row    []float32 // [head dim, padded], zero beyond the head dim
	after  []byte    // what will be read after this segment, as far as known
}

func newAttention(m *Model, scratch *arena) attention {
	c := m.config
	dim, kvHeads := pad16(c.HeadDim), c.NumKVHeads
	a := attention{m: m, group: c.NumHeads / kvHeads}
	queries := a.blockRows() * a.group
	slots := min(max(32*c.NumHeads, c.NumHeads*((c.MaxPositions+segment-1)/segment)), maxSlots)
	a.slots = newParts(scratch, slots, dim)
	for range m.crew.Workers() {
		a.work = append(a.work, attentionScratch{
			q: scratch.floats(queries * dim), scores: scratch.floats(queries * scoreStride),
			scales: [2][]float32{scratch.floats(scoreStride), scratch.floats(scoreStride)},
			part:   newParts(scratch, queries, dim), all: newParts(scratch, queries, dim), row: scratch.floats(dim),
		})
	}
	a.blocks = make([]block, 0, MaxRows)
	for kind := range a.units {
		a.units[kind] = make([]unit, 0, max(MaxRows*kvHeads, slots))
	}
	return a
}

// blockRows is the most rows of a block.
func (a *attention) blockRows() int { return max(1, blockQueries/a.group) }

// first is the first position that pos sees in layers of a kind.
func (a *attention) first(kind, pos int) int {
	if kind == globalKind {
		return 0
	}
	return max(0, pos+1-a.m.config.SlidingWindow)
}

// plan cuts the n rows of a pass into blocks, and the work of both kinds of layers into units.
func (a *attention) plan(n int) {
	m := a.m
	a.blocks = a.blocks[:0]
	for t := range n {
		if len(a.blocks) > 0 {
			b := &a.blocks[len(a.blocks)-1]
			if b.n < a.blockRows() && b.cache == m.rowCache[t] && b.pos+b.n == m.rowPos[t] {
				b.n++
				continue
			}
		}
		a.blocks = append(a.blocks, block{m.rowCache[t], t, 1, m.rowPos[t]})
	}
	for kind := range a.units {
		a.planKind(kind)
	}
}

// planKind makes a unit of each block and KV head. Where that is too few to share out evenly, and slots suffice, a unit is
// one segment.
func (a *attention) planKind(kind int) {
	kvHeads := a.m.config.NumKVHeads
	slots, most := 0, 1
	for _, b := range a.blocks {
		lo, hi := a.segments(kind, b)
		slots += (hi - lo) * kvHeads * b.n * a.group
		most = max(most, hi-lo)
	}
	workers := a.m.crew.Workers()
	split := most > 1 && workers > 1 && len(a.blocks)*kvHeads < 4*workers && slots <= len(a.slots.top)
	a.split[kind] = split
	units, slot := a.units[kind][:0], 0
	for i, b := range a.blocks {
		lo, hi := a.segments(kind, b)
		for h := range kvHeads {
			if !split {
				units = append(units, unit{block: i, kvHead: h})
				continue
			}
			for seg := lo; seg < hi; seg++ {
				units = append(units, unit{i, h, seg, slot})
				slot += b.n * a.group
			}
		}
	}
	a.units[kind] = units
}

// segments are those [lo, hi) that any row of b sees.
func (a *attention) segments(kind int, b block) (lo, hi int) {
	return a.first(kind, b.pos) / segment, (b.pos+b.n-1)/segment + 1
}

// run does the attention of the layer for all rows: softmax(softcap(q·K * scale)) · V over the positions that each sees.
func (a *attention) run() error {
	kind := a.kind()
	n, grain := len(a.units[kind]), 1
	if a.split[kind] {
		grain = max(1, n/(6*a.m.crew.Workers())) // some segments in a row, so that each can fetch the next one's keys
	}
	if err := a.m.crew.Run(n, grain, a.m.body.attend); err != nil {
		return err
	}
	if a.split[kind] {
		a.joinSlots(kind)
	}
	return nil
}

func (a *attention) kind() int { return kindOf(a.m.config.Global[a.layer]) }

// attend does units [lo, hi).
func (a *attention) attend(worker, lo, hi int) {
	s, kind := &a.work[worker], a.kind()
	units := a.units[kind][lo:hi]
	for i, u := range units {
		b := a.blocks[u.block]
		a.gather(s, b, u.kvHead)
		if a.split[kind] {
			s.after = nil
			if i+1 < len(units) {
				s.after = a.keys(units[i+1].block, units[i+1].kvHead, units[i+1].seg)
			}
			a.segment(s, a.slots.from(u.slot, b.n*a.group), b, u.kvHead, u.seg)
			continue
		}
		first, last := a.segments(kind, b)
		for seg := first; seg < last; seg++ {
			s.after = nil
			if seg+1 < last {
				s.after = a.keys(u.block, u.kvHead, seg+1)
			}
			a.segment(s, s.part, b, u.kvHead, seg)
			a.join(s.all, s.part, b, seg)
		}
		a.scatter(s.all, b, u.kvHead)
	}
}

// keys is the page whose keys are the first to be read in a segment.
func (a *attention) keys(i, kvHead, seg int) []byte {
	b := a.blocks[i]
	return b.cache.rows(a.layer, 0, kvHead, max(a.first(a.kind(), b.pos), seg*segment)/PageTokens)
}

// joinSlots joins the segments of split units in order.
func (a *attention) joinSlots(kind int) {
	all := a.work[0].all
	for i, u := range a.units[kind] {
		b := a.blocks[u.block]
		a.join(all, a.slots.from(u.slot, b.n*a.group), b, u.seg)
		if _, last := a.segments(kind, b); u.seg == last-1 {
			a.scatter(all, b, a.units[kind][i].kvHead)
		}
	}
}

// from is the n results from slot i on.
func (p parts) from(i, n int) parts {
	dim := len(p.out) / len(p.top)
	return parts{p.out[i*dim : (i+n)*dim], p.top[i : i+n], p.sum[i : i+n]}
}

// gather copies the queries of a block and KV head together: [rows][group][head dim, padded].
func (a *attention) gather(s *attentionScratch, b block, kvHead int) {
	width := a.group * pad16(a.m.config.HeadDim)
	for r := range b.n {
		copy(s.q[r*width:(r+1)*width], a.m.q.row(b.row + r)[kvHead*width:])
	}
}

// scatter divides by the sums and writes each head's result to its row.
func (a *attention) scatter(all parts, b block, kvHead int) {
	dim, padded := a.m.config.HeadDim, pad16(a.m.config.HeadDim)
	for i := range b.n * a.group {
		out, h := all.out[i*padded:(i+1)*padded], kvHead*a.group+i%a.group
		kernel.Scale(out, 1/all.sum[i])
		copy(a.m.attn.row(b.row + i/a.group)[h*dim:(h+1)*dim], out[:dim])
	}
}

// sees is the part [lo, hi) of segment seg that row r of b sees; none when lo >= hi. Both only grow with r.
func (a *attention) sees(b block, r, seg int) (lo, hi int) {
	pos := b.pos + r
	return max(a.first(a.kind(), pos), seg*segment), min(pos+1, (seg+1)*segment)
}

// active are the rows [from, to) of b that see anything of segment seg.
func (a *attention) active(b block, seg int) (from, to int) {
	for to = b.n; to > 0; to-- {
		if lo, hi := a.sees(b, to-1, seg); lo < hi {
			break
		}
	}
	for from < to {
		if lo, hi := a.sees(b, from, seg); lo < hi {
			break
		}
		from++
	}
	return from, to
}

// join adds the results of segment seg to those of the segments before it (flash attention, arXiv:2205.14135, with fixed
// segments).
func (a *attention) join(all, part parts, b block, seg int) {
	from, to := a.active(b, seg)
	dim := pad16(a.m.config.HeadDim)
	for i := from * a.group; i < to*a.group; i++ {
		out, add := all.out[i*dim:(i+1)*dim], part.out[i*dim:(i+1)*dim]
		if lo, _ := a.sees(b, i/a.group, seg); lo == a.first(a.kind(), b.pos+i/a.group) {
			copy(out, add)
			all.top[i], all.sum[i] = part.top[i], part.sum[i]
			continue
		}
		top := max(all.top[i], part.top[i])
		keep, weight := kernel.Exp(all.top[i]-top), [1]float32{kernel.Exp(part.top[i] - top)}
		kernel.Scale(out, keep)
		kernel.AxpyF32(out, dim, weight[:], 1, add, nil)
		all.top[i], all.sum[i] = top, float32(all.sum[i]*keep)+float32(part.sum[i]*weight[0])
	}
}

// segment computes the results of segment seg for all queries of b and a KV head.
func (a *attention) segment(s *attentionScratch, part parts, b block, kvHead, seg int) {
	from, to := a.active(b, seg)
	if from == to {
		return
	}
	m, g, dim, start := a.m, a.group, pad16(a.m.config.HeadDim), seg*segment
	lo, low := a.sees(b, from, seg)
	high, hi := a.sees(b, to-1, seg) // [lo, hi): seen by any row; [high, low): seen by all

	a.dots(s, b.cache, kvHead, from*g, to*g, lo, hi, start)
	for i := from * g; i < to*g; i++ {
		first, end := a.sees(b, i/g, seg)
		at := i*scoreStride + first - start
		x := s.scores[at : at+pad16(end-first)]
		if b.cache.pool.typ == KVI8 {
			kernel.Mul(x, s.scales[0][first-start:][:len(x)])
		}
		kernel.Softcap(x, m.queryScale, m.config.AttnSoftcap)
		for j := end - first; j < len(x); j++ {
			x[j] = float32(math.Inf(-1))
		}
		part.top[i] = kernel.Max(x)
		part.sum[i] = kernel.ExpSum(x, part.top[i])
		if b.cache.pool.typ == KVI8 {
			kernel.Mul(x, s.scales[1][first-start:][:len(x)])
		}
	}
	clear(part.out[from*g*dim : to*g*dim])
	if high >= low {
		high, low = hi, hi // nothing is seen by all
	}
	for r := from; r < to; r++ {
		first, end := a.sees(b, r, seg)
		a.sums(s, part, b.cache, kvHead, r*g, (r+1)*g, first, min(high, end), start)
	}
	a.sums(s, part, b.cache, kvHead, from*g, to*g, high, low, start)
	for r := from; r < to; r++ {
		_, end := a.sees(b, r, seg)
		a.sums(s, part, b.cache, kvHead, r*g, (r+1)*g, low, end, start)
	}
}

// dots sets the scores of queries [from, to) with positions [lo, hi), and of some around them within the same pages, which
// nobody reads; a KVI8 cache's scales are collected beside them.
func (a *attention) dots(s *attentionScratch, c *Cache, kvHead, from, to, lo, hi, start int) {
	dim := pad16(a.m.config.HeadDim)
	q := s.q[from*dim : to*dim]
	for page := lo / PageTokens; page*PageTokens < hi; page++ {
		base := page * PageTokens
		first := max(lo-base, 0) &^ (kernel.KeyBlock - 1)
		last := min((hi-base+kernel.KeyBlock-1)&^(kernel.KeyBlock-1), PageTokens)
		scores, rows := s.scores[from*scoreStride+base+first-start:], c.rows(a.layer, 0, kvHead, page)
		next := c.rows(a.layer, 1, kvHead, lo/PageTokens) // the values come after the keys
		if base+PageTokens < hi {
			next = c.rows(a.layer, 0, kvHead, page+1)
		}
		switch c.pool.typ {
		case KVF32:
			kernel.DotF32(scores, scoreStride, q, dim, offheap.Cast[float32](rows)[first*dim:last*dim], offheap.Cast[float32](next))
		case KVF16:
			kernel.DotF16(scores, scoreStride, q, dim, offheap.Cast[uint16](rows)[first*dim:last*dim], offheap.Cast[uint16](next))
		case KVI8:
			kernel.Fetch(c.scaleBytes(a.layer, 0, kvHead, page)) // while the keys are read
			kernel.Fetch(c.scaleBytes(a.layer, 1, kvHead, page))
			kernel.DotI8(scores, scoreStride, q, dim, offheap.Cast[int8](rows)[first*dim:last*dim], offheap.Cast[int8](next))
			copy(s.scales[0][base-start:], c.scales(a.layer, 0, kvHead, page))
			copy(s.scales[1][base-start:], c.scales(a.layer, 1, kvHead, page))
		}
	}
}

// sums adds the weighted values of positions [lo, hi) to the results of queries [from, to).
func (a *attention) sums(s *attentionScratch, part parts, c *Cache, kvHead, from, to, lo, hi, start int) {
	dim := pad16(a.m.config.HeadDim)
	out := part.out[from*dim : to*dim]
	for lo < hi {
		page, first := lo/PageTokens, lo%PageTokens
		last := min(PageTokens, first+hi-lo)
		p, rows := s.scores[from*scoreStride+lo-start:], c.rows(a.layer, 1, kvHead, page)
		lo += last - first
		next := s.after
		if lo < hi {
			next = c.rows(a.layer, 1, kvHead, page+1)
		}
		switch c.pool.typ {
		case KVF32:
			kernel.AxpyF32(out, dim, p, scoreStride, offheap.Cast[float32](rows)[first*dim:last*dim], offheap.Cast[float32](next))
		case KVF16:
			kernel.AxpyF16(out, dim, p, scoreStride, offheap.Cast[uint16](rows)[first*dim:last*dim], offheap.Cast[uint16](next))
		case KVI8:
			kernel.AxpyI8(out, dim, p, scoreStride, offheap.Cast[int8](rows)[first*dim:last*dim], offheap.Cast[int8](next))
		}
	}
}
