package chat

import (
	"strings"

	tea "charm.land/bubbletea/v2"
)

// printedMsg says that the printer's last lines are on the terminal.
type printedMsg struct{}

// printer puts lines above the view one batch after the other: commands of Bubble Tea run side by side and would mix them up.
type printer struct {
	queue    []string // lines
	printing bool
	held     bool // the view has the whole terminal: lines wait until it is small again
	limit    int  // lines at once, so that these and the view fit on the terminal; 0: any number
}

// add prints lines, of which each may hold several.
func (p *printer) add(lines ...string) tea.Cmd {
	for _, l := range lines {
		p.queue = append(p.queue, strings.Split(l, "\n")...)
	}
	if p.printing || p.held {
		return nil
	}
	return p.printed()
}

// printed prints what has queued up since.
func (p *printer) printed() tea.Cmd {
	p.printing = len(p.queue) > 0 && !p.held
	if !p.printing {
		return nil
	}
	n := len(p.queue)
	if p.limit > 0 {
		n = min(n, p.limit)
	}
	text := strings.Join(p.queue[:n], "\n")
	p.queue = p.queue[n:]
	if text == "" {
		text = " " // Println prints no empty line
	}
	return tea.Sequence(tea.Println(text), func() tea.Msg { return printedMsg{} })
}

// hold keeps lines back.
func (p *printer) hold() { p.held = true }

// release prints what was held back.
func (p *printer) release() tea.Cmd {
	if !p.held {
		return nil
	}
	p.held = false
	if p.printing {
		return nil
	}
	return p.printed()
}

// rest are the lines that were never printed.
func (p *printer) rest() string {
	if len(p.queue) == 0 {
		return ""
	}
	return strings.Join(p.queue, "\n") + "\n"
}
