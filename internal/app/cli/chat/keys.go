package chat

import (
	"strings"

	tea "charm.land/bubbletea/v2"
)

// key handles the keys that the input does not.
func (m *screen) key(k tea.KeyPressMsg) tea.Cmd {
	armed := m.armed
	m.armed, m.hint = false, ""
	switch k.String() {
	case "ctrl+c":
		return m.interrupt(armed)
	case "ctrl+d":
		if m.input.Value() == "" {
			return m.quit()
		}
	case "ctrl+z":
		return tea.Suspend
	case "enter":
		return m.enter()
	case "up":
		if m.input.Line() == 0 && m.input.LineInfo().RowOffset == 0 {
			m.recall(m.history.up(m.input.Value()))
			return nil
		}
	case "down":
		if i := m.input.LineInfo(); m.input.Line() == m.input.LineCount()-1 && i.RowOffset >= i.Height-1 {
			m.recall(m.history.down())
			return nil
		}
	}
	var cmd tea.Cmd
	m.input, cmd = m.input.Update(k)
	return cmd
}

func (m *screen) recall(input string, ok bool) {
	if ok {
		m.input.SetValue(input)
		m.input.MoveToEnd()
	}
}

// interrupt stops the answer, or empties the input, or quits when asked twice.
func (m *screen) interrupt(armed bool) tea.Cmd {
	switch {
	case m.running != nil:
		m.running.cancel()
	case m.input.Value() != "":
		m.input.Reset()
	case armed:
		return m.quit()
	default:
		m.armed, m.hint = true, hintQuit
	}
	return nil
}

func (m *screen) quit() tea.Cmd {
	m.leaving = true
	return tea.Quit
}

// stop ends the running answer, if any, when nothing is shown any more.
func (m *screen) stop() {
	if m.running != nil {
		m.running.leave()
	}
}

// enter takes the input, or goes on in the next line after a backslash.
func (m *screen) enter() tea.Cmd {
	text := m.input.Value()
	if m.running != nil {
		m.hint = hintBusy
		return nil
	}
	if before, ok := strings.CutSuffix(text, `\`); ok {
		m.input.SetValue(before + "\n")
		m.input.MoveToEnd()
		return nil
	}
	m.input.Reset()
	if strings.TrimSpace(text) == "" {
		return nil
	}
	m.history.add(text)
	echo := m.prints.add(firstPrompt + strings.ReplaceAll(display(text), "\n", "\n"+morePrompt))
	r := m.session.Submit(text)
	show := m.show(r)
	switch {
	case r.Quit:
		return tea.Sequence(echo, m.quit())
	case r.Answer:
		m.running, m.hint = start(m.ctx, m.session), hintBusy
		return tea.Batch(echo, show, m.running.next())
	}
	return tea.Batch(echo, show)
}
