package grammar

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
)

// maxPiece is how long a piece may be, in bytes; longer ones are never allowed.
const maxPiece = 255

// A Vocabulary is the pieces of a tokenizer, as a tree of their bytes. It is built once for a model, and never changes.
type Vocabulary struct {
	pieces  []string // by id
	nodes   []node   // depth first: the nodes below nodes[i] are nodes[i+1:nodes[i].skip]
	twins   []int32  // twins[id]: another id with the same piece, or -1; nil where there are none
	none    int32    // the id of nodes where no piece ends: its bit is in a word after those of a mask
	end     []int32
	longest int // bytes
}

// A node stands for a beginning of pieces, one byte longer than that of the node it is below.
type node struct {
	skip  int32 // index of the first node after this one that is not below it
	id    int32 // the piece that ends here, or none
	depth uint8 // bytes
	byte  uint8 // the last of them
	twins bool  // other ids have the same piece
}

// NewVocabulary makes a Vocabulary of the pieces with ids 0 to size-1: piece(id) is what the token adds to a text, as bytes, and ""
// for one that must never be in a constrained text, such as a control token. end are the tokens that end a text; they are allowed
// where a text is complete, whatever piece returns for them.
//
// Every byte that UTF-8 has must be a piece of its own, as byte fallback gives them: then whatever a Grammar asks for can be said.
func NewVocabulary(size int, piece func(id int32) string, end []int32) (*Vocabulary, error) {
	if size < 1 || size > math.MaxInt32/2 {
		return nil, fmt.Errorf("vocabulary: has %d pieces, want 1 to %d", size, math.MaxInt32/2)
	}
	v := &Vocabulary{pieces: make([]string, size), end: slices.Clone(end), none: int32(size+63) &^ 63}
	for _, id := range end {
		if id < 0 || int(id) >= size {
			return nil, fmt.Errorf("vocabulary: end token %d is none of its %d pieces", id, size)
		}
	}
	type entry struct {
		start uint64 // the first 8 bytes: most comparisons end here
		id    int32
	}
	entries := make([]entry, 0, size)
	var single byteSet
	for id := range int32(size) {
		s := piece(id)
		if s == "" || len(s) > maxPiece || slices.Contains(end, id) {
			continue
		}
		v.pieces[id] = s
		v.longest = max(v.longest, len(s))
		if len(s) == 1 {
			single.add(s[0])
		}
		var start [8]byte
		copy(start[:], s)
		entries = append(entries, entry{binary.BigEndian.Uint64(start[:]), id})
	}
	for b := range 256 {
		if utf8Byte(byte(b)) && !single.has(byte(b)) {
			return nil, fmt.Errorf("vocabulary: no piece is byte %#02x alone, so not every text can be said; want a vocabulary with byte fallback", b)
		}
	}
	slices.SortFunc(entries, func(x, y entry) int {
		if x.start != y.start {
			return cmp.Compare(x.start, y.start)
		}
		return cmp.Or(cmp.Compare(v.pieces[x.id], v.pieces[y.id]), cmp.Compare(x.id, y.id))
	})
	nodes := 0
	last := ""
	for _, e := range entries {
		s := v.pieces[e.id]
		nodes += len(s) - common(last, s)
		last = s
	}
	v.nodes = make([]node, 0, nodes)
	var path [maxPiece]int32 // the nodes of last
	last = ""
	for _, e := range entries {
		s := v.pieces[e.id]
		if s == last {
			n := &v.nodes[path[len(s)-1]]
			if v.twins == nil {
				v.twins = slices.Repeat([]int32{-1}, size)
			}
			v.twins[e.id], n.id, n.twins = n.id, e.id, true
			continue
		}
		same := common(last, s)
		for d := same; d < len(last); d++ {
			v.nodes[path[d]].skip = int32(len(v.nodes))
		}
		for d := same; d < len(s); d++ {
			path[d] = int32(len(v.nodes))
			v.nodes = append(v.nodes, node{id: v.none, depth: uint8(d + 1), byte: s[d]})
		}
		v.nodes[path[len(s)-1]].id = e.id
		last = s
	}
	for d := range len(last) {
		v.nodes[path[d]].skip = int32(len(v.nodes))
	}
	return v, nil
}

// utf8Byte reports whether b occurs in UTF-8.
func utf8Byte(b byte) bool { return b < 0xC0 || b >= 0xC2 && b <= 0xF4 }

// common returns how many bytes x and y have in common at their beginning.
func common(x, y string) int {
	n := min(len(x), len(y))
	for i := range n {
		if x[i] != y[i] {
			return i
		}
	}
	return n
}

// longestPiece returns the longest piece with which s begins. Any text of UTF-8's bytes begins with one.
func (v *Vocabulary) longestPiece(s string) (id int32, size int) {
	id = -1
	at, end := int32(0), int32(len(v.nodes))
	for depth := 0; depth < len(s) && at < end; {
		n := &v.nodes[at]
		switch {
		case n.byte < s[depth]:
			at = n.skip
			continue
		case n.byte > s[depth]:
			return id, size
		}
		depth++
		if n.id != v.none {
			id, size = n.id, depth
		}
		at, end = at+1, n.skip
	}
	return id, size
}

// find returns the node that stands for s, or -1.
func (v *Vocabulary) find(s []byte) int32 {
	at, end := int32(0), int32(len(v.nodes))
	for depth := 0; at < end; {
		n := &v.nodes[at]
		switch {
		case n.byte < s[depth]:
			at = n.skip
			continue
		case n.byte > s[depth]:
			return -1
		}
		if depth++; depth == len(s) {
			return at
		}
		at, end = at+1, n.skip
	}
	return -1
}
