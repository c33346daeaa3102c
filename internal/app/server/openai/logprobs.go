package openai

import (
	"github.com/systemgemma/systemgemma"
	"github.com/systemgemma/systemgemma/internal/app/server/pieces"
)

// tokenLogprob is one token in the log probabilities of a chat completion.
type tokenLogprob struct {
	Token   string         `json:"token"`
	Logprob float64        `json:"logprob"`
	Bytes   []int          `json:"bytes"`
	Top     []tokenLogprob `json:"top_logprobs,omitzero"`
}

// tokens tells of a model's tokens.
type tokens struct{ model *systemgemma.Model }

// chat is the entry of one token.
func (t tokens) chat(e *systemgemma.Event) tokenLogprob {
	x := tokenLogprob{pieces.Text(t.model, e.ID), pieces.Clamp(e.Logprob), pieces.Bytes(t.model, e.ID), []tokenLogprob{}}
	for _, o := range e.Top {
		x.Top = append(x.Top, tokenLogprob{Token: pieces.Text(t.model, o.ID), Logprob: pieces.Clamp(o.Logprob), Bytes: pieces.Bytes(t.model, o.ID)})
	}
	return x
}

// arrays are the log probabilities of a completion. The first token of a prompt has null: nothing came before it.
type arrays struct {
	Tokens   []string             `json:"tokens"`
	Logprobs []*float64           `json:"token_logprobs"`
	Top      []map[string]float64 `json:"top_logprobs"`
	Offsets  []int                `json:"text_offset"` // in characters
	end      int                  // where the next token begins
}

func newArrays() *arrays {
	return &arrays{Tokens: []string{}, Logprobs: []*float64{}, Top: []map[string]float64{}, Offsets: []int{}}
}

// add appends a token with its log probability and the best ones there; hidden ones take no place in the text. The chosen one is
// among them always, with the same number in both places: harnesses compare them as floats. Two tokens of one text keep the larger.
func (a *arrays) add(t tokens, id int32, logprob float64, known bool, top []systemgemma.TokenLogprob, hidden bool) {
	text := pieces.Text(t.model, id)
	a.Tokens = append(a.Tokens, text)
	a.Offsets = append(a.Offsets, a.end)
	if !hidden {
		a.end += len([]rune(text))
	}
	if !known {
		a.Logprobs, a.Top = append(a.Logprobs, nil), append(a.Top, nil)
		return
	}
	for _, o := range top {
		if o.ID == id {
			logprob = o.Logprob
		}
	}
	own := pieces.Clamp(logprob)
	m := map[string]float64{text: own}
	for _, o := range top {
		s, x := pieces.Text(t.model, o.ID), pieces.Clamp(o.Logprob)
		if had, ok := m[s]; !ok || x > had {
			m[s] = x
		}
	}
	a.Logprobs, a.Top = append(a.Logprobs, &own), append(a.Top, m)
}
