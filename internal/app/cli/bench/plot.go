package bench

import (
	"cmp"
	"fmt"
	"html"
	"math"
	"slices"
	"strings"
)

// Size of a plot in pixels, and of the margins around its axes.
const (
	plotWidth, plotHeight   = 860, 520
	left, right, top, below = 70, 24, 64, 60
)

// colours of models and types, in their order: told apart by people who see red and green alike.
var colours = []string{"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#8a6d00", "#56b4e9"}

// Plot draws rows as a roofline (Williams, Waterman, Patterson 2009), an SVG: how many operations a second a test did over how
// many it does with each byte that it must read, below what the machine's memory and its arithmetic allow. It takes the rows with
// the most threads.
func Plot(rows []Row) string {
	p := plot{xlo: 1, xhi: 1000, ylo: math.Inf(1)}
	for _, r := range rows {
		p.threads = max(p.threads, r.Threads)
	}
	for _, r := range rows {
		switch {
		case r.Threads != p.threads:
		case r.Test == ReadBandwidth:
			p.bandwidth, p.cpu, p.kernel = r.Value.Max, r.CPU, r.Kernel
		case r.Test == Int8Peak:
			p.peak, p.instruction = r.Value.Max, r.Instruction
		case r.Ops > 0 && r.Bytes > 0:
			p.points = append(p.points, r)
		}
	}
	for _, r := range p.points {
		p.xlo, p.xhi = min(p.xlo, r.Ops/r.Bytes), max(p.xhi, r.Ops/r.Bytes)
		p.ylo, p.yhi = min(p.ylo, rateOf(&r)), max(p.yhi, rateOf(&r))
	}
	p.yhi = max(p.yhi, p.peak, 1)
	p.ylo = min(p.ylo, max(p.bandwidth, 1e-3), p.yhi)
	p.xlo, p.xhi, p.ylo, p.yhi = decadeBelow(p.xlo), decadeAbove(p.xhi), decadeBelow(p.ylo), decadeAbove(p.yhi)
	return p.draw()
}

// rateOf is 10^9 operations a second.
func rateOf(r *Row) float64 { return r.Value.Median * r.Ops / 1e9 }

func decadeBelow(x float64) float64 { return math.Pow(10, math.Floor(math.Log10(x)+1e-9)) }
func decadeAbove(x float64) float64 { return math.Pow(10, math.Ceil(math.Log10(x)+0.02)) }

type plot struct {
	threads            int
	bandwidth, peak    float64
	cpu, kernel        string
	instruction        string
	points             []Row
	xlo, xhi, ylo, yhi float64
	b                  strings.Builder
}

func (p *plot) x(v float64) float64 {
	return left + (plotWidth-left-right)*math.Log10(v/p.xlo)/math.Log10(p.xhi/p.xlo)
}

func (p *plot) y(v float64) float64 {
	return plotHeight - below - (plotHeight-top-below)*math.Log10(v/p.ylo)/math.Log10(p.yhi/p.ylo)
}

func (p *plot) draw() string {
	fmt.Fprintf(&p.b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="system-ui, sans-serif" font-size="13" fill="#222">`+"\n", plotWidth, plotHeight)
	fmt.Fprintf(&p.b, `<rect width="%d" height="%d" fill="#fff"/>`+"\n", plotWidth, plotHeight)
	p.text(left, 24, "start", 16, fmt.Sprintf("Roofline: %s, %s, %s", p.cpu, threads(p.threads), p.kernel))
	p.text(left, 44, "start", 12, fmt.Sprintf("memory %s GB/s; %s %s GOPS; median of each test", number(p.bandwidth), p.instruction, number(p.peak)))
	p.axes()
	if p.bandwidth > 0 && p.peak > 0 {
		p.roof()
	}
	p.dots()
	p.b.WriteString("</svg>\n")
	return p.b.String()
}

func (p *plot) text(x, y float64, anchor string, size int, s string) {
	fmt.Fprintf(&p.b, `<text x="%.1f" y="%.1f" text-anchor="%s" font-size="%d">%s</text>`+"\n", x, y, anchor, size, html.EscapeString(s))
}

func (p *plot) line(x1, y1, x2, y2 float64, style string) {
	fmt.Fprintf(&p.b, `<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" %s/>`+"\n", x1, y1, x2, y2, style)
}

func (p *plot) axes() {
	const grid = `stroke="#ddd"`
	for v := p.xlo; v <= p.xhi*1.001; v *= 10 {
		p.line(p.x(v), p.y(p.ylo), p.x(v), p.y(p.yhi), grid)
		p.text(p.x(v), plotHeight-below+18, "middle", 12, fmt.Sprintf("%g", v))
	}
	for v := p.ylo; v <= p.yhi*1.001; v *= 10 {
		p.line(p.x(p.xlo), p.y(v), p.x(p.xhi), p.y(v), grid)
		p.text(left-8, p.y(v)+4, "end", 12, fmt.Sprintf("%g", v))
	}
	p.text((left+plotWidth-right)/2, plotHeight-18, "middle", 13, "operations for each byte read")
	fmt.Fprintf(&p.b, `<text transform="translate(20 %d) rotate(-90)" text-anchor="middle">GOPS</text>`+"\n", (top+plotHeight-below)/2)
}

// roof draws what memory allows, rising, and what arithmetic allows, level.
func (p *plot) roof() {
	const style = `stroke="#222" stroke-width="2"`
	x, y := max(p.xlo, p.ylo/p.bandwidth), max(p.ylo, p.bandwidth*p.xlo) // where memory's line enters
	if knee := p.peak / p.bandwidth; knee > x && knee < p.xhi {
		p.line(p.x(x), p.y(y), p.x(knee), p.y(p.peak), style)
		x = knee
	}
	p.line(p.x(x), p.y(p.peak), p.x(p.xhi), p.y(p.peak), style)
}

// names are those drawn so far: from where to where, on which line.
type names []struct{ lo, hi, y float64 }

const nameWidth, nameHeight = 7, 15 // of a letter, at most, and of a line

// place finds the first line at y or below it where no other name is in the way.
func (n *names) place(lo, hi, y float64) float64 {
	for again := true; again; {
		again = false
		for _, o := range *n {
			if lo < o.hi && o.lo < hi && math.Abs(y-o.y) < nameHeight {
				y, again = o.y+nameHeight, true
			}
		}
	}
	*n = append(*n, struct{ lo, hi, y float64 }{lo, hi, y})
	return y
}

// dots draws the tests, each model and type in its colour, and names them from the top down where they would overlap.
func (p *plot) dots() {
	slices.SortStableFunc(p.points, func(a, b Row) int { return cmp.Compare(rateOf(&b), rateOf(&a)) })
	var groups []string
	var names names
	for _, r := range p.points {
		group := r.Model + " " + r.Type
		g := slices.Index(groups, group)
		if g < 0 {
			g = len(groups)
			groups = append(groups, group)
		}
		x, y := p.x(r.Ops/r.Bytes), p.y(rateOf(&r))
		fmt.Fprintf(&p.b, `<circle cx="%.1f" cy="%.1f" r="5" fill="%s"/>`+"\n", x, y, colours[g%len(colours)])
		name := fmt.Sprintf("%s %s %d", r.Type, r.Test, r.Tokens)
		if r.Depth > 0 {
			name += fmt.Sprintf(" at %d", r.Depth)
		}
		if r.Roofline > 0 {
			name += fmt.Sprintf(", %.0f %%", r.Roofline)
		}
		anchor, at := "start", x+10
		begin, width := at, nameWidth*float64(len([]rune(name)))
		if x >= plotWidth/2 {
			anchor, at, begin = "end", x-10, x-10-width
		}
		p.text(at, names.place(begin, begin+width, y+4), anchor, 12, name)
	}
	for i, g := range groups {
		y := float64(plotHeight - below - 12 - 18*(len(groups)-1-i))
		fmt.Fprintf(&p.b, `<circle cx="%d" cy="%.1f" r="5" fill="%s"/>`+"\n", plotWidth-right-12, y-4, colours[i%len(colours)])
		p.text(plotWidth-right-24, y, "end", 12, g)
	}
}
