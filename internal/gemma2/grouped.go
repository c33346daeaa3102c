package gemma2

import (
	"github.com/systemgemma/systemgemma/internal/compute/kernel"
	"github.com/systemgemma/systemgemma/internal/compute/quant"
)

// grouped is one way of rounding the input of a linear for weights in groups. Products of one run that want the same share
// it; a run has three products at most.
type grouped struct {
	step     int  // columns whose integers are summed
	perToken bool // one scale per token, else per 32 columns
	cols     int

	values []uint8   // [panel][k/4][width][4]
	words  []uint32  // [panel][groupWords]
	scales []float32 // [row]
}

// minStep is the smallest step of any layout.
const minStep = 16

// groupWords is the room for the words of one panel.
func groupWords(cols int) int { return kernel.GroupWords(cols, minStep, kernel.MaxPanel) }

// groupStep is how many columns of a matrix one integer sum takes: a group, but no more than share an activation scale.
func groupStep(g quant.Grouping) int {
	if g.PerToken {
		return g.Size
	}
	return min(g.Size, 32)
}

// wantGroup makes sure that pack rounds for w.
func (l *linear) wantGroup(w *quant.Matrix) {
	if l.group(w) == nil {
		g := &l.groups[l.usedGroups]
		g.step, g.perToken, g.cols = groupStep(w.Grouping), w.Grouping.PerToken, w.Cols
		l.usedGroups++
	}
}

// group is the rounded input for w, nil if there is none yet.
func (l *linear) group(w *quant.Matrix) *grouped {
	for i := range l.groups[:l.usedGroups] {
		if g := &l.groups[i]; g.step == groupStep(w.Grouping) && g.perToken == w.Grouping.PerToken {
			return g
		}
	}
	return nil
}

// groupPanel is panel p of g.
func (l *linear) groupPanel(g *grouped, p int) kernel.GroupPanel {
	tokens, width := l.size(p)
	first, values, words := p*kernel.MaxPanel, p*kernel.PanelSize(l.in.stride, kernel.MaxPanel), p*groupWords(l.maxCols)
	return kernel.GroupPanel{
		Values: g.values[values : values+g.cols*width],
		Words:  g.words[words : words+kernel.GroupWords(g.cols, g.step, width)],
		Scales: g.scales[first : first+tokens],
		Width:  width,
		Step:   g.step,
	}
}

// packGroup rounds row i of panel p.
func (l *linear) packGroup(g *grouped, p, i int) {
	panel, x := l.groupPanel(g, p), l.in.row(p*kernel.MaxPanel + i)[:g.cols]
	if g.perToken {
		panel.QuantizeToken(i, x)
	} else {
		panel.QuantizeBlocks(i, x)
	}
}

// mulGroup multiplies the n strips of w from s on with panel p. nibbles, if any, are those of the only strip, a byte each.
func (l *linear) mulGroup(out []float32, stride int, w *quant.Matrix, s, n int, nibbles []byte, p int) {
	panel := l.groupPanel(l.group(w), p)
	strips := kernel.GroupStrips{N: n, Weights: w.Span(s, n), Halves: w.Grouping.HalfScales, Size: w.Grouping.Size}
	strips.Scales, strips.Mins = w.SpanScales(s, n)
	switch {
	case nibbles != nil && panel.Width >= 4:
		strips.Weights = nibbles
		kernel.MulW4GBytes(out, stride, strips, &panel)
	case w.Layout == quant.W4G:
		kernel.MulW4G(out, stride, strips, &panel)
	default:
		kernel.MulW8G(out, stride, strips, &panel)
	}
}
