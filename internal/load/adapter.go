package load

import (
	"fmt"
	"strings"
	"sync/atomic"
	"unsafe"

	"github.com/systemgemma/systemgemma/internal/checkpoint/mmap"
	"github.com/systemgemma/systemgemma/internal/checkpoint/peft"
	"github.com/systemgemma/systemgemma/internal/compute/parallel"
	"github.com/systemgemma/systemgemma/internal/compute/quant"
	"github.com/systemgemma/systemgemma/internal/gemma2"
)

// Adapter arranges an opened adapter for a running model with weights w. The result holds no part of a's file. DoRA's factors
// are computed from w, as it is.
func Adapter(a *peft.Adapter, w *gemma2.Weights, crew *parallel.Crew) (x *gemma2.Adapter, err error) {
	err = mmap.Guard(func() error { x, err = buildAdapter(a, w, crew); return err })
	return x, err
}

func buildAdapter(a *peft.Adapter, w *gemma2.Weights, crew *parallel.Crew) (*gemma2.Adapter, error) {
	b := adapterBuilder{crew: crew}
	for _, name := range a.Copies() {
		m := w.Head
		if name == "token_embd.weight" {
			m = w.Embed
		}
		b.compare(a, name, m)
	}
	x := &gemma2.Adapter{ID: a.Digest, Layers: make([]gemma2.LayerAdapter, len(w.Layers))}
	if m := a.Modules["token_embd.weight"]; m != nil {
		x.Embed = b.embed(m)
	}
	x.Head = b.change(a.Modules["output.weight"], w.Head)
	x.FinalNorm = b.norm(a.Modules["output_norm.weight"])
	for i := range x.Layers {
		l, d := &w.Layers[i], &x.Layers[i]
		module := func(s string) *peft.Module { return a.Modules[fmt.Sprintf("blk.%d.%s.weight", i, s)] }
		d.AttnNorm = b.norm(module("attn_norm"))
		d.PostAttnNorm = b.norm(module("post_attention_norm"))
		d.FFNNorm = b.norm(module("ffn_norm"))
		d.PostFFNNorm = b.norm(module("post_ffw_norm"))
		d.Q = b.change(module("attn_q"), l.Q)
		d.K = b.change(module("attn_k"), l.K)
		d.V = b.change(module("attn_v"), l.V)
		d.O = b.change(module("attn_output"), l.O)
		d.Gate = b.change(module("ffn_gate"), l.Gate)
		d.Up = b.change(module("ffn_up"), l.Up)
		d.Down = b.change(module("ffn_down"), l.Down)
	}
	return x, b.err
}

// adapterBuilder remembers the first error, so that the list of parts stays a list. Modules may be nil.
type adapterBuilder struct {
	crew *parallel.Crew
	err  error
}

// rows runs body over rows, on all workers.
func (b *adapterBuilder) rows(n int, body func(lo, hi int) error) {
	if b.err != nil {
		return
	}
	var failed atomic.Pointer[error]
	err := b.crew.Run(n, 64, func(_, lo, hi int) {
		if err := body(lo, hi); err != nil {
			failed.CompareAndSwap(nil, &err)
		}
	})
	if p := failed.Load(); p != nil && err == nil {
		err = *p
	}
	b.err = err
}

// compare holds the base's weights to the adapter's copy of them.
func (b *adapterBuilder) compare(a *peft.Adapter, name string, m *quant.Matrix) {
	b.rows(m.Rows, func(lo, hi int) error {
		row, tmp := make([]float32, m.Cols), make([]float32, m.Cols)
		for r := lo; r < hi; r++ {
			m.Row(row, r)
			if err := a.Compare(name, r, row, tmp); err != nil {
				return err
			}
		}
		return nil
	})
}

func (b *adapterBuilder) change(m *peft.Module, w *quant.Matrix) *gemma2.Change {
	switch {
	case m == nil || b.err != nil:
		return nil
	case m.Replaced():
		return &gemma2.Change{Full: b.full(m)}
	}
	c := &gemma2.Change{A: onHeap(quant.F32, m.Rank, m.Cols), B: onHeap(quant.F32, m.Rows, m.Rank), Scale: m.Scale}
	for k := range m.Rank {
		c.A.PackRow(k, m.Right(k))
	}
	b.rows(m.Rows, func(lo, hi int) error {
		row := make([]float32, m.Rank)
		for r := lo; r < hi; r++ {
			if err := m.Left(row, r); err != nil {
				return err
			}
			c.B.PackRow(r, row)
		}
		return nil
	})
	if m.Scaled() {
		c.Gain = make([]float32, quant.PaddedRows(m.Rows))
		b.rows(m.Rows, func(lo, hi int) error { return m.Gains(c.Gain[lo:hi], lo, w.Row) })
	}
	return c
}

// full arranges a replacement in the type that it is stored in.
func (b *adapterBuilder) full(m *peft.Module) *quant.Matrix {
	layout := quant.F32
	switch strings.ToUpper(m.Format()) {
	case "BF16":
		layout = quant.BF16
	case "F16":
		layout = quant.F16
	}
	x := onHeap(layout, m.Rows, m.Cols)
	b.rows(m.Rows, func(lo, hi int) error {
		row := make([]float32, m.Cols)
		for r := lo; r < hi; r++ {
			if err := m.Replacement(row, r); err != nil {
				return err
			}
			x.PackRow(r, row)
		}
		return nil
	})
	return x
}

func (b *adapterBuilder) embed(m *peft.Module) *gemma2.EmbedChange {
	if m.Replaced() {
		return &gemma2.EmbedChange{Full: b.full(m)}
	}
	e := &gemma2.EmbedChange{Left: make([]float32, m.Rows*m.Rank), Rank: m.Rank, Scale: m.Scale}
	stride := (m.Cols + 15) &^ 15
	e.Right = make([]float32, m.Rank*stride)
	for k := range m.Rank {
		copy(e.Right[k*stride:], m.Right(k))
	}
	b.rows(m.Rows, func(lo, hi int) error {
		for r := lo; r < hi; r++ {
			if err := m.Left(e.Left[r*m.Rank:(r+1)*m.Rank], r); err != nil {
				return err
			}
		}
		return nil
	})
	return e
}

// norm reads a replaced norm as 1+w, padded with zeros to a multiple of 16.
func (b *adapterBuilder) norm(m *peft.Module) []float32 {
	if m == nil || b.err != nil {
		return nil
	}
	v := make([]float32, (m.Cols+15)&^15)
	b.err = m.Replacement(v[:m.Cols], 0)
	for i := range v[:m.Cols] {
		v[i]++
	}
	return v
}

// onHeap makes a matrix that the garbage collector frees: adapters come and go, and running requests hold them.
func onHeap(l quant.Layout, rows, cols int) *quant.Matrix {
	const align = 64
	n := quant.DataSize(l, rows, cols)
	data := make([]byte, n+align)
	at := int(-uintptr(unsafe.Pointer(&data[0])) & (align - 1))
	return &quant.Matrix{Layout: l, Rows: rows, Cols: cols, Data: data[at : at+n : at+n]}
}
