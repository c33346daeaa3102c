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
	tokens   int                         // that text came with
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
		tokens := 0
		if e.ID >= 0 {
			tokens = 1
		}
		if !r.send(eventMsg{text: e.Text, tokens: tokens, progress: e.Progress}) {
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
		tokens := e.tokens
		for !e.last && len(r.events) > 0 {
			e = <-r.events
			text.WriteString(e.text)
			tokens += e.tokens
		}
		e.text, e.tokens = text.String(), tokens
		return e
	}
}

// reading says how far a prompt is read.
func reading(p *systemgemma.PromptProgress) string {
	return fmt.Sprintf("reading the prompt: %d of %d tokens", p.Done, p.Total)
}
