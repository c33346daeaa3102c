package gemma2

import (
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/systemgemma/systemgemma/internal/compute/kernel"
	"github.com/systemgemma/systemgemma/internal/compute/quant"
)

// MaxAdapters is the most adapters that one sequence uses at once.
const MaxAdapters = 8

// Adapter is what one LoRA adapter makes of a model, beside weights that stay as they are. It is never changed, and serves
// any number of passes. What is nil is left alone.
type Adapter struct {
	ID        string // equal for equal adapters only: a digest
	Embed     *EmbedChange
	Head      *Change
	FinalNorm []float32 // a replacement, as in Weights
	Layers    []LayerAdapter
}

// LayerAdapter is the part of an adapter in one layer.
type LayerAdapter struct {
	AttnNorm, PostAttnNorm, FFNNorm, PostFFNNorm []float32 // replacements, as in Layer

	Q, K, V, O, Gate, Up, Down *Change
}

// Change makes of a product y = W x, with d = Scale·B(A x), y + d; with Gain, each y[r] + d[r] times Gain[r]; or Full x.
type Change struct {
	A, B  *quant.Matrix // F32, [rank][columns of W] and [rows of W][rank]; nil with Full
	Scale float32
	Gain  []float32     // [rows of W, padded to 16]; nil: none (DoRA, arXiv:2402.09353: magnitude / |row of W + Scale·B·A|)
	Full  *quant.Matrix // F32, BF16 or F16, of W's shape
}

// EmbedChange adds Scale·(row t of Left)·Right to the embedding of token t, or replaces it by a row of Full.
type EmbedChange struct {
	Left  []float32 // [vocab][Rank]
	Right []float32 // [Rank][hidden, padded to 16]
	Rank  int
	Scale float32
	Full  *quant.Matrix
}

// AdapterUse is an adapter at a strength: 1 is what it was trained for.
type AdapterUse struct {
	*Adapter
	Scale float32
}

// AdapterSet is what a sequence's tokens are computed with: adapters in order. Each adds Scale times the difference that it
// alone would make. Nil is the model as it is.
type AdapterSet struct {
	uses   []AdapterUse
	key    string
	layers []Layer   // norms only; nil when none changes
	final  []float32 // as Weights.FinalNorm
	rank   int       // largest, padded
}

// NewAdapterSet checks that uses fit the model. It returns nil for none.
func (m *Model) NewAdapterSet(uses []AdapterUse) (*AdapterSet, error) {
	if len(uses) == 0 {
		return nil, nil
	}
	if len(uses) > MaxAdapters {
		return nil, fmt.Errorf("adapters: want at most %d at once, found %d; merge some", MaxAdapters, len(uses))
	}
	s := &AdapterSet{uses: uses, final: m.weights.FinalNorm, rank: 16}
	var key strings.Builder
	for i, u := range uses {
		if u.Scale-u.Scale != 0 {
			return nil, fmt.Errorf("adapter %d: scale: want a number, found %g", i, u.Scale)
		}
		rank, err := u.check(m.weights)
		if err != nil {
			return nil, fmt.Errorf("adapter %d: %w", i, err)
		}
		s.rank = max(s.rank, pad16(rank))
		fmt.Fprintf(&key, "%s*%08x;", u.ID, math.Float32bits(u.Scale))
	}
	s.key = key.String()
	s.blendNorms(m.weights)
	return s, nil
}

// Key is equal for sets that give equal keys and values, and empty for none: caches of different keys must not be shared.
func (s *AdapterSet) Key() string {
	if s == nil {
		return ""
	}
	return s.key
}

// blendNorms computes the norms that the set's sequences see.
func (s *AdapterSet) blendNorms(w *Weights) {
	changed := false
	blend := func(base []float32, of func(a *Adapter) []float32) []float32 {
		out, first := base, true
		for _, u := range s.uses {
			n := of(u.Adapter)
			switch {
			case n == nil:
				continue
			case first && u.Scale == 1:
				out = append([]float32(nil), n...)
			default:
				out = append([]float32(nil), out...)
				for k := range out {
					out[k] += float32(u.Scale * (n[k] - base[k]))
				}
			}
			first, changed = false, true
		}
		return out
	}
	s.final = blend(w.FinalNorm, func(a *Adapter) []float32 { return a.FinalNorm })
	layers := make([]Layer, len(w.Layers))
	for i := range layers {
		b, l := &w.Layers[i], &layers[i]
		l.AttnNorm = blend(b.AttnNorm, func(a *Adapter) []float32 { return a.Layers[i].AttnNorm })
		l.PostAttnNorm = blend(b.PostAttnNorm, func(a *Adapter) []float32 { return a.Layers[i].PostAttnNorm })
		l.FFNNorm = blend(b.FFNNorm, func(a *Adapter) []float32 { return a.Layers[i].FFNNorm })
		l.PostFFNNorm = blend(b.PostFFNNorm, func(a *Adapter) []float32 { return a.Layers[i].PostFFNNorm })
	}
	if changed {
		s.layers = layers
	}
}

// check compares all shapes with the weights and returns the largest rank.
func (a *Adapter) check(w *Weights) (rank int, err error) {
	c := &w.Config
	if len(a.Layers) != c.NumLayers {
		return 0, fmt.Errorf("layers: want %d, found %d", c.NumLayers, len(a.Layers))
	}
	var errs []error
	change := func(name string, x *Change, m *quant.Matrix) {
		if x == nil {
			return
		}
		errs = append(errs, x.check(name, m))
		if x.A != nil {
			rank = max(rank, x.A.Rows)
		}
	}
	norm := func(name string, v []float32) {
		if v != nil && len(v) != pad16(c.HiddenSize) {
			errs = append(errs, fmt.Errorf("%s: want %d values, found %d", name, pad16(c.HiddenSize), len(v)))
		}
	}
	change("head", a.Head, w.Head)
	norm("final norm", a.FinalNorm)
	for i := range a.Layers {
		x, l, at := &a.Layers[i], &w.Layers[i], fmt.Sprintf("layer %d ", i)
		change(at+"q", x.Q, l.Q)
		change(at+"k", x.K, l.K)
		change(at+"v", x.V, l.V)
		change(at+"o", x.O, l.O)
		change(at+"gate", x.Gate, l.Gate)
		change(at+"up", x.Up, l.Up)
		change(at+"down", x.Down, l.Down)
		norm(at+"attention norm", x.AttnNorm)
		norm(at+"post-attention norm", x.PostAttnNorm)
		norm(at+"FFN norm", x.FFNNorm)
		norm(at+"post-FFN norm", x.PostFFNNorm)
	}
	if e := a.Embed; e != nil {
		if e.Full != nil {
			errs = append(errs, checkFull("embedding", e.Full, w.Embed))
		} else if e.Rank < 1 || len(e.Left) != c.VocabSize*e.Rank || len(e.Right) != e.Rank*pad16(c.HiddenSize) {
			errs = append(errs, fmt.Errorf("embedding: factors do not fit %d tokens of %d values and rank %d", c.VocabSize, c.HiddenSize, e.Rank))
		}
		rank = max(rank, e.Rank)
	}
	return rank, errors.Join(errs...)
}

func (x *Change) check(name string, w *quant.Matrix) error {
	if x.Full != nil {
		return checkFull(name, x.Full, w)
	}
	if x.A == nil || x.B == nil || x.A.Layout != quant.F32 || x.B.Layout != quant.F32 {
		return fmt.Errorf("%s: want two float32 factors", name)
	}
	if err := errors.Join(x.A.Validate(), x.B.Validate()); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if x.A.Cols != w.Cols || x.B.Rows != w.Rows || x.A.Rows != x.B.Cols {
		return fmt.Errorf("%s: want factors for %dx%d, found %dx%d and %dx%d", name, w.Rows, w.Cols, x.B.Rows, x.B.Cols, x.A.Rows, x.A.Cols)
	}
	if x.Gain != nil && len(x.Gain) != quant.PaddedRows(w.Rows) {
		return fmt.Errorf("%s: want %d gains, found %d", name, quant.PaddedRows(w.Rows), len(x.Gain))
	}
	return nil
}

func checkFull(name string, full, w *quant.Matrix) error {
	if full.Layout != quant.F32 && full.Layout != quant.BF16 && full.Layout != quant.F16 {
		return fmt.Errorf("%s: want a replacement of floats, found %v", name, full.Layout)
	}
	if full.Rows != w.Rows || full.Cols != w.Cols {
		return fmt.Errorf("%s: want a replacement of %dx%d, found %dx%d", name, w.Rows, w.Cols, full.Rows, full.Cols)
	}
	return full.Validate()
}

// normsOf are the weights of layer's norms that row t is normed with.
func (m *Model) normsOf(t, layer int) *Layer {
	if s := m.rowSet[t]; s != nil && s.layers != nil {
		return &s.layers[layer]
	}
	return &m.weights.Layers[layer]
}

// finalNormOf is the same for the last norm.
func (m *Model) finalNormOf(t int) []float32 {
	if s := m.rowSet[t]; s != nil {
		return s.final
	}
	return m.weights.FinalNorm
}

// embedRow changes x, the embedding of token id, as the adapters say. base, sum (hidden size, padded) and left (the largest
// rank) are scratch.
func (s *AdapterSet) embedRow(x []float32, id int, base, sum, left []float32) {
	copy(base, x)
	first := true
	for _, u := range s.uses {
		e := u.Embed
		if e == nil {
			continue
		}
		clear(sum)
		if e.Full == nil {
			left := left[:e.Rank]
			scale := float32(u.Scale * e.Scale)
			for k, v := range e.Left[id*e.Rank : (id+1)*e.Rank] {
				left[k] = v * scale
			}
			kernel.AxpyF32(sum, len(sum), left, e.Rank, e.Right, nil)
			for k := range x {
				x[k] += sum[k]
			}
		} else {
			e.Full.Row(sum[:len(x)], id)
			blend(x, sum[:len(x)], base[:len(x)], u.Scale, first)
		}
		first = false
	}
}

// blend makes x the sum of itself and scale times (full - base): full itself when it comes first at scale 1, which would be
// rounded otherwise.
func blend(x, full, base []float32, scale float32, first bool) {
	if first && scale == 1 {
		copy(x, full)
		return
	}
	for k := range x {
		x[k] += float32(scale * (full[k] - base[k]))
	}
}
