package openai

import (
	"net/http"
	"sync"

	"github.com/systemgemma/systemgemma"
	"github.com/systemgemma/systemgemma/internal/app/server"
	"github.com/systemgemma/systemgemma/internal/app/server/pieces"
	"github.com/systemgemma/systemgemma/internal/app/server/problem"
	"github.com/systemgemma/systemgemma/internal/app/server/talk"
	"github.com/systemgemma/systemgemma/internal/app/server/tools"
)

// chatStream sends a chat completion piece by piece: the first delta of an answer has the role, the last its finish reason and no
// text; usage comes in a piece of its own, if it is wanted, and then [DONE].
type chatStream struct {
	*conversation
	out                    *server.Stream
	logprobs, includeUsage bool

	mu    sync.Mutex
	usage usage // guarded by mu
	first bool  // guarded by mu; the prompt has been counted
}

func (s *chatStream) run(r *http.Request) error {
	if err := s.each(r, s.one); err != nil {
		return err
	}
	if s.includeUsage {
		x := s.head("chat.completion.chunk")
		x.Usage = &s.usage
		if err := s.out.Send(x); err != nil {
			return err
		}
	}
	return s.out.Done()
}

// fail is the last event of a stream that met an error.
func (s *chatStream) fail(e *problem.Error) error { return s.out.Send(errorChunk(e)) }

// piece is one answer's state.
type piece struct {
	index   int
	role    bool             // has been sent
	pending []pieces.Logprob // of tokens whose text is held back
	text    *server.Template // of a piece that is only text; nil: none was sent yet
}

// places are the answers that run i gives.
func (s *chatStream) places(i int) []*piece {
	if s.Runs() == s.Want.N {
		return []*piece{{index: i}}
	}
	var all []*piece
	for k := range s.Want.N {
		all = append(all, &piece{index: k})
	}
	return all
}

// one streams answer i, or all if they are the same.
func (s *chatStream) one(r *http.Request, i int) error {
	places, hold := s.places(i), tools.NewHold(s.Tools, s.Choice)
	for e, err := range s.Answer(r.Context(), i) {
		if err != nil {
			return err
		}
		if e.Progress != nil {
			x := s.head("chat.completion.chunk")
			x.Progress = pieces.ProgressOf(e.Progress, 0)
			if err := s.out.Send(x); err != nil {
				return err
			}
			continue
		}
		if s.logprobs && e.ID >= 0 && !s.End[e.ID] {
			l := logprobOf(s.Lease.Model, &e)
			for _, p := range places {
				p.pending = append(p.pending, l)
			}
		}
		text, calls := hold.Text(e.Text), []tools.Call(nil)
		if e.Result != nil {
			var rest string
			calls, rest = hold.End()
			text += rest
		}
		for _, p := range places {
			if err := s.text(p, text); err != nil {
				return err
			}
			if e.Result != nil {
				if err := s.end(p, e.Result, calls); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// text sends a piece of text: all are the same but for that, as long as there are no log probabilities.
func (s *chatStream) text(p *piece, text string) error {
	if text == "" {
		return nil
	}
	if !p.role || len(p.pending) > 0 {
		return s.send(p, &chatDelta{Content: &text}, nil, nil)
	}
	if p.text == nil {
		var err error
		p.text, err = server.NewTemplate(1, func(texts []string) any {
			x := s.head("chat.completion.chunk")
			x.Choices = []chatChoice{{Index: p.index, Delta: &chatDelta{Content: &texts[0]}}}
			return x
		})
		if err != nil {
			return err
		}
	}
	return s.out.SendText(p.text, text)
}

// end sends calls, if the answer has become some, and the reason of the end.
func (s *chatStream) end(p *piece, r *systemgemma.Result, calls []tools.Call) error {
	reason := finish(r)
	for i, c := range chatCalls(calls) {
		reason, c.Index = "tool_calls", &i
		if err := s.send(p, &chatDelta{Calls: []chatCall{c}}, nil, nil); err != nil {
			return err
		}
	}
	s.mu.Lock()
	s.usage.add(r, !s.first)
	s.first = true
	s.mu.Unlock()
	return s.send(p, &chatDelta{}, &reason, s.Extend(r, s.Mode()))
}

// send sends one piece, after the one with the role.
func (s *chatStream) send(p *piece, d *chatDelta, reason *string, x *talk.Extension) error {
	if !p.role {
		p.role = true
		empty := ""
		if err := s.send(p, &chatDelta{Role: "assistant", Content: &empty}, nil, nil); err != nil {
			return err
		}
	}
	a := s.head("chat.completion.chunk")
	choice := chatChoice{Index: p.index, Delta: d, Finish: reason}
	if s.logprobs && len(p.pending) > 0 && d.Role == "" {
		choice.Logprobs = &chatLogprobs{Content: p.pending}
		p.pending = nil
	}
	a.Choices, a.Extension = []chatChoice{choice}, x
	return s.out.Send(a)
}
