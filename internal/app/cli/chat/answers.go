package chat

import (
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"
)

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
	m.meter.add(e.tokens)
	text := display(e.text)
	m.said += text
	if len(m.said) > 2*maxScrollback { // seldom, so that long answers are not copied again and again
		m.said = strings.ToValidUTF8(m.said[len(m.said)-maxScrollback:], "")
	}
	full, rest := cutRows(m.tail+text, m.width)
	m.tail = rest
	if !e.last {
		return tea.Batch(m.prints.add(full...), m.running.next())
	}
	m.running, m.tail, m.hint, m.reading = nil, "", "", false
	if rest != "" {
		full = append(full, rest)
	}
	if m.said != "" {
		m.scrollback.add(m.said)
		m.said = ""
	}
	printed := m.prints.add(full...)
	m.meter.end(e.result)
	shown := m.show(m.session.Finish(e.result, e.err))
	m.measure()
	return tea.Batch(printed, shown)
}
