package systemgemma

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"

	"github.com/systemgemma/systemgemma/internal/text/template"
)

// Message is one message of a conversation. Role is system, developer, user or assistant (model means the same).
type Message struct {
	Role    string `json:"role"`
	Content string `json:"content"`
}

// ChatOptions are the options of one answer in a chat. The zero value, and nil, mean the model's own defaults.
type ChatOptions struct {
	GenerateOptions
	// SystemMode overrides Options.SystemMode for this answer when it is not empty.
	SystemMode string
	// Context says what becomes of a conversation that is too long. Empty: ContextError.
	Context ContextPolicy
}

// Chat answers a conversation, rendered in the model's system mode. A trailing assistant message is continued.
// Events are as those of Generate.
func (m *Model) Chat(ctx context.Context, messages []Message, o *ChatOptions) iter.Seq2[Event, error] {
	if o == nil {
		o = &ChatOptions{}
	}
	p, err := m.chatPrompt(messages, o)
	if err != nil {
		return fail(err)
	}
	return m.answer(ctx, p, &o.GenerateOptions)
}

// chatPrompt renders a conversation, and what Guidance and Heal make of it.
func (m *Model) chatPrompt(messages []Message, o *ChatOptions) (*prompted, error) {
	ro := RenderOptions{SystemMode: o.SystemMode, GenerationPrompt: true}
	if n := len(messages); n > 0 && (messages[n-1].Role == "assistant" || messages[n-1].Role == "model") {
		ro.ContinueFinal = true
	}
	r, dropped, err := m.fit(messages, ro, o)
	if err == nil && m.tok == nil {
		err = ErrNoTokenizer
	}
	if err != nil {
		return nil, err
	}
	p := &prompted{ids: r.IDs, warnings: r.Warnings, dropped: dropped}
	if err := m.other(p, o.Guidance, messages, o); err != nil || !o.Heal {
		return p, err
	}
	if !ro.ContinueFinal {
		return nil, errors.New("heal: want a last message of the assistant, which the answer continues; a new turn has no tokens to take back")
	}
	return p, m.heal(p)
}

// RenderOptions say how a conversation becomes a prompt.
type RenderOptions struct {
	// SystemMode overrides Options.SystemMode when it is not empty.
	SystemMode string
	// GenerationPrompt ends the prompt where a new turn of the model begins. All modes but strict and custom continue a
	// trailing assistant message instead, as with ContinueFinal.
	GenerationPrompt bool
	// ContinueFinal ends the prompt inside the last message, which must be the assistant's (in mode custom: anybody's).
	ContinueFinal bool
}

// Rendered is a conversation as the model sees it.
type Rendered struct {
	Text     string    // control tokens as they are spelled
	IDs      []int32   // nil when the files have no tokenizer
	Segments []Segment // Text in parts
	Warnings []string
}

// Segment is a part of a rendered prompt. Control tokens come from Control parts only; all else is mere text, whatever it
// spells.
type Segment = template.Segment

// Render shows the prompt that Chat makes of a conversation.
func (t *Text) Render(messages []Message, o RenderOptions) (*Rendered, error) {
	list := make([]template.Message, len(messages))
	for i, m := range messages {
		list[i] = template.Message(m)
	}
	return t.render(o, nil, func(mode template.Mode, custom *template.Custom, to template.Options) ([]Segment, error) {
		if custom != nil {
			return custom.Render(list, to)
		}
		return template.Render(mode, list, to)
	})
}

// RenderJSON is Render for a JSON array of messages as Hugging Face transformers takes them. In mode custom the template sees
// all that they say; the other modes know role and content (null or none: empty), and a warning names what else there was.
func (t *Text) RenderJSON(messages json.RawMessage, o RenderOptions) (*Rendered, error) {
	list, unknown, parseErr := parseMessages(messages)
	return t.render(o, unknown, func(mode template.Mode, custom *template.Custom, to template.Options) ([]Segment, error) {
		if custom != nil {
			return custom.RenderJSON(messages, to)
		}
		if parseErr != nil {
			return nil, parseErr
		}
		return template.Render(mode, list, to)
	})
}

// parseMessages reads messages for the built-in modes, and says which of their names these don't use.
func parseMessages(messages json.RawMessage) (list []template.Message, unknown []string, err error) {
	var raw []map[string]json.RawMessage
	if err := json.Unmarshal(messages, &raw); err != nil {
		return nil, nil, fmt.Errorf("messages: want an array of objects with role and content, found %.40s", messages)
	}
	for i, m := range raw {
		var x template.Message
		for name, field := range map[string]*string{"role": &x.Role, "content": &x.Content} {
			if v, ok := m[name]; ok {
				if err := json.Unmarshal(v, field); err != nil {
					return nil, nil, fmt.Errorf("message %d: %s: want text, found %.40s", i, name, v)
				}
			}
			delete(m, name)
		}
		for _, name := range slices.Sorted(maps.Keys(m)) {
			unknown = append(unknown, fmt.Sprintf("message %d: %.40q is no part of the prompt in this mode", i, name))
		}
		list = append(list, x)
	}
	return list, unknown, nil
}

// render resolves the mode, calls by, and encodes what it gives. unknown are warnings that the built-in modes owe.
func (t *Text) render(o RenderOptions, unknown []string, by func(template.Mode, *template.Custom, template.Options) ([]Segment, error)) (*Rendered, error) {
	mode, custom := t.mode, t.custom
	if o.SystemMode != "" {
		var err error
		if mode, custom, _, err = t.resolveMode(o.SystemMode, ""); err != nil {
			return nil, err
		}
	}
	segments, err := by(mode, custom, template.Options{AddGenerationPrompt: o.GenerationPrompt, ContinueFinal: o.ContinueFinal})
	if err != nil {
		return nil, err
	}
	r := &Rendered{Text: template.Text(segments), Segments: segments}
	if custom == nil {
		r.Warnings = unknown
	}
	if t.tok == nil {
		return r, nil
	}
	for _, s := range segments {
		if s.Control {
			r.IDs = t.tok.AppendSpecial(r.IDs, s.Text)
		} else {
			r.IDs = t.tok.AppendText(r.IDs, s.Text)
		}
	}
	if bos := t.tok.Roles().BOS; bos >= 0 && (len(r.IDs) == 0 || r.IDs[0] != bos) {
		r.Warnings = append(r.Warnings, "the template's prompt does not begin with "+t.tok.Piece(bos)+": Gemma 2 answers badly without it")
	}
	return r, nil
}
