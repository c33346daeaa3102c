package template

import (
	"errors"
	"fmt"
	"strings"
)

// Render renders a conversation in a built-in mode (not custom, not auto).
//
// For `[system] user (assistant user)*` the text is that of the mode's template in golden/templates. For all other
// conversations: system messages in a row are joined by a blank line; one that comes late goes into the next user turn (before
// an answer that ends the conversation, into the user turn before that), or into one of its own at the end; in turn and
// developer-turn it is a turn where it stands. Messages of one role in a row are joined by a blank line. Turns are trimmed as
// the templates do, one to be continued too. strict reports the errors of Google's template instead.
func Render(mode Mode, messages []Message, o Options) ([]Segment, error) {
	if len(messages) == 0 {
		return nil, ErrEmpty
	}
	var b builder
	b.marker(bos)
	var turns []turn
	var err error
	switch mode {
	case Strict:
		turns, err = strictTurns(messages)
	case Turn, DeveloperTurn:
		role := "system"
		if mode == DeveloperTurn {
			role = "developer"
		}
		turns, err = plainTurns(messages, role)
	case SystemGemma2, Merge, MergeNewline, MergeSpace, Exchange:
		var system []string
		if system, turns, err = systemAndTurns(messages); err == nil && system != nil {
			turns = b.lead(mode, system, turns)
		}
	default:
		err = fmt.Errorf("system mode %q: no built-in rendering", mode)
	}
	if err != nil {
		return nil, err
	}
	last, _ := partOf(0, messages[len(messages)-1].Role) // its role is known to be good
	open := last == modelPart && (o.ContinueFinal || o.AddGenerationPrompt && mode != Strict)
	if o.ContinueFinal && !open {
		return nil, fmt.Errorf("continue the final message: want one of the assistant, found one of the %s", messages[len(messages)-1].Role)
	}
	b.turns(turns, open, o.AddGenerationPrompt)
	return b, nil
}

// turn is one turn of a prompt: texts of one role in a row.
type turn struct {
	role  string // as the prompt has it: user, model, system, developer
	texts []string
}

const blankLine = "\n\n"

// joined is a turn's text: what is left of each text after trimming, parted by blank lines.
func (t turn) joined() string {
	var parts []string
	for _, s := range t.texts {
		if s = trim(s); s != "" {
			parts = append(parts, s)
		}
	}
	return strings.Join(parts, blankLine)
}

// add appends a text to the last turn if that has the same role, else begins a turn.
func add(turns []turn, role string, texts ...string) []turn {
	if n := len(turns); n > 0 && turns[n-1].role == role {
		turns[n-1].texts = append(turns[n-1].texts, texts...)
		return turns
	}
	return append(turns, turn{role, texts})
}

// turns writes all turns. The last one stays open, or a new one of the model is opened, or neither.
func (b *builder) turns(turns []turn, open, prompt bool) {
	for i, t := range turns {
		if open && i == len(turns)-1 {
			b.open("model", t.joined())
			return
		}
		b.turn(t.role, t.joined())
	}
	if prompt {
		b.open("model", "")
	}
}

// systemAndTurns parts the leading system texts (nil: none) from the turns. Late ones are in user turns.
func systemAndTurns(messages []Message) (system []string, turns []turn, err error) {
	var late []string
	for i, m := range messages {
		p, err := partOf(i, m.Role)
		switch {
		case err != nil:
			return nil, nil, err
		case p == systemPart && turns == nil:
			system = append(system, m.Content)
		case p == systemPart:
			late = append(late, m.Content)
		case p == userPart:
			turns = add(turns, "user", append(late, m.Content)...)
			late = nil
		default:
			turns = add(turns, "model", m.Content)
		}
	}
	if late == nil {
		return system, turns, nil
	}
	if last, _ := partOf(0, messages[len(messages)-1].Role); last != modelPart {
		return system, add(turns, "user", late...), nil
	}
	answer := turns[len(turns)-1] // no user turn follows it, and it may have to stay open: what the model is told stands before it
	return system, append(add(turns[:len(turns)-1], "user", late...), answer), nil
}

// lead puts the leading system texts where the mode wants them, and returns the turns that follow.
func (b *builder) lead(mode Mode, system []string, turns []turn) []turn {
	text := turn{texts: system}.joined()
	switch mode {
	case SystemGemma2:
		if len(system) == 1 {
			text = system[0] // the published template does not trim it
		}
		b.text(text + "\n")
		return turns
	case Exchange:
		return append([]turn{{"user", []string{text}}, {"model", []string{"Understood."}}}, turns...)
	}
	if len(turns) == 0 || turns[0].role != "user" { // no user text to merge with: the system text keeps its place
		return append([]turn{{"user", []string{text}}}, turns...)
	}
	between := map[Mode]string{Merge: blankLine, MergeNewline: "\n", MergeSpace: " "}[mode]
	b.turn("user", text+between+turns[0].joined())
	return turns[1:]
}

// plainTurns makes a turn of every message, system messages under the given role.
func plainTurns(messages []Message, system string) (turns []turn, err error) {
	roles := [...]string{systemPart: system, userPart: "user", modelPart: "model"}
	for i, m := range messages {
		p, err := partOf(i, m.Role)
		if err != nil {
			return nil, err
		}
		turns = add(turns, roles[p], m.Content)
	}
	return turns, nil
}

var (
	//lint:ignore ST1005 the words of Google's template
	errSystemRole = errors.New("System role not supported")
	//lint:ignore ST1005 likewise
	errAlternate = errors.New("Conversation roles must alternate user/assistant/user/assistant/...")
)

// strictTurns does what Google's template does: no system message at the start, users at even places only. A late system
// message at an odd place becomes a turn named system, as there.
func strictTurns(messages []Message) (turns []turn, err error) {
	for i, m := range messages {
		p, err := partOf(i, m.Role)
		if err != nil {
			return nil, err
		}
		if i == 0 && m.Role == "system" {
			return nil, errSystemRole
		}
		if (p == userPart) != (i%2 == 0) {
			return nil, errAlternate
		}
		role := m.Role
		if p == modelPart {
			role = "model"
		}
		turns = append(turns, turn{role, []string{m.Content}})
	}
	return turns, nil
}
