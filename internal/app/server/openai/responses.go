package openai

import (
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/systemgemma/systemgemma"
	"github.com/systemgemma/systemgemma/internal/app/server"
	"github.com/systemgemma/systemgemma/internal/app/server/option"
	"github.com/systemgemma/systemgemma/internal/app/server/pieces"
	"github.com/systemgemma/systemgemma/internal/app/server/problem"
	"github.com/systemgemma/systemgemma/internal/app/server/talk"
	"github.com/systemgemma/systemgemma/internal/app/server/tools"
)

// response is the answer of /v1/responses.
type response struct {
	ID                string             `json:"id"`
	Object            string             `json:"object"` // response
	CreatedAt         int64              `json:"created_at"`
	Status            string             `json:"status"` // in_progress, completed, incomplete
	Error             any                `json:"error"`
	IncompleteDetails *incompleteDetails `json:"incomplete_details"`
	Instructions      *string            `json:"instructions"`
	MaxOutputTokens   *int               `json:"max_output_tokens"`
	Metadata          json.RawMessage    `json:"metadata"`
	Model             string             `json:"model"`
	Output            []item             `json:"output"`
	ParallelToolCalls bool               `json:"parallel_tool_calls"`
	PreviousID        *string            `json:"previous_response_id"`
	Store             bool               `json:"store"`
	Temperature       float64            `json:"temperature"`
	Text              json.RawMessage    `json:"text"`
	ToolChoice        json.RawMessage    `json:"tool_choice"`
	Tools             json.RawMessage    `json:"tools"`
	TopP              float64            `json:"top_p"`
	Truncation        string             `json:"truncation"`
	Usage             *responseUsage     `json:"usage"`
	Extension         *talk.Extension    `json:"systemgemma,omitempty"`
}

type incompleteDetails struct {
	Reason string `json:"reason"`
}

// item is a message or a function call of an answer.
type item struct {
	Type      string  `json:"type"` // message or function_call
	ID        string  `json:"id"`
	Status    string  `json:"status"`
	Role      string  `json:"role,omitempty"`
	Content   []part  `json:"content,omitzero"`
	CallID    string  `json:"call_id,omitempty"`
	Name      string  `json:"name,omitempty"`
	Arguments *string `json:"arguments,omitempty"` // a text of JSON
}

type part struct {
	Type        string           `json:"type"` // output_text
	Text        string           `json:"text"`
	Annotations []any            `json:"annotations"`
	Logprobs    []pieces.Logprob `json:"logprobs"`
}

type responseUsage struct {
	Input     int           `json:"input_tokens"`
	InputMore promptDetails `json:"input_tokens_details"`
	Output    int           `json:"output_tokens"`
	More      struct {
		Reasoning int `json:"reasoning_tokens"`
	} `json:"output_tokens_details"`
	Total int `json:"total_tokens"`
}

// responding is one request.
type responding struct {
	*conversation
	d        *dialect
	key      string
	x        response
	messages []tools.Message // of the conversation, instructions apart
	logprobs bool
}

// responses answers POST /v1/responses.
func (d *dialect) responses(w http.ResponseWriter, r *http.Request) error {
	f, err := server.ReadJSON(r)
	if err != nil {
		return err
	}
	stream, _, err := f.Bool("stream")
	if err != nil {
		return err
	}
	c, err := d.respond(r, f)
	if err != nil {
		return err
	}
	defer c.Lease.Release()
	server.Unknown(r, f)
	w.Header().Set("X-System-Mode", c.Mode())
	if stream {
		s := &responseStream{responding: c, out: server.NewEvents(w, r)}
		defer s.out.Close()
		return s.out.Failed(s.run(r), s.fail)
	}
	var list []pieces.Logprob
	result, err := talk.Collect(c.Answer(r.Context(), 0), func(e systemgemma.Event) {
		if c.logprobs && e.ID >= 0 && !c.End[e.ID] {
			list = append(list, logprobOf(c.Lease.Model, &e))
		}
	})
	if err != nil {
		return err
	}
	c.finish(result, c.items(result.Text, list))
	return server.Reply(w, http.StatusOK, &c.x)
}

// respond reads a request and opens its model.
func (d *dialect) respond(r *http.Request, f *option.Fields) (*responding, error) {
	c := &responding{d: d, key: server.KeyName(r)}
	c.x = response{Object: "response", Status: "in_progress", Output: []item{}, ParallelToolCalls: true, Store: true, Truncation: "disabled",
		Metadata: json.RawMessage("{}"), Text: json.RawMessage(`{"format":{"type":"text"}}`), ToolChoice: json.RawMessage(`"auto"`), Tools: json.RawMessage("[]")}
	if err := c.echo(f); err != nil {
		return nil, err
	}
	if id, found, err := f.Text("previous_response_id"); err != nil {
		return nil, err
	} else if found {
		before, err := d.store.find(id, c.key, "previous_response_id")
		if err != nil {
			return nil, err
		}
		c.x.PreviousID, c.messages = &id, append(c.messages, before.messages...)
	}
	input, err := readInput(f)
	if err != nil {
		return nil, err
	}
	c.messages = append(c.messages, input...)
	list := c.messages
	if text, found, err := f.Text("instructions"); err != nil {
		return nil, err
	} else if found {
		c.x.Instructions, list = &text, append([]tools.Message{{Role: "system", Content: text}}, list...)
	}
	format, err := textFormat(f)
	if err != nil {
		return nil, err
	}
	top, _, err := f.Int("top_logprobs", 0, maxTop)
	if err != nil {
		return nil, err
	}
	if c.logprobs, err = include(f); err != nil {
		return nil, err
	}
	conv, err := d.converse(r, f, "resp_", list)
	if err != nil {
		return nil, err
	}
	c.conversation = conv
	if err := c.settle(format, top); err != nil {
		conv.Lease.Release()
		return nil, err
	}
	return c, nil
}

// settle completes the options, and what the answer says of them.
func (c *responding) settle(format *systemgemma.Format, top int) error {
	if c.Want.Beams != nil {
		return problem.Unsupported("num_beams", "not supported here; /v1/chat/completions has beam search")
	}
	if c.Want.N != 1 || c.Want.BestOf > 1 {
		return problem.Invalid("n", "want 1: a response is one answer")
	}
	if format != nil && c.Want.Format != nil {
		return problem.Invalid("text.format", "want one form of the answer, found another beside it")
	}
	if format != nil {
		c.Want.Format = format
	}
	c.Want.TopLogprobs = top
	c.x.ID, c.x.CreatedAt, c.x.Model = c.id, c.created, c.Lease.Name
	c.x.Temperature, c.x.TopP = c.Want.Sampling.Temperature, c.Want.Sampling.TopP
	if c.x.TopP == 0 {
		c.x.TopP = 1
	}
	if c.Want.MaxTokensGiven {
		c.x.MaxOutputTokens = &c.Want.MaxTokens
		if c.Want.MaxTokens == 0 {
			return problem.Invalid("max_output_tokens", "want 1 or more, found 0")
		}
	}
	if c.Want.Context == systemgemma.ContextDropOldest {
		c.x.Truncation = "auto"
	}
	return nil
}

// echo notes fields that the answer repeats, without taking those that are read elsewhere.
func (c *responding) echo(f *option.Fields) error {
	if store, found, err := f.Bool("store"); err != nil {
		return err
	} else if found {
		c.x.Store = store
	}
	if background, _, err := f.Bool("background"); err != nil {
		return err
	} else if background {
		return problem.Unsupported("background", "not supported; want stream: true")
	}
	if raw, found := f.Raw("metadata"); found {
		c.x.Metadata = raw
	}
	for name, to := range map[string]*json.RawMessage{"text": &c.x.Text, "tool_choice": &c.x.ToolChoice, "tools": &c.x.Tools} {
		if raw, found := f.Peek(name); found {
			*to = raw
		}
	}
	return nil
}

// textFormat takes text.format; text.verbosity is a hint.
func textFormat(f *option.Fields) (*systemgemma.Format, error) {
	text, err := f.Object("text")
	if err != nil || text == nil {
		return nil, err
	}
	format, err := text.Object("format")
	if err != nil || format == nil {
		return nil, err
	}
	return option.ResponseFormat(format)
}

// include takes the list of what the answer should have besides.
func include(f *option.Fields) (logprobs bool, err error) {
	list, _, err := f.Texts("include", 16, 100)
	for _, s := range list {
		if s != "message.output_text.logprobs" && s != "reasoning.encrypted_content" {
			return false, problem.Unsupported("include", "want message.output_text.logprobs, found %.60q", s)
		}
		logprobs = logprobs || s == "message.output_text.logprobs"
	}
	return logprobs, err
}

// readInput takes input: a text, which is the user's, or a list of messages, calls and their results.
func readInput(f *option.Fields) ([]tools.Message, error) {
	raw, found := f.Raw("input")
	if !found {
		return nil, f.Invalid("input", "want a text or a list of items, found none")
	}
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return []tools.Message{{Role: "user", Content: text}}, nil
	}
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) != nil || len(list) == 0 || len(list) > talk.MaxMessages {
		return nil, f.Invalid("input", "want a text, or a list of 1 to %d items", talk.MaxMessages)
	}
	var out []tools.Message
	for i, x := range list {
		m, err := readItem(x, fmt.Sprintf("input[%d]", i))
		if err != nil {
			return nil, err
		}
		if n := len(out); n > 0 && len(m.Calls) > 0 && len(out[n-1].Calls) > 0 {
			out[n-1].Calls = append(out[n-1].Calls, m.Calls...) // calls of one answer
			continue
		}
		if m.Role != "" {
			out = append(out, m)
		}
	}
	if len(out) == 0 {
		return nil, f.Invalid("input", "want at least one message")
	}
	return out, nil
}

// readItem reads one item; the role of what is no part of the prompt is empty.
func readItem(raw json.RawMessage, where string) (m tools.Message, err error) {
	var x struct {
		Type, Name, Arguments string
		CallID                string `json:"call_id"`
		Output                json.RawMessage
	}
	if err := json.Unmarshal(raw, &x); err != nil {
		return m, problem.Invalid(where, "want an object%s", typeOf(err))
	}
	switch x.Type {
	case "", "message":
		return readMessage(raw, where)
	case "function_call":
		call, err := readCall(x.CallID, x.Name, json.RawMessage(x.Arguments), where)
		return tools.Message{Role: "assistant", Calls: []tools.Call{call}}, err
	case "function_call_output":
		if len(x.Output) == 0 || string(x.Output) == "null" {
			return m, problem.Invalid(where+".output", "want a text, found none")
		}
		text, err := option.Content(x.Output, where+".output")
		return tools.Message{Role: "tool", CallID: x.CallID, Content: text}, err
	case "reasoning":
		return m, nil // Gemma 2 has none, and needs none of others
	}
	return m, problem.Unsupported(where+".type", "want message, function_call or function_call_output, found %.40q", x.Type)
}

// items are what an answer consists of.
func (c *responding) items(text string, logprobs []pieces.Logprob) []item {
	if calls := tools.Calls(text, c.Tools, c.Choice); calls != nil {
		return callItems(calls)
	}
	return []item{c.message(text, logprobs)}
}

func callItems(calls []tools.Call) (list []item) {
	for _, x := range calls {
		list = append(list, item{Type: "function_call", ID: "fc_" + x.ID, Status: "completed", CallID: x.ID, Name: x.Name, Arguments: new(string(x.Arguments))})
	}
	return list
}

func (c *responding) message(text string, logprobs []pieces.Logprob) item {
	return item{Type: "message", ID: "msg_" + c.id[len("resp_"):], Status: "completed", Role: "assistant", Content: []part{newPart(text, logprobs)}}
}

func newPart(text string, logprobs []pieces.Logprob) part {
	return part{Type: "output_text", Text: text, Annotations: []any{}, Logprobs: append([]pieces.Logprob{}, logprobs...)}
}

// finish completes the response, and remembers it.
func (c *responding) finish(r *systemgemma.Result, output []item) {
	c.x.Output, c.x.Status = output, "completed"
	if r.FinishReason == systemgemma.FinishLength {
		c.x.Status, c.x.IncompleteDetails = "incomplete", &incompleteDetails{"max_output_tokens"}
		for i := range output {
			output[i].Status = "incomplete"
		}
	}
	c.x.Usage = &responseUsage{Input: len(r.PromptIDs), InputMore: promptDetails{r.CachedTokens}, Output: len(r.IDs), Total: len(r.PromptIDs) + len(r.IDs)}
	c.x.Extension = c.Extend(r, c.Mode())
	if !c.x.Store {
		return
	}
	body, err := server.Marshal(&c.x)
	if err != nil {
		return // it can't be sent either, which tells
	}
	said := tools.Message{Role: "assistant"}
	for _, x := range output {
		if x.Type == "function_call" {
			said.Calls = append(said.Calls, tools.Call{ID: x.CallID, Name: x.Name, Arguments: json.RawMessage(*x.Arguments)})
			continue
		}
		said.Content += x.Content[0].Text
	}
	c.d.store.add(c.id, &stored{key: c.key, body: body, messages: append(c.messages[:len(c.messages):len(c.messages)], said)})
}

// getResponse answers GET /v1/responses/{id}.
func (d *dialect) getResponse(w http.ResponseWriter, r *http.Request) error {
	x, err := d.store.find(r.PathValue("id"), server.KeyName(r), "")
	if err != nil {
		return err
	}
	return server.Reply(w, http.StatusOK, x.body)
}

// deleteResponse answers DELETE /v1/responses/{id}.
func (d *dialect) deleteResponse(w http.ResponseWriter, r *http.Request) error {
	id := r.PathValue("id")
	if err := d.store.delete(id, server.KeyName(r)); err != nil {
		return err
	}
	return server.Reply(w, http.StatusOK, map[string]any{"id": id, "object": "response", "deleted": true})
}

// inputTokens answers POST /v1/responses/input_tokens: what a request's prompt would be, without running it.
func (d *dialect) inputTokens(w http.ResponseWriter, r *http.Request) error {
	f, err := server.ReadJSON(r)
	if err != nil {
		return err
	}
	c, err := d.respond(r, f)
	if err != nil {
		return err
	}
	defer c.Lease.Release()
	return server.Reply(w, http.StatusOK, map[string]any{"object": "response.input_tokens", "input_tokens": len(c.IDs)})
}
