package ollama

import (
	"encoding/json"
	"net/http"
	"slices"
	"time"

	"github.com/systemgemma/systemgemma"
	"github.com/systemgemma/systemgemma/internal/app/server"
	"github.com/systemgemma/systemgemma/internal/app/server/hosted"
	"github.com/systemgemma/systemgemma/internal/app/server/pieces"
	"github.com/systemgemma/systemgemma/internal/app/server/problem"
	"github.com/systemgemma/systemgemma/internal/app/server/tools"
)

// answer is what chat and generate say, whole or a piece of it.
type answer struct {
	Model    string           `json:"model"`
	Created  string           `json:"created_at"`
	Response *string          `json:"response,omitempty"` // of generate
	Message  *message         `json:"message,omitempty"`  // of chat
	Done     bool             `json:"done"`
	Reason   string           `json:"done_reason,omitempty"`
	Context  []int32          `json:"context,omitempty"` // of generate: the conversation so far
	Logprobs []pieces.Logprob `json:"logprobs,omitempty"`
	metrics
	Extension *extension `json:"systemgemma,omitempty"`
}

// message is an answer of chat.
type message struct {
	Role    string `json:"role"`
	Content string `json:"content"`
	Calls   []call `json:"tool_calls,omitempty"`
}

// call is a call of a tool.
type call struct {
	ID       string   `json:"id,omitempty"`
	Function function `json:"function"`
}

type function struct {
	Index     *int            `json:"index,omitempty"`
	Name      string          `json:"name"`
	Arguments json.RawMessage `json:"arguments"`
}

// reply sends an answer in one of two forms: piece by piece, or whole at the end.
type reply struct {
	*request
	d      *dialect
	events hosted.Events
	chat   bool         // else generate
	tools  []tools.Tool // that may be called; nil: none
	open   bool         // the context of generate is told
}

// send answers.
func (p *reply) send(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("X-System-Mode", p.Mode())
	if !p.stream {
		return p.whole(w)
	}
	out := server.NewLines(w, r)
	defer out.Close()
	return out.Failed(p.pieces(out), func(e *problem.Error) error { return out.Send(failed(e)) })
}

// head is an answer that says nothing yet.
func (p *reply) head() *answer {
	x := &answer{Model: p.name, Created: p.at()}
	p.say(x, "")
	return x
}

// at is the time of a piece.
func (p *reply) at() string { return p.d.now().UTC().Format(time.RFC3339Nano) }

func (p *reply) say(x *answer, text string) {
	if p.chat {
		x.Message = &message{Role: "assistant", Content: text}
		return
	}
	x.Response = &text
}

// state answers a request without a prompt, which opens or closes the model.
func (p *reply) state(w http.ResponseWriter, reason string) error {
	x := p.head()
	if x.Done, x.Reason = true, reason; p.Lease != nil {
		x.Total, x.Load = p.d.now().Sub(p.start), p.Lease.Loading
	}
	return server.Reply(w, http.StatusOK, x)
}

// whole answers at the end.
func (p *reply) whole(w http.ResponseWriter) error {
	var logprobs []pieces.Logprob
	for e, err := range p.events {
		if err != nil {
			return err
		}
		if p.logprobs && e.ID >= 0 && !p.End[e.ID] {
			logprobs = append(logprobs, pieces.Of(p.Lease.Model, &e))
		}
		if e.Result == nil {
			continue
		}
		x := p.end(e.Result)
		x.Logprobs = logprobs
		if calls := tools.Parse(e.Result.Text, p.tools); p.tools != nil && calls != nil {
			x.Message.Calls = callsOf(calls)
		} else {
			p.say(x, e.Result.Text)
		}
		return server.Reply(w, http.StatusOK, x)
	}
	return nil
}

// pieces streams. The last line has no text, but all that is known at the end.
func (p *reply) pieces(out *server.Stream) error {
	hold := tools.NewHold(p.tools, tools.Choice{Mode: tools.Auto})
	var logprobs []pieces.Logprob // of tokens whose text is held back
	var plain *server.Template    // of a piece that is only text
	send := func(text string) (err error) {
		switch {
		case text == "":
			return nil
		case logprobs == nil && plain == nil:
			plain, err = server.NewTemplate(2, func(texts []string) any {
				x := &answer{Model: p.name, Created: texts[0]}
				p.say(x, texts[1])
				return x
			})
		}
		if err != nil {
			return err
		}
		if logprobs == nil {
			return out.SendText(plain, p.at(), text)
		}
		x := p.head()
		p.say(x, text)
		x.Logprobs, logprobs = logprobs, nil
		return out.Send(x)
	}
	for e, err := range p.events {
		if err != nil {
			return err
		}
		if p.logprobs && e.ID >= 0 && !p.End[e.ID] {
			logprobs = append(logprobs, pieces.Of(p.Lease.Model, &e))
		}
		if err := send(hold.Text(e.Text)); err != nil {
			return err
		}
		if e.Result == nil {
			continue
		}
		calls, rest := hold.End()
		if err := send(rest); err != nil {
			return err
		}
		if calls != nil {
			x := p.head()
			x.Message.Calls = callsOf(calls)
			x.Logprobs, logprobs = logprobs, nil
			if err := out.Send(x); err != nil {
				return err
			}
		}
		x := p.end(e.Result)
		x.Logprobs = logprobs
		return out.Send(x)
	}
	return nil
}

func callsOf(list []tools.Call) (out []call) {
	for i, c := range list {
		out = append(out, call{c.ID, function{&i, c.Name, c.Arguments}})
	}
	return out
}

// end is the last of an answer, without its text.
func (p *reply) end(r *systemgemma.Result) *answer {
	x := p.head()
	x.Done, x.Reason, x.metrics = true, reason(r), p.metrics(p.d.now(), r)
	if p.open {
		x.Context = append(slices.Clone(r.PromptIDs), r.IDs...)
	}
	x.Extension = &extension{
		SystemMode: p.Mode(), Seed: r.Seed, Ignored: p.Want.Ignored, Warnings: append(slices.Clip(p.Want.Warnings), r.Warnings...), DroppedMessages: r.DroppedMessages,
		CachedTokens: r.CachedTokens, Cut: r.Cut,
	}
	return x
}
