package chat

import (
	"errors"
	"fmt"
	"strings"

	"github.com/charmbracelet/x/ansi"
	"github.com/systemgemma/systemgemma"
)

const (
	wideScreen = 80 // columns from which on a panel stands beside the chat
	hintPanel  = "PgUp PgDn scroll  Esc closes"
)

// panel shows the prompt as the model sees it: every character of it, control tokens marked.
type panel struct {
	prompt        *systemgemma.Rendered // nil: none, see err
	err           error
	width, height int      // of all of it
	rows          []string // of the prompt
	top           int      // the first row shown
	moved         bool     // the person has scrolled: top stays. Else the end is shown.
}

// set shows another prompt.
func (p *panel) set(r *systemgemma.Rendered, err error) {
	p.prompt, p.err = r, err
	p.layout()
}

// resize gives it that many columns and rows.
func (p *panel) resize(width, height int) {
	p.width, p.height = width, height
	p.layout()
}

func (p *panel) layout() {
	switch {
	case errors.Is(p.err, errNothingSaid):
		p.rows = []string{ansi.Truncate("(nothing said yet)", p.width, "…")}
	case p.err != nil:
		p.rows = strings.Split(ansi.Wrap(display("error: "+p.err.Error()), p.width, ""), "\n")
	case p.prompt != nil:
		p.rows = promptRows(p.prompt, p.width)
	}
	p.scroll(0)
}

// scroll moves by that many rows.
func (p *panel) scroll(rows int) {
	last := p.last()
	if !p.moved {
		p.top = last
	}
	p.top = min(max(0, p.top+rows), last)
	p.moved = p.top < last
}

// room is how many rows of the prompt there is room for.
func (p *panel) room() int { return max(1, p.height-2) }

// last is the top row when the end is shown.
func (p *panel) last() int { return max(0, len(p.rows)-p.room()) }

// title counts tokens, and tells where the rows are.
func (p *panel) title() string {
	title := "prompt"
	if p.prompt != nil && p.err == nil && p.prompt.IDs != nil {
		title = fmt.Sprintf("prompt: %d tokens", len(p.prompt.IDs))
	}
	if last := p.last(); last > 0 {
		title += fmt.Sprintf("  %d%%", 100*p.top/last)
	}
	return title
}

// view is the panel in its height of rows, none wider than its width. hint is the last row.
func (p *panel) view(hint string) []string {
	rows := []string{bold(ansi.Truncate(p.title(), p.width, "…"))}
	rows = append(rows, p.rows[p.top:min(len(p.rows), p.top+p.room())]...)
	for len(rows) < 1+p.room() {
		rows = append(rows, "")
	}
	rows = append(rows, faint(ansi.Truncate(hint, p.width, "…")))
	return rows[:min(len(rows), max(1, p.height))]
}

// promptRows breaks a prompt where a row is full and at its own line ends, nowhere else, so that all blanks are seen to be there. Control
// tokens stand in reverse: text that only spells one does not.
func promptRows(r *systemgemma.Rendered, width int) []string {
	segments := r.Segments
	if segments == nil {
		segments = []systemgemma.Segment{{Text: r.Text}}
	}
	var rows []string
	var row strings.Builder
	used, marked := 0, false
	mark := func(on bool) {
		if on != marked {
			row.WriteString(map[bool]string{true: reverseOn, false: styleOff}[on])
			marked = on
		}
	}
	end := func() {
		mark(false)
		rows = append(rows, row.String())
		row.Reset()
		used = 0
	}
	for _, s := range segments {
		for _, c := range display(s.Text) {
			w := 1
			if c >= 0x80 {
				w = ansi.StringWidth(string(c))
			}
			switch {
			case c == '\n':
				end()
				continue
			case used+w > width && used > 0:
				end()
			}
			mark(s.Control)
			row.WriteRune(c)
			used += w
		}
	}
	if used > 0 || len(rows) == 0 {
		end()
	}
	return rows
}
