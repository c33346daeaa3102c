package chat

import (
	"context"
	"fmt"
	"iter"
	"strings"

	tea "charm.land/bubbletea/v2"
	"github.com/systemgemma/systemgemma"
)

// eventMsg is what an answer has said since the last one.
type eventMsg struct {
	text     string
	progress *systemgemma.PromptProgress // of the prompt, before any text
	last     bool
	result   *systemgemma.Result
	err      error
}

// running is an answer on its way.
type running struct {
	cancel context.CancelFunc
	events chan eventMsg
	gone   chan struct{} // closed when nobody reads events any more
}

// backlog is how many tokens the model may be ahead of the screen.
const backlog = 64

// start lets the model answer in a goroutine of its own, which ends with the answer, or soon after leave.
func start(ctx context.Context, s *Session) *running {
	ctx, cancel := context.WithCancel(ctx)
	r := &running{cancel: cancel, events: make(chan eventMsg, backlog), gone: make(chan struct{})}
	go r.read(s.Answer(ctx))
	return r
}

func (r *running) read(answer iter.Seq2[systemgemma.Event, error]) {
	defer close(r.events)
	last := eventMsg{last: true}
	for e, err := range answer {
		if e.Result != nil || err != nil {
			last.text, last.result, last.err = e.Text, e.Result, err
			continue
		}
		if !r.send(eventMsg{text: e.Text, progress: e.Progress}) {
			return
		}
	}
	r.send(last)
}

func (r *running) send(e eventMsg) bool {
	select {
	case r.events <- e:
		return true
	case <-r.gone:
		return false
	}
}

// leave ends the answer without anyone waiting for it. It may be called once.
func (r *running) leave() {
	r.cancel()
	close(r.gone)
}

// next waits for text and takes all there is.
func (r *running) next() tea.Cmd {
	return func() tea.Msg {
		e, ok := <-r.events
		if !ok {
			return nil
		}
		var text strings.Builder
		text.WriteString(e.text)
		for !e.last && len(r.events) > 0 {
			e = <-r.events
			text.WriteString(e.text)
		}
		e.text = text.String()
		return e
	}
}

// printedMsg says that the printer's last lines are on the terminal.
type printedMsg struct{}

// printer puts lines above the view one batch after the other: commands of Bubble Tea run side by side and would mix them up.
type printer struct {
	queue    []string
	printing bool
}

func (p *printer) add(lines ...string) tea.Cmd {
	p.queue = append(p.queue, lines...)
	if p.printing {
		return nil
	}
	return p.printed()
}

// printed prints what has queued up since.
func (p *printer) printed() tea.Cmd {
	p.printing = len(p.queue) > 0
	if !p.printing {
		return nil
	}
	text := strings.Join(p.queue, "\n")
	p.queue = nil
	if text == "" {
		text = " " // Println prints no empty line
	}
	return tea.Sequence(tea.Println(text), func() tea.Msg { return printedMsg{} })
}

// reading says how far a prompt is read.
func reading(p *systemgemma.PromptProgress) string {
	return fmt.Sprintf("reading the prompt: %d of %d tokens", p.Done, p.Total)
}
