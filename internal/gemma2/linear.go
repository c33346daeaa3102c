package gemma2

import (
	"github.com/systemgemma/systemgemma/internal/compute/kernel"
	"github.com/systemgemma/systemgemma/internal/compute/offheap"
	"github.com/systemgemma/systemgemma/internal/compute/parallel"
	"github.com/systemgemma/systemgemma/internal/compute/quant"
)

// rows is a matrix of activations: n rows of float32 at a stride that is a multiple of 16, zero beyond their width.
type rows struct {
	data   []float32
	stride int
}

// row is row t, padding included.
func (r rows) row(t int) []float32 { return r.data[t*r.stride : (t+1)*r.stride : (t+1)*r.stride] }

// linear multiplies rows of activations with up to three matrices that share them: y = W x for each row x.
//
// It works in two loops: over panels of 16 rows, which are rounded to int8 or packed as the layouts want them; then over
// strips of 16 outputs, each read once for all panels. A row's result depends on that row alone.
type linear struct {
	crew    *parallel.Crew
	exact   bool // multiply integer weights with unrounded activations
	rounded bool // multiply bfloat16 weights with activations rounded to bfloat16

	n        int       // rows
	pre      func(int) // makes row t of the input, just before it is packed
	in       rows
	product  [3]product
	used     int // products in use
	strips   int // of all products
	together int // strips that pass a panel together

	wantFloat, wantRounded bool
	floats                 []float32 // [panel][k][width]
	roundeds               []float32 // [panel], as kernel.PackRounded makes them
	strip                  []float32 // [worker][k][16]: a strip of W4L, or when exact of integers, made float32; or bytes of a strip of W4G
	row                    []float32 // [worker][k]: an input that is changed before it is rounded
	maxCols                int

	channels      [3]channel // what W8C wants, one for each different product
	usedChannels  int
	channelStrips []channelStrip // [worker]
	groups        [3]grouped     // what layouts with groups want, likewise
	usedGroups    int

	adapt adapting

	packBody, mulBody parallel.Body
}

// floatGroup is how many strips of float weights pass a panel together. Its elements are four bytes, so that all panels of a long
// prompt, 19 MB for 9216 columns, do not stay in a cache that others use too, but come from memory again for each strip
// (docs/performance.md).
const floatGroup = 8

// mulGrain is how many strips a worker takes at a time, but towards the end.
const mulGrain = 16

type product struct {
	w    *quant.Matrix
	out  rows
	site site
}

// newLinear makes scratch for inputs of at most maxRows rows and maxCols columns; outliers: some matrix may have them.
func newLinear(crew *parallel.Crew, o Options, outliers bool, scratch *arena, maxRows, maxCols int) *linear {
	l := &linear{crew: crew, exact: o.Exact, rounded: o.Rounded, maxCols: pad16(maxCols)}
	panels := (maxRows + kernel.MaxPanel - 1) / kernel.MaxPanel
	size := panels * kernel.PanelSize(maxCols, kernel.MaxPanel)
	l.row = scratch.floats(crew.Workers() * l.maxCols)
	for i := range l.channels {
		l.channels[i] = newChannel(scratch, panels*kernel.MaxPanel, l.maxCols, outliers)
	}
	for i := range l.groups {
		l.groups[i].values = offheap.Cast[uint8](scratch.bytes(size))
		l.groups[i].words = offheap.Cast[uint32](scratch.bytes(4 * panels * groupWords(l.maxCols)))
		l.groups[i].scales = scratch.floats(panels * kernel.MaxPanel)
	}
	l.channelStrips = newChannelStrips(scratch, crew.Workers(), panels*kernel.MaxPanel, l.maxCols)
	l.floats, l.roundeds = scratch.floats(size), scratch.floats(size)
	l.strip = scratch.floats(crew.Workers() * quant.StripRows * l.maxCols) // untouched, and so no memory, where nothing is expanded
	l.packBody, l.mulBody = l.pack, l.mul
	return l
}

// run multiplies n rows of in, each made by pre (if any) first, with every product's matrix.
func (l *linear) run(n int, pre func(int), in rows, products ...product) error {
	l.n, l.pre, l.in = n, pre, in
	l.used = copy(l.product[:], products)
	l.strips, l.usedChannels, l.usedGroups = 0, 0, 0
	l.wantFloat, l.wantRounded = false, false
	l.together = floatGroup
	for _, p := range l.product[:l.used] {
		l.strips += p.w.Strips()
		switch {
		case p.w.Layout.Grouped() && !l.exact:
			l.wantGroup(p.w)
			l.together = 1
		case p.w.Layout == quant.W8C && !l.exact:
			l.wantChannel(p.w)
			l.together = 1
		case p.w.Layout == quant.BF16 && l.rounded:
			l.wantRounded = true
		default:
			l.wantFloat = true
			if p.w.Layout.Bits() < 16 {
				l.together = 1 // a worker has room for one strip that it makes float32
			}
		}
	}
	l.adapt.begin(l)
	panels := (n + kernel.MaxPanel - 1) / kernel.MaxPanel
	if panels == 1 {
		l.together = 1
	}
	if err := l.crew.Run(panels, 1, l.packBody); err != nil {
		return err
	}
	if len(l.adapt.units) > 0 {
		if err := l.crew.Run(len(l.adapt.units), 1, l.adapt.body); err != nil {
			return err
		}
	}
	return l.crew.RunTapered(l.strips, mulGrain, l.together, l.mulBody)
}

// size returns how many rows panel p has and their panel's width.
func (l *linear) size(p int) (tokens, width int) {
	tokens = min(kernel.MaxPanel, l.n-p*kernel.MaxPanel)
	return tokens, kernel.PanelWidth(tokens)
}

// floatPanel and roundedPanel are the parts of the scratch that panel p fills.
func (l *linear) floatPanel(p, width int) []float32 {
	at := p * kernel.PanelSize(l.in.stride, kernel.MaxPanel)
	return l.floats[at : at+l.in.stride*width]
}

func (l *linear) roundedPanel(p, width int) []float32 {
	at := p * kernel.PanelSize(l.in.stride, kernel.MaxPanel)
	return l.roundeds[at : at+l.in.stride*width]
}

// pack makes panels [lo, hi).
func (l *linear) pack(worker, lo, hi int) {
	for p := lo; p < hi; p++ {
		tokens, width := l.size(p)
		for i := range tokens {
			t := p*kernel.MaxPanel + i
			if l.pre != nil {
				l.pre(t)
			}
			for c := range l.usedChannels {
				l.packChannel(worker, &l.channels[c], p, i)
			}
			for g := range l.usedGroups {
				l.packGroup(&l.groups[g], p, i)
			}
			if l.wantFloat {
				kernel.Pack(l.floatPanel(p, width), width, i, l.in.row(t))
			}
			if l.wantRounded {
				kernel.PackRounded(l.roundedPanel(p, width), width, i, l.in.row(t))
			}
			if l.adapt.any {
				l.adapt.pack(t, l.in.row(t))
			}
		}
	}
}

// mul multiplies strips [lo, hi), counted through all products, with all panels.
func (l *linear) mul(worker, lo, hi int) {
	panels := (l.n + kernel.MaxPanel - 1) / kernel.MaxPanel
	for lo < hi {
		end := min(hi, lo+l.together)
		switch i, s := l.find(lo); {
		case panels == 1:
			end = min(hi, lo+l.product[i].w.Strips()-s)
			l.mulSpan(worker, i, s, end-lo)
		case l.together == 1:
			l.mulStrip(worker, i, s, 0, panels)
		default:
			for panel := range panels {
				for at := lo; at < end; at++ {
					i, s := l.find(at)
					l.mulStrip(worker, i, s, panel, panel+1)
				}
			}
		}
		if l.adapt.any {
			for at := lo; at < end; at++ {
				i, s := l.find(at)
				l.adapt.add(l, worker, i, s)
			}
		}
		lo = end
	}
}

// mulSpan multiplies the n strips of product i from s on with the only panel: in one call where that can be, since a strip takes
// 2 µs then, and memory rests between calls.
func (l *linear) mulSpan(worker, i, s, n int) {
	p := &l.product[i]
	out := p.out.data[s*quant.StripRows:]
	switch w := p.w; {
	case w.Layout.Grouped() && !l.exact:
		l.mulGroup(out, p.out.stride, w, s, n, nil, 0)
	case w.Layout == quant.W8C && !l.exact && !l.bounded(w.Cols):
		l.channelStrips[worker].terms = nil
		l.mulChannel(worker, out, p.out.stride, w, s, n, 0)
	default:
		for ; n > 0; n-- {
			l.mulStrip(worker, i, s, 0, 1)
			s++
		}
	}
}

// find returns which product strip s, counted through all of them, belongs to, and its number there.
func (l *linear) find(s int) (i, strip int) {
	for s >= l.product[i].w.Strips() {
		s -= l.product[i].w.Strips()
		i++
	}
	return i, s
}

// mulStrip multiplies strip s of product i with panels [begin, end).
func (l *linear) mulStrip(worker, i, s, begin, end int) {
	p := &l.product[i]
	w, strip := p.w, p.w.Strip(s)
	row := s * quant.StripRows
	f := l.strip[worker*quant.StripRows*l.maxCols:][:quant.StripRows*quant.PaddedCols(w.Cols)]
	var nibbles []byte // of the strip, a byte each, where that is faster
	switch {
	case w.Layout == quant.W4L:
		scales, _ := w.StripScales(s)
		kernel.ExpandW4L(f, strip, offheap.Cast[float32](scales), w.Table)
		strip = asBytes(f)
	case l.exact && (w.Layout == quant.W8C || w.Layout.Grouped()):
		w.StripF32(f, s)
		strip = asBytes(f)
	case w.Layout == quant.W8C:
		l.beginChannel(worker, w, s)
	case w.Layout == quant.W4G && kernel.UsesW4GBytes(l.n, groupStep(w.Grouping)):
		nibbles = asBytes(f)[:2*len(strip)]
		kernel.ExpandW4G(nibbles, strip)
	}
	for panel := begin; panel < end; panel++ {
		tokens, width := l.size(panel)
		out := p.out.data[panel*kernel.MaxPanel*p.out.stride+row:]
		switch {
		case w.Layout.Grouped() && !l.exact:
			l.mulGroup(out, p.out.stride, w, s, 1, nibbles, panel)
		case w.Layout == quant.W8C && !l.exact:
			l.mulChannel(worker, out, p.out.stride, w, s, 1, panel)
		case w.Layout == quant.BF16 && l.rounded:
			kernel.MulBF16Rounded(out, p.out.stride, strip, l.roundedPanel(panel, width), width, tokens)
		case w.Layout == quant.BF16:
			kernel.MulBF16(out, p.out.stride, strip, l.floatPanel(panel, width), width, tokens)
		case w.Layout == quant.F16:
			kernel.MulF16(out, p.out.stride, strip, l.floatPanel(panel, width), width, tokens)
		default: // F32, and integers made so
			kernel.MulF32(out, p.out.stride, strip, l.floatPanel(panel, width), width, tokens)
		}
	}
}
