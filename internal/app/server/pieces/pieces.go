// Package pieces owns how single tokens, their log probabilities and the progress of prompts are told in JSON, whatever the dialect.
//
// It must not know requests, nor a dialect's names.
package pieces

import (
	"math"
	"strconv"

	"github.com/systemgemma/systemgemma"
)

// least is the log probability that stands for all below, and for those that are no numbers: JSON has no infinity.
const least = -1e4

// Clamp is a log probability as JSON can say it.
func Clamp(x float64) float64 {
	if math.IsNaN(x) || x < least {
		return least
	}
	return min(x, 0) // rounding may give a little more than a probability of 1
}

// Text is a token's text, control tokens spelled out; of a token that is a byte of a longer letter "\xNN".
func Text(m *systemgemma.Model, id int32) string {
	if b, ok := oneByte(m.Piece(id)); ok && b >= 0x80 {
		return `\x` + strconv.FormatUint(uint64(b), 16)
	}
	s, err := m.Detokenize([]int32{id})
	if err != nil {
		return "" // no token of this model
	}
	return s
}

// Bytes are those of a token's text, as numbers: JSON would make a text of []byte. They are never nil.
func Bytes(m *systemgemma.Model, id int32) []int {
	if b, ok := oneByte(m.Piece(id)); ok {
		return []int{int(b)}
	}
	list := []int{}
	s, err := m.Detokenize([]int32{id})
	if err != nil {
		return list
	}
	for i := range len(s) {
		list = append(list, int(s[i]))
	}
	return list
}

// oneByte reads the spelling <0xNN> of tokens that are single bytes.
func oneByte(piece string) (byte, bool) {
	if len(piece) != 6 || piece[:3] != "<0x" || piece[5] != '>' {
		return 0, false
	}
	b, err := strconv.ParseUint(piece[3:5], 16, 8)
	return byte(b), err == nil
}

// Logprob is a token with its log probability, and the best ones at its place from the best down, if they were asked for.
type Logprob struct {
	Token   string    `json:"token"`
	Logprob float64   `json:"logprob"`
	Bytes   []int     `json:"bytes"`
	Top     []Logprob `json:"top_logprobs,omitzero"` // nil is left out
}

// Of tells of an event's token.
func Of(m *systemgemma.Model, e *systemgemma.Event) Logprob {
	of := func(id int32, logprob float64) Logprob {
		return Logprob{Token: Text(m, id), Logprob: Clamp(logprob), Bytes: Bytes(m, id)}
	}
	x := of(e.ID, e.Logprob)
	for _, t := range e.Top {
		x.Top = append(x.Top, of(t.ID, t.Logprob))
	}
	return x
}
