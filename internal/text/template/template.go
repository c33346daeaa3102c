// Package template renders conversations as prompts: the ways in use to give Gemma 2 a system prompt, by name, and custom Jinja templates.
//
// It owns two promises. No built-in mode but strict loses a text or refuses a conversation. And a prompt comes in segments that
// keep markers apart from text, so that nothing a user writes can become a control token. DESIGN.md has the rules.
//
// It must not know ids: package tokenizer encodes the segments.
package template

import "strings"

// Message is one message of a conversation. Role is system, developer, user or assistant; model means assistant.
type Message struct {
	Role    string
	Content string
}

// Options say how a prompt ends.
type Options struct {
	// AddGenerationPrompt ends the prompt where a new turn of the model begins. The built-in modes but strict continue a
	// trailing assistant message instead, as with ContinueFinal.
	AddGenerationPrompt bool
	// ContinueFinal ends the prompt inside the last message. In built-in modes that must be the assistant's.
	ContinueFinal bool
}

// Segment is a part of a prompt. Control text holds markers only and is encoded with control tokens parsed; all other text
// is mere text, whatever it spells. Neighbours differ in kind, and none is empty.
type Segment struct {
	Text    string
	Control bool
}

// Text is the prompt as one string.
func Text(segments []Segment) string {
	var b strings.Builder
	for _, s := range segments {
		b.WriteString(s.Text)
	}
	return b.String()
}

// Markers of Gemma 2.
const (
	bos         = "<bos>"
	startOfTurn = "<start_of_turn>"
	endOfTurn   = "<end_of_turn>"
)

// builder joins parts of one kind.
type builder []Segment

func (b *builder) add(text string, control bool) {
	switch n := len(*b); {
	case text == "":
	case n > 0 && (*b)[n-1].Control == control:
		(*b)[n-1].Text += text
	default:
		*b = append(*b, Segment{text, control})
	}
}

func (b *builder) marker(m string) { b.add(m, true) }
func (b *builder) text(s string)   { b.add(s, false) }

// open begins a turn: its text runs on from the role's line, as the tokenizer would see it.
func (b *builder) open(role, text string) {
	b.marker(startOfTurn)
	b.text(role + "\n" + text)
}

// turn is a whole turn.
func (b *builder) turn(role, text string) {
	b.open(role, text)
	b.marker(endOfTurn)
	b.text("\n")
}

// isSpace is Python's str.isspace, which the templates' trim follows: unlike unicode.IsSpace it holds U+001C to U+001F.
func isSpace(r rune) bool {
	switch {
	case r >= 0x09 && r <= 0x0d, r >= 0x1c && r <= 0x20, r == 0x85, r == 0xa0, r == 0x1680, r >= 0x2000 && r <= 0x200a,
		r == 0x2028, r == 0x2029, r == 0x202f, r == 0x205f, r == 0x3000:
		return true
	}
	return false
}

func trim(s string) string { return strings.TrimFunc(s, isSpace) }
