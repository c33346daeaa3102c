package grammar

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
)

// ErrTooComplex is the error of a grammar that leads a text into more states, or needs more work for one token, than is allowed.
var ErrTooComplex = errors.New("grammar: too many states, or too much work for one token; simplify the grammar")

// An automaton is a Grammar's terms as states over a Vocabulary, found as texts reach them, with what is cached about them.
// Matchers of one Grammar share it.
type automaton struct {
	vocab *Vocabulary

	mu     sync.Mutex // guards everything below
	arena  *arena
	next   []*[256]id      // by state; nil, or unknown in it: not yet asked for
	tables int             // in next
	masks  map[id]*mask    // of states
	lexes  map[id]*lexMask // of kLex terms
	needs  []int32         // by state: 1 + tokens that finish it, 0 unknown
	path   [maxPiece + 1]step
}

// A step is a state, and what walk asks of it again and again.
type step struct {
	state    id
	need     int32
	nullable bool
	next     *[256]id
}

const unknown id = -1

// Caches are emptied when they reach these; what is asked for again is found again.
const (
	maxTables = 16 << 10 // 1 KiB each
	maxMasks  = 512      // 32 KiB each for 256,000 pieces
)

// automatonFor returns the automaton for new texts.
func (g *Grammar) automatonFor(v *Vocabulary) *automaton {
	g.mu.Lock()
	defer g.mu.Unlock()
	if a := g.last; a != nil && a.vocab == v {
		a.mu.Lock()
		fresh := a.arena.over == "" && a.arena.size()-g.arena.size() <= maxIdle
		a.mu.Unlock()
		if fresh {
			return a
		}
	}
	g.last = &automaton{
		vocab: v,
		arena: g.arena.clone(g.arena.size() + maxGrown),
		masks: map[id]*mask{},
		lexes: map[id]*lexMask{},
	}
	return g.last
}

// table returns the steps of a state. a.mu must be held.
func (a *automaton) table(state id) *[256]id {
	if int(state) >= len(a.next) {
		a.next = append(a.next, make([]*[256]id, max(int(state)+1-len(a.next), len(a.next)/2))...)
	}
	t := a.next[state]
	if t == nil {
		if a.tables >= maxTables {
			clear(a.next) // those on a path stay alive
			a.tables = 0
		}
		t = new([256]id)
		for i := range t {
			t[i] = unknown
		}
		a.next[state] = t
		a.tables++
	}
	return t
}

// fill finds the step of a state by b, and by the bytes around it that have the same one.
func (a *automaton) fill(state id, t *[256]id, b byte) id {
	to := a.arena.derive(state, b)
	cuts := a.arena.cuts(state)
	for i := int(b); i >= 0; i-- {
		t[i] = to
		if cuts.has(byte(i)) {
			break
		}
	}
	for i := int(b) + 1; i < 256 && !cuts.has(byte(i)); i++ {
		t[i] = to
	}
	return to
}

func (a *automaton) step(state id, b byte) id {
	t := a.table(state)
	if to := t[b]; to != unknown {
		return to
	}
	return a.fill(state, t, b)
}

// run returns the state after s, fail if there is none.
func (a *automaton) run(state id, s string) id {
	for i := 0; i < len(s) && state != fail; i++ {
		state = a.step(state, s[i])
	}
	return state
}

// begin locks a for one call of a Matcher.
func (a *automaton) begin() {
	a.mu.Lock()
	a.arena.work = maxStepWork
}

func (a *automaton) err() error {
	if a.arena.over != "" {
		return ErrTooComplex
	}
	return nil
}

// need returns a number of tokens that can complete a state: those of the shortest text, each of the grammar's own pieces of it cut
// into tokens by itself. After a token that was counted it is less by one at least: so a text that begins with enough tokens left
// can always be completed.
func (a *automaton) need(state id) int32 {
	t := a.arena.terms[state]
	if t.min == 0 || t.min == infinite {
		return t.min
	}
	if int(state) >= len(a.needs) {
		a.needs = append(a.needs, make([]int32, max(int(state)+1-len(a.needs), len(a.needs)/2))...)
	}
	if n := a.needs[state]; n > 0 {
		return n
	}
	n := int32(infinite)
	switch t.kind {
	case kSet:
		n = 1
	case kWords:
		for _, w := range a.arena.lists[t.a][t.lo:t.hi] {
			if w = w[t.b:]; len(w) == int(t.min) {
				n = min(n, a.pieces(w))
			}
		}
	case kCat:
		n = plus(a.need(id(t.a)), a.need(id(t.b)))
	case kAlt:
		for _, k := range a.arena.kidsOf(&t) {
			if a.arena.terms[k].min == t.min {
				n = min(n, a.need(k))
			}
		}
	case kAnd:
		n = a.pieces(a.arena.shortest(state))
	case kRep:
		n = times(a.need(id(t.a)), t.lo)
	case kRef:
		n = a.need(a.arena.rules[t.a])
	case kLex:
		n = a.need(id(t.a))
	}
	a.needs[state] = n
	return n
}

// pieces returns the number of tokens of a text, if the longest is taken each time.
func (a *automaton) pieces(text string) (n int32) {
	for ; len(text) > 0; n++ {
		_, size := a.vocab.longestPiece(text)
		text = text[max(size, 1):]
	}
	return n
}

// A Matcher follows one text through a Grammar. It is not safe for concurrent use, but Matchers of one Grammar are among
// each other.
type Matcher struct {
	a     *automaton
	state id
	ended bool
}

// Start returns a Matcher at the beginning of a text.
func (g *Grammar) Start(v *Vocabulary) *Matcher {
	return &Matcher{a: g.automatonFor(v), state: g.start}
}

// Clone returns a Matcher that goes on from here by itself: to draft tokens that may be taken back, or for several answers.
func (m *Matcher) Clone() *Matcher {
	c := *m
	return &c
}

// Accept takes the token that was chosen. An error means that the token was not allowed, or is ErrTooComplex; the Matcher is
// then as before.
func (m *Matcher) Accept(token int32) error {
	a := m.a
	a.begin()
	defer a.mu.Unlock()
	switch {
	case token < 0 || int(token) >= len(a.vocab.pieces):
		return fmt.Errorf("grammar: token %d is none of the vocabulary's %d", token, len(a.vocab.pieces))
	case m.ended:
		return fmt.Errorf("grammar: token %d comes after the end of the text", token)
	case slices.Contains(a.vocab.end, token):
		if !a.arena.nullable(m.state) {
			return fmt.Errorf("grammar: token %d ends the text where it is not complete", token)
		}
		m.ended = true
		return nil
	}
	piece := a.vocab.pieces[token]
	to := a.run(m.state, piece)
	if err := a.err(); err != nil {
		return err
	}
	if piece == "" || to == fail {
		return fmt.Errorf("grammar: token %d (%q) is not allowed here", token, piece)
	}
	m.state = to
	return nil
}

// Accepting reports whether the text is complete as it stands, though it may be able to go on.
func (m *Matcher) Accepting() bool {
	m.a.mu.Lock()
	defer m.a.mu.Unlock()
	return m.a.arena.nullable(m.state)
}

// Done reports whether the text is at its end: after an end token, or where it is complete and nothing can follow. No further
// step of the model is needed, not even for an end token.
func (m *Matcher) Done() bool { return m.ended || m.state == eps }

// Need returns a number of tokens that suffices to complete the text from here, an end token not counted. A text that starts
// with at least as many left, and whose masks are asked for with the true number left, is complete in the end.
func (m *Matcher) Need() (int, error) {
	m.a.begin()
	defer m.a.mu.Unlock()
	n := m.a.need(m.state)
	if m.ended {
		n = 0
	}
	return int(n), m.a.err()
}

// Unlimited is the number of tokens left of a text that need not end.
const Unlimited = math.MaxInt32

// Bytes estimates the memory of a Grammar with what it has cached about texts.
func (g *Grammar) Bytes() int64 {
	g.mu.Lock()
	a := g.last
	g.mu.Unlock()
	n := g.arena.bytes()
	if a == nil {
		return n
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	masks := len(a.masks) + len(a.lexes)
	return n + a.arena.bytes() + int64(a.tables)<<10 + int64(masks)*int64(a.vocab.none/64+1)*8
}

// bytes estimates the memory of an arena: terms, their parts, and the table that finds them.
func (a *arena) bytes() int64 { return 40 * int64(a.size()) }
