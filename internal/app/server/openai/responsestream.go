package openai

import (
	"net/http"

	"github.com/systemgemma/systemgemma"
	"github.com/systemgemma/systemgemma/internal/app/server"
	"github.com/systemgemma/systemgemma/internal/app/server/pieces"
	"github.com/systemgemma/systemgemma/internal/app/server/problem"
	"github.com/systemgemma/systemgemma/internal/app/server/tools"
)

// responseStream sends a response as named events with consecutive numbers.
type responseStream struct {
	*responding
	out      *server.Stream
	sequence int
	open     bool   // the message has been announced
	text     string // sent so far
	logs     []pieces.Logprob
}

type fields map[string]any

// send sends one event.
func (s *responseStream) send(kind string, f fields) error {
	f["type"], f["sequence_number"] = kind, s.sequence
	s.sequence++
	return s.out.SendEvent(kind, f)
}

// begin announces the response.
func (s *responseStream) begin() error {
	if s.sequence > 0 {
		return nil
	}
	if err := s.send("response.created", fields{"response": &s.x}); err != nil {
		return err
	}
	return s.send("response.in_progress", fields{"response": &s.x})
}

func (s *responseStream) run(r *http.Request) error {
	hold := tools.NewHold(s.Tools, s.Choice)
	for e, err := range s.Answer(r.Context(), 0) {
		if err != nil {
			return err
		}
		if err := s.begin(); err != nil {
			return err
		}
		if s.logprobs && e.ID >= 0 && !s.End[e.ID] {
			s.logs = append(s.logs, logprobOf(s.Lease.Model, &e))
		}
		if err := s.delta(hold.Text(e.Text)); err != nil {
			return err
		}
		if e.Result != nil {
			calls, rest := hold.End()
			if err := s.delta(rest); err != nil {
				return err
			}
			return s.end(e.Result, calls)
		}
	}
	return nil
}

// delta sends text, after announcing the message that it is a part of.
func (s *responseStream) delta(text string) error {
	if text == "" {
		return nil
	}
	if err := s.announce(); err != nil {
		return err
	}
	s.text += text
	return s.send("response.output_text.delta", fields{"item_id": s.message("", nil).ID, "output_index": 0, "content_index": 0, "delta": text, "logprobs": []any{}})
}

func (s *responseStream) announce() error {
	if s.open {
		return nil
	}
	s.open = true
	m := s.message("", nil)
	m.Status, m.Content = "in_progress", []part{}
	if err := s.send("response.output_item.added", fields{"output_index": 0, "item": m}); err != nil {
		return err
	}
	return s.send("response.content_part.added", fields{"item_id": m.ID, "output_index": 0, "content_index": 0, "part": newPart("", nil)})
}

// end closes what was begun, or sends calls, and then the whole response.
func (s *responseStream) end(r *systemgemma.Result, calls []tools.Call) error {
	output := callItems(calls)
	if output == nil {
		output = []item{s.message(s.text, s.logs)}
		if err := s.announce(); err != nil { // an empty answer is a message too
			return err
		}
	}
	s.finish(r, output)
	for i := range output {
		if err := s.close(i, &output[i]); err != nil {
			return err
		}
	}
	return s.send("response."+s.x.Status, fields{"response": &s.x})
}

// close sends the events that end an item.
func (s *responseStream) close(i int, x *item) error {
	at := func(f fields) fields {
		f["item_id"], f["output_index"] = x.ID, i
		return f
	}
	if x.Type == "function_call" {
		begun := *x
		begun.Status, begun.Arguments = "in_progress", new("")
		if err := s.send("response.output_item.added", fields{"output_index": i, "item": begun}); err != nil {
			return err
		}
		if err := s.send("response.function_call_arguments.delta", at(fields{"delta": *x.Arguments})); err != nil {
			return err
		}
		if err := s.send("response.function_call_arguments.done", at(fields{"arguments": *x.Arguments, "name": x.Name})); err != nil {
			return err
		}
	} else {
		p := x.Content[0]
		if err := s.send("response.output_text.done", at(fields{"content_index": 0, "text": p.Text, "logprobs": p.Logprobs})); err != nil {
			return err
		}
		if err := s.send("response.content_part.done", at(fields{"content_index": 0, "part": p})); err != nil {
			return err
		}
	}
	return s.send("response.output_item.done", fields{"output_index": i, "item": x})
}

// fail is the last event of a stream that met an error.
func (s *responseStream) fail(e *problem.Error) error {
	code := e.Code
	if code == "" {
		code = "server_error"
	}
	return s.send("error", fields{"code": code, "message": e.Message, "param": e.Param})
}
