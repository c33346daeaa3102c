package chat

import (
	"strings"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"
)

// divider stands between the chat and a panel.
const divider = "| "

// View shows the unfinished row of the answer, the input and what stands below it; or a panel or a list, on the terminal's other screen,
// so that what was there is there again afterwards.
func (m *screen) View() tea.View {
	var v tea.View
	if m.leaving {
		return v
	}
	var rows []string
	switch v.AltScreen = m.covered(); {
	case !v.AltScreen:
		rows, v.Cursor = m.chatRows(m.width)
		if m.running != nil {
			rows = append([]string{m.tail}, rows...)
			moveDown(v.Cursor, 1)
		}
	case m.picker != nil:
		rows, v.Cursor = m.picker.view(m.width, m.height)
	case m.wide():
		rows, v.Cursor = m.beside()
	default:
		rows = m.panel.view(m.panelHint())
	}
	v.SetContent(strings.Join(rows, "\n"))
	return v
}

// covered tells that a panel or a list has the whole terminal. It waits for lines that are being printed, since they belong to the other
// screen.
func (m *screen) covered() bool { return (m.panel != nil || m.picker != nil) && !m.prints.printing }

// chatRows are the input and what stands below it.
func (m *screen) chatRows(width int) (rows []string, cursor *tea.Cursor) {
	rows = strings.Split(m.input.View(), "\n")
	hint := m.hint
	switch {
	case hint == "" && m.meter.full():
		hint = hintFull
	case hint == "":
		hint = hintKeys
	}
	hint = faint(ansi.Truncate(hint, width, "…"))
	status := faint(m.meter.status(m.session.name, width))
	switch {
	case m.height < 3:
	case m.height < 6 && m.hint != "":
		rows = append(rows, hint)
	case m.height < 6:
		rows = append(rows, status)
	default:
		rows = append(rows, hint, status)
	}
	return rows, m.input.Cursor()
}

// beside is the chat with the panel at its right, in all rows of the terminal.
func (m *screen) beside() (rows []string, cursor *tea.Cursor) {
	right := m.panel.view(m.panelHint())
	width := m.width - m.panel.width - len(divider)
	chat, cursor := m.chatRows(width)
	above := max(0, m.height-len(chat))
	text := m.said
	left := m.scrollback.rows(text, width, above)
	for len(left) < above {
		left = append([]string{""}, left...)
	}
	left = append(left, chat...)
	moveDown(cursor, above)
	for i := range min(m.height, len(left)) {
		row := ansi.Truncate(left[i], width, "")
		row += strings.Repeat(" ", max(0, width-ansi.StringWidth(row))) + divider
		if i < len(right) {
			row += right[i]
		}
		rows = append(rows, row)
	}
	return rows, cursor
}

// panelHint is the last row of the panel.
func (m *screen) panelHint() string {
	if m.hint != "" && !m.wide() {
		return m.hint
	}
	return hintPanel
}

func moveDown(c *tea.Cursor, rows int) {
	if c != nil {
		c.Y += rows
	}
}
