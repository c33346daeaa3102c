// Package tools is how Gemma 2 is offered tools, which it was not trained with: a convention, in this one place, for all dialects.
//
// The list of tools goes into the system text: a line "Tools:", one JSON object a line (name, description, parameters), and a sentence
// that says how to call. A call is an answer that is only {"tool_calls": [{"name": ..., "arguments": {...}}]}; where a call is asked
// for, a grammar enforces it. An assistant's turn with calls is rendered as that JSON, a result as the user's turn
// "Tool result (name): " and its content. Ids of calls are the server's and never rendered.
//
// It must not know dialects' forms of answers, nor how they are sent.
package tools

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/systemgemma/systemgemma"
	"github.com/systemgemma/systemgemma/internal/app/server/hosted"
)

// Tool is one that a model may call.
type Tool struct {
	Name        string          `json:"name"`
	Description string          `json:"description,omitempty"`
	Parameters  json.RawMessage `json:"parameters,omitempty"` // a JSON schema of the arguments
}

// Call is a call of a tool.
type Call struct {
	ID        string // of the server, or the client
	Name      string
	Arguments json.RawMessage // a JSON object, compact
}

// Mode says whether tools may be called.
type Mode string

const (
	None     Mode = "none"
	Auto     Mode = "auto"
	Required Mode = "required" // at least one call
	Named    Mode = "named"    // a call of Choice.Name
)

// Choice is what a request wants to be called.
type Choice struct {
	Mode     Mode
	Name     string
	Parallel bool // more than one call in an answer
}

// Active says whether an answer may have calls.
func Active(all []Tool, c Choice) bool { return len(all) > 0 && c.Mode != None }

// Block is the text that offers tools.
func Block(all []Tool) string {
	var b strings.Builder
	b.WriteString("Tools:\n")
	for _, t := range all {
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false)
		_ = e.Encode(t) // texts, and JSON that was read
	}
	b.WriteString(`To call tools, answer with only {"tool_calls": [{"name": ..., "arguments": {...}}]}.`)
	return b.String()
}

// Message is a message of a conversation with tools.
type Message struct {
	Role    string // also tool, and function for the same
	Content string
	Calls   []Call // of an assistant
	CallID  string // of a tool's result: which call, or
	Name    string // which tool
}

// Begin puts what a model carries before a conversation.
func Begin(l *hosted.Lease, list []Message) []Message {
	return hosted.Begin(l, list, func(m *Message) (role, content string) { return m.Role, m.Content }, func(m systemgemma.Message) Message { return Message{Role: m.Role, Content: m.Content} })
}

// Render makes of them what the library renders: with the tools, if they may be called, in the first system text.
func Render(list []Message, all []Tool, c Choice) []systemgemma.Message {
	names := map[string]string{} // of calls, by id
	out := make([]systemgemma.Message, 0, len(list)+1)
	system := -1
	for _, m := range list {
		switch m.Role {
		case "tool", "function":
			name := m.Name
			if name == "" {
				name = names[m.CallID]
			}
			if name != "" {
				name = " (" + name + ")"
			}
			out = append(out, systemgemma.Message{Role: "user", Content: "Tool result" + name + ": " + m.Content})
			continue
		case "system", "developer":
			if system < 0 {
				system = len(out)
			}
		}
		content := m.Content
		if len(m.Calls) > 0 {
			for _, x := range m.Calls {
				names[x.ID] = x.Name
			}
			if content != "" {
				content += "\n"
			}
			content += text(m.Calls)
		}
		out = append(out, systemgemma.Message{Role: m.Role, Content: content})
	}
	switch {
	case !Active(all, c):
	case system == 0:
		out[0].Content = strings.TrimSuffix(out[0].Content, "\n") + "\n\n" + Block(all)
	default: // none, or one amid the conversation
		out = slices.Insert(out, 0, systemgemma.Message{Role: "system", Content: Block(all)})
	}
	return out
}

type call struct {
	Name      string          `json:"name"`
	Arguments json.RawMessage `json:"arguments"`
}

type calls struct {
	Calls []call `json:"tool_calls"`
}

// text is calls as the model writes them.
func text(list []Call) string {
	var x calls
	for _, c := range list {
		if c.Arguments == nil {
			c.Arguments = json.RawMessage("{}")
		}
		x.Calls = append(x.Calls, call{c.Name, c.Arguments})
	}
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(x) // texts, and JSON that was read
	return strings.TrimSuffix(b.String(), "\n")
}
