package openai

import (
	"github.com/systemgemma/systemgemma"
	"github.com/systemgemma/systemgemma/internal/app/server/pieces"
)

// logprobOf is a token in the log probabilities of a chat completion, whose list of the best ones is never missing.
func logprobOf(m *systemgemma.Model, e *systemgemma.Event) pieces.Logprob {
	x := pieces.Of(m, e)
	x.Top = append([]pieces.Logprob{}, x.Top...)
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
func (a *arrays) add(m *systemgemma.Model, id int32, logprob float64, known bool, top []systemgemma.TokenLogprob, hidden bool) {
	text := pieces.Text(m, id)
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
	best := map[string]float64{text: own}
	for _, o := range top {
		s, x := pieces.Text(m, o.ID), pieces.Clamp(o.Logprob)
		if had, ok := best[s]; !ok || x > had {
			best[s] = x
		}
	}
	a.Logprobs, a.Top = append(a.Logprobs, &own), append(a.Top, best)
}
