package chat

import (
	"fmt"
	"strings"
	"time"

	"github.com/charmbracelet/x/ansi"
	"github.com/systemgemma/systemgemma"
)

// nearlyFull is the share of the context from which on people are warned.
const nearlyFull = 0.9

// meter measures a chat for its status line: the speed of answers, and how full the context is.
type meter struct {
	now     func() time.Time
	tokens  int       // of the running answer
	first   time.Time // when its first one came
	speed   float64   // tok/s of the running answer, or the last one; 0: not known yet
	prompt  int       // tokens of the conversation; of the running answer's prompt. -1: not known
	context int       // tokens that there is room for
}

// begin starts the measuring of an answer.
func (m *meter) begin() { m.tokens, m.speed = 0, 0 }

// add counts tokens of the answer that have come.
func (m *meter) add(tokens int) {
	if tokens == 0 {
		return
	}
	if m.tokens == 0 { // those that came with the first one took no time that is known
		m.first, m.tokens = m.now(), tokens
		return
	}
	m.tokens += tokens
	if took := m.now().Sub(m.first).Seconds(); took > 0 {
		m.speed = float64(m.tokens-1) / took
	}
}

// end takes over what the engine measured.
func (m *meter) end(r *systemgemma.Result) {
	m.tokens = 0
	if r != nil && len(r.IDs) > 1 && r.Decode > 0 {
		m.speed = float64(len(r.IDs)-1) / r.Decode.Seconds()
	}
}

// used are the tokens that conversation and running answer have together; -1: not known.
func (m *meter) used() int {
	if m.prompt < 0 {
		return -1
	}
	return m.prompt + m.tokens
}

// full tells that the context is at or near its end.
func (m *meter) full() bool {
	return m.context > 0 && float64(m.used()) >= nearlyFull*float64(m.context)
}

// gaugeBar is how many cells of a wide gauge stand for a full context.
const gaugeBar = 10

// gauge tells how full the context is, in at most width cells.
func (m *meter) gauge(width int) string {
	used := m.used()
	if used < 0 || m.context <= 0 {
		return ""
	}
	warning := ""
	if m.full() {
		warning = "!"
	}
	share := fmt.Sprintf("%d%%%s", 100*used/m.context, warning)
	counts := fmt.Sprintf("ctx %d/%d ", used, m.context)
	bar := "[" + strings.Repeat("#", min(gaugeBar, gaugeBar*used/m.context))
	bar += strings.Repeat(".", gaugeBar+1-len(bar)) + "] "
	for _, g := range []string{counts + bar + share, counts + share, "ctx " + share} {
		if len(g) <= width {
			return g
		}
	}
	return ansi.Truncate(share, width, "")
}

// status is a line with the model's name, the speed and the gauge, as far as there is room: the gauge counts most.
func (m *meter) status(name string, width int) string {
	const gap = "  "
	room := width
	if width < 50 {
		room = min(width, len("ctx 8192/8192 100%!")) // no bar
	}
	gauge, speed := m.gauge(room), ""
	if m.speed > 0 {
		speed = fmt.Sprintf("%.1f tok/s", m.speed)
	}
	if speed != "" && gauge != "" {
		speed += gap
	}
	line := speed + gauge
	if len(line) > width {
		line = gauge
	}
	if room := width - len(line) - len(gap); room >= 4 {
		line = ansi.Truncate(oneLine(name), room, "…") + gap + line
	}
	return strings.TrimRight(line, " ")
}
