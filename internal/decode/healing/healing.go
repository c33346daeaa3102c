// Package healing lets an answer begin with a given text, whatever tokens spell it: token healing.
//
// A prompt cut by its writer ends in tokens that the model rarely saw there ("http:" before "//"). Its last tokens are taken back, and
// the answer's first ones must spell their text, and may go beyond it. The package owns which tokens may come and how many to take back.
// It must not know models or prompts.
package healing

import (
	"strings"
	"unicode/utf8"

	"github.com/systemgemma/systemgemma/internal/decode/sampler"
)

// A Vocabulary is tokens by what they add to a text.
type Vocabulary struct {
	Size  int
	Piece func(id int32) string // "" for tokens that are no text
}

// maxTaken bounds the tokens that are taken back.
const maxTaken = 8

// TakeBack says how many tokens at the end of ids, of at most maxTaken and never the first, should be taken back: as many as a single
// token could spell the beginning of something longer for. text is theirs; none for 0.
func (v *Vocabulary) TakeBack(ids []int32) (n int, text string) {
	var ends []string // of 1, 2, ... tokens
	for end, i := "", len(ids)-1; i > 0 && len(ends) < maxTaken; i-- {
		piece := v.Piece(ids[i])
		if piece == "" {
			break
		}
		end = piece + end
		ends = append(ends, end)
	}
	for id := range int32(v.Size) {
		piece := v.Piece(id)
		for k := len(ends); k > n; k-- {
			if e := ends[k-1]; len(piece) > len(e) && strings.HasPrefix(piece, e) && utf8.ValidString(e) {
				n, text = k, e
			}
		}
	}
	return n, text
}

// A Sampler is a sampler whose first tokens spell a text. It is not safe for concurrent use.
type Sampler struct {
	inner      *sampler.Sampler
	vocabulary *Vocabulary
	prompt     int    // tokens of the prompt that are still to be accepted
	text       string // still to be spelled
	allowed    []uint64
}

// New returns inner, held to text after a prompt of that many tokens.
func New(inner *sampler.Sampler, v *Vocabulary, prompt int, text string) *Sampler {
	return &Sampler{inner: inner, vocabulary: v, prompt: prompt, text: text}
}

// Accept takes the tokens of the prompt, then each that was chosen.
func (s *Sampler) Accept(ids ...int32) {
	s.inner.Accept(ids...)
	n := min(s.prompt, len(ids))
	s.prompt -= n
	for _, id := range ids[n:] {
		s.text = s.text[min(len(s.text), len(s.vocabulary.Piece(id))):]
	}
}

// Against is the inner sampler's.
func (s *Sampler) Against(logits []float32) { s.inner.Against(logits) }

// Sample chooses the next token, among those that go on with the text while there is some.
func (s *Sampler) Sample(logits []float32) (id int32, logprob float64, err error) {
	if s.text == "" {
		return s.inner.Sample(logits)
	}
	s.allowed = make([]uint64, (len(logits)+63)/64)
	for id := range int32(min(s.vocabulary.Size, len(logits))) {
		if piece := s.vocabulary.Piece(id); piece != "" && (strings.HasPrefix(piece, s.text) || strings.HasPrefix(s.text, piece)) {
			s.allowed[id>>6] |= 1 << (id & 63)
		}
	}
	return s.inner.SampleAmong(logits, s.allowed)
}
