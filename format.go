package systemgemma

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/systemgemma/systemgemma/internal/decode/constrained"
	"github.com/systemgemma/systemgemma/internal/decode/grammar"
	"github.com/systemgemma/systemgemma/internal/decode/sampler"
)

// Format is what an answer is held to: before each token, those that would leave the format are taken away. Exactly one field but
// Spaced is wanted. The model isn't told: say in the prompt what is asked for. docs/structured.md lists what each may have.
//
// An answer that must end after MaxTokens, or with the context, is completed in time; where even the shortest text of the format might need
// more tokens, the request is refused. Only what ends an answer early leaves it cut: Stop, cancelling (Result.Cut).
type Format struct {
	JSONSchema json.RawMessage // JSON that satisfies a schema, of draft 2020-12's common part
	JSONObject bool            // any JSON object
	Regex      string          // a regular expression of Go's syntax (RE2), which matches the whole answer
	Choices    []string        // exactly one of some texts
	GBNF       string          // a grammar in llama.cpp's form
	// Spaced allows, with JSONSchema or JSONObject, spaces and line ends where people put them. Else JSON is compact.
	Spaced bool
}

// FormatError says why a Format can't be honoured: what of it, where (for a schema, a JSON pointer), and why. Test with errors.As.
type FormatError = grammar.Error

var (
	// ErrTooComplex: the Format needs too much work or memory for a token.
	ErrTooComplex = grammar.ErrTooComplex
	// ErrCut: the answer ended before it had its whole Format.
	ErrCut = errors.New("the answer was cut before it was complete")
)

// formats makes the cache of formats.
func (t *Text) formats(stop map[int32]bool) *constrained.Cache {
	if t.tok == nil {
		return nil
	}
	return constrained.NewCache(t.tok.Size(), t.textOf, stop)
}

// isReserved tells pieces that no text was written with, though the vocabulary does not call them control tokens.
func isReserved(piece string) bool {
	return strings.HasPrefix(piece, "<unused") && strings.HasSuffix(piece, ">") || piece == "<mask>" || piece == "<2mass>" || piece == "[@BOS@]"
}

// constrain holds a sampler's choices to o.Format, in an answer to a prompt of that many tokens.
func (m *Model) constrain(ctx context.Context, s *sampler.Sampler, prompt int, o *GenerateOptions) (*constrained.Sampler, error) {
	switch {
	case m.tok == nil:
		return nil, fmt.Errorf("format: %w", ErrNoTokenizer)
	case o.MinTokens > 0:
		return nil, errors.New("format: want no MinTokens beside it: an answer ends where its format does")
	case o.IgnoreEOS:
		return nil, errors.New("format: want no IgnoreEOS beside it: an answer ends where its format does")
	}
	text, err := m.grammars.Start(ctx, constrained.Source(*o.Format))
	if err != nil {
		return nil, fmt.Errorf("format: %w", err)
	}
	limit := m.ContextLength() - prompt
	if n := o.MaxTokens; n > 0 {
		limit = min(limit, n)
	}
	if limit <= 0 {
		return nil, fmt.Errorf("%w: prompt is %d tokens, context length is %d, and an answer with a format needs room", ErrContextLength, prompt, m.ContextLength())
	}
	c, err := constrained.New(s, text, m.tok.AppendText, prompt, limit)
	if err != nil {
		return nil, fmt.Errorf("format: %w", err)
	}
	return c, nil
}

// SchemaFor is the JSON schema of what encoding/json makes of a T, as ChatInto wants it of an answer: an object of a struct's fields,
// an array of a slice's elements, and so on. Types without one, as functions, are refused.
func SchemaFor[T any]() (json.RawMessage, error) {
	return grammar.SchemaOf(reflect.TypeFor[T]())
}

// ChatInto answers a conversation with a T: the answer is JSON that satisfies SchemaFor[T], unless o.Format has a schema of its own,
// and is decoded. Of o.Format nil is wanted, or JSONSchema and Spaced only. The Result is what there is also beside an error; ErrCut
// says that the answer was ended before it was complete.
func ChatInto[T any](ctx context.Context, m *Model, messages []Message, o *ChatOptions) (value T, result Result, err error) {
	var own ChatOptions
	if o != nil {
		own = *o
	}
	var f Format
	if own.Format != nil {
		f = *own.Format
	}
	if f.JSONObject || f.Regex != "" || f.Choices != nil || f.GBNF != "" {
		return value, result, errors.New("format: want none, or JSONSchema and Spaced only: ChatInto decodes JSON of the type's schema")
	}
	if len(f.JSONSchema) == 0 {
		if f.JSONSchema, err = SchemaFor[T](); err != nil {
			return value, result, fmt.Errorf("format: %w", err)
		}
	}
	own.Format = &f
	for e, eventErr := range m.Chat(ctx, messages, &own) {
		if err = eventErr; e.Result != nil {
			result = *e.Result
		}
	}
	switch {
	case err != nil:
		return value, result, err
	case result.Cut:
		return value, result, fmt.Errorf("%w: after %d tokens, by %s", ErrCut, len(result.IDs), result.FinishReason)
	}
	if err = json.Unmarshal([]byte(result.Text), &value); err != nil {
		var zero T
		return zero, result, fmt.Errorf("decoding the answer: %w", err)
	}
	return value, result, nil
}
