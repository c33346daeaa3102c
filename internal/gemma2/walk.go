package gemma2

import (
	"context"
	"fmt"

	"github.com/systemgemma/systemgemma/internal/arch"
	"github.com/systemgemma/systemgemma/internal/compute/kernel"
	"github.com/systemgemma/systemgemma/internal/compute/offheap"
	"github.com/systemgemma/systemgemma/internal/compute/parallel"
	"github.com/systemgemma/systemgemma/internal/compute/quant"
)

// HeadRows is the most rows of the head that a Walk takes at a time.
const HeadRows = 4096

// Walk computes whole sequences one layer after the other, so that only one layer's weights need be in memory, and only some
// rows of the head: for models that don't fit, and for looking at two models side by side. Logits have the bits of Forward
// (TestWalkEqualsForward). Order of calls: Embed for all tokens, Layer for all layers, Norm, then Head.
type Walk struct {
	m      *Model // its two layers stand for all local and all global ones
	config *arch.Config
	pool   *Pool
	caches []*Cache
	length []int
	block  *offheap.Block
	first  int  // of this pass' tokens
	x      rows // residual stream of all tokens; after Norm the head's input
	logits rows // MaxRows rows of HeadRows
}

// NewWalk prepares a walk of sequences of these lengths through a model of config c.
func NewWalk(c *arch.Config, lengths []int, crew *parallel.Crew, typ KVType, o Options) (*Walk, error) {
	pair := *c
	pair.NumLayers, pair.Global, pair.VocabSize = 2, []bool{false, true}, min(c.VocabSize, HeadRows)
	w := &Walk{config: c, length: lengths, pool: NewPool(&pair, typ, 0)}
	total := 0
	for _, n := range lengths {
		if n > c.MaxPositions {
			return nil, fmt.Errorf("gemma2: want sequences of at most %d tokens, found %d", c.MaxPositions, n)
		}
		w.caches = append(w.caches, w.pool.NewCache())
		total += n
	}
	layOut := func(a *arena) {
		w.x, w.logits = a.rows(total, c.HiddenSize), a.rows(MaxRows, pair.VocabSize)
	}
	var measure arena
	layOut(&measure)
	var err error
	if w.block, err = offheap.Alloc(measure.used); err != nil {
		return nil, fmt.Errorf("gemma2: residual stream of %d tokens: %w", total, err)
	}
	layOut(&arena{block: w.block})
	if w.m, err = prepare(&Weights{Config: pair, Layers: make([]Layer, 2)}, crew, o, true); err != nil {
		_ = w.block.Free() // our own memory: cannot fail
		return nil, err
	}
	return w, nil
}

// Close frees the walk's memory.
func (w *Walk) Close() {
	for _, c := range w.caches {
		c.Free()
	}
	w.pool.Close()
	_ = w.m.Close()    // our own memory,
	_ = w.block.Free() // which cannot fail
}

// Tokens is the number of tokens of all sequences. They are counted through, in order.
func (w *Walk) Tokens() int { return len(w.x.data) / w.x.stride }

// Embed begins the residual stream of token t with its row of the embedding.
func (w *Walk) Embed(t int, row []float32) {
	x := w.x.row(t)[:w.config.HiddenSize]
	copy(x, row)
	kernel.Scale(x, w.m.embedScale)
}

// Watch shows f what each layer multiplies with its matrices: the normed input of Q, K and V, or (ffn) that of gate and up, of every
// token. x is valid during the call only.
func (w *Walk) Watch(f func(ffn bool, token int, x []float32)) {
	w.m.probe = func(name string, _ int, r rows, n int) {
		if name != "input_norm" && name != "pre_ffn_norm" {
			return
		}
		for t := range n {
			f(name == "pre_ffn_norm", w.first+t, r.row(t)[:w.config.HiddenSize])
		}
	}
}

// Layer adds layer l to the residual stream of all tokens. layer is not kept.
func (w *Walk) Layer(ctx context.Context, l int, layer *Layer) error {
	m, kind := w.m, kindOf(w.config.Global[l])
	m.weights.Layers[kind] = *layer
	defer func() { m.weights.Layers[kind] = Layer{} }()
	seq, pos := 0, 0 // the next token's
	for first := 0; first < w.Tokens(); {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		n := 0
		for n < MaxRows && seq < len(w.length) {
			k := min(MaxRows-n, w.length[seq]-pos)
			if err := w.caches[seq].reserve(pos + k); err != nil {
				return err
			}
			for i := range k {
				m.rowCache[n+i], m.rowPos[n+i], m.rowSet[n+i] = w.caches[seq], pos+i, nil
			}
			n, pos = n+k, pos+k
			if pos < w.length[seq] {
				break // the pass is full
			}
			seq, pos = seq+1, 0
		}
		if err := w.pass(kind, first, n); err != nil {
			return fmt.Errorf("layer %d: %w", l, err)
		}
		first += n
	}
	for _, c := range w.caches {
		c.Free()
	}
	return nil
}

// pass computes the layer of a kind for n tokens from first on, whose caches and positions are set.
func (w *Walk) pass(kind, first, n int) error {
	m, half := w.m, w.config.HeadDim/2
	w.first = first
	for t := range n {
		copy(m.x.row(t), w.x.row(first+t))
		angles(m.cos.row(t)[:half], m.sin.row(t)[:half], m.freq, m.rowPos[t])
	}
	m.attention.plan(n)
	m.linear.adapt.panels = m.linear.adapt.panels[:0]
	if err := m.branches(kind, n, m.pre.first); err != nil {
		return err
	}
	post := m.weights.Layers[kind].PostFFNNorm
	for t := range n {
		x, h := w.x.row(first+t), m.h.row(t)
		kernel.RMSNorm(h, h, post, w.config.HiddenSize, w.config.RMSNormEps)
		copy(x, m.x.row(t))
		kernel.Add(x, h)
	}
	return nil
}

// Norm ends the residual stream: after it all tokens are what the head multiplies.
func (w *Walk) Norm(final []float32) {
	for t := range w.Tokens() {
		kernel.RMSNorm(w.x.row(t), w.x.row(t), final, w.config.HiddenSize, w.config.RMSNormEps)
	}
}

// Head computes the logits of n <= MaxRows tokens from first on, for some rows of the head, at most HeadRows: row(i) has those of
// token first+i, after the final soft cap, and is valid until the next call. They may be no finite numbers.
func (w *Walk) Head(first, n int, head *quant.Matrix) (row func(i int) []float32, err error) {
	m := w.m
	m.linear.adapt.panels = m.linear.adapt.panels[:0]
	in := rows{w.x.data[first*w.x.stride : (first+n)*w.x.stride], w.x.stride}
	if err := m.linear.run(n, nil, in, product{head, w.logits, siteHead}); err != nil {
		return nil, fmt.Errorf("head: %w", err)
	}
	if c := w.config.FinalSoftcap; c != 0 {
		err = m.crew.Run(n, 1, func(_, lo, hi int) {
			for t := lo; t < hi; t++ {
				kernel.Softcap(w.logits.row(t), 1, c)
			}
		})
	}
	return func(i int) []float32 { return w.logits.row(i)[:head.Rows] }, err
}
