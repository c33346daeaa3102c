// Package tokenizer turns text into Gemma's token ids and back: SentencePiece BPE with byte fallback and user-defined pieces.
//
// It owns the vocabulary in every form it comes in ([ParseModel], [ParseJSON]; GGUF metadata fills a [Vocab] directly) and the rule
// that text can't forge control tokens: [Tokenizer.AppendText] never yields one, whatever the text spells. Only
// [Tokenizer.AppendSpecial] does, for template scaffolding.
//
// It must not know what a template, a model or a GGUF file is, and it adds nothing of its own: no <bos>, no space.
package tokenizer

import (
	"fmt"
	"math"
	"strings"
	"sync/atomic"
)

// Tokenizer encodes and decodes by one vocabulary. It is safe for concurrent use and keeps nothing of the Vocab it was made of.
type Tokenizer struct {
	*resolved
	index *index
	order []uint32 // of merging, by id: the lowest that could be built is built first; never: merging does not make this piece

	plain, special *matcher // pieces matched whole before merging: the user-defined ones; those and the control tokens

	joins [256][4]uint64  // bit b of joins[a]: some piece has a character ending in byte a right before one beginning with byte b
	atoms []atomic.Uint32 // two bits for each id, see atom
}

// never is the order of pieces that merging does not make.
const never = math.MaxUint32

// New makes a Tokenizer of a vocabulary, which may come from an untrusted file: it reports what Validate would, and pieces that are
// spelled alike. It takes about 40 ms for the 256,000 pieces of Gemma, on the way of every model load.
func New(v *Vocab) (*Tokenizer, error) {
	r, err := v.resolve()
	if err != nil {
		return nil, fmt.Errorf("tokenizer: %w", err)
	}
	x, err := newIndex(v.Pieces)
	if err != nil {
		return nil, fmt.Errorf("tokenizer: %w", err)
	}
	t := &Tokenizer{
		resolved: r,
		index:    x,
		order:    make([]uint32, len(v.Pieces)),
		atoms:    make([]atomic.Uint32, (len(v.Pieces)+15)/16),
	}
	var plain, control []int32
	for i := range v.Pieces {
		id := int32(i)
		t.order[id] = never
		switch {
		case r.control[id]:
			control = append(control, id)
		case v.Pieces[id].Type == UserDefined:
			plain = append(plain, id) // matched before merging wherever it stands, so merging never meets it
		case v.Pieces[id].Type == Normal:
			t.order[id] = descending(v.Pieces[id].Score)
			t.addJoins(x.piece(id))
		}
	}
	t.plain = newMatcher(x, plain)
	t.special = newMatcher(x, append(control, plain...))
	return t, nil
}

// descending maps scores to integers such that a higher score gives a lower one, equal scores (0 and -0 too) equal ones.
func descending(score float32) uint32 {
	b := math.Float32bits(score + 0) // -0 + 0 = 0
	if b>>31 == 0 {
		b = 1<<31 - 1 - b
	}
	return b // a NaN, the only one to reach never, is refused by Validate
}

// addJoins records which characters stand side by side in a piece.
func (t *Tokenizer) addJoins(text string) {
	for i := 1; i < len(text); i++ {
		if b := text[i]; b&0xC0 != 0x80 { // begins a character
			t.joins[text[i-1]][b>>6] |= 1 << (b & 63)
		}
	}
}

// Size returns the number of pieces; ids run from 0 to Size()-1.
func (t *Tokenizer) Size() int { return len(t.order) }

// Roles returns the ids of the control tokens that a template and a model need.
func (t *Tokenizer) Roles() Roles { return t.roles }

// IsControl reports whether id is a control token, one that AppendText never yields. An id out of range is none.
func (t *Tokenizer) IsControl(id int32) bool {
	return t.valid(id) && t.control[id]
}

// Piece returns the text of a piece as the vocabulary spells it, with ▁ (U+2581) for spaces; "" for an id out of range.
func (t *Tokenizer) Piece(id int32) string {
	if !t.valid(id) {
		return ""
	}
	return strings.ReplaceAll(t.index.piece(id), " ", "▁")
}

// Spells says whether pieces are t's: as many, and each id spelled alike. Scores and types may differ.
func (t *Tokenizer) Spells(pieces []Piece) bool {
	if len(pieces) != t.Size() {
		return false
	}
	for id := range pieces {
		if strings.ReplaceAll(pieces[id].Text, "▁", " ") != t.index.piece(int32(id)) {
			return false
		}
	}
	return true
}

// ID returns the id of the piece that the vocabulary spells so, whatever its type.
func (t *Tokenizer) ID(piece string) (id int32, ok bool) {
	id = t.index.find(strings.ReplaceAll(piece, "▁", " "))
	return id, id >= 0
}

func (t *Tokenizer) valid(id int32) bool {
	return id >= 0 && int(id) < len(t.order)
}
