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

	panels   []uint8              // [panel][k/4][width][4]
	scales   []float32            // [row]
	bounds   []kernel.PanelBounds // [panel]; none where no product uses them
	outliers []kernel.Outlier     // [row][maxCols]; none in a model without
	counts   []int                // [row]
}

// newChannel makes scratch for maxRows rows, in panels, and cols columns.
func newChannel(scratch *arena, maxRows, cols int, outliers bool) channel {
	c := channel{panels: offheap.Cast[uint8](scratch.bytes(maxRows * kernel.PanelSize(cols, 1))), scales: scratch.floats(maxRows)}
	if kernel.UsesBounds(maxRows) {
		c.bounds = make([]kernel.PanelBounds, maxRows/kernel.MaxPanel)
		for p := range c.bounds {
			c.bounds[p].Blocks = sliceOf[kernel.PanelBlock](scratch, cols/16)
		}
	}
	if outliers {
		c.outliers, c.counts = sliceOf[kernel.Outlier](scratch, maxRows*cols), make([]int, maxRows)
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
	panel := l.channelPanel(c, p, width)
	c.scales[t] = kernel.Quantize(panel, width, i, x)
	if last := t == l.n-1 || i == kernel.MaxPanel-1; last && l.bounded(c.cols) && width == kernel.MaxPanel {
		c.bounds[p].Set(panel)
	}
}

// channelStrip is what a worker knows of the strips of W8C at hand.
type channelStrip struct {
	room   []int32 // for terms
	terms  []int32 // of the span at hand, nil: not made yet
	bounds kernel.StripBounds
}

func newChannelStrips(scratch *arena, workers, maxRows, cols int) []channelStrip {
	s := make([]channelStrip, workers)
	for i := range s {
		s[i].room = make([]int32, mulGrain*quant.StripRows)
		if kernel.UsesBounds(maxRows) {
			s[i].bounds.Blocks = sliceOf[kernel.StripBlock](scratch, cols/16)
		}
	}
	return s
}

// bounded says whether products of this run with so many columns use bounds. Blocks are of 16; all released models have whole ones.
func (l *linear) bounded(cols int) bool { return kernel.UsesBounds(l.n) && cols%16 == 0 }

// beginChannel readies the worker for strip s of w.
func (l *linear) beginChannel(worker int, w *quant.Matrix, s int) {
	l.channelStrips[worker].terms = nil
	if l.bounded(w.Cols) {
		l.channelStrips[worker].bounds.Set(w.Strip(s))
	}
}

// aheadParts is in how many parts the next strip is fetched meanwhile, by the number of panels, which each fetch one.
var aheadParts = [...]int{0, 1, 2, 2, 4}

// mulChannel multiplies the n strips of w from s on, for which the worker is ready, with panel p. n is 1 where bounds are used.
func (l *linear) mulChannel(worker int, out []float32, stride int, w *quant.Matrix, s, n, p int) {
	c, row, first := l.channel(w), s*quant.StripRows, p*kernel.MaxPanel
	tokens, width := l.size(p)
	strip, scale := w.Span(s, n), w.Scale[row:row+n*quant.StripRows]
	panel, scales := l.channelPanel(c, p, width), c.scales[first:first+tokens]
	known := &l.channelStrips[worker]
	if l.bounded(w.Cols) && width == kernel.MaxPanel && known.bounds.Suit(&c.bounds[p]) {
		var ahead []byte
		if parts := aheadParts[min(4, (l.n+kernel.MaxPanel-1)/kernel.MaxPanel)]; p < parts && s+1 < w.Strips() {
			ahead = w.Strip(s + 1)[p*len(strip)/parts:][:len(strip)/parts]
		}
		kernel.MulW8CBounded(out, stride, strip, scale, &known.bounds, panel, &c.bounds[p], scales, ahead)
	} else {
		if known.terms == nil {
			known.terms = kernel.RowTerms(known.room, strip, w.RowSum[row:row+n*quant.StripRows], kernel.PanelWidth(min(l.n, kernel.MaxPanel)))
		}
		kernel.MulW8C(out, stride, strip, scale, known.terms, panel, width, scales)
	}
	if w.Outliers == 0 {
		return
	}
	for j := range n {
		for i := range tokens {
			t, r := first+i, j*quant.StripRows
			kernel.AddOutliers(out[i*stride+r:], w.Strip(s+j), scale[r:r+quant.StripRows], c.outliers[t*l.maxCols:][:c.counts[t]])
		}
	}
}
