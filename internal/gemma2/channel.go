package gemma2

import (
	"github.com/systemgemma/systemgemma/internal/compute/kernel"
	"github.com/systemgemma/systemgemma/internal/compute/offheap"
	"github.com/systemgemma/systemgemma/internal/compute/quant"
)

// channel is one way of rounding the input of a linear for W8C: plainly, rotated before, or with outliers left out. Products of
// one run that want the same share it; a run has three products at most.
type channel struct {
	spec quant.Spec // the parts of it that say how activations are rounded
	cols int

	panels   []uint8          // [panel][k/4][width][4]
	scales   []float32        // [row]
	outliers []kernel.Outlier // [row][maxCols]; none in a model without
	counts   []int            // [row]
}

// newChannel makes scratch for maxRows rows, in panels, and cols columns.
func newChannel(scratch *arena, maxRows, cols int, outliers bool) channel {
	c := channel{panels: offheap.Cast[uint8](scratch.bytes(maxRows * kernel.PanelSize(cols, 1))), scales: scratch.floats(maxRows)}
	if outliers {
		c.outliers, c.counts = scratch.outliers(maxRows*cols), make([]int, maxRows)
	}
	return c
}

// wantChannel makes sure that pack rounds for w.
func (l *linear) wantChannel(w *quant.Matrix) {
	if l.channel(w) == nil {
		c := &l.channels[l.usedChannels]
		c.spec, c.cols = w.Spec(), w.Cols
		l.usedChannels++
	}
}

// channel is the rounded input for w, nil if there is none yet.
func (l *linear) channel(w *quant.Matrix) *channel {
	for i := range l.channels[:l.usedChannels] {
		if c := &l.channels[i]; c.spec.Rotation == w.Rotation && c.spec.Outliers == w.Outliers {
			return c
		}
	}
	return nil
}

// channelPanel is panel p of c.
func (l *linear) channelPanel(c *channel, p, width int) []uint8 {
	at := p * kernel.PanelSize(l.in.stride, kernel.MaxPanel)
	return c.panels[at : at+l.in.stride*width]
}

// packChannel rounds row i of panel p.
func (l *linear) packChannel(worker int, c *channel, p, i int) {
	_, width := l.size(p)
	t := p*kernel.MaxPanel + i
	x := l.in.row(t)
	if c.spec.Rotation != 0 || c.spec.Outliers != 0 { // others may want the row as it is
		x = l.row[worker*l.maxCols:][:len(x)]
		copy(x, l.in.row(t))
	}
	if c.spec.Rotation != 0 {
		kernel.Hadamard(x[:c.cols], c.spec.Rotation)
	}
	if c.spec.Outliers != 0 {
		c.counts[t] = kernel.SplitOutliers(c.outliers[t*l.maxCols:][:c.cols], x[:c.cols], c.spec.Outliers)
	}
	c.scales[t] = kernel.Quantize(l.channelPanel(c, p, width), width, i, x)
}

// mulChannel multiplies strip s of w, whose terms the worker has, with panel p.
func (l *linear) mulChannel(worker int, out []float32, stride int, w *quant.Matrix, s, p int) {
	c, row, first := l.channel(w), s*quant.StripRows, p*kernel.MaxPanel
	tokens, width := l.size(p)
	strip, scale := w.Strip(s), w.Scale[row:row+quant.StripRows]
	kernel.MulW8C(out, stride, strip, scale, &l.terms[worker], l.channelPanel(c, p, width), width, c.scales[first:first+tokens])
	if w.Outliers == 0 {
		return
	}
	for i := range tokens {
		t := first + i
		kernel.AddOutliers(out[i*stride:], strip, scale, c.outliers[t*l.maxCols:][:c.counts[t]])
	}
}
