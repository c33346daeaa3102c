package systemgemma

import (
	"errors"
	"slices"
	"strings"

	"github.com/systemgemma/systemgemma/internal/decode/healing"
)

// Guidance makes an answer follow its prompt more than another one: classifier-free guidance (arXiv:2306.17806), as Hugging Face
// transformers does it. Both prompts are computed side by side, followed by the same answer; with log probabilities l after the
// prompt and u after the other one, tokens are chosen from u + Scale (l - u).
type Guidance struct {
	// Scale: above 1 steers away from the other prompt, 1 changes nothing, 0 follows the other prompt alone. -100 to 100.
	Scale float64
	// Negative is the other prompt, without a chat template. Zero: the last token of the prompt alone, as in transformers.
	Negative Prompt
	// System, in a Chat, makes the other prompt: the same conversation with this system prompt in place of its own; empty: with none.
	System *string
}

// other sets the prompt that guidance steers away from.
func (m *Model) other(p *prompted, g *Guidance, messages []Message, o *ChatOptions) error {
	if g == nil {
		return nil
	}
	bare := len(g.Negative.IDs) > 0 || g.Negative.Text != ""
	switch {
	case g.System != nil && o == nil:
		return errors.New("guidance: want Negative for a prompt without a chat, found System")
	case g.System != nil && bare:
		return errors.New("guidance: want System or Negative, found both")
	case g.System != nil:
		plain := *o
		plain.Guidance, plain.Heal = nil, false
		r, err := m.chatPrompt(withSystem(messages, *g.System), &plain)
		if err != nil {
			return err
		}
		p.other = r.ids
	case bare:
		ids, warnings, err := m.promptIDs(g.Negative)
		if err != nil {
			return err
		}
		p.other, p.warnings = ids, append(slices.Clip(p.warnings), warnings...)
	case len(p.ids) > 0:
		p.other = p.ids[len(p.ids)-1:]
	}
	return nil
}

// withSystem is a conversation with another system prompt; empty: none.
func withSystem(messages []Message, system string) []Message {
	rest := slices.DeleteFunc(slices.Clone(messages), func(m Message) bool { return m.Role == "system" || m.Role == "developer" })
	if strings.TrimSpace(system) == "" {
		return rest
	}
	return append([]Message{{Role: "system", Content: system}}, rest...)
}

// heal takes the last tokens of a prompt back, so that the answer begins with their text.
func (m *Model) heal(p *prompted) error {
	if m.tok == nil {
		return ErrNoTokenizer
	}
	n, text := m.pieces().TakeBack(p.ids)
	p.ids, p.healed = p.ids[:len(p.ids)-n], text
	return nil
}

// pieces is the vocabulary by the texts of its tokens.
func (t *Text) pieces() *healing.Vocabulary {
	return &healing.Vocabulary{Size: t.tok.Size(), Piece: t.textOf}
}

// textOf is what a token adds to a text, "" for those that are none.
func (t *Text) textOf(id int32) string {
	if t.tok.IsControl(id) || isReserved(t.tok.Piece(id)) {
		return ""
	}
	return t.tok.Text(id)
}
