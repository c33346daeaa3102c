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

// A mask has one word more than a Mask: for the bit of no token.
type mask struct {
	bits    Mask
	maxNeed int32 // the most that need is after any of the tokens
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
	a.begin()
	defer a.mu.Unlock()
	if m.ended {
		return make(Mask, a.vocab.none>>6), nil
	}
	found := a.mask(m.state)
	after := int32(min(max(left, 0), Unlimited)) - 1 // tokens left after this one
	if after < found.maxNeed && a.need(m.state) <= after+1 {
		found = a.newMask()
		a.walk(0, int32(len(a.vocab.nodes)), m.state, found, nil, after)
		a.end(found, m.state)
	}
	return found.bits[:len(found.bits)-1], a.err()
}

func (a *automaton) newMask() *mask {
	return &mask{bits: make(Mask, a.vocab.none>>6+1)}
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
	var m *mask
	key, less := a.clamp(state)
	switch t := a.arena.terms[key]; {
	case key != state:
		c := *a.mask(key)
		m = &c
		m.maxNeed = plus(m.maxNeed, less)
	case t.kind == kCat && a.arena.terms[t.a].kind == kLex:
		m = a.maskLex(id(t.a), id(t.b))
	case t.kind == kLex:
		m = a.maskLex(state, eps)
	default:
		m = a.newMask()
		a.walk(0, int32(len(a.vocab.nodes)), state, m, nil, Unlimited)
	}
	a.end(m, state)
	a.masks[state] = m
	return m
}

// maskLex returns the mask of a state that begins with a kLex term.
func (a *automaton) maskLex(lex, rest id) *mask {
	m, all := a.newMask(), int32(len(a.vocab.nodes))
	key, less := a.clamp(lex)
	l := a.lexes[key]
	if l == nil {
		if len(a.lexes) >= maxMasks {
			clear(a.lexes)
		}
		l = &lexMask{mask: *a.newMask(), atOnce: a.arena.nullable(key)}
		a.walk(0, all, key, &l.mask, &l.exits, Unlimited)
		a.lexes[key] = l
	}
	if len(l.exits) > maxExits && rest != eps {
		a.walk(0, all, a.arena.cat(lex, rest), m, nil, Unlimited)
		return m
	}
	copy(m.bits, l.bits)
	m.maxNeed = plus(plus(l.maxNeed, less), a.need(rest))
	if rest == eps {
		return m
	}
	for _, n := range l.exits {
		a.walk(n+1, a.vocab.nodes[n].skip, rest, m, nil, Unlimited)
	}
	if l.atOnce {
		other := a.mask(rest)
		for i, w := range other.bits {
			m.bits[i] |= w
		}
		m.maxNeed = max(m.maxNeed, other.maxNeed)
	}
	return m
}

// walk adds to m the tokens that end at nodes[first:last], that state allows, which is that of the node above them, and after which
// at most left tokens are needed. With exits it collects the nodes at which the state's texts have ended.
func (a *automaton) walk(first, last int32, state id, m *mask, exits *[]int32, left int32) {
	if first == last {
		return
	}
	nodes, path, none := a.vocab.nodes, &a.path, a.vocab.none
	a.enter(&path[nodes[first].depth-1], state)
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
		at := &path[n.depth]
		if to != at.state {
			a.enter(at, to)
		}
		if at.need <= left {
			m.bits[n.id>>6] |= 1 << (n.id & 63)
			if n.twins {
				a.addTwins(m, n.id)
			}
		}
		if at.need > m.maxNeed && n.id != none {
			m.maxNeed = at.need
		}
		i++
		if exits != nil && at.nullable && i != n.skip {
			*exits = append(*exits, i-1)
		}
	}
}

func (a *automaton) enter(at *step, state id) {
	*at = step{state, a.need(state), a.arena.nullable(state), a.table(state)}
}

func (a *automaton) addTwins(m *mask, token int32) {
	for token = a.vocab.twins[token]; token >= 0; token = a.vocab.twins[token] {
		m.bits[token>>6] |= 1 << (token & 63)
	}
}

// clamp returns a term whose mask is the same but that counts no further than a token can, so that the many states of a long
// count share one mask; and how many tokens more the original needs.
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
		return c, a.need(n) - a.need(c)
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
