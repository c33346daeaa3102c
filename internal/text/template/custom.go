package template

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/systemgemma/systemgemma/internal/text/template/jinja"
)

// Custom is a Jinja chat template of the user's. Safe for concurrent use.
type Custom struct {
	template *jinja.Template
}

// ParseCustom parses a Jinja chat template. The error is a *jinja.Error.
func ParseCustom(source string) (*Custom, error) {
	t, err := jinja.Parse(source)
	if err != nil {
		return nil, err
	}
	return &Custom{t}, nil
}

// control lists the spellings that become markers where the template itself writes them.
var control = []string{bos, "<eos>", "<pad>", "<unk>", startOfTurn, endOfTurn}

// Render runs the template as transformers does, with messages, add_generation_prompt and the four token names, and reports
// the template's own error. Roles and what becomes of each message are the template's business: it may drop or refuse one.
func (c *Custom) Render(messages []Message, o Options) ([]Segment, error) {
	list := make([]jinja.Object, len(messages))
	for i, m := range messages {
		list[i] = jinja.Object{{Name: "role", Value: m.Role}, {Name: "content", Value: m.Content}}
	}
	return c.render(list, o)
}

// RenderJSON is Render for a JSON array of messages with all the names that they have. A name whose value is null counts as
// absent, as in transformers.
func (c *Custom) RenderJSON(messages []byte, o Options) ([]Segment, error) {
	v, err := jinja.FromJSON(messages)
	if err != nil {
		return nil, fmt.Errorf("messages: %w", err)
	}
	items, ok := v.([]any)
	if !ok {
		return nil, fmt.Errorf("messages: want an array, found %.40q", messages)
	}
	list := make([]jinja.Object, len(items))
	for i, item := range items {
		m, ok := item.(jinja.Object)
		if !ok {
			return nil, fmt.Errorf("message %d: want an object, found %.40v", i, item)
		}
		list[i] = slices.DeleteFunc(m, func(f jinja.Field) bool { return f.Value == nil })
	}
	return c.render(list, o)
}

func (c *Custom) render(messages []jinja.Object, o Options) ([]Segment, error) {
	if len(messages) == 0 {
		return nil, ErrEmpty
	}
	if o.ContinueFinal {
		if err := extend(messages[len(messages)-1], cut+" "); err != nil {
			return nil, err
		}
	}
	list := make([]any, len(messages))
	for i, m := range messages {
		list[i] = m
	}
	segments, err := c.template.Render(jinja.Object{
		{Name: "messages", Value: list},
		{Name: "add_generation_prompt", Value: o.AddGenerationPrompt && !o.ContinueFinal},
		{Name: "bos_token", Value: jinja.Literal(bos)}, {Name: "eos_token", Value: jinja.Literal("<eos>")},
		{Name: "pad_token", Value: jinja.Literal("<pad>")}, {Name: "unk_token", Value: jinja.Literal("<unk>")},
	})
	if err != nil {
		return nil, err
	}
	var b builder
	for _, s := range segments {
		if !s.User {
			b.scan(s.Text)
			continue
		}
		if before, after, found := strings.Cut(s.Text, cut); found && o.ContinueFinal {
			b.text(before)
			if !strings.HasPrefix(after, " ") { // the template trims: so does the library what comes before
				b.trimEnd()
			}
			return b, nil
		}
		b.text(s.Text)
	}
	if o.ContinueFinal {
		return nil, errors.New("continue the final message: want a template that prints it, found one that does not")
	}
	return b, nil
}

// cut stands at the end of a message that is to be continued, a space behind it; the prompt ends before it. U+FDD0 is no
// character: no text has it.
const cut = "\uFDD0continue\uFDD0"

// extend appends to a message's text.
func extend(m jinja.Object, end string) error {
	for i, f := range m {
		if s, ok := f.Value.(string); ok && f.Name == "content" {
			m[i].Value = s + end
			return nil
		}
	}
	return errors.New("continue the final message: want a content that is text, found none")
}

// trimEnd takes white space from the end of a text segment.
func (b *builder) trimEnd() {
	n := len(*b) - 1
	if n < 0 || (*b)[n].Control {
		return
	}
	if (*b)[n].Text = strings.TrimRightFunc((*b)[n].Text, isSpace); (*b)[n].Text == "" {
		*b = (*b)[:n]
	}
}

// scan adds text that the template wrote: markers as Control, the rest as text.
func (b *builder) scan(s string) {
	for s != "" {
		at, found := len(s), ""
		for _, m := range control {
			if i := strings.Index(s[:at], m); i >= 0 {
				at, found = i, m
			}
		}
		b.text(s[:at])
		b.marker(found)
		s = s[at+len(found):]
	}
}
