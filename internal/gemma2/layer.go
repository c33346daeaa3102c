package gemma2

import (
	"fmt"

	"github.com/systemgemma/systemgemma/internal/compute/kernel"
)

// runLayer adds one layer's two residual branches to the n rows of x. Gemma 2 normalises the input and the output of each
// branch, never the residual stream itself (arXiv:2408.00118, section 2):
//
//	x += postAttnNorm(attention(attnNorm(x)))
//	x += postFFNNorm(down(gelu(gate(h)) * up(h)))    h = ffnNorm(x)
//
// Norms, sums and activations of a row are computed where the next product packs that row.
func (m *Model) runLayer(l, n int) error {
	pre := m.pre.first
	if l > 0 {
		pre = m.pre.attn
	}
	return m.branches(l, n, pre)
}

// branches is runLayer with pre, which ends what came before and norms the first branch's input. The second branch's output is
// left in h, where the next layer's pre finds it.
func (m *Model) branches(l, n int, pre func(t int)) error {
	w := &m.weights.Layers[l]
	m.attention.layer, m.linear.adapt.layer = l, l
	if err := m.linear.run(n, pre, m.h, product{w.Q, m.qkv[0], siteQ}, product{w.K, m.qkv[1], siteK}, product{w.V, m.qkv[2], siteV}); err != nil {
		return err
	}
	if l > 0 {
		m.see("hidden", l, m.x, n)
	}
	m.see("input_norm", l, m.h, n)
	if err := m.crew.Run(n, 8, m.body.rotate); err != nil {
		return err
	}
	m.see("q_rope", l, m.q, n)
	if err := m.attention.run(); err != nil {
		return err
	}
	m.see("attn_heads_out", l, m.attn, n)
	if err := m.linear.run(n, nil, m.attn, product{w.O, m.h, siteO}); err != nil {
		return err
	}
	m.see("attn_out", l, m.h, n)
	if err := m.linear.run(n, m.pre.ffn, m.h, product{w.Gate, m.gate, siteGate}, product{w.Up, m.up, siteUp}); err != nil {
		return err
	}
	m.see("pre_ffn_norm", l, m.h, n)
	m.see("mlp_gate", l, m.gate, n)
	m.see("mlp_up", l, m.up, n)
	if err := m.linear.run(n, m.pre.down, m.gate, product{w.Down, m.h, siteDown}); err != nil {
		return err
	}
	m.see("mlp_act", l, m.gate, n)
	m.see("mlp_out", l, m.h, n)
	return nil
}

// norm writes row t of x, normed with w, to h.
func (m *Model) norm(t int, w []float32) {
	kernel.RMSNorm(m.h.row(t), m.x.row(t), w, m.config.HiddenSize, m.config.RMSNormEps)
}

// join adds row t of h, a branch's output normed with post, to x, and norms the sum with next.
func (m *Model) join(t int, post, next []float32) {
	h := m.h.row(t)
	kernel.RMSNorm(h, h, post, m.config.HiddenSize, m.config.RMSNormEps)
	kernel.Add(m.x.row(t), h)
	m.norm(t, next)
}

func (m *Model) firstNorm(t int) { m.norm(t, m.normsOf(t, m.attention.layer).AttnNorm) }

func (m *Model) joinAttention(t int) {
	w := m.normsOf(t, m.attention.layer)
	m.join(t, w.PostAttnNorm, w.FFNNorm)
}

// joinFFN ends the layer before this one.
func (m *Model) joinFFN(t int) {
	l := m.attention.layer
	m.join(t, m.normsOf(t, l-1).PostFFNNorm, m.normsOf(t, l).AttnNorm)
}

func (m *Model) activate(t int) { kernel.GeluMul(m.gate.row(t), m.gate.row(t), m.up.row(t)) }

// rotate turns queries and keys of rows [lo, hi) by their positions and puts keys and values into the caches.
func (m *Model) rotate(worker, lo, hi int) {
	dim, half, layer := m.config.HeadDim, m.config.HeadDim/2, m.attention.layer
	kv := m.attention.work[worker].row // zero beyond the head dim
	for t := lo; t < hi; t++ {
		cos, sin, cache, pos := m.cos.row(t)[:half], m.sin.row(t)[:half], m.rowCache[t], m.rowPos[t]
		for h := range m.config.NumHeads {
			q := m.q.row(t)[h*pad16(dim) : (h+1)*pad16(dim)]
			copy(q, m.qkv[0].row(t)[h*dim:(h+1)*dim])
			kernel.Rotate(q, cos, sin)
		}
		for h := range m.config.NumKVHeads {
			copy(kv, m.qkv[1].row(t)[h*dim:(h+1)*dim])
			kernel.Rotate(kv, cos, sin)
			cache.store(layer, 0, h, pos, kv)
			copy(kv, m.qkv[2].row(t)[h*dim:(h+1)*dim])
			cache.store(layer, 1, h, pos, kv)
		}
	}
}

// head computes the wanted rows' logits, a panel at a time, and hands them out.
func (m *Model) head(chunks []Chunk, out func(chunk, row int, logits []float32) error) error {
	m.picked, m.readers = m.picked[:0], m.readers[:0]
	first := 0
	for i, c := range chunks {
		if c.States {
			if err := m.states(i, c, first, out); err != nil {
				return err
			}
			first += len(c.Tokens)
			continue
		}
		if c.Logits > 0 {
			m.readers = append(m.readers, reader{chunk: i, row: len(c.Tokens) - c.Logits, from: len(m.picked), to: len(m.picked) + c.Logits})
		}
		for j := len(c.Tokens) - c.Logits; j < len(c.Tokens); j++ {
			m.picked = append(m.picked, first+j)
		}
		first += len(c.Tokens)
	}
	m.out = out
	defer func() { m.out = nil }()
	for m.base = 0; m.base < len(m.picked); m.base += kernel.MaxPanel {
		n := min(kernel.MaxPanel, len(m.picked)-m.base)
		m.planPicked(n)
		if err := m.linear.run(n, m.pre.head, m.h, product{m.weights.Head, m.logits, siteHead}); err != nil {
			return fmt.Errorf("head: %w", err)
		}
		m.see("final_norm", len(m.weights.Layers), m.h, n)
		if err := m.finish(n); err != nil {
			return err
		}
		if err := m.crew.Run(len(m.readers), 1, m.body.read); err != nil {
			return err
		}
		for i := range m.readers {
			if err := m.readers[i].err; err != nil {
				return err
			}
		}
	}
	return nil
}

// states hands out the hidden states of chunk c, whose first row is row first.
func (m *Model) states(chunk int, c Chunk, first int, out func(chunk, row int, state []float32) error) error {
	for i := len(c.Tokens) - c.Logits; i < len(c.Tokens); i++ {
		m.joinLast(first+i, first+i)
		state := m.h.row(first + i)[:m.config.HiddenSize]
		for _, x := range state {
			if x-x != 0 {
				return ErrNonFinite
			}
		}
		if err := out(chunk, i, state); err != nil {
			return err
		}
	}
	return nil
}

// joinLast ends the last layer for row t, which holds what row from of the pass came to.
func (m *Model) joinLast(t, from int) {
	m.join(t, m.normsOf(from, len(m.weights.Layers)-1).PostFFNNorm, m.finalNormOf(from))
}

// planPicked tells the linear the adapters of the panel's n picked rows, if the pass has any.
func (m *Model) planPicked(n int) {
	if !m.adapted {
		return
	}
	m.pickedSet = m.pickedSet[:0]
	for _, from := range m.picked[m.base : m.base+n] {
		m.pickedSet = append(m.pickedSet, m.rowSet[from])
	}
	m.linear.adapt.plan(m.linear, m.pickedSet)
}

// reader is who wants logits: a chunk whose rows row, row+1, ... are the picked ones [from, to).
type reader struct {
	chunk, row, from, to int
	err                  error
}

// read gives readers [lo, hi) those of their rows that are in this panel: choosing tokens is work for all workers too.
func (m *Model) read(_, lo, hi int) {
	for i := lo; i < hi; i++ {
		r := &m.readers[i]
		for at := max(r.from, m.base); at < min(r.to, m.base+kernel.MaxPanel) && r.err == nil; at++ {
			r.err = m.out(r.chunk, r.row+at-r.from, m.logits.row(at - m.base)[:m.config.VocabSize])
		}
	}
}

// joinPicked makes row t of the head's input: picked rows move to the front of h and x, in order, which overwrites only
// rows that come before them.
func (m *Model) joinPicked(t int) {
	from := m.picked[m.base+t]
	x, h := m.x.row(t), m.h.row(t)
	copy(x, m.x.row(from))
	copy(h, m.h.row(from))
	m.joinLast(t, from)
}

// capChunk is the number of logits that one part of the last loop does.
const capChunk = 16384

// finish applies the final soft cap to n rows of logits and makes sure that they are numbers.
func (m *Model) finish(n int) error {
	clear(m.nonFinite)
	if err := m.crew.Run(n*m.logits.stride, capChunk, m.body.limit); err != nil {
		return err
	}
	for _, bad := range m.nonFinite {
		if bad {
			return ErrNonFinite
		}
	}
	return nil
}

// capLogits does elements [lo, hi) of all rows of logits.
func (m *Model) capLogits(worker, lo, hi int) {
	x := m.logits.data[lo:hi]
	if m.config.FinalSoftcap != 0 {
		kernel.Softcap(x, 1, m.config.FinalSoftcap)
	}
	if !kernel.Finite(x) {
		m.nonFinite[worker] = true
	}
}

// see shows an intermediate result to who asked for it.
func (m *Model) see(name string, layer int, r rows, n int) {
	if m.probe != nil {
		m.probe(name, layer, r, n)
	}
}
