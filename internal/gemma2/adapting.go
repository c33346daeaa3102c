package gemma2

import (
	"github.com/systemgemma/systemgemma/internal/compute/kernel"
	"github.com/systemgemma/systemgemma/internal/compute/parallel"
	"github.com/systemgemma/systemgemma/internal/compute/quant"
)

// site names a matrix of a layer, or the head, for adapters.
type site int

const (
	siteQ site = iota
	siteK
	siteV
	siteO
	siteGate
	siteUp
	siteDown
	siteHead
)

// change is what an adapter makes of a matrix, nil if nothing.
func (a *Adapter) change(layer int, s site) *Change {
	if s == siteHead {
		return a.Head
	}
	l := &a.Layers[layer]
	return [...]*Change{l.Q, l.K, l.V, l.O, l.Gate, l.Up, l.Down}[s]
}

// adapting applies adapters to the products of a linear. Rows with one set of adapters, as they follow each other, form
// panels of their own: each row's result is computed from that row alone, by the kernels' fixed sums, whatever its panel.
//
// For each panel and adapter, A x is made once the rows are packed; B(A x) is added where a strip of W was multiplied.
// Memory is made when a pass first needs it, and kept.
type adapting struct {
	panels  []adapterPanel // of the rows at hand; empty: no row has adapters
	panelOf []int          // per row: its panel, -1 if none
	layer   int
	units   []lowUnit // of the products at hand
	any     bool      // whether one of them is changed

	floats []float32 // inputs, one panel after the other, each [k][width]
	low    []float32 // A x, one panel after the other, each [use][product][rank][width]
	work   []float32 // per worker: low rows, a tile of W's products, one of an adapter's; or three rows for an embedding
	each   int       // floats of work per worker

	body parallel.Body
}

type adapterPanel struct {
	set                  *AdapterSet
	first, tokens, width int
	floats, low          int // where its parts begin
	wanted               bool
}

// lowUnit is one product with an A.
type lowUnit struct{ panel, use, product int }

const tile = quant.StripRows * kernel.MaxPanel

// plan groups the rows of a pass; sets has one for each, nil for none.
func (a *adapting) plan(l *linear, sets []*AdapterSet) {
	a.panels, a.panelOf = a.panels[:0], a.panelOf[:0]
	floats, low, rank := 0, 0, 0
	for t := 0; t < len(sets); {
		s, n := sets[t], 1
		for n < kernel.MaxPanel && t+n < len(sets) && sets[t+n] == s {
			n++
		}
		at := -1
		if s != nil {
			at = len(a.panels)
			p := adapterPanel{set: s, first: t, tokens: n, width: kernel.PanelWidth(n), floats: floats, low: low}
			floats += l.maxCols * p.width
			low += len(s.uses) * len(l.product) * s.rank * p.width
			rank = max(rank, s.rank)
			a.panels = append(a.panels, p)
		}
		for range n {
			a.panelOf = append(a.panelOf, at)
		}
		t += n
	}
	a.any, a.units = false, a.units[:0]
	a.each = max(rank*kernel.MaxPanel+2*tile, 2*l.maxCols+rank)
	a.floats, a.low, a.work = grow(a.floats, floats), grow(a.low, low), grow(a.work, a.each*l.crew.Workers())
	if a.body == nil {
		a.body = func(worker, lo, hi int) {
			for i := lo; i < hi; i++ {
				a.lower(l, worker, a.units[i])
			}
		}
	}
}

func grow(s []float32, n int) []float32 {
	if len(s) < n {
		return make([]float32, n)
	}
	return s
}

// begin finds what the adapters change in the products at hand.
func (a *adapting) begin(l *linear) {
	a.any, a.units = false, a.units[:0]
	for i := range a.panels {
		p := &a.panels[i]
		p.wanted = false
		for u, use := range p.set.uses {
			for j := range l.used {
				c := use.change(a.layer, l.product[j].site)
				if c == nil {
					continue
				}
				p.wanted, a.any = true, true
				if c.A != nil {
					a.units = append(a.units, lowUnit{i, u, j})
				}
			}
		}
	}
}

// pack takes row t of the input.
func (a *adapting) pack(t int, x []float32) {
	if i := a.panelOf[t]; i >= 0 && a.panels[i].wanted {
		p := &a.panels[i]
		kernel.Pack(a.floats[p.floats:p.floats+len(x)*p.width], p.width, t-p.first, x)
	}
}

// input is a panel's packed input.
func (a *adapting) input(l *linear, p *adapterPanel) []float32 {
	return a.floats[p.floats : p.floats+l.in.stride*p.width]
}

// lowPanel is where A x lies, [rank][width].
func (a *adapting) lowPanel(l *linear, p *adapterPanel, use, product, rank int) []float32 {
	at := p.low + (use*len(l.product)+product)*p.set.rank*p.width
	return a.low[at : at+pad16(rank)*p.width]
}

// lower computes Scale·A x of one unit; of a change without gain also times the strength.
func (a *adapting) lower(l *linear, worker int, u lowUnit) {
	p := &a.panels[u.panel]
	use := p.set.uses[u.use]
	c := use.change(a.layer, l.product[u.product].site)
	rank := pad16(c.A.Rows)
	rows := a.work[worker*a.each:][:rank*kernel.MaxPanel]
	x := a.input(l, p)
	for s := range c.A.Strips() {
		kernel.MulF32(rows[s*quant.StripRows:], rank, c.A.Strip(s), x, p.width, p.tokens)
	}
	scale := c.Scale
	if c.Gain == nil {
		scale = float32(scale * use.Scale)
	}
	out := a.lowPanel(l, p, u.use, u.product, rank)
	for t := range p.tokens {
		row := rows[t*rank : (t+1)*rank]
		kernel.Scale(row, scale)
		kernel.Pack(out, p.width, t, row)
	}
}

// add changes strip s of product i, which W has filled for all rows, as the adapters say.
func (a *adapting) add(l *linear, worker, i, s int) {
	work := a.work[worker*a.each:]
	base, y := work[:tile], work[tile:2*tile]
	out := l.product[i].out
	for j := range a.panels {
		p := &a.panels[j]
		first := true
		for u, use := range p.set.uses {
			c := use.change(a.layer, l.product[i].site)
			if c == nil {
				continue
			}
			if c.Full != nil {
				mulFloats(y, c.Full, s, a.input(l, p), p.width, p.tokens)
			} else {
				kernel.MulF32(y, quant.StripRows, c.B.Strip(s), a.lowPanel(l, p, u, i, c.A.Rows), p.width, p.tokens)
			}
			for t := range p.tokens {
				o := out.row(p.first + t)[s*quant.StripRows:][:quant.StripRows]
				w, d := base[t*quant.StripRows:][:quant.StripRows], y[t*quant.StripRows:][:quant.StripRows]
				if first {
					copy(w, o)
				}
				c.join(o, d, w, s, use.Scale, first)
			}
			first = false
		}
	}
}

// join adds a change d of 16 outputs, of strip s, to o; w is what W alone gave.
func (c *Change) join(o, d, w []float32, s int, scale float32, first bool) {
	switch {
	case c.Full != nil:
	case c.Gain == nil:
		for r := range o {
			o[r] += d[r]
		}
		return
	default:
		for r, g := range c.Gain[s*quant.StripRows:][:len(d)] {
			d[r] = g * (w[r] + d[r])
		}
	}
	blend(o, d, w, scale, first)
}

// mulFloats multiplies strip s of a matrix of floats.
func mulFloats(y []float32, m *quant.Matrix, s int, x []float32, width, tokens int) {
	switch m.Layout {
	case quant.BF16:
		kernel.MulBF16(y, quant.StripRows, m.Strip(s), x, width, tokens)
	case quant.F16:
		kernel.MulF16(y, quant.StripRows, m.Strip(s), x, width, tokens)
	default:
		kernel.MulF32(y, quant.StripRows, m.Strip(s), x, width, tokens)
	}
}
