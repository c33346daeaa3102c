package tokenizer

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// PieceType says how a piece takes part in encoding. The numbers are SentencePiece's and GGUF's.
type PieceType uint8

// The types of a piece.
const (
	Normal      PieceType = iota + 1 // built by merging
	Unknown                          // <unk>
	Control                          // never matched in mere text
	UserDefined                      // matched whole before merging, longest first
	Unused                           // takes up an id; text never becomes it
	Byte                             // <0x00> ... <0xFF>: one byte of a character that has no piece
)

// ControlRule says which pieces are control tokens.
type ControlRule uint8

const (
	// ControlByRole is Gemma's rule and the default: pieces of type Control or Unknown, the pieces that BOS, EOS, PAD, UNK and
	// EndOfTurn name, and those spelled <pad>, <eos>, <bos>, <unk>, <start_of_turn>, <end_of_turn>, whatever their type.
	ControlByRole ControlRule = iota
	// ControlByType is SentencePiece's rule: only pieces of type Control or Unknown. Text can then forge a turn marker that the
	// file calls user-defined.
	ControlByType
)

// Limits of what Validate accepts. Gemma has 256,000 pieces of up to 93 bytes.
const (
	maxPieces     = 1<<24 - 2 // an id and a tag share 32 bits in index
	maxPieceBytes = 256       // bounds the work of one match and one lookup
)

// Piece is one entry of a vocabulary.
type Piece struct {
	Text  string // spaces are spelled ▁ (U+2581)
	Score float32
	Type  PieceType
}

// Vocab is a tokenizer as files describe it: SentencePiece models, tokenizer.json and GGUF metadata all become one. It is data
// only; New makes a Tokenizer of it. An id is an index into Pieces.
type Vocab struct {
	Pieces []Piece // of two pieces that could be built, the one with the higher score is built first

	BOS, EOS, PAD, UNK int32 // -1: the vocabulary has none
	EndOfTurn          int32 // -1: none

	AddSpacePrefix bool        // add_dummy_prefix of SentencePiece; Gemma has false, and true is refused
	Control        ControlRule // zero: ControlByRole
}

// Validate reports the first reason why v can't be used. It checks everything but that no two pieces are spelled alike, which New
// finds as it builds its index.
func (v *Vocab) Validate() error {
	if _, err := v.resolve(); err != nil {
		return fmt.Errorf("tokenizer: %w", err)
	}
	return nil
}

// resolve validates v and works out what its pieces are for.
func (v *Vocab) resolve() (*resolved, error) {
	if n := len(v.Pieces); n == 0 || n > maxPieces {
		return nil, fmt.Errorf("want 1 to %d pieces, found %d", maxPieces, n)
	}
	if v.AddSpacePrefix {
		return nil, errors.New("want no space added before the text, as Gemma has it, found add_space_prefix true; " +
			"this is not a Gemma tokenizer")
	}
	if v.Control > ControlByType {
		return nil, fmt.Errorf("unknown control rule %d", v.Control)
	}
	for id := range v.Pieces {
		if err := v.Pieces[id].validate(); err != nil {
			return nil, fmt.Errorf("piece %d %s: %w", id, quote(v.Pieces[id].Text), err)
		}
	}
	r := &resolved{}
	for _, step := range []func(*Vocab) error{r.findRoles, r.findControls, r.findBytes, r.findSpace} {
		if err := step(v); err != nil {
			return nil, err
		}
	}
	return r, nil
}

func (p *Piece) validate() error {
	switch {
	case p.Text == "":
		return errors.New("want text, found none")
	case len(p.Text) > maxPieceBytes:
		return fmt.Errorf("want at most %d bytes, found %d", maxPieceBytes, len(p.Text))
	case !utf8.ValidString(p.Text):
		return errors.New("not UTF-8")
	case strings.IndexByte(p.Text, ' ') >= 0:
		return errors.New("holds a space; a vocabulary spells it ▁ (U+2581)")
	case p.Type < Normal || p.Type > Byte:
		return fmt.Errorf("want type 1 to 6, found %d", p.Type)
	case math.IsNaN(float64(p.Score)):
		return errors.New("its score is not a number")
	}
	return nil
}

// quote keeps a hostile piece from filling an error message.
func quote(s string) string {
	if len(s) > 40 {
		return fmt.Sprintf("%.40q...", s)
	}
	return strconv.Quote(s)
}
