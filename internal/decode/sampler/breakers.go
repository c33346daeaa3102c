package sampler

import "slices"

// Breakers are sequences of tokens that DRY's repetitions end at: a first token, and a tail of those that must follow it. They are made
// before the first sampler that has them, and may then serve many. The zero value, and nil, are none.
type Breakers struct {
	alone []uint64 // bit id%64 of word id/64: that token ends repetitions whatever follows
	tails map[int32][][]int32
	most  int // tokens of the longest tail
}

// Add adds a sequence, whose tail is kept, not copied. A token without a tail is a breaker by itself, and never punished.
func (b *Breakers) Add(first int32, tail []int32) {
	if len(tail) == 0 {
		if missing := int(first>>6) + 1 - len(b.alone); missing > 0 {
			b.alone = append(b.alone, make([]uint64, missing)...)
		}
		b.alone[first>>6] |= 1 << (first & 63)
		return
	}
	if b.tails == nil {
		b.tails = map[int32][][]int32{}
	}
	b.tails[first] = append(b.tails[first], tail)
	b.most = max(b.most, len(tail))
}

// isAlone says whether id is a breaker by itself.
func (b *Breakers) isAlone(id int32) bool {
	w := int(uint32(id) >> 6)
	return w < len(b.alone) && b.alone[w]>>(id&63)&1 != 0
}

// match is how many tokens after ids[i] belong to the longest sequence that begins there; -1 if none does.
func (b *Breakers) match(ids []int32, i int) int {
	longest := -1
	if b.isAlone(ids[i]) {
		longest = 0
	}
	for _, tail := range b.tails[ids[i]] {
		if n := len(tail); n > longest && n < len(ids)-i && slices.Equal(tail, ids[i+1:i+1+n]) {
			longest = n
		}
	}
	return longest
}

// breaking finds the last breaker of a history that grows, without looking at all of it again.
type breaking struct {
	*Breakers
	settled     int // so many tokens have all the tokens behind them that a tail can have: what begins there will not change
	first, tail int // of the last of these where a breaker begins; -1: nowhere
}

func newBreaking(b *Breakers) breaking {
	if b == nil {
		b = &Breakers{}
	}
	return breaking{Breakers: b, first: -1}
}

// after is how many tokens come after the last breaker that begins among ids[from:]: of several that begin with one token, after the
// longest. All of ids[from:] if there is none. ids has grown since the last call, or is as it was.
func (b *breaking) after(ids []int32, from int) int {
	for ; b.settled+b.most < len(ids); b.settled++ {
		if n := b.match(ids, b.settled); n >= 0 {
			b.first, b.tail = b.settled, n
		}
	}
	for i := len(ids) - 1; i >= max(from, b.settled); i-- {
		if n := b.match(ids, i); n >= 0 {
			return len(ids) - 1 - i - n
		}
	}
	if b.first >= from && b.first >= 0 {
		return len(ids) - 1 - b.first - b.tail
	}
	return len(ids) - from
}
