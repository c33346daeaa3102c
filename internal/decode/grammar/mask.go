package grammar

import (
	"math"
	"math/bits"
)

// A Mask is the set of tokens that may come next: bit id%64 of word id/64. It is shared and must not be changed.
type Mask []uint64

// Has reports whether a token is allowed.
func (m Mask) Has(token int32) bool {
	return token >= 0 && int(token>>6) < len(m) && m[token>>6]>>(token&63)&1 != 0
}

// Count returns the number of tokens that are allowed.
func (m Mask) Count() (n int) {
	for _, w := range m {
		n += bits.OnesCount64(w)
	}
	return n
}

// Apply sets the logits of tokens that are not allowed to minus infinity. len(logits) is the vocabulary's size, or more: logits
// beyond it are not allowed either.
func (m Mask) Apply(logits []float32) {
	for i := range logits {
		if !m.Has(int32(i)) {
			logits[i] = float32(math.Inf(-1))
		}
	}
}

type mask struct {
	bits Mask
	// The most that is still to be said after any allowed token, in bytes, and in tokens as need counts them (-1: not known).
	maxMin, maxNeed int32

	limited bool // walk allows only tokens that leave at most left tokens to be needed, and sets maxNeed
	left    int32
}

// A lexMask is what a kLex term says about tokens whatever comes after it: those that stay in it, and the nodes of the vocabulary
// where it has ended within longer tokens. What follows has to be asked about the latter only, and they are few: of 256,000 pieces
// nearly all may stand in a JSON string, and in a few hundred the string ends. So all strings share one lexMask, wherever they are
// (Y. Dong et al., 2024, call this context-independent).
type lexMask struct {
	mask
	exits  []int32 // nodes with further nodes below
	atOnce bool    // it matches the empty text: everything allowed by what follows is allowed
}

// maxExits is the number of exits above which a kLex term is of no help.
const maxExits = 8192

// Mask returns the tokens that may come next if left more tokens may come, this one among them, an end token not counted: those
// after which the text can still be completed with one token less. With Unlimited, or if it can't be completed anyhow
// (left < Need), all that the grammar allows. It is empty after the end.
func (m *Matcher) Mask(left int) (Mask, error) {
	a := m.a
	a.mu.Lock()
	defer a.mu.Unlock()
	if m.ended {
		return make(Mask, len(a.newMask().bits)), nil
	}
	found := a.mask(m.state)
	after := int32(min(max(left, 0), Unlimited)) - 1 // tokens left after this one
	result := found.bits
	if after < found.maxMin && (found.maxNeed < 0 || after < found.maxNeed) && a.need(m.state) <= after+1 {
		result = a.maskWithin(m.state, after, found)
	}
	return result, a.err()
}

func (a *automaton) newMask() mask {
	return mask{bits: make(Mask, (len(a.vocab.pieces)+63)/64), maxNeed: -1}
}

func (a *automaton) end(m *mask, state id) {
	if a.arena.nullable(state) {
		for _, token := range a.vocab.end {
			m.bits[token>>6] |= 1 << (token & 63)
		}
	}
}

// mask returns the mask of a state. a.mu must be held.
func (a *automaton) mask(state id) *mask {
	if m := a.masks[state]; m != nil {
		return m
	}
	if len(a.masks) >= maxMasks {
		clear(a.masks)
	}
	m := a.newMask()
	key, less := a.clamp(state)
	switch t := a.arena.terms[key]; {
	case key != state:
		m = *a.mask(key)
		m.maxMin, m.maxNeed = plus(m.maxMin, less), -1
	case t.kind == kCat && a.arena.terms[t.a].kind == kLex:
		a.maskLex(&m, id(t.a), id(t.b))
		a.end(&m, state)
	case t.kind == kLex:
		a.maskLex(&m, state, eps)
		a.end(&m, state)
	default:
		a.walk(0, int32(len(a.vocab.nodes)), state, &m, nil)
		a.end(&m, state)
	}
	a.masks[state] = &m
	return &m
}

// maskLex adds the tokens of a state that begins with a kLex term.
func (a *automaton) maskLex(m *mask, lex, rest id) {
	key, less := a.clamp(lex)
	l := a.lexes[key]
	if l == nil {
		if len(a.lexes) >= maxMasks {
			clear(a.lexes)
		}
		l = &lexMask{mask: a.newMask(), atOnce: a.arena.nullable(key)}
		a.walk(0, int32(len(a.vocab.nodes)), key, &l.mask, &l.exits)
		a.lexes[key] = l
	}
	if len(l.exits) > maxExits && rest != eps {
		a.walk(0, int32(len(a.vocab.nodes)), a.arena.cat(lex, rest), m, nil)
		return
	}
	copy(m.bits, l.bits)
	m.maxMin = plus(plus(l.maxMin, less), a.minOf(rest))
	if rest == eps {
		return
	}
	for _, n := range l.exits {
		a.walk(n+1, a.vocab.nodes[n].skip, rest, m, nil)
	}
	if l.atOnce {
		other := a.mask(rest)
		for i, w := range other.bits {
			m.bits[i] |= w
		}
		m.maxMin = max(m.maxMin, other.maxMin)
	}
}

// walk adds to m the tokens that end at nodes[first:last] and that state allows, which is that of the node above them. With exits
// it collects the nodes at which the state's texts have ended.
func (a *automaton) walk(first, last int32, state id, m *mask, exits *[]int32) {
	if first == last {
		return
	}
	nodes, path := a.vocab.nodes, &a.path
	path[nodes[first].depth-1] = step{state, a.table(state)}
	for i := first; i < last; {
		n := &nodes[i]
		from := &path[n.depth-1]
		to := from.next[n.byte]
		if to <= fail {
			if to == unknown {
				if a.arena.over != "" {
					return
				}
				to = a.fill(from.state, from.next, n.byte)
			}
			if to == fail {
				i = n.skip
				continue
			}
		}
		i++
		if n.id >= 0 && (!m.limited || a.within(m, to)) {
			m.bits[n.id>>6] |= 1 << (n.id & 63)
			if n.twins {
				a.addTwins(m, n.id)
			}
			m.maxMin = max(m.maxMin, a.arena.terms[to].min)
		}
		if i == n.skip {
			continue
		}
		if to != path[n.depth].state {
			path[n.depth] = step{to, a.table(to)}
		}
		if exits != nil && a.arena.nullable(to) {
			*exits = append(*exits, i-1)
		}
	}
}

func (a *automaton) within(m *mask, to id) bool {
	need := a.need(to)
	m.maxNeed = max(m.maxNeed, need)
	return need <= m.left
}

func (a *automaton) addTwins(m *mask, token int32) {
	for token = a.vocab.twins[token]; token >= 0; token = a.vocab.twins[token] {
		m.bits[token>>6] |= 1 << (token & 63)
	}
}

// maskWithin returns those tokens of a state's mask after which at most left tokens are needed, and notes in it the most that any
// of them leaves to be needed.
func (a *automaton) maskWithin(state id, left int32, all *mask) Mask {
	m := a.newMask()
	m.limited, m.left = true, left
	a.walk(0, int32(len(a.vocab.nodes)), state, &m, nil)
	a.end(&m, state)
	all.maxNeed = m.maxNeed
	return m.bits
}

// clamp returns a term whose mask is the same but that counts no further than a token can, so that the many states of a long
// count share one mask; and how many bytes more the original wants.
func (a *automaton) clamp(n id) (id, int32) { return a.clampFirst(n, 4) }

// clampFirst looks at the first terms of a stack only: at most three bytes of a character stand before a count.
func (a *automaton) clampFirst(n id, terms int) (id, int32) {
	longest := int32(a.vocab.longest) + 1
	switch t := a.arena.terms[n]; t.kind {
	case kRep:
		lo, hi := min(t.lo, longest), t.hi
		if hi > longest {
			hi = unbounded
		}
		if lo == t.lo && hi == t.hi || a.arena.nullable(id(t.a)) {
			return n, 0
		}
		c := a.arena.rep(id(t.a), lo, hi)
		return c, a.minOf(n) - a.minOf(c)
	case kLex:
		x, less := a.clampFirst(id(t.a), terms)
		return a.arena.lex(x), less
	case kCat:
		if a.arena.terms[t.a].kind == kLex || terms == 0 { // a kLex has a mask of its own
			return n, 0
		}
		x, less := a.clampFirst(id(t.a), 0)
		y, more := a.clampFirst(id(t.b), terms-1)
		return a.arena.cat(x, y), less + more
	}
	return n, 0
}
