// Package tools is how Gemma 2 is offered tools, which it was not trained with: a convention, in this one place, for all dialects.
//
// The list of tools goes into the system text: a line "Tools:", one JSON object a line (name, description, parameters), and a sentence
// that says how to call. A call is an answer that is only {"tool_calls": [{"name": ..., "arguments": {...}}]}; where a call is asked
// for, a grammar enforces it. An assistant's turn with calls is rendered as that JSON, a result as the user's turn
// "Tool result (name): " and its content. Ids of calls are the server's and never rendered.
//
// It must not know dialects' forms of answers, nor streams.
package tools

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/systemgemma/systemgemma"
	"github.com/systemgemma/systemgemma/internal/app/server/hosted"
	"github.com/systemgemma/systemgemma/internal/app/server/option"
	"github.com/systemgemma/systemgemma/internal/app/server/problem"
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

// Bounds of what requests may offer.
const (
	maxTools = 128
	maxCalls = 16 // of one answer
	maxName  = 64
)

// Read takes tools, tool_choice and parallel_tool_calls from a request: a list of {"type": "function", "function": {...}}, or as
// OpenAI's responses have it, of {"type": "function", "name": ...}.
func Read(f *option.Fields) ([]Tool, Choice, error) {
	c := Choice{Mode: Auto, Parallel: true}
	list, err := f.Objects("tools")
	if err != nil {
		return nil, c, err
	}
	if len(list) > maxTools {
		return nil, c, f.Invalid("tools", "want at most %d, found %d", maxTools, len(list))
	}
	var all []Tool
	for _, x := range list {
		t, err := readTool(x)
		if err != nil {
			return nil, c, err
		}
		if slices.ContainsFunc(all, func(o Tool) bool { return o.Name == t.Name }) {
			return nil, c, x.Invalid("name", "want names that differ, found %q twice", t.Name)
		}
		all = append(all, t)
	}
	if parallel, found, err := f.Bool("parallel_tool_calls"); err != nil {
		return nil, c, err
	} else if found {
		c.Parallel = parallel
	}
	return all, c, c.read(f, all)
}

func readTool(x *option.Fields) (t Tool, err error) {
	kind, found, err := x.Text("type")
	if err != nil {
		return t, err
	}
	if found && kind != "function" {
		return t, problem.Unsupported(x.Name("type"), "want function, found %.40q: this server runs no tools of its own", kind)
	}
	inner, err := x.Object("function")
	if err != nil {
		return t, err
	}
	if inner == nil {
		inner = x
	}
	if t.Name, _, err = inner.Text("name"); err != nil {
		return t, err
	}
	if !validName(t.Name) {
		return t, inner.Invalid("name", "want 1 to %d letters, digits, and . _ -, found %.80q", maxName, t.Name)
	}
	if t.Description, _, err = inner.Text("description"); err != nil {
		return t, err
	}
	raw, found := inner.Raw("parameters")
	if !found {
		return t, nil
	}
	var b bytes.Buffer
	if raw[0] != '{' || json.Compact(&b, raw) != nil {
		return t, inner.Invalid("parameters", "want a JSON schema, which is an object")
	}
	t.Parameters = b.Bytes()
	return t, nil
}

func validName(s string) bool {
	return s != "" && len(s) <= maxName && !strings.ContainsFunc(s, func(r rune) bool {
		return r != '_' && r != '-' && r != '.' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	})
}

// read takes tool_choice: none, auto, required, or {"type": "function", "function": {"name": ...}}.
func (c *Choice) read(f *option.Fields, all []Tool) error {
	raw, found := f.Raw("tool_choice")
	if !found {
		return nil
	}
	var mode string
	if json.Unmarshal(raw, &mode) == nil {
		if c.Mode = Mode(mode); c.Mode != None && c.Mode != Auto && c.Mode != Required {
			return f.Invalid("tool_choice", "want none, auto, required or a function, found %.40q", mode)
		}
	} else {
		x, err := option.Of(raw, f.Name("tool_choice"))
		if err != nil {
			return err
		}
		inner, err := x.Object("function")
		if err != nil {
			return err
		}
		if inner == nil {
			inner = x
		}
		c.Mode = Named
		if c.Name, _, err = inner.Text("name"); err != nil {
			return err
		}
		if !slices.ContainsFunc(all, func(t Tool) bool { return t.Name == c.Name }) {
			return inner.Invalid("name", "want the name of one of tools, found %.80q", c.Name)
		}
	}
	if len(all) == 0 && (c.Mode == Required || c.Mode == Named) {
		return f.Invalid("tool_choice", "want tools beside it, found none")
	}
	return nil
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

// Parse reads an answer that is only calls of some of the tools; nil: it is something else, a text.
func Parse(answer string, all []Tool) []Call {
	answer = unfenced(answer)
	var x calls
	d := json.NewDecoder(strings.NewReader(answer))
	if d.Decode(&x) != nil || len(x.Calls) == 0 || len(x.Calls) > maxCalls || strings.TrimSpace(answer[d.InputOffset():]) != "" {
		return nil
	}
	var list []Call
	for _, c := range x.Calls {
		if !slices.ContainsFunc(all, func(t Tool) bool { return t.Name == c.Name }) {
			return nil
		}
		args, err := ReadArguments(c.Arguments)
		if err != nil {
			return nil
		}
		list = append(list, Call{NewID(), c.Name, args})
	}
	return list
}

// NewID is a name for a call.
func NewID() string { return "call_" + rand.Text() }

// ReadArguments is arguments as an object, compact: of an object, or of a text that holds one; none is an empty one.
func ReadArguments(raw json.RawMessage) (json.RawMessage, error) {
	raw = bytes.TrimSpace(raw)
	var s string
	if len(raw) > 0 && raw[0] == '"' && json.Unmarshal(raw, &s) == nil {
		raw = bytes.TrimSpace([]byte(s))
	}
	if len(raw) == 0 || string(raw) == "null" {
		return json.RawMessage("{}"), nil
	}
	var b bytes.Buffer
	if raw[0] != '{' || json.Compact(&b, raw) != nil {
		return nil, fmt.Errorf("want arguments that are a JSON object, found %.60s", raw)
	}
	return b.Bytes(), nil
}

// unfenced takes an answer out of a Markdown fence, which models like to put around JSON.
func unfenced(s string) string {
	s = strings.TrimSpace(s)
	rest, ok := strings.CutPrefix(s, "```")
	if !ok || !strings.HasSuffix(rest, "```") {
		return s
	}
	rest = strings.TrimPrefix(strings.TrimSuffix(rest, "```"), "json")
	return strings.TrimSpace(rest)
}

// opening is how calls begin, without white space.
const opening = `{"tool_calls":`

// MayBeCalls says whether a text that begins so may still become calls, so that a stream must hold it back.
func MayBeCalls(begin string) bool {
	begin = strings.TrimLeft(begin, " \t\r\n")
	for _, fence := range []string{"```json", "```"} {
		if strings.HasPrefix(fence, begin) {
			return true
		}
		if rest, ok := strings.CutPrefix(begin, fence); ok {
			begin = rest
			break
		}
	}
	i := 0
	for _, c := range []byte(begin) {
		switch {
		case i == len(opening):
			return true
		case c == opening[i]:
			i++
		case c == ' ' || c == '\n' || c == '\t' || c == '\r':
			if i > 2 && i < len(opening)-1 {
				return false // inside the name
			}
		default:
			return false
		}
	}
	return true
}
