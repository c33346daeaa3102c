package chat

import (
	tea "charm.land/bubbletea/v2"
)

// closedMsg says that the model has decided for the small view, and the program knows; uncoveredMsg, that the terminal shows it again.
type (
	closedMsg    struct{}
	uncoveredMsg struct{}
)

const (
	hintModels   = "type to filter  Enter uses it  Esc"
	hintPersonas = "Enter uses  ^S keeps  ^D deletes  Esc"
	noModels     = "(no models here)"
	noPersonas   = "No personas yet. Type a name here and press Ctrl-S: it keeps the system prompt in force."
)

// open shows a list of models or personas.
func (m *screen) open(kind Overlay) tea.Cmd {
	if m.busy() {
		m.hint = m.busyHint()
		return nil
	}
	p := &picker{kind: kind, title: "Go on with another model", hint: hintModels, empty: noModels, current: m.session.name}
	if kind == OverlayPersonas {
		p.title, p.hint, p.empty, p.current = "System prompt of a persona", hintPersonas, noPersonas, m.session.persona
	}
	choices, err := m.choices(kind)
	if err != nil {
		return m.show(Reply{Err: err})
	}
	p.set(choices)
	p.mark(p.current)
	m.picker = p
	m.prints.hold()
	return nil
}

func (m *screen) choices(kind Overlay) ([]Choice, error) {
	if kind == OverlayPersonas {
		return m.session.personaChoices()
	}
	return m.session.modelChoices()
}

// pickerKey acts on the list.
func (m *screen) pickerKey(k tea.KeyPressMsg) tea.Cmd {
	p := m.picker
	doomed := p.doomed
	p.doomed, p.notice = "", ""
	personas := p.kind == OverlayPersonas
	switch s := k.String(); {
	case s == "esc", s == "ctrl+c", s == "ctrl+o" && !personas, s == "ctrl+r" && personas:
		return m.closePicker()
	case s == "ctrl+z":
		return tea.Suspend
	case s == "enter":
		return m.choose()
	case s == "ctrl+s" && personas:
		return m.changed(m.session.addPersona(oneLine(p.filter)))
	case s == "ctrl+d" && personas:
		return m.doom(doomed)
	}
	p.edit(k, page(m.height))
	return nil
}

// choose takes what is marked.
func (m *screen) choose() tea.Cmd {
	c, ok := m.picker.selected()
	if !ok {
		m.picker.notice = "nothing to choose"
		return nil
	}
	kind := m.picker.kind
	closed := m.closePicker()
	switch {
	case kind == OverlayPersonas:
		shown := m.show(m.session.usePersona(c.Name))
		m.measure()
		return tea.Batch(shown, closed)
	case c.Name == m.session.name:
		return closed
	}
	return tea.Batch(m.switchTo(c.Name), closed)
}

// doom deletes the marked persona when asked twice.
func (m *screen) doom(doomed string) tea.Cmd {
	c, ok := m.picker.selected()
	switch {
	case !ok:
		m.picker.notice = "nothing to delete"
	case c.Name == doomed:
		return m.changed(m.session.deletePersona(c.Name))
	default:
		m.picker.doomed, m.picker.notice = c.Name, "^D again deletes "+oneLine(c.Name)
	}
	return nil
}

// changed shows the list anew after one persona is another.
func (m *screen) changed(r Reply) tea.Cmd {
	p := m.picker
	if r.Err != nil {
		p.notice = oneLine(r.Err.Error())
		return nil
	}
	choices, err := m.choices(p.kind)
	if err != nil {
		p.notice = oneLine(err.Error())
		return nil
	}
	p.filter, p.current, p.notice = "", m.session.persona, oneLine(r.Text)
	p.set(choices)
	p.mark(p.current)
	return m.show(r)
}

func (m *screen) closePicker() tea.Cmd {
	m.picker = nil
	return m.closed()
}

// togglePanel opens or closes the panel with the prompt.
func (m *screen) togglePanel() tea.Cmd {
	if m.panel != nil {
		m.panel = nil
		m.resize(m.width, m.height)
		return m.closed()
	}
	m.panel = &panel{}
	m.prints.hold()
	m.resize(m.width, m.height)
	m.measure()
	return nil
}

// panelKey acts on the panel. Where it stands beside the chat, other keys are the chat's.
func (m *screen) panelKey(k tea.KeyPressMsg) (done bool, cmd tea.Cmd) {
	p := m.panel
	switch k.String() {
	case "esc":
		return true, m.togglePanel()
	case "pgup":
		p.scroll(1 - p.room())
		return true, nil
	case "pgdown":
		p.scroll(p.room() - 1)
		return true, nil
	}
	if m.wide() {
		return false, nil
	}
	switch k.String() {
	case "q":
		return true, m.togglePanel()
	case "up":
		p.scroll(-1)
	case "down":
		p.scroll(1)
	case "home":
		p.scroll(-len(p.rows))
	case "end":
		p.scroll(len(p.rows))
	}
	return true, nil
}

// closed lets lines be printed again when nothing covers the chat any more. What decides that comes later, as a message: only then does
// the program know of the small view, too.
func (m *screen) closed() tea.Cmd {
	if m.panel != nil || m.picker != nil {
		return nil
	}
	return func() tea.Msg { return closedMsg{} }
}

// uncover prints what has waited, unless the terminal still shows the other screen: its end is told later.
func (m *screen) uncover(other bool) tea.Cmd {
	if other || m.panel != nil || m.picker != nil {
		return nil
	}
	return m.prints.release()
}
