package template

import (
	"errors"
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

// cut stands at the end of a message that is to be continued, a space behind it; the prompt ends before it. Private-use
// characters that no text has in a row.
const cut = "\uF8FF\uF8FE\uF8FF"

// Render runs the template as transformers does, with messages, add_generation_prompt and the four token names, and reports
// the template's own error. The template decides what becomes of each message: this mode may drop or refuse one.
func (c *Custom) Render(messages []Message, o Options) ([]Segment, error) {
	if len(messages) == 0 {
		return nil, ErrEmpty
	}
	prefill := false
	list := make([]any, len(messages))
	for i, m := range messages {
		p, err := partOf(i, m.Role)
		if err != nil {
			return nil, err
		}
		role, content := m.Role, m.Content
		if p == modelPart {
			role = "assistant"
			if prefill = o.AddGenerationPrompt && i == len(messages)-1; prefill {
				content += cut + " "
			}
		}
		list[i] = jinja.Object{{Name: "role", Value: role}, {Name: "content", Value: content}}
	}
	segments, err := c.template.Render(jinja.Object{
		{Name: "messages", Value: list},
		{Name: "add_generation_prompt", Value: o.AddGenerationPrompt && !prefill},
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
		if before, after, found := strings.Cut(s.Text, cut); found && prefill {
			b.text(before)
			if !strings.HasPrefix(after, " ") { // the template trims: so does the library what comes before
				b.trimEnd()
			}
			return b, nil
		}
		b.text(s.Text)
	}
	if prefill {
		return nil, errors.New("custom template: the last message's text is not in its rendering, so that it can't be continued")
	}
	return b, nil
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
