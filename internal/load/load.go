// Package load turns an opened checkpoint into weights that the model runs: matrices of our own files are used where they
// lie, all others are arranged into the kernels' layouts, in parallel, outside Go's heap.
//
// It owns the mapping of tensor names to a model's parts. It must not know how files are read or how a layer is computed.
package load

import (
	"fmt"

	"github.com/systemgemma/systemgemma/internal/checkpoint"
	"github.com/systemgemma/systemgemma/internal/checkpoint/gguf"
	"github.com/systemgemma/systemgemma/internal/checkpoint/mmap"
	"github.com/systemgemma/systemgemma/internal/compute/blocks"
	"github.com/systemgemma/systemgemma/internal/compute/offheap"
	"github.com/systemgemma/systemgemma/internal/compute/parallel"
	"github.com/systemgemma/systemgemma/internal/compute/quant"
	"github.com/systemgemma/systemgemma/internal/gemma2"
)

// Loaded is a model's weights and the memory that was made for them. They are valid as long as the checkpoint is open.
type Loaded struct {
	*gemma2.Weights
	blocks []*offheap.Block
}

// Bytes is the memory made for arranged matrices: 0 for a file of our own.
func (l *Loaded) Bytes() (n int64) {
	for _, b := range l.blocks {
		n += int64(len(b.Bytes()))
	}
	return n
}

// Close frees that memory.
func (l *Loaded) Close() {
	for _, b := range l.blocks {
		_ = b.Free() // our own memory: cannot fail
	}
	l.blocks = nil
}

// layoutOf says how weights that a file stores as t are arranged: floats as they are, blocks with their own integers and
// scales, so that every bit is kept.
func layoutOf(t gguf.Type) (quant.Layout, quant.Grouping) {
	if f, ok := blocks.Of(uint32(t)); ok {
		return quant.BlockFormat(f)
	}
	switch t {
	case gguf.BF16:
		return quant.BF16, quant.Grouping{}
	case gguf.F16:
		return quant.F16, quant.Grouping{}
	case gguf.I8: // with a scale per row
		return quant.W8C, quant.Grouping{}
	}
	return quant.F32, quant.Grouping{}
}

// Weights builds the weights of ck, using crew to arrange foreign matrices.
func Weights(ck *checkpoint.Checkpoint, crew *parallel.Crew) (w *Loaded, err error) {
	if err := ck.Runnable(); err != nil {
		return nil, err
	}
	err = mmap.Guard(func() error { w, err = build(ck, crew); return err })
	return w, err
}

func build(ck *checkpoint.Checkpoint, crew *parallel.Crew) (*Loaded, error) {
	c := &ck.Config
	b := builder{ck: ck, crew: crew, piece: pieceBytes, out: &Loaded{Weights: &gemma2.Weights{Config: *c, Layers: make([]gemma2.Layer, c.NumLayers)}}}
	w := b.out.Weights
	b.matrix("token_embd.weight", &w.Embed)
	w.Head = w.Embed
	if !c.TieEmbeddings {
		b.matrix("output.weight", &w.Head)
	}
	b.norm("output_norm.weight", &w.FinalNorm)
	for i := range w.Layers {
		b.layer(i, &w.Layers[i])
	}
	if b.err != nil {
		b.out.Close()
		return nil, b.err
	}
	return b.out, nil
}

// builder remembers the first error, so that the list of parts above stays a list.
type builder struct {
	ck   *checkpoint.Checkpoint
	crew *parallel.Crew
	out  *Loaded
	err  error

	change Change   // nil: none
	used   [][]byte // weights that are used where they lie

	piece int // about how many bytes of a source are in memory while it is arranged
}

func (b *builder) layer(i int, l *gemma2.Layer) {
	name := func(s string) string { return fmt.Sprintf("blk.%d.%s.weight", i, s) }
	b.norm(name("attn_norm"), &l.AttnNorm)
	b.norm(name("post_attention_norm"), &l.PostAttnNorm)
	b.norm(name("ffn_norm"), &l.FFNNorm)
	b.norm(name("post_ffw_norm"), &l.PostFFNNorm)
	b.matrix(name("attn_q"), &l.Q)
	b.matrix(name("attn_k"), &l.K)
	b.matrix(name("attn_v"), &l.V)
	b.matrix(name("attn_output"), &l.O)
	b.matrix(name("ffn_gate"), &l.Gate)
	b.matrix(name("ffn_up"), &l.Up)
	b.matrix(name("ffn_down"), &l.Down)
}

func (b *builder) matrix(name string, dst **quant.Matrix) {
	if b.err != nil {
		return
	}
	if b.change != nil && b.change.Touches(name) {
		*dst, b.err = b.changed(name)
		return
	}
	if m, ok := b.ck.Matrices[name]; ok {
		*dst = &m
		b.used = append(b.used, m.Data)
		return
	}
	t, ok := b.ck.Tensor(name)
	if !ok || len(t.Shape) != 2 {
		b.err = fmt.Errorf("tensor %s: missing, or no matrix", name)
		return
	}
	if *dst, b.err = b.arrange(&t); b.err != nil {
		b.err = fmt.Errorf("tensor %s: %w", name, b.err)
	}
}

// pieceBytes is the usual piece: small beside any model, and enough to keep all workers busy.
const pieceBytes = 4 << 20

// arrange packs a row-major matrix into the layout of its type, piece by piece. What was read is released at once: else source
// and copy would both count as this process' memory.
func (b *builder) arrange(t *checkpoint.Tensor) (*quant.Matrix, error) {
	layout, grouping := layoutOf(t.Type)
	m, block, err := quant.NewGrouped(layout, grouping, t.Shape[0], t.Shape[1])
	if err != nil {
		return nil, err
	}
	b.out.blocks = append(b.out.blocks, block)
	stripBytes, err := t.Type.RowSize(m.Cols)
	if err != nil {
		return nil, err
	}
	stripBytes *= quant.StripRows
	pack := packStrips(m, t, stripBytes)
	step := max(b.piece/stripBytes, b.crew.Workers())
	for first := 0; first < m.Strips(); first += step {
		n := min(step, m.Strips()-first)
		if err := b.crew.Run(n, 1, func(worker, lo, hi int) { pack(worker, first+lo, first+hi) }); err != nil {
			return nil, err
		}
		b.ck.ReleaseTo(t, min((first+n)*stripBytes, len(t.Data)))
	}
	return m, nil
}

// packStrips makes the body of a loop over strips, whose rows take stripBytes in t.
func packStrips(m *quant.Matrix, t *checkpoint.Tensor, stripBytes int) parallel.Body {
	f, isBlocks := blocks.Of(uint32(t.Type))
	return func(_, lo, hi int) {
		for s := lo; s < hi; s++ {
			rows := t.Data[s*stripBytes : min((s+1)*stripBytes, len(t.Data))]
			switch {
			case isBlocks:
				m.PackBlocks(s, f, rows)
			case t.Scales != nil:
				for r := s * quant.StripRows; r < min((s+1)*quant.StripRows, m.Rows); r++ {
					w, scale := t.Ints(r)
					m.PackInts(r, w, scale)
				}
			default:
				m.PackFloats(s, rows)
			}
		}
	}
}

// norm reads a norm's weights as 1+w, padded with zeros to a multiple of 16.
func (b *builder) norm(name string, dst *[]float32) {
	if b.err != nil {
		return
	}
	t, ok := b.ck.Tensor(name)
	if !ok || len(t.Shape) != 1 {
		b.err = fmt.Errorf("tensor %s: missing, or no vector", name)
		return
	}
	n := t.Columns()
	v := make([]float32, (n+15)&^15)
	if b.err = t.Row(v[:n], 0); b.err == nil && b.change != nil && b.change.Touches(name) {
		b.err = b.change.Row(name, 0, v[:n])
	}
	if b.err != nil {
		return
	}
	if !b.ck.NormPlusOne {
		for i := range v[:n] {
			v[i]++
		}
	}
	*dst = v
}
