package systemgemma

import (
	"context"
	"iter"

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
}

// Chat answers a conversation, rendered in the model's system mode. A trailing assistant message is continued instead.
// Events are as those of Generate.
func (m *Model) Chat(ctx context.Context, messages []Message, o *ChatOptions) iter.Seq2[Event, error] {
	if o == nil {
		o = &ChatOptions{}
	}
	r, err := m.Render(messages, RenderOptions{SystemMode: o.SystemMode, GenerationPrompt: true})
	if err != nil {
		return func(yield func(Event, error) bool) { yield(Event{ID: -1}, err) }
	}
	return m.answer(ctx, r.IDs, r.Warnings, &o.GenerateOptions)
}

// RenderOptions say how a conversation becomes a prompt.
type RenderOptions struct {
	// SystemMode overrides Options.SystemMode when it is not empty.
	SystemMode string
	// GenerationPrompt ends the prompt where the model's next turn begins; a trailing assistant message is then continued.
	GenerationPrompt bool
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
	mode, custom := t.mode, t.custom
	if o.SystemMode != "" {
		var err error
		if mode, custom, _, err = t.resolveMode(o.SystemMode, ""); err != nil {
			return nil, err
		}
	}
	list := make([]template.Message, len(messages))
	for i, m := range messages {
		list[i] = template.Message(m)
	}
	opts := template.Options{AddGenerationPrompt: o.GenerationPrompt}
	var segments []Segment
	var err error
	if custom != nil {
		segments, err = custom.Render(list, opts)
	} else {
		segments, err = template.Render(mode, list, opts)
	}
	if err != nil {
		return nil, err
	}
	r := &Rendered{Text: template.Text(segments), Segments: segments}
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
