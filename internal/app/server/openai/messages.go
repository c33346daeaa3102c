package openai

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/systemgemma/systemgemma/internal/app/server/option"
	"github.com/systemgemma/systemgemma/internal/app/server/problem"
	"github.com/systemgemma/systemgemma/internal/app/server/talk"
	"github.com/systemgemma/systemgemma/internal/app/server/tools"
)

// message is one of chat completions as clients send it.
type message struct {
	Role      string          `json:"role"`
	Content   json.RawMessage `json:"content"`
	Name      *string         `json:"name"`
	Refusal   *string         `json:"refusal"`
	CallID    *string         `json:"tool_call_id"`
	ToolCalls []struct {
		ID       string `json:"id"`
		Function struct {
			Name      string          `json:"name"`
			Arguments json.RawMessage `json:"arguments"`
		} `json:"function"`
	} `json:"tool_calls"`
}

// readMessages takes the messages of a chat.
func readMessages(f *option.Fields) ([]tools.Message, error) {
	list, err := f.List("messages", "a list of messages")
	if err != nil {
		return nil, err
	}
	if len(list) == 0 || len(list) > talk.MaxMessages {
		return nil, f.Invalid("messages", "want 1 to %d messages, found %d", talk.MaxMessages, len(list))
	}
	out := make([]tools.Message, 0, len(list))
	for i, raw := range list {
		m, err := readMessage(raw, fmt.Sprintf("messages[%d]", i))
		if err != nil {
			return nil, err
		}
		out = append(out, m)
	}
	return out, nil
}

func readMessage(raw json.RawMessage, where string) (m tools.Message, err error) {
	var x message
	if err := json.Unmarshal(raw, &x); err != nil || len(raw) == 0 || raw[0] != '{' {
		return m, problem.Invalid(where, "want an object with role and content%s", typeOf(err))
	}
	switch x.Role {
	case "system", "developer", "user", "assistant", "model", "tool", "function":
	default:
		return m, problem.Invalid(where+".role", "want system, developer, user, assistant or tool, found %.40q", x.Role)
	}
	m.Role = x.Role
	switch {
	case x.Content != nil && string(x.Content) != "null":
		if m.Content, err = option.Content(x.Content, where+".content"); err != nil {
			return m, err
		}
	case x.Refusal != nil:
		m.Content = *x.Refusal
	case x.Role != "assistant" && x.Role != "model":
		return m, problem.Invalid(where+".content", "want a text or a list of parts, found none")
	}
	if x.Name != nil && m.Role != "user" && m.Role != "system" {
		m.Name = *x.Name
	}
	if x.CallID != nil {
		m.CallID = *x.CallID
	}
	for i, c := range x.ToolCalls {
		call, err := readCall(c.ID, c.Function.Name, c.Function.Arguments, fmt.Sprintf("%s.tool_calls[%d].function", where, i))
		if err != nil {
			return m, err
		}
		m.Calls = append(m.Calls, call)
	}
	return m, nil
}

func readCall(id, name string, arguments json.RawMessage, where string) (tools.Call, error) {
	if name == "" {
		return tools.Call{}, problem.Invalid(where+".name", "want a tool's name, found none")
	}
	args, err := tools.ReadArguments(arguments)
	if err != nil {
		return tools.Call{}, problem.Invalid(where+".arguments", "%v", err)
	}
	return tools.Call{ID: id, Name: name, Arguments: args}, nil
}

// typeOf says which part of a value has the wrong type.
func typeOf(err error) string {
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) && wrong.Field != "" {
		return fmt.Sprintf("; %s can't be a %s", wrong.Field, wrong.Value)
	}
	return ""
}

// conversation is a chat that is ready to be answered.
type conversation struct {
	*talk.Conversation
	identity
}

// converse makes a conversation of what a request says: its tools, its messages, a system prompt instead of theirs.
func (d *dialect) converse(r *http.Request, f *option.Fields, prefix string, list []tools.Message) (*conversation, error) {
	all, choice, err := tools.Read(f)
	if err != nil {
		return nil, err
	}
	if text, found, err := f.Text("system"); err != nil {
		return nil, err
	} else if found {
		list = withSystem(list, text)
	}
	p, err := d.prepare(r, f, prefix)
	if err != nil {
		return nil, err
	}
	c, err := p.Converse(list, all, choice)
	if err != nil {
		p.Lease.Release()
		return nil, err
	}
	return &conversation{c, p.identity}, nil
}

// withSystem puts a system prompt in the place of those that begin a conversation.
func withSystem(list []tools.Message, text string) []tools.Message {
	for len(list) > 0 && (list[0].Role == "system" || list[0].Role == "developer") {
		list = list[1:]
	}
	return append([]tools.Message{{Role: "system", Content: text}}, list...)
}
