package peft

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"
)

// Use is an adapter at a strength: 1 is what it was trained for, 0 changes nothing.
type Use struct {
	*Adapter
	Scale float32
}

// Merger changes rows of one base model's weights as adapters say. With W the base's row, the merged one is
//
//	W + sum of Scale * (W' - W)     over all uses in order
//
// where W' is what an adapter alone at scale 1 would make of W: W + s·B·A, with DoRA that times magnitude/|W + s·B·A|, or the
// replacement. All is float32; every element's sum runs in one order, so bits are the same on every CPU.
type Merger struct {
	plusOne bool
	changes map[string]*change
	copies  map[string][]Use // adapters that bring a copy of the base's parameter
	unties  bool
	scratch sync.Pool
}

// change is all that happens to one parameter, and what it comes to.
type change struct {
	parts      []modulePart
	rows, cols int
	delta, all []float64 // per row: sums of squares of the change and of the base
}

type modulePart struct {
	*Module
	scale float32
}

// NewMerger prepares to merge uses, in order, into their common base. plusOne says that the base stores norms as 1+w (GGUF).
func NewMerger(uses []Use, plusOne bool) (*Merger, error) {
	m := &Merger{plusOne: plusOne, changes: map[string]*change{}, copies: map[string][]Use{}}
	widest, rank := 0, 0
	for _, u := range uses {
		if u.Scale-u.Scale != 0 {
			return nil, fmt.Errorf("adapter %s: scale: want a number, found %g", u.Path, u.Scale)
		}
		for name, mod := range u.Modules {
			c := m.changes[name]
			if c == nil {
				c = &change{rows: mod.Rows, cols: mod.Cols, delta: make([]float64, mod.Rows), all: make([]float64, mod.Rows)}
				m.changes[name] = c
			}
			if mod.Rows != c.rows || mod.Cols != c.cols {
				return nil, fmt.Errorf("adapter %s: %s: want %dx%d as in the adapters before, found %dx%d", u.Path, name, c.rows, c.cols, mod.Rows, mod.Cols)
			}
			c.parts = append(c.parts, modulePart{mod, u.Scale})
			widest, rank = max(widest, mod.stride()), max(rank, mod.Rank)
		}
		for name, t := range u.copies {
			m.copies[name] = append(m.copies[name], u)
			widest = max(widest, t.Columns())
		}
		m.unties = m.unties || u.Unties() && u.Scale != 0
	}
	if len(uses) > 0 && uses[0].tied && !m.unties {
		delete(m.changes, headName) // changed as the embedding is
	}
	m.scratch.New = func() any { return newScratch(widest, rank) }
	return m, nil
}

// Unties says whether an adapter changes only one side of tied weights, or both differently, so that the merged model needs a
// head of its own.
func (a *Adapter) Unties() bool {
	e, h := a.Modules[embedName], a.Modules[headName]
	if !a.tied || e == nil && h == nil {
		return false
	}
	return e == nil || h == nil || !e.Replaced() || !h.Replaced() || e.replacement.Type != h.replacement.Type || !slices.Equal(e.replacement.Data, h.replacement.Data)
}

// Unties says that the merged model has a head of its own though the base's weights are tied: the caller must clear
// Config.TieEmbeddings, and write both token_embd.weight and output.weight, each made by Row of the base's embedding under
// its own name. When it is false and the base is tied, there is no output.weight to write.
func (m *Merger) Unties() bool { return m.unties }

// Touches says whether Row may change rows of the parameter of that GGUF name.
func (m *Merger) Touches(name string) bool { return m.changes[name] != nil }

// scratch is what one Row needs beside its row.
type scratch struct{ base, sum, left []float32 }

func newScratch(width, rank int) *scratch {
	return &scratch{make([]float32, width), make([]float32, width), make([]float32, rank)}
}

// Row turns row r of the base's parameter of that GGUF name into the merged one. A norm is row 0. Rows may come in any order
// and from several goroutines, each row once. An error says that the adapters don't fit this base.
func (m *Merger) Row(name string, r int, row []float32) error {
	c := m.changes[name]
	if c == nil && m.copies[name] == nil {
		return nil
	}
	s := m.scratch.Get().(*scratch)
	defer m.scratch.Put(s)
	for _, u := range m.copies[name] {
		if err := u.Compare(name, r, row, s.sum[:len(row)]); err != nil {
			return err
		}
	}
	if c == nil {
		return nil
	}
	if r < 0 || r >= c.rows || len(row) != c.cols {
		return fmt.Errorf("%s: want rows 0 to %d of %d values, found row %d of %d", name, c.rows-1, c.cols, r, len(row))
	}
	base := s.base[:len(row)]
	copy(base, row)
	for i, p := range c.parts {
		whole := i == 0 && p.scale == 1 // then the row is W' itself, not W + (W' - W), which would round
		if err := p.apply(row, base, r, whole, m.plusOne && c.rows == 1, s); err != nil {
			return err
		}
	}
	delta := 0.0
	for k, v := range row {
		d := float64(v) - float64(base[k])
		delta += float64(d * d)
	}
	c.delta[r], c.all[r] = delta, sumSquares(base)
	return nil
}

// apply adds one module's change of base to row.
func (p *modulePart) apply(row, base []float32, r int, whole, plusOne bool, s *scratch) error {
	sum := s.sum[:p.stride()]
	clear(sum)
	switch {
	case p.Replaced():
		if err := p.Replacement(sum[:p.Cols], r); err != nil {
			return err
		}
		if plusOne {
			for k := range p.Cols {
				sum[k]++
			}
		}
	case !p.Scaled():
		if err := p.addDelta(sum, s.left, r, float32(p.scale*p.Scale)); err != nil {
			return err
		}
		for k := range row {
			row[k] += sum[k]
		}
		return nil
	default:
		if err := p.addDelta(sum, s.left, r, p.Scale); err != nil {
			return err
		}
		for k, w := range base {
			sum[k] += w
		}
		g, err := p.gain(r, sum[:p.Cols])
		if err != nil {
			return err
		}
		for k := range sum {
			sum[k] *= g
		}
	}
	if whole {
		copy(row, sum)
		return nil
	}
	for k := range row {
		row[k] += float32(p.scale * (sum[k] - base[k]))
	}
	return nil
}

// farthest is how much of a row's length the base may be away from an adapter's copy of it. Four bits a weight make 0.1.
const farthest = 0.25

// Copies names the parameters of which the adapter brings a copy of the base's.
func (a *Adapter) Copies() []string { return slices.Sorted(maps.Keys(a.copies)) }

// Compare holds a row of the base to the adapter's copy of the parameter. tmp is scratch of the row's length.
func (a *Adapter) Compare(name string, r int, row, tmp []float32) error {
	t := a.copies[name]
	if len(row) != t.Columns() || r < 0 || r >= t.Shape[0] {
		return fmt.Errorf("%s: want rows 0 to %d of %d values, found row %d of %d", name, t.Shape[0]-1, t.Columns(), r, len(row))
	}
	if err := t.Row(tmp, r); err != nil {
		return err
	}
	length := sumSquares(row)
	for k, v := range row {
		tmp[k] -= v
	}
	if far := math.Sqrt(sumSquares(tmp) / max(length, math.SmallestNonzeroFloat32)); !(far <= farthest) {
		return fmt.Errorf("adapter %s: tensor %s: want the base model's weights, found others (row %d is %.0f %% away); the adapter was made for another model", a.Path, t.Name, r, 100*far)
	}
	return nil
}

// Change is how much a parameter was changed.
type Change struct {
	Name     string  // of the parameter, in GGUF
	Relative float64 // |merged - base| / |base|, Frobenius norms
}

// Changes tells, after all rows, what Row did, by name in the order of layers.
func (m *Merger) Changes() []Change {
	var list []Change
	for name, c := range m.changes {
		var delta, all float64
		for r := range c.delta {
			delta += c.delta[r]
			all += c.all[r]
		}
		x := Change{Name: name}
		if delta > 0 {
			x.Relative = math.Sqrt(delta / all)
		}
		list = append(list, x)
	}
	slices.SortFunc(list, func(a, b Change) int { return compareNames(a.Name, b.Name) })
	return list
}

// Names lists the parameters that Row changes, as Changes orders them.
func (m *Merger) Names() []string { return slices.SortedFunc(maps.Keys(m.changes), compareNames) }

// Names lists the parameters that the adapter changes, in the order of layers.
func (a *Adapter) Names() []string { return slices.SortedFunc(maps.Keys(a.Modules), compareNames) }

// compareNames orders blk.2 before blk.10.
func compareNames(a, b string) int {
	key := func(s string) (layer int, rest string) {
		if n, _ := fmt.Sscanf(s, "blk.%d.%s", &layer, &rest); n == 2 {
			return layer, rest
		}
		return -1, s
	}
	la, ra := key(a)
	lb, rb := key(b)
	if la != lb {
		return la - lb
	}
	return strings.Compare(ra, rb)
}
