package openai

import (
	"math"
	"strconv"
	"strings"

	"github.com/systemgemma/systemgemma"
)

// least is the log probability that stands for all below, and for those that are no numbers: JSON has no infinity.
const least = -1e4

func clamp(x float64) float64 {
	if math.IsNaN(x) || x < least {
		return least
	}
	return min(x, 0) // rounding may give a little more than a probability of 1
}

// tokens are texts of single tokens.
type tokens struct{ model *systemgemma.Model }

// text is a token's text, control tokens spelled out; of a token that is a byte of a longer letter "\xNN".
func (t tokens) text(id int32) string {
	if b, ok := oneByte(t.model.Piece(id)); ok && b >= 0x80 {
		return `\x` + strconv.FormatUint(uint64(b), 16)
	}
	s, err := t.model.Detokenize([]int32{id})
	if err != nil {
		return ""
	}
	return s
}

// bytes are those of a token's text.
func (t tokens) bytes(id int32) []int {
	var list []int
	if b, ok := oneByte(t.model.Piece(id)); ok {
		return []int{int(b)}
	}
	s, err := t.model.Detokenize([]int32{id})
	if err != nil {
		return nil
	}
	for i := range len(s) {
		list = append(list, int(s[i]))
	}
	return list
}

// oneByte reads the spelling <0xNN> of tokens that are single bytes.
func oneByte(piece string) (byte, bool) {
	hex, ok := strings.CutPrefix(piece, "<0x")
	if !ok || len(hex) != 3 || hex[2] != '>' {
		return 0, false
	}
	b, err := strconv.ParseUint(hex[:2], 16, 8)
	return byte(b), err == nil
}

// tokenLogprob is one token in the log probabilities of a chat completion.
type tokenLogprob struct {
	Token   string         `json:"token"`
	Logprob float64        `json:"logprob"`
	Bytes   []int          `json:"bytes"`
	Top     []tokenLogprob `json:"top_logprobs,omitzero"`
}

// chat is the entry of one token.
func (t tokens) chat(e *systemgemma.Event) tokenLogprob {
	x := tokenLogprob{t.text(e.ID), clamp(e.Logprob), t.bytes(e.ID), []tokenLogprob{}}
	for _, o := range e.Top {
		x.Top = append(x.Top, tokenLogprob{Token: t.text(o.ID), Logprob: clamp(o.Logprob), Bytes: t.bytes(o.ID)})
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
	text := t.text(id)
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
	own := clamp(logprob)
	m := map[string]float64{text: own}
	for _, o := range top {
		s, x := t.text(o.ID), clamp(o.Logprob)
		if had, ok := m[s]; !ok || x > had {
			m[s] = x
		}
	}
	a.Logprobs, a.Top = append(a.Logprobs, &own), append(a.Top, m)
}
