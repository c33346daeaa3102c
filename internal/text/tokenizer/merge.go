package tokenizer

import "unicode/utf8"

// workspace merges one run at a time. Its memory is kept for the next.
type workspace struct {
	symbols []symbol
	queue   []candidate // binary heap, lowest first
	steps   int         // candidates added and taken, counted to prove that time is linear
}

// symbol is a piece of the run, at first one character. A symbol ends where the next begins.
type symbol struct {
	start      int32
	prev, next int32 // neighbours in symbols, -1 at the ends
	id         int32 // its piece; -1: a character not looked up yet
	pair       int32 // the piece that it and the next symbol would make, -1: none, or merged away
}

// candidate is a pair to merge: order of the piece it makes, then place of its left symbol, as SentencePiece has it. It is out of
// date when the symbol's pair has another order by now.
type candidate uint64

func (c candidate) place() int32  { return int32(c & (1<<32 - 1)) }
func (c candidate) order() uint32 { return uint32(c >> 32) }

// merge cuts run into characters and joins neighbours until no two make a piece, best order first, leftmost among equals.
//
// Each character gives at most one candidate at first and each merge two more while it takes one, so there are at most 3 candidates
// a character, 2 at a time.
func (w *workspace) merge(t *Tokenizer, run string) {
	w.split(run)
	w.queue = w.queue[:0]
	for i := range w.symbols {
		w.consider(t, run, int32(i))
	}
	for len(w.queue) > 0 {
		c := w.pop()
		left := &w.symbols[c.place()]
		if left.pair < 0 || t.order[left.pair] != c.order() {
			continue
		}
		right := &w.symbols[left.next]
		left.id, left.next = left.pair, right.next
		right.pair = -1
		if right.next >= 0 {
			w.symbols[right.next].prev = c.place()
		}
		w.consider(t, run, c.place())
		if left.prev >= 0 {
			w.consider(t, run, left.prev)
		}
	}
}

func (w *workspace) split(run string) {
	w.symbols = w.symbols[:0]
	for i := 0; i < len(run); {
		n := int32(len(w.symbols))
		w.symbols = append(w.symbols, symbol{start: int32(i), prev: n - 1, next: n + 1, id: -1, pair: -1})
		_, size := utf8.DecodeRuneInString(run[i:])
		i += size
	}
	w.symbols[len(w.symbols)-1].next = -1
}

// end returns where a symbol ends in run.
func (w *workspace) end(s *symbol, run string) int32 {
	if s.next < 0 {
		return int32(len(run))
	}
	return w.symbols[s.next].start
}

// consider looks up what the symbol at place and its next make, and adds that as a candidate.
func (w *workspace) consider(t *Tokenizer, run string, place int32) {
	s := &w.symbols[place]
	s.pair = -1
	if s.next < 0 {
		return
	}
	end := w.end(&w.symbols[s.next], run)
	if end-s.start > maxPieceBytes {
		return
	}
	if s.pair = t.mergeable(run[s.start:end]); s.pair >= 0 {
		w.push(candidate(t.order[s.pair])<<32 | candidate(place))
	}
}

// appendIDs appends the pieces that merge left, and the bytes of characters that have none.
func (w *workspace) appendIDs(ids []int32, t *Tokenizer, run string) []int32 {
	for place := int32(0); place >= 0; place = w.symbols[place].next {
		s := &w.symbols[place]
		text := run[s.start:w.end(s, run)]
		id := s.id
		if id < 0 {
			id = t.mergeable(text)
		}
		if id >= 0 {
			ids = append(ids, id)
			continue
		}
		for i := range len(text) {
			ids = append(ids, t.bytes[text[i]])
		}
	}
	return ids
}

func (w *workspace) push(c candidate) {
	w.steps++
	q := append(w.queue, c)
	i := len(q) - 1
	for i > 0 && q[(i-1)/2] > c {
		q[i] = q[(i-1)/2]
		i = (i - 1) / 2
	}
	q[i] = c
	w.queue = q
}

func (w *workspace) pop() candidate {
	w.steps++
	q := w.queue
	top, last := q[0], q[len(q)-1]
	q = q[:len(q)-1]
	for i := 0; len(q) > 0; {
		child := 2*i + 1
		if child+1 < len(q) && q[child+1] < q[child] {
			child++
		}
		if child >= len(q) || last <= q[child] {
			q[i] = last
			break
		}
		q[i] = q[child]
		i = child
	}
	w.queue = q
	return top
}
