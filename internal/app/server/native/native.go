// Package native is llama.cpp's dialect and the endpoints that show what a model is and sees: tokens, prompts, scores, adapters, slots,
// and the document of all endpoints.
//
// It owns the forms of requests and answers. What options mean is package option's, who may ask and how answers are sent package
// server's.
package native

import (
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/systemgemma/systemgemma"
	"github.com/systemgemma/systemgemma/internal/app/server"
	"github.com/systemgemma/systemgemma/internal/app/server/hosted"
	"github.com/systemgemma/systemgemma/internal/app/server/option"
	"github.com/systemgemma/systemgemma/internal/app/server/problem"
	"github.com/systemgemma/systemgemma/internal/app/server/talk"
)

// Options are what the dialect needs beyond the server. The zero value is usable.
type Options struct {
	// Adapters is the folder whose LoRA adapters requests may load. "": none.
	Adapters string
}

// dialect answers for one server.
type dialect struct {
	Options
	server *server.Server
}

// New makes the dialect for a server.
func New(s *server.Server, o Options) server.Dialect {
	d := &dialect{server: s, Options: o}
	return server.Dialect{
		Name: "native", Error: server.WriteOpenAIError,
		Prefixes: []string{"/tokenize", "/detokenize", "/apply-template", "/score", "/completion", "/lora-adapters", "/slots", "/props", "/openapi.yaml"},
		Routes: []server.Route{
			{Pattern: "POST /tokenize", Handle: d.tokenize},
			{Pattern: "POST /detokenize", Handle: d.detokenize},
			{Pattern: "POST /apply-template", Handle: d.applyTemplate},
			{Pattern: "POST /v1/chat/completions/input_tokens", Handle: d.inputTokens},
			{Pattern: "POST /score", Work: true, Handle: d.score},
			{Pattern: "POST /completion", Work: true, Handle: d.complete},
			{Pattern: "POST /completions", Work: true, Handle: d.complete},
			{Pattern: "GET /lora-adapters", Handle: d.listAdapters},
			{Pattern: "POST /lora-adapters", Handle: d.scaleAdapters},
			{Pattern: "POST /lora-adapters/load", Handle: d.loadAdapter},
			{Pattern: "GET /slots", Handle: d.slots},
			{Pattern: "POST /slots/{id}", Handle: d.slotAction},
			{Pattern: "GET /props", Handle: d.props},
			{Pattern: "GET /openapi.yaml", Open: true, Handle: openAPI},
		},
	}
}

// open reads a request's body and acquires the model that it names. The lease is the caller's to release.
func (d *dialect) open(r *http.Request) (*option.Fields, *hosted.Lease, error) {
	f, err := server.ReadJSON(r)
	if err != nil {
		return nil, nil, err
	}
	name, _, err := f.Text("model")
	if err != nil {
		return nil, nil, err
	}
	lease, err := d.server.Models().Acquire(r.Context(), name, nil)
	return f, lease, err
}

// finish counts what nobody took of a request, and answers.
func finish(w http.ResponseWriter, r *http.Request, f *option.Fields, answer any) error {
	server.Unknown(r, f)
	return server.Reply(w, http.StatusOK, answer)
}

// bos is the token that prompts begin with; none: the model has none.
func bos(l *hosted.Lease) []int32 {
	ids, err := l.Model.Tokenize("<bos>", true)
	if err != nil || len(ids) != 1 {
		return nil
	}
	return ids
}

// checkIDs refuses ids that the model does not have.
func checkIDs(l *hosted.Lease, where string, ids []int32) error {
	size := l.Info.Config.VocabSize
	for i, id := range ids {
		if id < 0 || int(id) >= size {
			return problem.Invalid(where, "want token ids of this model, 0 to %d, found %d at place %d", size-1, id, i)
		}
	}
	return nil
}

// mixed reads a text, a list of ids, or a list of both as llama.cpp takes it, as ids. special reads control tokens that a text spells.
func mixed(l *hosted.Lease, where string, raw json.RawMessage, special bool) ([]int32, error) {
	var text string
	if len(raw) > 0 && raw[0] == '"' && json.Unmarshal(raw, &text) == nil {
		ids, err := l.Model.Tokenize(text, special)
		return ids, problem.OfModel(err)
	}
	var list []json.RawMessage
	if len(raw) == 0 || json.Unmarshal(raw, &list) != nil {
		return nil, problem.Invalid(where, "want a text, a list of token ids, or a list of both")
	}
	ids, texts := []int32{}, 0
	for i, x := range list {
		var id int32
		switch {
		case x[0] == '"' && json.Unmarshal(x, &text) == nil:
			more, err := l.Model.Tokenize(text, special)
			if err != nil {
				return nil, problem.OfModel(err)
			}
			ids = append(ids, more...)
			texts++
		case json.Unmarshal(x, &id) == nil && string(x) != "null":
			if err := checkIDs(l, fmt.Sprintf("%s[%d]", where, i), []int32{id}); err != nil {
				return nil, err
			}
			ids = append(ids, id)
		default:
			return nil, problem.Invalid(where, "want token ids and texts in the list, found %.40s at place %d", x, i)
		}
	}
	if texts > 1 && texts == len(list) {
		return nil, problem.Unsupported(where, "want one prompt, found a list of %d texts; /v1/completions takes several", texts)
	}
	return ids, nil
}

// withBOS puts <bos> before ids that don't begin with it.
func withBOS(l *hosted.Lease, ids []int32) []int32 {
	b := bos(l)
	if len(b) == 0 || len(ids) > 0 && ids[0] == b[0] {
		return ids
	}
	return append(b, ids...)
}

// messages reads messages of role and content. Others than texts, and calls of tools, are refused by name.
func messages(f *option.Fields) ([]systemgemma.Message, error) {
	if f.Has("tools") {
		return nil, problem.Unsupported("tools", "not rendered here; /v1/chat/completions takes them")
	}
	list, err := f.Objects("messages")
	if err != nil {
		return nil, err
	}
	if len(list) == 0 || len(list) > talk.MaxMessages {
		return nil, f.Invalid("messages", "want 1 to %d messages, found %d", talk.MaxMessages, len(list))
	}
	out := make([]systemgemma.Message, 0, len(list))
	for _, x := range list {
		m := systemgemma.Message{}
		if m.Role, _, err = x.Text("role"); err != nil {
			return nil, err
		}
		switch m.Role {
		case "system", "developer", "user", "assistant", "model":
		default:
			return nil, x.Invalid("role", "want system, developer, user or assistant, found %.40q", m.Role)
		}
		if x.Has("tool_calls") {
			return nil, problem.Unsupported(x.Name("tool_calls"), "not rendered here; /v1/chat/completions takes them")
		}
		raw, found := x.Raw("content")
		if !found {
			return nil, x.Invalid("content", "want a text or a list of parts, found none")
		}
		if m.Content, err = option.Content(raw, x.Name("content")); err != nil {
			return nil, err
		}
		out = append(out, m)
	}
	return out, nil
}

// render renders the messages of a request as a chat would: with a new turn of the model at the end, or the last one open.
func render(l *hosted.Lease, f *option.Fields) (x *systemgemma.Rendered, mode string, err error) {
	list, err := messages(f)
	if err != nil {
		return nil, "", err
	}
	q := talk.New(l)
	if err := q.Read(option.Llama, 1, f); err != nil {
		return nil, "", err
	}
	a := q.Want
	list = l.Begin(list)
	last := list[len(list)-1].Role
	final := last == "assistant" || last == "model"
	if a.ContinueFinal != nil {
		if *a.ContinueFinal && !final {
			return nil, "", problem.Invalid("continue_final_message", "want an assistant's message at the end, found one of %s", last)
		}
		final = *a.ContinueFinal
	}
	generation := a.AddGenerationPrompt == nil || *a.AddGenerationPrompt
	if a.ContinueFinal == nil && !generation {
		final = false // as a chat has it
	}
	x, err = l.Model.Render(list, systemgemma.RenderOptions{SystemMode: a.SystemMode, GenerationPrompt: generation, ContinueFinal: final})
	return x, q.Mode(), problem.OfModel(err)
}
