package anthropic

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/systemgemma/systemgemma"
	"github.com/systemgemma/systemgemma/internal/app/server"
	"github.com/systemgemma/systemgemma/internal/app/server/problem"
	"github.com/systemgemma/systemgemma/internal/app/server/talk"
	"github.com/systemgemma/systemgemma/internal/app/server/tools"
)

// message is an answer.
type message struct {
	ID           string          `json:"id"`
	Type         string          `json:"type"` // message
	Role         string          `json:"role"`
	Model        string          `json:"model"`
	Content      []block         `json:"content"`
	StopReason   *string         `json:"stop_reason"`
	StopSequence *string         `json:"stop_sequence"`
	Usage        usage           `json:"usage"`
	Extension    *talk.Extension `json:"systemgemma,omitempty"`
}

// block is a part of an answer: a text, or a call of a tool.
type block struct {
	Type  string          `json:"type"` // text or tool_use
	Text  *string         `json:"text,omitempty"`
	ID    string          `json:"id,omitempty"`
	Name  string          `json:"name,omitempty"`
	Input json.RawMessage `json:"input,omitempty"`
}

// usage counts tokens. A prompt is the sum of what was computed and what was known.
type usage struct {
	Input   int `json:"input_tokens"`
	Created int `json:"cache_creation_input_tokens"` // always 0: what is remembered costs nothing more
	Cached  int `json:"cache_read_input_tokens"`
	Output  int `json:"output_tokens"`
}

func used(r *systemgemma.Result) usage {
	return usage{Input: len(r.PromptIDs) - r.CachedTokens, Cached: r.CachedTokens, Output: len(r.IDs)}
}

// ending is Anthropic's name of why an answer ended, and the text that ended it.
func ending(r *systemgemma.Result, calls []tools.Call) (reason string, sequence *string) {
	switch {
	case calls != nil:
		return "tool_use", nil
	case r.Stop != "":
		return "stop_sequence", &r.Stop
	case r.FinishReason == systemgemma.FinishStop:
		return "end_turn", nil
	}
	return "max_tokens", nil
}

// callBlock is a call; its input comes in pieces of its own in a stream.
func callBlock(c *tools.Call, input json.RawMessage) block {
	return block{Type: "tool_use", ID: "toolu_" + strings.TrimPrefix(c.ID, "call_"), Name: c.Name, Input: input}
}

// head is an answer that says nothing yet.
func (q *request) head() message {
	return message{ID: q.id, Type: "message", Role: "assistant", Model: q.Lease.Name, Content: []block{}}
}

// whole is an answer at its end.
func (q *request) whole(r *systemgemma.Result) *message {
	x := q.head()
	calls := tools.Calls(r.Text, q.Tools, q.Choice)
	for _, c := range calls {
		x.Content = append(x.Content, callBlock(&c, c.Arguments))
	}
	if calls == nil && r.Text != "" {
		x.Content = append(x.Content, block{Type: "text", Text: &r.Text})
	}
	reason, sequence := ending(r, calls)
	x.StopReason, x.StopSequence, x.Usage, x.Extension = &reason, sequence, used(r), q.Extend(r, q.Mode())
	return &x
}

// stream sends an answer as named events: message_start; for each block content_block_start, its deltas, content_block_stop;
// message_delta, message_stop. Pings come while nothing else does.
type stream struct {
	*request
	out   *server.Stream
	index int              // of the block
	open  bool             // a block of text has begun
	plain *server.Template // of a piece of that block
}

type fields map[string]any

// send answers by a stream.
func (q *request) send(w http.ResponseWriter, r *http.Request) error {
	head := q.head()
	head.Usage.Input = len(q.IDs) // what of it was known, the end tells
	out, err := server.NewNamedEvents(w, r, server.Event{Name: "message_start", Data: fields{"type": "message_start", "message": head}},
		server.Event{Name: "ping", Data: fields{"type": "ping"}})
	if err != nil {
		return err
	}
	defer out.Close()
	s := &stream{request: q, out: out}
	return out.Failed(s.run(r), func(e *problem.Error) error { return out.SendEvent("error", failed(e, server.RequestID(r))) })
}

func (s *stream) run(r *http.Request) error {
	hold := tools.NewHold(s.Tools, s.Choice)
	for e, err := range s.Answer(r.Context(), 0) {
		if err != nil {
			return err
		}
		if err := s.text(hold.Text(e.Text)); err != nil {
			return err
		}
		if e.Result == nil {
			continue
		}
		calls, rest := hold.End()
		if err := s.text(rest); err != nil {
			return err
		}
		return s.end(e.Result, calls)
	}
	return nil
}

// event sends one event.
func (s *stream) event(kind string, f fields) error {
	f["type"] = kind
	return s.out.SendEvent(kind, f)
}

// begin, delta and stop send the events of a block.
func (s *stream) begin(b block) error {
	return s.event("content_block_start", fields{"index": s.index, "content_block": b})
}

func (s *stream) delta(f fields) error {
	return s.event("content_block_delta", fields{"index": s.index, "delta": f})
}

func (s *stream) stop() error {
	s.index++
	return s.event("content_block_stop", fields{"index": s.index - 1})
}

// text sends a piece of text, in the one block of it.
func (s *stream) text(text string) error {
	if text == "" {
		return nil
	}
	if !s.open {
		s.open = true
		if err := s.begin(block{Type: "text", Text: new("")}); err != nil {
			return err
		}
		var err error
		s.plain, err = server.NewTemplate(1, func(texts []string) any {
			return fields{"type": "content_block_delta", "index": s.index, "delta": fields{"type": "text_delta", "text": texts[0]}}
		})
		if err != nil {
			return err
		}
		s.plain.Event = "content_block_delta"
	}
	return s.out.SendText(s.plain, text)
}

// end closes the text, or sends calls, and says why the answer ended.
func (s *stream) end(r *systemgemma.Result, calls []tools.Call) error {
	if s.open {
		if err := s.stop(); err != nil {
			return err
		}
	}
	for _, c := range calls {
		if err := s.begin(callBlock(&c, json.RawMessage("{}"))); err != nil {
			return err
		}
		if err := s.delta(fields{"type": "input_json_delta", "partial_json": string(c.Arguments)}); err != nil {
			return err
		}
		if err := s.stop(); err != nil {
			return err
		}
	}
	reason, sequence := ending(r, calls)
	err := s.event("message_delta", fields{"delta": fields{"stop_reason": reason, "stop_sequence": sequence}, "usage": used(r), "systemgemma": s.Extend(r, s.Mode())})
	if err != nil {
		return err
	}
	return s.event("message_stop", fields{})
}
