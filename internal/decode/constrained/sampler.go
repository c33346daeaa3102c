// Package constrained holds what a sampler chooses to a grammar, for one answer at a time.
//
// It owns the way from a source (a schema, a regular expression, ...) to a sampler of one answer: compiled grammars that are used
// again (Cache), and the state of an answer between the tokens (Sampler). It must not know models, prompts or text.
package constrained

import (
	"fmt"
	"slices"

	"github.com/systemgemma/systemgemma/internal/decode/grammar"
	"github.com/systemgemma/systemgemma/internal/decode/sampler"
)

// A Sampler chooses the tokens of one answer such that its text is of a grammar, and complete when the tokens that it may have
// are used up. Where the grammar leaves one text only, it takes the tokens that the tokenizer makes of that text and asks the model
// for nothing. It is not safe for concurrent use.
type Sampler struct {
	inner  *sampler.Sampler
	text   *grammar.Matcher
	encode func(ids []int32, text string) []int32
	prompt int      // tokens of the prompt that are still to be accepted
	left   int      // tokens that may still come
	next   []int32  // those that must come
	looked bool     // next is that of this place
	one    []uint64 // scratch: a mask of one token
	err    error    // of Accept
}

// New returns the sampler of an answer of at most limit tokens after a prompt: inner's choices, held to text. encode is the
// tokenizer's, of mere text. The error says how many tokens are needed if limit is too small to be sure of a complete answer.
func New(inner *sampler.Sampler, text *grammar.Matcher, encode func(ids []int32, text string) []int32, prompt, limit int) (*Sampler, error) {
	need, err := text.Need()
	if err != nil {
		return nil, err
	}
	if need > limit {
		return nil, fmt.Errorf("may need %d tokens to be complete, but the answer can have %d only; allow more tokens, or ask for less", need, limit)
	}
	return &Sampler{inner: inner, text: text, encode: encode, prompt: prompt, left: limit}, nil
}

// Accept takes the tokens of the prompt, then each that was chosen.
func (s *Sampler) Accept(ids ...int32) {
	s.inner.Accept(ids...)
	n := min(s.prompt, len(ids))
	s.prompt -= n
	for _, id := range ids[n:] {
		if err := s.text.Accept(id); err != nil && s.err == nil {
			s.err = err
		}
		s.left--
		if len(s.next) > 0 && s.next[0] == id {
			s.next = s.next[1:]
		} else {
			s.next = nil
		}
		s.looked = len(s.next) > 0
	}
}

// Against is the inner sampler's.
func (s *Sampler) Against(logits []float32) { s.inner.Against(logits) }

// Sample chooses the next token and gives its log-probability in the model's own distribution, as if nothing were constrained.
func (s *Sampler) Sample(logits []float32) (id int32, logprob float64, err error) {
	if s.err != nil {
		return 0, 0, s.err
	}
	if s.look(); len(s.next) > 0 {
		return s.sampleOne(logits, s.next[0])
	}
	mask, err := s.text.Mask(s.left)
	if err != nil {
		return 0, 0, err
	}
	return s.inner.SampleAmong(logits, mask)
}

// sampleOne lets inner choose among one token.
func (s *Sampler) sampleOne(logits []float32, id int32) (int32, float64, error) {
	if s.one == nil {
		s.one = make([]uint64, (len(logits)+63)/64)
	}
	if int(id>>6) >= len(s.one) {
		return 0, 0, fmt.Errorf("token %d must come next, but the model has %d only", id, len(logits))
	}
	s.one[id>>6] |= 1 << (id & 63)
	defer func() { s.one[id>>6] = 0 }()
	return s.inner.SampleAmong(logits, s.one)
}

// look finds the tokens that must come next. They are not taken where spelling the text as the tokenizer does would need more
// tokens than are left.
func (s *Sampler) look() {
	if s.looked {
		return
	}
	s.looked = true
	s.next = s.text.Forced(nil, s.encode)
	if len(s.next) == 0 {
		return
	}
	after := s.text.Clone()
	for i, id := range s.next {
		if after.Accept(id) != nil {
			s.next = s.next[:i] // too much work: the mask tells
			return
		}
	}
	if need, err := after.Need(); err != nil || need > s.left-len(s.next) {
		s.next = nil
	}
}

// Certain appends to dst at most n tokens, which Sample will choose next whatever its logits are.
func (s *Sampler) Certain(dst []int32, n int) []int32 {
	if s.err != nil || s.prompt > 0 {
		return dst
	}
	s.look()
	return append(dst, s.next[:min(n, len(s.next))]...)
}

// Done reports whether the answer is at its end, so that not even an end token has to follow.
func (s *Sampler) Done() bool { return s.err == nil && s.text.Done() }

// Complete reports whether the answer is a text of the grammar as it stands.
func (s *Sampler) Complete() bool { return s.err == nil && s.text.Accepting() }

// endTokens lists the keys of stop in order.
func endTokens(stop map[int32]bool) (ids []int32) {
	for id, ends := range stop {
		if ends {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}
