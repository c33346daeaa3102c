package tokenizer

import (
	"errors"
	"fmt"
	"slices"
)

// Roles are the ids of the pieces that mean something to a model or a template; -1 where the vocabulary has none.
type Roles struct {
	BOS, EOS, PAD, UNK     int32
	StartOfTurn, EndOfTurn int32
}

// markers is how Gemma 2 spells its control tokens, in the order of (*Roles).each.
var markers = []string{"<bos>", "<eos>", "<pad>", "<unk>", "<start_of_turn>", "<end_of_turn>"}

func (r *Roles) each() []*int32 {
	return []*int32{&r.BOS, &r.EOS, &r.PAD, &r.UNK, &r.StartOfTurn, &r.EndOfTurn}
}

// resolved is what the pieces of a vocabulary are for.
type resolved struct {
	roles   Roles
	control []bool     // by id
	bytes   [256]int32 // the piece of each byte
}

// findRoles takes the roles that v names and looks for the others by their spelling.
func (r *resolved) findRoles(v *Vocab) error {
	r.roles = Roles{v.BOS, v.EOS, v.PAD, v.UNK, -1, v.EndOfTurn}
	roles := r.roles.each()
	for i, id := range roles {
		if *id < -1 || int(*id) >= len(v.Pieces) {
			return fmt.Errorf("id of %s: want -1 to %d, found %d", markers[i], len(v.Pieces)-1, *id)
		}
	}
	for id := range v.Pieces {
		if i := marker(v.Pieces[id].Text); i >= 0 && *roles[i] < 0 {
			*roles[i] = int32(id)
		}
	}
	return nil
}

// marker returns the index in markers of a piece's text, -1 if it is none.
func marker(text string) int {
	if text[0] != '<' {
		return -1
	}
	return slices.Index(markers, text)
}

func (r *resolved) findControls(v *Vocab) error {
	r.control = make([]bool, len(v.Pieces))
	for id := range v.Pieces {
		p := &v.Pieces[id]
		r.control[id] = p.Type == Control || p.Type == Unknown || v.Control == ControlByRole && marker(p.Text) >= 0
	}
	if v.Control == ControlByRole {
		for _, id := range r.roles.each() {
			if *id >= 0 {
				r.control[*id] = true
			}
		}
	}
	return nil
}

// findBytes finds the piece of each byte. Gemma's tokenizer.json has no <0x09>: a tab itself stands at that id, so an ASCII
// character's own piece serves where a byte piece is missing.
func (r *resolved) findBytes(v *Vocab) error {
	for b := range r.bytes {
		r.bytes[b] = -1
	}
	for id := range v.Pieces {
		p := &v.Pieces[id]
		if p.Type != Byte {
			continue
		}
		b, ok := parseByte(p.Text)
		switch {
		case !ok:
			return fmt.Errorf("piece %d is of type byte: want <0x00> to <0xFF>, found %s", id, quote(p.Text))
		case r.bytes[b] >= 0:
			return fmt.Errorf("byte 0x%02X has two pieces, %d and %d", b, r.bytes[b], id)
		case r.control[id]: // a character without a piece would become a control token
			return fmt.Errorf("piece %d is both byte 0x%02X and a control token", id, b)
		}
		r.bytes[b] = int32(id)
	}
	for id := range v.Pieces {
		p := &v.Pieces[id]
		if len(p.Text) == 1 && p.Type == Normal && !r.control[id] && r.bytes[p.Text[0]] < 0 {
			r.bytes[p.Text[0]] = int32(id)
		}
	}
	if b := slices.Index(r.bytes[:], -1); b >= 0 {
		return fmt.Errorf("want a piece for each of the 256 bytes, found none for 0x%02X", b)
	}
	return nil
}

// findSpace makes sure of a piece for the space: without one SentencePiece spells it as the three bytes of ▁.
func (r *resolved) findSpace(v *Vocab) error {
	id := slices.IndexFunc(v.Pieces, func(p Piece) bool { return p.Text == "▁" })
	if id < 0 || r.control[id] || v.Pieces[id].Type != Normal && v.Pieces[id].Type != UserDefined {
		return errors.New("want a piece of type normal or user-defined for the space, ▁ (U+2581), found none")
	}
	return nil
}

// parseByte reads <0xHH>, exactly two hexadecimal digits.
func parseByte(text string) (byte, bool) {
	if len(text) != 6 || text[:3] != "<0x" || text[5] != '>' {
		return 0, false
	}
	high, low := hexDigit(text[3]), hexDigit(text[4])
	return byte(high<<4 | low), high >= 0 && low >= 0
}

func hexDigit(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	}
	return -1
}
