package openai

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/systemgemma/systemgemma"
	"github.com/systemgemma/systemgemma/internal/app/server/hosted"
	"github.com/systemgemma/systemgemma/internal/app/server/option"
	"github.com/systemgemma/systemgemma/internal/app/server/problem"
	"github.com/systemgemma/systemgemma/internal/app/server/tools"
)

// maxMessages bounds a conversation; each takes several tokens, so longer ones fit into no context.
const maxMessages = 10_000

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
	if len(list) == 0 || len(list) > maxMessages {
		return nil, f.Invalid("messages", "want 1 to %d messages, found %d", maxMessages, len(list))
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
	*prepared
	tools    []tools.Tool
	choice   tools.Choice
	messages []systemgemma.Message
}

// converse makes a conversation of what a request says: its tools, its messages, a system prompt instead of theirs.
func (d *dialect) converse(r *http.Request, f *option.Fields, prefix string, list []tools.Message) (*conversation, error) {
	c := &conversation{}
	var err error
	if c.tools, c.choice, err = tools.Read(f); err != nil {
		return nil, err
	}
	if text, found, err := f.Text("system"); err != nil {
		return nil, err
	} else if found {
		list = withSystem(list, text)
	}
	if c.prepared, err = d.prepare(r, f, prefix); err != nil {
		return nil, err
	}
	if err := c.ready(list); err != nil {
		c.lease.Release()
		return nil, err
	}
	return c, nil
}

// withSystem puts a system prompt in the place of those that begin a conversation.
func withSystem(list []tools.Message, text string) []tools.Message {
	for len(list) > 0 && (list[0].Role == "system" || list[0].Role == "developer") {
		list = list[1:]
	}
	return append([]tools.Message{{Role: "system", Content: text}}, list...)
}

func (c *conversation) ready(list []tools.Message) error {
	c.messages = tools.Render(tools.Begin(c.lease, list), c.tools, c.choice)
	format, err := tools.Format(c.tools, c.choice)
	if err != nil {
		return err
	}
	if format != nil && c.a.Format != nil {
		return problem.Invalid("tool_choice", "want no response_format beside a call that must come: an answer has one form")
	}
	if format != nil {
		c.a.Format = format
	}
	last := c.messages[len(c.messages)-1].Role
	final := last == "assistant" || last == "model"
	switch {
	case c.a.ContinueFinal != nil && *c.a.ContinueFinal && !final:
		return problem.Invalid("continue_final_message", "want an assistant's message at the end, found one of %s", last)
	case c.a.ContinueFinal != nil && !*c.a.ContinueFinal && final:
		return problem.Unsupported("continue_final_message", "an assistant's message at the end is continued; want a user's message after it")
	}
	// Rendering now tells what is wrong before a stream begins.
	if _, err := c.lease.Model.Render(c.messages, c.renderOptions(final)); err != nil {
		return problem.OfModel(err)
	}
	return nil
}

func (c *conversation) renderOptions(final bool) systemgemma.RenderOptions {
	generation := c.a.AddGenerationPrompt == nil || *c.a.AddGenerationPrompt
	return systemgemma.RenderOptions{SystemMode: c.a.SystemMode, GenerationPrompt: generation, ContinueFinal: final}
}

// answer begins answer i.
func (c *conversation) answer(r *http.Request, i int) hosted.Events {
	o := systemgemma.ChatOptions{GenerateOptions: c.options(i), SystemMode: c.a.SystemMode, Context: c.a.Context}
	if c.a.AddGenerationPrompt != nil && !*c.a.AddGenerationPrompt {
		x, err := c.lease.Model.Render(c.messages, c.renderOptions(false))
		if err != nil {
			return func(yield func(systemgemma.Event, error) bool) {
				yield(systemgemma.Event{ID: -1}, problem.OfModel(err))
			}
		}
		return c.lease.Generate(r.Context(), systemgemma.Prompt{IDs: x.IDs}, &o.GenerateOptions)
	}
	return c.lease.Chat(r.Context(), c.messages, &o)
}
