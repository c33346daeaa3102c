package ollama

import (
	"encoding/json"
	"net/http"

	"github.com/systemgemma/systemgemma"
	"github.com/systemgemma/systemgemma/internal/app/server"
	"github.com/systemgemma/systemgemma/internal/app/server/option"
	"github.com/systemgemma/systemgemma/internal/app/server/problem"
	"github.com/systemgemma/systemgemma/internal/app/server/tools"
)

// maxMessages bounds a conversation; each takes several tokens, so longer ones fit into no context.
const maxMessages = 10_000

// chat answers POST /api/chat.
func (d *dialect) chat(w http.ResponseWriter, r *http.Request) error {
	f, err := server.ReadJSON(r)
	if err != nil {
		return err
	}
	list, err := readMessages(f)
	if err != nil {
		return err
	}
	offered, choice, err := tools.Read(f)
	if err != nil {
		return err
	}
	q, err := d.begin(r, f, len(list) == 0)
	if err != nil {
		return err
	}
	server.Unknown(r, f)
	p := &reply{request: q, d: d, chat: true}
	if q.Lease == nil {
		return p.state(w, "unload")
	}
	defer q.Lease.Release()
	if len(list) == 0 {
		return p.state(w, "load")
	}
	if tools.Active(offered, choice) {
		p.tools = offered
	}
	format, err := tools.Format(offered, choice)
	if err != nil {
		return err
	}
	if format != nil {
		if q.Want.Format != nil {
			return problem.Invalid("format", "want none beside a call that must come: an answer has one form")
		}
		q.Want.Format = format
	}
	messages := tools.Render(tools.Begin(q.Lease, list), offered, choice)
	o := systemgemma.ChatOptions{GenerateOptions: q.Want.GenerateOptions, SystemMode: q.Want.SystemMode, Context: q.Want.Context}
	if err := q.renders(messages); err != nil {
		return err
	}
	p.events = q.Lease.Chat(r.Context(), messages, &o)
	return p.send(w, r)
}

// renders tells what is wrong with messages before a stream begins.
func (q *request) renders(messages []systemgemma.Message) error {
	last := messages[len(messages)-1].Role
	final := last == "assistant" || last == "model"
	switch {
	case q.Want.ContinueFinal != nil && *q.Want.ContinueFinal != final:
		return problem.Unsupported("continue_final", "an assistant's message at the end is continued, and no other; want it left out")
	case q.Want.AddGenerationPrompt != nil && *q.Want.AddGenerationPrompt == final:
		return problem.Unsupported("add_generation_prompt", "the model's turn always begins, unless an assistant's message at the end is continued; want it left out")
	}
	_, err := q.Lease.Model.Render(messages, systemgemma.RenderOptions{SystemMode: q.Want.SystemMode, GenerationPrompt: true, ContinueFinal: final})
	return problem.OfModel(err)
}

// readMessages takes the messages of a chat. Images are refused by name, what a model thought before is left out as Ollama does it.
func readMessages(f *option.Fields) ([]tools.Message, error) {
	list, err := f.Objects("messages")
	if err != nil {
		return nil, err
	}
	if len(list) > maxMessages {
		return nil, f.Invalid("messages", "want at most %d messages, found %d", maxMessages, len(list))
	}
	out := make([]tools.Message, 0, len(list))
	for _, x := range list {
		m, err := readMessage(x)
		if err != nil {
			return nil, err
		}
		out = append(out, m)
	}
	return out, nil
}

func readMessage(x *option.Fields) (m tools.Message, err error) {
	if m.Role, _, err = x.Text("role"); err != nil {
		return m, err
	}
	switch m.Role {
	case "system", "developer", "user", "assistant", "model", "tool":
	default:
		return m, x.Invalid("role", "want system, user, assistant or tool, found %.40q", m.Role)
	}
	if err := noImages(x); err != nil {
		return m, err
	}
	if raw, found := x.Raw("content"); found {
		if m.Content, err = option.Content(raw, x.Name("content")); err != nil {
			return m, err
		}
	}
	for _, to := range []struct {
		name string
		text *string
	}{{"tool_name", &m.Name}, {"tool_call_id", &m.CallID}} {
		if *to.text, _, err = x.Text(to.name); err != nil {
			return m, err
		}
	}
	if _, _, err = x.Text("thinking"); err != nil {
		return m, err
	}
	m.Calls, err = readCalls(x)
	return m, err
}

func noImages(f *option.Fields) error {
	list, err := f.List("images", "a list of images")
	if err == nil && len(list) > 0 {
		err = problem.Unsupported(f.Name("images"), "want none: Gemma 2 reads text only, no images")
	}
	return err
}

func readCalls(x *option.Fields) (calls []tools.Call, err error) {
	list, err := x.Objects("tool_calls")
	if err != nil {
		return nil, err
	}
	for _, c := range list {
		id, _, err := c.Text("id")
		if err != nil {
			return nil, err
		}
		f, err := c.Object("function")
		if err != nil {
			return nil, err
		}
		if f == nil {
			return nil, c.Invalid("function", "want name and arguments, found none")
		}
		name, _, err := f.Text("name")
		if err != nil {
			return nil, err
		}
		if name == "" {
			return nil, f.Invalid("name", "want a tool's name, found none")
		}
		raw, _ := f.Raw("arguments")
		var args json.RawMessage
		if args, err = tools.ReadArguments(raw); err != nil {
			return nil, f.Invalid("arguments", "%v", err)
		}
		calls = append(calls, tools.Call{ID: id, Name: name, Arguments: args})
	}
	return calls, nil
}
