package tokenizer

import (
	"fmt"
	"hash/maphash"
	"math/bits"
	"strings"
)

// index finds pieces by their text and texts by their id. Inside this package ▁ is a space: the text to encode is then searched as
// it stands, and a word's cost is in bytes it really has.
//
// It holds 4 bytes per piece for the offset and 8 to 16 for its slot, beside the text: 6 MB for Gemma, without a pointer for the
// garbage collector to follow.
type index struct {
	text   string   // of all pieces, one after the other
	offset []uint32 // piece id is text[offset[id]:offset[id+1]]
	slots  []uint32 // open addressing, linear probing, at most half full: 8 bits of the hash, then id+1; 0 is free
	shift  int      // a hash's highest bits choose its slot
	seed   maphash.Seed
}

const (
	idBits = 24
	idMask = 1<<idBits - 1
)

func newIndex(pieces []Piece) (*index, error) {
	size := 0
	for id := range pieces {
		size += len(pieces[id].Text)
	}
	if size > 1<<31 {
		return nil, fmt.Errorf("want at most 2 GiB of pieces, found %d bytes", size)
	}
	var text strings.Builder
	text.Grow(size)
	x := &index{offset: make([]uint32, 0, len(pieces)+1), seed: maphash.MakeSeed()}
	for id := range pieces {
		x.offset = append(x.offset, uint32(text.Len()))
		appendSpaced(&text, pieces[id].Text)
	}
	x.offset = append(x.offset, uint32(text.Len()))
	x.text = text.String()

	log := bits.Len(uint(2*len(pieces) - 1))
	x.slots, x.shift = make([]uint32, 1<<log), 64-log
	for id := range pieces {
		if other := x.add(int32(id)); other >= 0 {
			return nil, fmt.Errorf("pieces %d and %d are both %s", other, id, quote(pieces[id].Text))
		}
	}
	return x, nil
}

// appendSpaced writes text with spaces for ▁.
func appendSpaced(b *strings.Builder, text string) {
	for {
		before, after, found := strings.Cut(text, "▁")
		b.WriteString(before)
		if !found {
			return
		}
		b.WriteByte(' ')
		text = after
	}
}

// add enters a piece, unless one of the same text is there; it returns that one, or -1.
func (x *index) add(id int32) int32 {
	text := x.piece(id)
	hash := maphash.String(x.seed, text)
	for slot := hash >> x.shift; ; slot = (slot + 1) & uint64(len(x.slots)-1) {
		entry := x.slots[slot]
		if entry == 0 {
			x.slots[slot] = uint32(hash)<<idBits | uint32(id+1)
			return -1
		}
		if other := int32(entry&idMask) - 1; x.piece(other) == text {
			return other
		}
	}
}

// find returns the piece with this text (spaces for ▁), -1 if there is none.
func (x *index) find(text string) int32 {
	hash := maphash.String(x.seed, text)
	for slot := hash >> x.shift; ; slot = (slot + 1) & uint64(len(x.slots)-1) {
		entry := x.slots[slot]
		if entry == 0 {
			return -1
		}
		if entry>>idBits == uint32(hash)&0xff {
			if id := int32(entry&idMask) - 1; x.piece(id) == text {
				return id
			}
		}
	}
}

// piece returns the text of a piece, spaces for ▁.
func (x *index) piece(id int32) string {
	return x.text[x.offset[id]:x.offset[id+1]]
}
