package openai

import (
	"net/http"
	"sync"

	"github.com/systemgemma/systemgemma"
	"github.com/systemgemma/systemgemma/internal/app/server"
	"github.com/systemgemma/systemgemma/internal/app/server/problem"
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
	role    bool           // has been sent
	held    string         // text that may become calls
	calls   bool           // the answer may still become calls
	pending []tokenLogprob // of tokens whose text is held back
}

// one streams answer i.
func (s *chatStream) one(r *http.Request, i int) error {
	p := &piece{index: i, calls: tools.Active(s.tools, s.choice)}
	t := tokens{s.lease.Model}
	for e, err := range s.answer(r, i) {
		if err != nil {
			return err
		}
		if s.logprobs && e.ID >= 0 && !s.stop[e.ID] {
			p.pending = append(p.pending, t.chat(&e))
		}
		if err := s.text(p, e.Text); err != nil {
			return err
		}
		if e.Result != nil {
			return s.end(p, e.Result)
		}
	}
	return nil
}

// text sends text, unless it may become calls.
func (s *chatStream) text(p *piece, text string) error {
	if p.calls {
		p.held += text
		if tools.MayBeCalls(p.held) {
			return nil
		}
		text, p.held, p.calls = p.held, "", false
	}
	if text == "" {
		return nil
	}
	return s.send(p, &chatDelta{Content: &text}, nil, nil)
}

// end sends what was held back, calls or text, and the reason of the end.
func (s *chatStream) end(p *piece, r *systemgemma.Result) error {
	reason := finish(r)
	if p.calls {
		if calls := tools.Parse(p.held, s.tools); calls != nil {
			reason = "tool_calls"
			for i, c := range chatCalls(calls) {
				c.Index = &i
				if err := s.send(p, &chatDelta{Calls: []chatCall{c}}, nil, nil); err != nil {
					return err
				}
			}
		} else if p.held != "" {
			if err := s.send(p, &chatDelta{Content: &p.held}, nil, nil); err != nil {
				return err
			}
		}
	}
	s.mu.Lock()
	s.usage.add(r, !s.first)
	s.first = true
	s.mu.Unlock()
	return s.send(p, &chatDelta{}, &reason, s.extend(r, s.mode()))
}

// send sends one piece, after the one with the role.
func (s *chatStream) send(p *piece, d *chatDelta, reason *string, x *extension) error {
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
