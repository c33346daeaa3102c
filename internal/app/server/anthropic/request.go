package anthropic

import (
	"crypto/rand"
	"encoding/json"
	"net/http"
	"slices"

	"github.com/systemgemma/systemgemma"
	"github.com/systemgemma/systemgemma/internal/app/server/option"
	"github.com/systemgemma/systemgemma/internal/app/server/problem"
	"github.com/systemgemma/systemgemma/internal/app/server/talk"
	"github.com/systemgemma/systemgemma/internal/app/server/tools"
)

// request is one that is ready to be answered.
type request struct {
	*talk.Conversation
	id     string
	stream bool
}

// reader reads what only this dialect has.
type reader struct {
	messages []tools.Message
	tools    []tools.Tool
	choice   tools.Choice
	format   *systemgemma.Format // nil: free text
	hints    []string            // that were found
}

// read reads a request and opens its model. The lease is the caller's to release.
func (d *dialect) read(r *http.Request, f *option.Fields) (*request, error) {
	q := &request{id: "msg_" + rand.Text()}
	var err error
	if q.stream, _, err = f.Bool("stream"); err != nil {
		return nil, err
	}
	x := &reader{}
	if err := x.read(f); err != nil {
		return nil, err
	}
	t, err := talk.Open(r.Context(), d.server.Models(), f, option.OpenAI, 1)
	if err != nil {
		return nil, err
	}
	if q.Conversation, err = x.converse(t); err != nil {
		t.Lease.Release()
		return nil, err
	}
	return q, nil
}

func (x *reader) converse(t *talk.Request) (*talk.Conversation, error) {
	t.Want.Ignored = append(t.Want.Ignored, x.hints...)
	if x.format != nil {
		if t.Want.Format != nil {
			return nil, problem.Invalid("output_config.format", "want one form of the answer, found another beside it")
		}
		t.Want.Format = x.format
	}
	return t.Converse(x.messages, x.tools, x.choice)
}

func (x *reader) read(f *option.Fields) (err error) {
	if x.messages, err = x.conversation(f); err != nil {
		return err
	}
	if f.Has("system") {
		system, err := x.text(f, "system")
		if err != nil {
			return err
		}
		if system != "" { // else it says nothing, and the model's own counts
			x.messages = slices.Insert(x.messages, 0, tools.Message{Role: "system", Content: system})
		}
	}
	if err := x.offers(f); err != nil {
		return err
	}
	if err := x.outputFormat(f); err != nil {
		return err
	}
	for _, name := range []string{"cache_control", "inference_geo", "speed", "anthropic_version", "anthropic_beta", "betas"} {
		x.hint(f, name)
	}
	return x.refuse(f)
}

// hint takes a member that changes nothing here.
func (x *reader) hint(f *option.Fields, name string) {
	if _, found := f.Raw(name); found && !slices.Contains(x.hints, name) {
		x.hints = append(x.hints, name)
	}
}

// refuse refuses what can't be honoured, but for values that ask for nothing.
func (x *reader) refuse(f *option.Fields) error {
	thinking, err := f.Object("thinking")
	if err != nil {
		return err
	}
	if thinking != nil {
		kind, _, err := thinking.Text("type")
		if err != nil {
			return err
		}
		if kind != "disabled" {
			return problem.Unsupported("thinking", "Gemma 2 does not support thinking; want none, or type disabled, found %.40q", kind)
		}
		x.hints = append(x.hints, "thinking")
	}
	for _, o := range []struct{ name, harmless, why string }{
		{"mcp_servers", "[]", "this server asks no others; want tools"}, {"container", "", "this server runs no tools of its own; want tools"},
		{"context_management", "", "not supported; want context_overflow"}, {"logprobs", "false", "not told here; /v1/chat/completions does"},
		{"top_logprobs", "0", "not told here; /v1/chat/completions does"},
	} {
		if raw, found := f.Raw(o.name); found && string(raw) != o.harmless {
			return problem.Unsupported(o.name, "%s", o.why)
		}
	}
	return nil
}

// outputFormat takes the form of the answer, from output_config or by its older name.
func (x *reader) outputFormat(f *option.Fields) error {
	old, err := f.Object("output_format")
	if err != nil {
		return err
	}
	config, err := f.Object("output_config")
	if err != nil {
		return err
	}
	form := old
	if config != nil {
		x.hint(config, "effort")
		if form, err = config.Object("format"); err != nil {
			return err
		}
		if form != nil && old != nil {
			return config.Invalid("format", "want one form of the answer, found output_format beside it")
		}
		if form == nil {
			form = old
		}
	}
	if form != nil {
		x.format, err = option.ResponseFormat(form)
	}
	return err
}

// offers takes tools and tool_choice. Tools that Anthropic defines, or runs, are refused by name.
func (x *reader) offers(f *option.Fields) (err error) {
	x.choice = tools.Choice{Mode: tools.Auto, Parallel: true}
	x.tools, err = tools.Offer(f, func(t *option.Fields) (tools.Tool, error) {
		kind, found, err := t.Text("type")
		if err != nil {
			return tools.Tool{}, err
		}
		if found && kind != "custom" {
			return tools.Tool{}, problem.Unsupported(t.Name("type"), "want custom, found %.40q: this server runs no tools, and knows those only that a request defines", kind)
		}
		x.hint(t, "cache_control")
		return tools.Define(t, "input_schema")
	})
	if err != nil {
		return err
	}
	o, err := f.Object("tool_choice")
	if err != nil || o == nil {
		return err
	}
	kind, _, err := o.Text("type")
	if err != nil {
		return err
	}
	where := f.Name("tool_choice")
	switch kind {
	case "auto":
	case "any":
		x.choice.Mode = tools.Required
	case "none":
		x.choice.Mode = tools.None
	case "tool":
		x.choice.Mode, where = tools.Named, o.Name("name")
		if x.choice.Name, _, err = o.Text("name"); err != nil {
			return err
		}
	default:
		return o.Invalid("type", "want auto, any, tool or none, found %.40q", kind)
	}
	one, _, err := o.Bool("disable_parallel_tool_use")
	if err != nil {
		return err
	}
	x.choice.Parallel = !one
	return x.choice.Check(x.tools, where)
}

// conversation takes the messages.
func (x *reader) conversation(f *option.Fields) ([]tools.Message, error) {
	list, err := f.Objects("messages")
	if err != nil {
		return nil, err
	}
	if len(list) == 0 || len(list) > talk.MaxMessages {
		return nil, f.Invalid("messages", "want 1 to %d messages, found %d", talk.MaxMessages, len(list))
	}
	var all []tools.Message
	for _, m := range list {
		if all, err = x.turn(all, m); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// turn adds a message: its text and calls, and each result of a call as a message of its own.
func (x *reader) turn(all []tools.Message, m *option.Fields) ([]tools.Message, error) {
	role, _, err := m.Text("role")
	if err != nil {
		return nil, err
	}
	if role != "user" && role != "assistant" {
		return nil, m.Invalid("role", "want user or assistant, found %.40q; a system prompt stands in system, beside messages", role)
	}
	blocks, err := content(m, "content")
	if err != nil {
		return nil, err
	}
	if len(blocks) == 0 {
		return nil, m.Invalid("content", "want at least one block, found none")
	}
	begun := false // a message that text and calls are added to
	for _, b := range blocks {
		kind, _, err := b.Text("type")
		if err != nil {
			return nil, err
		}
		x.hint(b, "cache_control")
		if kind == "tool_result" && role == "user" {
			result, err := x.result(b)
			if err != nil {
				return nil, err
			}
			all, begun = append(all, result), false
			continue
		}
		if !begun {
			all, begun = append(all, tools.Message{Role: role}), true
		}
		if err := part(&all[len(all)-1], kind, b); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// part adds a block of text, or a call, to a message.
func part(m *tools.Message, kind string, b *option.Fields) error {
	switch {
	case kind == "text":
		text, err := blockText(b)
		m.Content += text
		return err
	case kind == "tool_use" && m.Role == "assistant":
		c, err := call(b)
		m.Calls = append(m.Calls, c)
		return err
	}
	return problem.Unsupported(b.Name("type"), "want text, tool_use of an assistant or tool_result of a user, found %.40q: Gemma 2 reads text only, no images or documents, and does not think", kind)
}

// call reads a call of a tool.
func call(b *option.Fields) (c tools.Call, err error) {
	if c.ID, _, err = b.Text("id"); err != nil {
		return c, err
	}
	if c.Name, _, err = b.Text("name"); err != nil {
		return c, err
	}
	if c.ID == "" || c.Name == "" {
		return c, b.Invalid("name", "want a call's id and the name of its tool, found none")
	}
	raw, _ := b.Raw("input")
	if c.Arguments, err = tools.ReadArguments(raw); err != nil {
		return c, b.Invalid("input", "%v", err)
	}
	return c, nil
}

// result reads what a call gave.
func (x *reader) result(b *option.Fields) (m tools.Message, err error) {
	m.Role = "tool"
	if m.CallID, _, err = b.Text("tool_use_id"); err != nil {
		return m, err
	}
	if m.CallID == "" {
		return m, b.Invalid("tool_use_id", "want the id of the call, found none")
	}
	if b.Has("content") {
		if m.Content, err = x.text(b, "content"); err != nil {
			return m, err
		}
	}
	failed, _, err := b.Bool("is_error")
	if failed {
		m.Content = "error: " + m.Content
	}
	return m, err
}

// text is a member that is a text, or blocks of text, joined.
func (x *reader) text(f *option.Fields, name string) (all string, err error) {
	blocks, err := content(f, name)
	if err != nil {
		return "", err
	}
	for _, b := range blocks {
		kind, _, err := b.Text("type")
		if err != nil {
			return "", err
		}
		if kind != "text" {
			return "", problem.Unsupported(b.Name("type"), "want text, found %.40q: Gemma 2 reads text only, no images or documents", kind)
		}
		x.hint(b, "cache_control")
		text, err := blockText(b)
		if err != nil {
			return "", err
		}
		all += text
	}
	return all, nil
}

func blockText(b *option.Fields) (string, error) {
	text, found, err := b.Text("text")
	if err == nil && !found {
		err = b.Invalid("text", "want a text, found none")
	}
	return text, err
}

// content takes a member that is a list of blocks; a text is short for one block of it.
func content(f *option.Fields, name string) ([]*option.Fields, error) {
	raw, found := f.Peek(name)
	switch {
	case !found:
		return nil, f.Invalid(name, "want a text or a list of blocks, found none")
	case raw[0] == '[':
		return f.Objects(name)
	case raw[0] != '"':
		return nil, f.Invalid(name, "want a text or a list of blocks, found %.40s", raw)
	}
	f.Raw(name)
	block, err := json.Marshal(map[string]any{"type": "text", "text": raw})
	if err != nil {
		return nil, err
	}
	one, err := option.Of(block, f.Name(name))
	return []*option.Fields{one}, err
}
