package chat

import (
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"
	"github.com/systemgemma/systemgemma/internal/app/cli/terminal"
)

// show prints a reply.
func (m *screen) show(r Reply) tea.Cmd {
	text := r.Text
	if r.Err != nil {
		text = "error: " + r.Err.Error()
	}
	if text == "" {
		return nil
	}
	return m.prints.add(ansi.Wrap(display(text), m.width, ""))
}

// event takes new text of the answer, and its end.
func (m *screen) event(e eventMsg) tea.Cmd {
	if m.running == nil || m.leaving {
		return nil
	}
	if p := e.progress; p != nil && p.Took >= time.Second { // shorter ones need no telling
		m.hint, m.reading = reading(p)+"; "+hintBusy, true
	} else if p == nil && m.reading {
		m.hint, m.reading = hintBusy, false
	}
	full, rest := cutRows(m.tail+display(e.text), m.width)
	m.tail = rest
	if !e.last {
		return tea.Batch(m.prints.add(full...), m.running.next())
	}
	m.running, m.tail, m.hint, m.reading = nil, "", "", false
	if rest != "" {
		full = append(full, rest)
	}
	print := m.prints.add(full...)
	return tea.Batch(print, m.show(m.session.Finish(e.result, e.err)))
}

// View shows the unfinished row of the answer, the input and a hint.
func (m *screen) View() tea.View {
	var v tea.View
	if m.leaving {
		return v
	}
	above := ""
	if m.running != nil {
		above = m.tail + "\n"
	}
	v.SetContent(above + m.input.View() + "\n" + ansi.Truncate(m.hint, m.width, "…"))
	v.Cursor = m.input.Cursor()
	if v.Cursor != nil {
		v.Cursor.Y += strings.Count(above, "\n")
	}
	return v
}

// display is text as the screen may show it: safe, and without tabs, whose width depends on where they stand.
func display(text string) string { return strings.ReplaceAll(terminal.Safe(text), "\t", "    ") }

// cutRows splits text into full rows of a terminal and the last one, which may still grow. Words are kept whole.
func cutRows(text string, width int) (full []string, rest string) {
	rows := strings.Split(ansi.Wrap(text, width, ""), "\n")
	return rows[:len(rows)-1], rows[len(rows)-1]
}
