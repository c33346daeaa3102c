package native

import (
	"encoding/json"
	"net/http"
	"unicode/utf8"

	"github.com/systemgemma/systemgemma/internal/app/server"
	"github.com/systemgemma/systemgemma/internal/app/server/hosted"
	"github.com/systemgemma/systemgemma/internal/app/server/option"
	"github.com/systemgemma/systemgemma/internal/app/server/pieces"
	"github.com/systemgemma/systemgemma/internal/app/server/problem"
)

// tokenize answers POST /tokenize: llama.cpp's form has content, vLLM's has prompt or messages.
func (d *dialect) tokenize(w http.ResponseWriter, r *http.Request) error {
	f, lease, err := d.open(r)
	if err != nil {
		return err
	}
	defer lease.Release()
	var x any
	switch {
	case f.Has("content") && !f.Has("prompt") && !f.Has("messages"):
		x, err = tokenizeLlama(lease, f)
	case !f.Has("content") && f.Has("prompt") != f.Has("messages"):
		x, err = tokenizeVLLM(lease, f)
	default:
		err = f.Invalid("", "want exactly one of content, prompt and messages")
	}
	if err != nil {
		return err
	}
	return finish(w, r, f, x)
}

// pieceOf is a token and its text; a list of its bytes where they are no UTF-8.
type pieceOf struct {
	ID    int32 `json:"id"`
	Piece any   `json:"piece"`
}

func tokenizeLlama(l *hosted.Lease, f *option.Fields) (any, error) {
	addSpecial, _, err := f.Bool("add_special")
	if err != nil {
		return nil, err
	}
	special, given, err := f.Bool("parse_special")
	if err != nil {
		return nil, err
	}
	withPieces, _, err := f.Bool("with_pieces")
	if err != nil {
		return nil, err
	}
	raw, _ := f.Raw("content")
	ids, err := mixed(l, "content", raw, special || !given)
	if err != nil {
		return nil, err
	}
	if addSpecial {
		ids = withBOS(l, ids)
	}
	if !withPieces {
		return map[string]any{"tokens": ids}, nil
	}
	list := make([]pieceOf, 0, len(ids))
	for _, id := range ids {
		list = append(list, pieceOf{id, piece(l, id)})
	}
	return map[string]any{"tokens": list}, nil
}

func piece(l *hosted.Lease, id int32) any {
	b := pieces.Bytes(l.Model, id)
	text := make([]byte, len(b))
	for i, x := range b {
		text[i] = byte(x)
	}
	if utf8.Valid(text) {
		return string(text)
	}
	return b
}

// tokensVLLM is vLLM's answer.
type tokensVLLM struct {
	Count     int      `json:"count"`
	MaxLength int      `json:"max_model_len"`
	Tokens    []int32  `json:"tokens"`
	Texts     []string `json:"token_strs,omitempty"`
}

func tokenizeVLLM(l *hosted.Lease, f *option.Fields) (any, error) {
	texts, _, err := f.Bool("return_token_strs")
	if err != nil {
		return nil, err
	}
	add, given, err := f.Bool("add_special_tokens")
	if err != nil {
		return nil, err
	}
	x := tokensVLLM{MaxLength: l.Model.ContextLength()}
	if f.Has("messages") {
		rendered, _, err := render(l, f)
		if err != nil {
			return nil, err
		}
		x.Tokens = rendered.IDs
	} else {
		text, _, err := f.Text("prompt")
		if err != nil {
			return nil, err
		}
		if x.Tokens, err = l.Model.Tokenize(text, true); err != nil {
			return nil, problem.OfModel(err)
		}
		if add || !given {
			x.Tokens = withBOS(l, x.Tokens)
		}
	}
	x.Count = len(x.Tokens)
	if texts {
		for _, id := range x.Tokens {
			x.Texts = append(x.Texts, pieces.Text(l.Model, id))
		}
	}
	return x, nil
}

// detokenize answers POST /detokenize. llama.cpp calls the text content, vLLM prompt: both are told.
func (d *dialect) detokenize(w http.ResponseWriter, r *http.Request) error {
	f, lease, err := d.open(r)
	if err != nil {
		return err
	}
	defer lease.Release()
	ids, found, err := f.IDs("tokens")
	if err != nil {
		return err
	}
	if !found {
		return f.Invalid("tokens", "want a list of token ids, found none")
	}
	withPieces, _, err := f.Bool("with_pieces")
	if err != nil {
		return err
	}
	if err := checkIDs(lease, "tokens", ids); err != nil {
		return err
	}
	text, err := lease.Model.Detokenize(ids)
	if err != nil {
		return problem.OfModel(err)
	}
	x := struct {
		Content string   `json:"content"`
		Prompt  string   `json:"prompt"`
		Pieces  []string `json:"pieces,omitzero"`
	}{text, text, nil}
	if withPieces {
		x.Pieces = make([]string, 0, len(ids))
		for _, id := range ids {
			x.Pieces = append(x.Pieces, pieces.Text(lease.Model, id))
		}
	}
	return finish(w, r, f, x)
}

// templated is the prompt that a chat makes of its messages.
type templated struct {
	Prompt     string    `json:"prompt"`
	IDs        []int32   `json:"ids"`
	Segments   []segment `json:"segments"` // the prompt in parts: control tokens come of control parts only
	SystemMode string    `json:"system_mode"`
	Warnings   []string  `json:"warnings,omitempty"`
}

type segment struct {
	Text    string `json:"text"`
	Control bool   `json:"control"`
}

// applyTemplate answers POST /apply-template: what the model sees of messages.
func (d *dialect) applyTemplate(w http.ResponseWriter, r *http.Request) error {
	f, lease, err := d.open(r)
	if err != nil {
		return err
	}
	defer lease.Release()
	rendered, mode, err := render(lease, f)
	if err != nil {
		return err
	}
	x := templated{Prompt: rendered.Text, IDs: rendered.IDs, Segments: []segment{}, SystemMode: mode, Warnings: rendered.Warnings}
	for _, s := range rendered.Segments {
		x.Segments = append(x.Segments, segment{s.Text, s.Control})
	}
	w.Header().Set("X-System-Mode", mode)
	return finish(w, r, f, x)
}

// inputTokens answers POST /v1/chat/completions/input_tokens: how long a chat's prompt is, without running it.
func (d *dialect) inputTokens(w http.ResponseWriter, r *http.Request) error {
	f, lease, err := d.open(r)
	if err != nil {
		return err
	}
	defer lease.Release()
	rendered, _, err := render(lease, f)
	if err != nil {
		return err
	}
	return finish(w, r, f, map[string]any{"object": "response.input_tokens", "input_tokens": len(rendered.IDs)})
}

// readList reads a body that is a list, or an object; of the latter f is not nil.
func readList(r *http.Request) (list []json.RawMessage, f *option.Fields, err error) {
	body, err := server.ReadBody(r)
	if err != nil {
		return nil, nil, err
	}
	for _, c := range body {
		if c == ' ' || c == '\t' || c == '\r' || c == '\n' {
			continue
		}
		if c != '[' {
			break
		}
		wrapped := append(append([]byte(`{"list":`), body...), '}') // bounds of depth and UTF-8 are Decode's
		if f, err = option.Decode(wrapped); err != nil {
			return nil, nil, err
		}
		list, err = f.List("list", "a list")
		return list, nil, err
	}
	f, err = option.Decode(body)
	return nil, f, err
}
