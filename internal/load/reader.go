package load

import (
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/systemgemma/systemgemma/internal/arch"
	"github.com/systemgemma/systemgemma/internal/checkpoint"
	"github.com/systemgemma/systemgemma/internal/checkpoint/mmap"
	"github.com/systemgemma/systemgemma/internal/compute/parallel"
	"github.com/systemgemma/systemgemma/internal/compute/quant"
	"github.com/systemgemma/systemgemma/internal/gemma2"
)

const (
	embedding = "token_embd.weight"
	head      = "output.weight"
)

// Change edits weights as they are read, as an adapter does: convert.Change.
type Change interface {
	Touches(name string) bool
	Row(name string, r int, row []float32) error
	Unties() bool
}

// Reader gives a checkpoint's weights a part at a time, so that the whole need not be in memory. Matrices that change touches come as
// float32; all others as Weights arranges them, so that products have the same bits.
type Reader struct {
	ck     *checkpoint.Checkpoint
	crew   *parallel.Crew
	change Change
}

// NewReader reads parts of ck with change (nil: none).
func NewReader(ck *checkpoint.Checkpoint, change Change, crew *parallel.Crew) (*Reader, error) {
	if err := ck.Runnable(); err != nil {
		return nil, err
	}
	return &Reader{ck, crew, change}, nil
}

// Config is the model's shape, without the change.
func (p *Reader) Config() *arch.Config { return &p.ck.Config }

// HasHead says whether the head is another matrix than the embedding.
func (p *Reader) HasHead() bool {
	return !p.ck.Config.TieEmbeddings || p.change != nil && p.change.Unties()
}

// part runs f with a builder. free ends the use of what was built.
func (p *Reader) part(f func(b *builder)) (free func(), err error) {
	b := &builder{ck: p.ck, crew: p.crew, piece: pieceBytes, out: &Loaded{}, change: p.change}
	if err := mmap.Guard(func() error { f(b); return b.err }); err != nil {
		b.out.Close()
		return nil, err
	}
	return func() {
		b.out.Close()
		for _, data := range b.used {
			p.ck.Release(&checkpoint.Tensor{Data: data})
		}
	}, nil
}

// Layer gives layer l, valid until free is called.
func (p *Reader) Layer(l int) (layer *gemma2.Layer, free func(), err error) {
	layer = &gemma2.Layer{}
	free, err = p.part(func(b *builder) { b.layer(l, layer) })
	return layer, free, err
}

// FinalNorm gives the norm before the head.
func (p *Reader) FinalNorm() (v []float32, err error) {
	_, err = p.part(func(b *builder) { b.norm("output_norm.weight", &v) })
	return v, err
}

// Head gives rows [first, first+n) of the head, valid until free is called. first must be a multiple of quant.StripRows, first+n too or
// the end.
func (p *Reader) Head(first, n int) (m *quant.Matrix, free func(), err error) {
	name := embedding
	if p.HasHead() {
		name = head
	}
	free, err = p.part(func(b *builder) {
		if p.change != nil && p.change.Touches(name) {
			m, b.err = b.changedRows(name, first, n)
			return
		}
		if whole, ok := p.ck.Matrices[name]; ok {
			m = whole.Part(first, n)
			b.used = append(b.used, m.Data)
			return
		}
		t, ok := p.ck.Tensor(name)
		if !ok || len(t.Shape) != 2 {
			b.err = fmt.Errorf("tensor %s: missing, or no matrix", name)
			return
		}
		size := len(t.Data) / t.Shape[0]
		t.Data, t.Shape = t.Data[first*size:(first+n)*size], []int{n, t.Shape[1]}
		if t.Scales != nil {
			t.Scales = t.Scales[first : first+n]
		}
		m, b.err = b.arrange(&t)
	})
	return m, free, err
}

// Row decodes row r of a matrix, by its GGUF name, len(dst) being its columns. Safe for concurrent use. A head that only the change
// unties is made of the embedding.
func (p *Reader) Row(name string, r int, dst []float32) error {
	stored := name
	if name == head && p.ck.Config.TieEmbeddings {
		stored = embedding
	}
	if m, ok := p.ck.Matrices[stored]; ok {
		m.Row(dst, r)
	} else if t, ok := p.ck.Tensor(stored); !ok {
		return fmt.Errorf("tensor %s: missing", name)
	} else if err := t.Row(dst, r); err != nil {
		return err
	}
	if p.change != nil && p.change.Touches(name) {
		return p.change.Row(name, r, dst)
	}
	return nil
}

// Embed decodes the embedding of a token.
func (p *Reader) Embed(id int, dst []float32) error {
	return mmap.Guard(func() error { return p.Row(embedding, id, dst) })
}

// Matrices lists all matrices in the order of the layers, the embedding first and a head of its own last.
func (p *Reader) Matrices() (list []checkpoint.Parameter) {
	config := p.ck.Config
	config.TieEmbeddings = !p.HasHead()
	for _, x := range checkpoint.Parameters(&config) {
		if len(x.Shape) == 2 && (x.Name != head || p.HasHead()) {
			list = append(list, x)
		}
	}
	return list
}

// Release says that a matrix was read.
func (p *Reader) Release(name string) {
	if m, ok := p.ck.Matrices[name]; ok {
		p.ck.Release(&checkpoint.Tensor{Data: m.Data})
	} else if t, ok := p.ck.Tensor(name); ok {
		p.ck.Release(&t)
	}
}

// Stored names how the checkpoint stores a matrix, and how many bytes it takes there, scales included.
func (p *Reader) Stored(name string) (kind string, bytes int64) {
	if _, ok := p.ck.Matrices[name]; !ok && name == head && p.ck.Config.TieEmbeddings {
		name = embedding
	}
	if m, ok := p.ck.Matrices[name]; ok {
		return m.Spec().Name(), m.Spec().Bytes(m.Rows, m.Cols)
	}
	t, _ := p.ck.Tensor(name)
	return t.Type.String(), int64(len(t.Data) + 4*len(t.Scales))
}

// Arranged is the memory that a matrix takes beside its file while it is used.
func (p *Reader) Arranged(name string) int64 {
	changed := p.change != nil && p.change.Touches(name)
	if _, ok := p.ck.Matrices[name]; ok && !changed {
		return 0
	}
	for _, m := range p.Matrices() {
		if m.Name != name {
			continue
		}
		spec := quant.Spec{Layout: quant.F32}
		if t, ok := p.ck.Tensor(name); ok && !changed {
			spec.Layout, spec.Grouping = layoutOf(t.Type)
		}
		return spec.Bytes(m.Shape[0], m.Shape[1])
	}
	return 0
}

// changed makes a whole matrix with its change.
func (b *builder) changed(name string) (*quant.Matrix, error) {
	rows := 0
	if m, ok := b.ck.Matrices[name]; ok {
		rows = m.Rows
	} else if t, ok := b.ck.Tensor(name); ok && len(t.Shape) == 2 {
		rows = t.Shape[0]
	}
	if rows == 0 {
		return nil, fmt.Errorf("tensor %s: missing, or no matrix", name)
	}
	return b.changedRows(name, 0, rows)
}

// changedRows makes rows [first, first+n) of a matrix with its change.
func (b *builder) changedRows(name string, first, n int) (*quant.Matrix, error) {
	p := &Reader{b.ck, b.crew, b.change}
	at := slices.IndexFunc(p.Matrices(), func(x checkpoint.Parameter) bool { return x.Name == name })
	if at < 0 {
		return nil, fmt.Errorf("tensor %s: missing, or no matrix", name)
	}
	cols := p.Matrices()[at].Shape[1]
	m, block, err := quant.New(quant.F32, n, cols)
	if err != nil {
		return nil, err
	}
	b.out.blocks = append(b.out.blocks, block)
	rows := make([][]float32, b.crew.Workers())
	var failed atomic.Pointer[error]
	err = b.crew.Run(n, quant.StripRows, func(worker, lo, hi int) {
		if rows[worker] == nil {
			rows[worker] = make([]float32, cols)
		}
		for r := lo; r < hi; r++ {
			if err := p.Row(name, first+r, rows[worker]); err != nil {
				failed.CompareAndSwap(nil, &err)
				return
			}
			m.PackRow(r, rows[worker])
		}
	})
	if e := failed.Load(); e != nil && err == nil {
		err = *e
	}
	p.Release(name)
	return m, err
}
