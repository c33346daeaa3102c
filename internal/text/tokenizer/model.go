package tokenizer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// ParseModel reads a SentencePiece model (tokenizer.model): the protobuf message ModelProto of sentencepiece_model.proto, of which
// it needs the pieces and those settings that change ids. Settings that Gemma does not have are refused by name.
//
// The result shares one copy of data; nothing else is allocated but 32 bytes for each piece.
func ParseModel(data []byte) (*Vocab, error) {
	m := modelProto{bos: "<s>", eos: "</s>", pad: "<pad>", unk: "<unk>", modelType: unigram, addDummyPrefix: true,
		removeExtraSpaces: true, escapeSpaces: true}
	if err := m.parse(string(data)); err != nil {
		return nil, fmt.Errorf("tokenizer.model: %w", err)
	}
	if err := m.supported(); err != nil {
		return nil, fmt.Errorf("tokenizer.model: %w; this is not a Gemma tokenizer", err)
	}
	v := &Vocab{Pieces: m.pieces, BOS: -1, EOS: -1, PAD: -1, UNK: -1, EndOfTurn: -1}
	for id, p := range v.Pieces {
		switch { // as SentencePiece: a role needs both the spelling and the type
		case p.Type == Unused:
			return nil, fmt.Errorf("tokenizer.model: piece %d %s is of type unused; this is not a Gemma tokenizer", id, quote(p.Text))
		case p.Type == Unknown && p.Text == m.unk:
			v.UNK = int32(id)
		case p.Type != Control:
		case p.Text == m.bos:
			v.BOS = int32(id)
		case p.Text == m.eos:
			v.EOS = int32(id)
		case p.Text == m.pad:
			v.PAD = int32(id)
		}
	}
	if _, err := v.resolve(); err != nil {
		return nil, fmt.Errorf("tokenizer.model: %w", err)
	}
	return v, nil
}

// Values of TrainerSpec.model_type.
const (
	unigram = 1
	bpe     = 2
)

// modelProto is what matters of a ModelProto. Absent fields have the defaults of sentencepiece_model.proto.
type modelProto struct {
	pieces []Piece

	modelType            uint64 // TrainerSpec
	spaceAsSuffix        bool
	byteFallback         bool
	bos, eos, pad, unk   string
	normalizer           string // NormalizerSpec
	charsMap             int    // bytes
	rules                int    // bytes
	addDummyPrefix       bool
	removeExtraSpaces    bool
	escapeSpaces         bool
	denormalizerCharsMap int // bytes
}

// supported reports the first setting that would give other ids than ours.
func (m *modelProto) supported() error {
	switch {
	case m.modelType != bpe:
		return fmt.Errorf("trainer_spec.model_type: want 2 (BPE), found %d", m.modelType)
	case !m.byteFallback:
		return errors.New("trainer_spec.byte_fallback: want true, found false")
	case m.spaceAsSuffix:
		return errors.New("trainer_spec.treat_whitespace_as_suffix: want false, found true")
	case m.charsMap > 0:
		return fmt.Errorf("normalizer_spec: want identity, found %s with a precompiled_charsmap of %d bytes", quote(m.normalizer), m.charsMap)
	case m.rules > 0:
		return errors.New("normalizer_spec.normalization_rule_tsv: want none")
	case m.addDummyPrefix:
		return errors.New("normalizer_spec.add_dummy_prefix: want false, found true")
	case m.removeExtraSpaces:
		return errors.New("normalizer_spec.remove_extra_whitespaces: want false, found true")
	case !m.escapeSpaces:
		return errors.New("normalizer_spec.escape_whitespaces: want true, found false")
	case m.denormalizerCharsMap > 0:
		return errors.New("denormalizer_spec.precompiled_charsmap: want none")
	}
	return nil
}

func (m *modelProto) parse(data string) error {
	pieces := 0 // counted first: a piece takes more memory here than its shortest form in the file
	if err := fields(data, func(number int, _ uint64, _ string) error {
		if number == 1 {
			pieces++
		}
		return nil
	}); err != nil {
		return err
	}
	m.pieces = make([]Piece, 0, pieces)
	return fields(data, func(number int, _ uint64, message string) (err error) {
		switch number {
		case 1:
			p := Piece{Type: Normal}
			if err = p.parse(message); err != nil {
				return fmt.Errorf("piece %d: %w", len(m.pieces), err)
			}
			m.pieces = append(m.pieces, p)
		case 2:
			err = m.parseTrainer(message)
		case 3:
			err = m.parseNormalizer(message)
		case 5:
			err = fields(message, func(number int, _ uint64, s string) error {
				if number == 2 {
					m.denormalizerCharsMap = len(s)
				}
				return nil
			})
		}
		return err
	})
}

func (p *Piece) parse(message string) error {
	return fields(message, func(number int, value uint64, s string) error {
		switch number {
		case 1:
			p.Text = s
		case 2:
			p.Score = math.Float32frombits(uint32(value))
		case 3:
			p.Type = PieceType(min(value, math.MaxUint8)) // Validate refuses what is no type
		}
		return nil
	})
}

func (m *modelProto) parseTrainer(message string) error {
	return fields(message, func(number int, value uint64, s string) error {
		switch number {
		case 3:
			m.modelType = value
		case 24:
			m.spaceAsSuffix = value != 0
		case 35:
			m.byteFallback = value != 0
		case 45:
			m.unk = s
		case 46:
			m.bos = s
		case 47:
			m.eos = s
		case 48:
			m.pad = s
		}
		return nil
	})
}

func (m *modelProto) parseNormalizer(message string) error {
	return fields(message, func(number int, value uint64, s string) error {
		switch number {
		case 1:
			m.normalizer = s
		case 2:
			m.charsMap = len(s)
		case 3:
			m.addDummyPrefix = value != 0
		case 4:
			m.removeExtraSpaces = value != 0
		case 5:
			m.escapeSpaces = value != 0
		case 6:
			m.rules = len(s)
		}
		return nil
	})
}

// fields calls field for each field of a protobuf message in wire format: its number and its value, an integer (varint, fixed32 or
// fixed64) or a string of bytes, whichever the wire type says. A field of another type than expected thus reads as 0 or "".
func fields(message string, field func(number int, value uint64, s string) error) error {
	for at := 0; at < len(message); {
		number, value, s, n := nextField(message[at:])
		if n == 0 {
			return fmt.Errorf("byte %d of %d: no valid field; the file is damaged or not a SentencePiece model", at, len(message))
		}
		if err := field(number, value, s); err != nil {
			return err
		}
		at += n
	}
	return nil
}

// nextField reads the field that message begins with, n bytes long; n is 0 if it is none or cut off.
func nextField(message string) (number int, value uint64, s string, n int) {
	tag, n := varint(message)
	if n == 0 || tag>>3 == 0 || tag>>3 > maxFieldNumber {
		return 0, 0, "", 0
	}
	number = int(tag >> 3)
	rest := message[n:]
	switch tag & 7 {
	case 0:
		value, size := varint(rest)
		if size == 0 {
			return 0, 0, "", 0
		}
		return number, value, "", n + size
	case 1:
		if len(rest) < 8 {
			return 0, 0, "", 0
		}
		return number, binary.LittleEndian.Uint64([]byte(rest[:8])), "", n + 8
	case 2:
		length, size := varint(rest)
		if size == 0 || length > uint64(len(rest)-size) {
			return 0, 0, "", 0
		}
		end := size + int(length)
		return number, 0, rest[size:end], n + end
	case 5:
		if len(rest) < 4 {
			return 0, 0, "", 0
		}
		return number, uint64(binary.LittleEndian.Uint32([]byte(rest[:4]))), "", n + 4
	}
	return 0, 0, "", 0
}

const maxFieldNumber = 1<<29 - 1 // of protobuf

// varint reads a base-128 number and how many bytes it takes, 0 if it is cut off or longer than 64 bits.
func varint(s string) (value uint64, n int) {
	for n < len(s) && n < 10 {
		c := s[n]
		if n == 9 && c > 1 {
			return 0, 0
		}
		value |= uint64(c&0x7f) << (7 * n)
		n++
		if c < 0x80 {
			return value, n
		}
	}
	return 0, 0
}
