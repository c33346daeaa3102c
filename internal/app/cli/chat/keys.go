package chat

import (
	"strings"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"
)

// key hands a key to what is on top.
func (m *screen) key(k tea.KeyPressMsg) tea.Cmd {
	armed := m.armed
	m.armed, m.hint = false, m.busyHint()
	switch {
	case m.picker != nil:
		return m.pickerKey(k)
	case k.String() == "ctrl+c":
		return m.interrupt(armed)
	case k.String() == "ctrl+z":
		return tea.Suspend
	case k.String() == "ctrl+x":
		return m.togglePanel()
	case m.panel != nil:
		if done, cmd := m.panelKey(k); done {
			return cmd
		}
	}
	return m.chatKey(k)
}

// chatKey handles the keys that the input does not.
func (m *screen) chatKey(k tea.KeyPressMsg) tea.Cmd {
	switch k.String() {
	case "ctrl+d":
		if m.input.Value() == "" {
			return m.quit()
		}
	case "enter":
		return m.enter()
	case "ctrl+o":
		return m.open(OverlayModels)
	case "ctrl+r":
		return m.open(OverlayPersonas)
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

// busy tells that no input is taken.
func (m *screen) busy() bool { return m.running != nil || m.opening != nil }

// busyHint says what Ctrl-C does while something runs.
func (m *screen) busyHint() string {
	switch {
	case m.opening != nil:
		return "opening " + oneLine(m.opening.name) + "; " + hintSwitch
	case m.running != nil:
		return hintBusy
	}
	return ""
}

// interrupt stops the answer or the opening of a model, or empties the input, or quits when asked twice.
func (m *screen) interrupt(armed bool) tea.Cmd {
	switch {
	case m.opening != nil:
		return m.keepModel()
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
	if m.opening != nil {
		m.opening.cancel()
	}
}

// enter takes the input, or goes on in the next line after a backslash.
func (m *screen) enter() tea.Cmd {
	text := m.input.Value()
	if m.busy() {
		m.hint = m.busyHint()
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
	echo := m.print(firstPrompt + strings.ReplaceAll(display(text), "\n", "\n"+morePrompt))
	r := m.session.Submit(text)
	switch {
	case r.Quit:
		return tea.Sequence(echo, m.quit())
	case r.Overlay == OverlayPrompt:
		return tea.Batch(echo, m.togglePanel())
	case r.Overlay != OverlayNone:
		return tea.Batch(echo, m.open(r.Overlay))
	case r.Model != "":
		return tea.Batch(echo, m.switchTo(r.Model))
	}
	show := m.show(r)
	m.measure()
	if !r.Answer {
		return tea.Batch(echo, show)
	}
	m.meter.begin()
	m.running, m.said = start(m.ctx, m.session), ""
	m.hint = m.busyHint()
	return tea.Batch(echo, show, m.running.next())
}

// show prints a reply.
func (m *screen) show(r Reply) tea.Cmd {
	text := r.Text
	if r.Err != nil {
		text = strings.TrimPrefix(text+"\nerror: "+r.Err.Error(), "\n")
	}
	if text == "" {
		return nil
	}
	return m.print(display(text))
}

// print puts text that is safe to show above the view.
func (m *screen) print(text string) tea.Cmd {
	m.scrollback.add(text)
	return m.prints.add(ansi.Wrap(text, m.width, ""))
}
