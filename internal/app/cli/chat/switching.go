package chat

import (
	"context"

	tea "charm.land/bubbletea/v2"
)

// opening is a model on its way.
type opening struct {
	name   string
	cancel context.CancelFunc
}

// openedMsg is what became of it.
type openedMsg struct {
	opening *opening
	model   *Opened
	err     error
}

// switchTo opens a model beside the chat, which goes on with it as soon as it is there.
func (m *screen) switchTo(name string) tea.Cmd {
	ctx, cancel := context.WithCancel(m.ctx)
	o := &opening{name, cancel}
	m.opening = o
	m.hint = m.busyHint()
	s := m.session
	return func() tea.Msg {
		model, err := s.Open(ctx, name)
		return openedMsg{o, model, err}
	}
}

// opened takes the model, unless nobody waits for it any more.
func (m *screen) opened(msg openedMsg) tea.Cmd {
	msg.opening.cancel()
	if msg.opening != m.opening || m.leaving {
		if msg.model == nil || msg.model.Close == nil {
			return nil
		}
		return func() tea.Msg {
			_ = msg.model.Close() // it has answered nothing
			return nil
		}
	}
	m.opening, m.hint = nil, ""
	shown := m.show(m.session.Use(msg.model, msg.err))
	m.measure()
	return shown
}

// keepModel waits no longer for another model.
func (m *screen) keepModel() tea.Cmd {
	m.opening.cancel()
	m.opening, m.hint = nil, ""
	return m.show(Reply{Text: "(stopped; the model is still " + m.session.name + ")"})
}
