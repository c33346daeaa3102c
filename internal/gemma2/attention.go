package gemma2

import (
	"math"

	"github.com/systemgemma/systemgemma/internal/compute/kernel"
	"github.com/systemgemma/systemgemma/internal/compute/offheap"
)

// segment is the number of positions over which one softmax runs. Segments lie at fixed places, multiples of segment counted
// from position 0, and their results are joined in order: so bits depend on a position and its window only.
const segment = 8 * PageTokens

// attention holds the inputs of one layer's attention and each worker's scratch.
type attention struct {
	m     *Model
	layer int
	work  []attentionScratch // per worker
}

type attentionScratch struct {
	scores []float32 // [segment]
	out    []float32 // [head dim, padded]: the sum of earlier segments
	part   []float32 // the same, of this segment
	factor []float32 // [1]: what part counts for
}

// attend does units [lo, hi); unit u is head u%heads of row u/heads.
func (a *attention) attend(worker, lo, hi int) {
	m := a.m
	heads, dim := m.config.NumHeads, m.config.HeadDim
	for u := lo; u < hi; u++ {
		t, h := u/heads, u%heads
		q := m.q.row(t)[h*pad16(dim) : (h+1)*pad16(dim)]
		out := a.head(&a.work[worker], q, m.rowCache[t], h/(heads/m.config.NumKVHeads), m.rowPos[t])
		copy(m.attn.row(t)[h*dim:(h+1)*dim], out)
	}
}

// head is softmax(softcap(q·K * scale)) · V over the positions that pos sees in this layer, one segment after the other
// (flash attention, arXiv:2205.14135, with fixed segments). The result is in s.out.
func (a *attention) head(s *attentionScratch, q []float32, c *Cache, kvHead, pos int) []float32 {
	first := 0
	if !a.m.config.Global[a.layer] {
		first = max(0, pos+1-a.m.config.SlidingWindow)
	}
	var top, sum float32
	for lo := first; lo <= pos; {
		hi := min(lo/segment*segment+segment, pos+1)
		dst := s.out
		if lo > first {
			dst = s.part
		}
		partTop, partSum := a.segment(s.scores, dst, q, c, kvHead, lo, hi)
		if lo == first {
			top, sum = partTop, partSum
		} else {
			joined := max(top, partTop)
			keep, add := kernel.Exp(top-joined), kernel.Exp(partTop-joined)
			kernel.Scale(s.out, keep)
			s.factor[0] = add
			kernel.AxpyF32(s.out, s.factor, s.part)
			top, sum = joined, float32(sum*keep)+float32(partSum*add)
		}
		lo = hi
	}
	kernel.Scale(s.out, 1/sum)
	return s.out
}

// segment writes the weighted sum of values over positions [lo, hi) to out and returns the largest score and the sum of
// e^(score-largest).
func (a *attention) segment(scores, out, q []float32, c *Cache, kvHead, lo, hi int) (top, sum float32) {
	n, dim := hi-lo, len(q)
	scores = scores[:pad16(n)]
	for p := lo; p < hi; {
		page, from, to := p/PageTokens, p%PageTokens, min(PageTokens, p%PageTokens+hi-p)
		rows := c.rows(a.layer, 0, kvHead, page)
		if c.pool.typ == KVF16 {
			kernel.DotF16(scores[p-lo:p-lo+to-from], q, offheap.Cast[uint16](rows)[from*dim:to*dim])
		} else {
			kernel.DotF32(scores[p-lo:p-lo+to-from], q, offheap.Cast[float32](rows)[from*dim:to*dim])
		}
		p += to - from
	}
	kernel.Softcap(scores, a.m.queryScale, a.m.config.AttnSoftcap)
	for i := n; i < len(scores); i++ {
		scores[i] = float32(math.Inf(-1))
	}
	top = kernel.Max(scores)
	sum = kernel.ExpSum(scores, top)
	clear(out)
	for p := lo; p < hi; {
		page, from, to := p/PageTokens, p%PageTokens, min(PageTokens, p%PageTokens+hi-p)
		rows := c.rows(a.layer, 1, kvHead, page)
		if c.pool.typ == KVF16 {
			kernel.AxpyF16(out, scores[p-lo:p-lo+to-from], offheap.Cast[uint16](rows)[from*dim:to*dim])
		} else {
			kernel.AxpyF32(out, scores[p-lo:p-lo+to-from], offheap.Cast[float32](rows)[from*dim:to*dim])
		}
		p += to - from
	}
	return top, sum
}
