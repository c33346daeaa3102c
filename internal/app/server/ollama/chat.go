package ollama

import (
	"encoding/json"
	"net/http"

	"github.com/systemgemma/systemgemma/internal/app/server"
	"github.com/systemgemma/systemgemma/internal/app/server/option"
	"github.com/systemgemma/systemgemma/internal/app/server/problem"
	"github.com/systemgemma/systemgemma/internal/app/server/talk"
	"github.com/systemgemma/systemgemma/internal/app/server/tools"
)

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
	c, err := q.Converse(list, offered, choice)
	if err != nil {
		return err
	}
	p.events = c.Answer(r.Context(), 0)
	return p.send(w, r)
}

// readMessages takes the messages of a chat. Images are refused by name, what a model thought before is left out as Ollama does it.
func readMessages(f *option.Fields) ([]tools.Message, error) {
	list, err := f.Objects("messages")
	if err != nil {
		return nil, err
	}
	if len(list) > talk.MaxMessages {
		return nil, f.Invalid("messages", "want at most %d messages, found %d", talk.MaxMessages, len(list))
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
