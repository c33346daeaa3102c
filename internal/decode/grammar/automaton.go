package grammar

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
)

// ErrTooComplex is the error of a grammar that leads a text into more states than the limit allows.
var ErrTooComplex = errors.New("grammar: the text has led into more states than are allowed; simplify the grammar")

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
	text   []byte // scratch
}

type step struct {
	state id
	next  *[256]id
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
		grown := a.arena.size() - g.arena.size()
		a.mu.Unlock()
		if grown <= maxIdle {
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

func (a *automaton) err() error {
	if a.arena.over != "" {
		return ErrTooComplex
	}
	return nil
}

// shortest appends the shortest text that completes a state, at most limit bytes of it.
func (a *automaton) shortest(text []byte, state id, limit int) []byte {
	for a.arena.terms[state].min > 0 && len(text) < limit {
		best := -1
		cuts := a.arena.cuts(state)
		cuts.rangesOf(func(lo, hi byte) bool {
			to := a.step(state, lo)
			if to != fail && a.minOf(to) == a.minOf(state)-1 {
				best = int(lo)
			}
			return best < 0
		})
		if best < 0 {
			return text // mins of huge terms are not exact
		}
		text = append(text, byte(best))
		state = a.step(state, byte(best))
	}
	return text
}

func (a *automaton) minOf(state id) int32 { return a.arena.terms[state].min }

// maxWitness is the length of a shortest text up to which its tokens are counted; of a longer one, its bytes.
const maxWitness = 4096

// need returns a number of tokens that can complete a state. It never is more than one below that of the state before, if that
// state's next token was one of the tokens counted: so a text that begins with enough tokens left always can be completed.
func (a *automaton) need(state id) int32 {
	if int(state) >= len(a.needs) {
		a.needs = append(a.needs, make([]int32, max(int(state)+1-len(a.needs), len(a.needs)/2))...)
	}
	if n := a.needs[state]; n > 0 {
		return n - 1
	}
	n := a.minOf(state)
	if n > 1 && n <= maxWitness {
		a.text = a.shortest(a.text[:0], state, maxWitness)
		n = 0
		for rest := a.text; len(rest) > 0; n++ {
			_, size := a.vocab.longestPiece(rest)
			rest = rest[max(size, 1):]
		}
	}
	a.needs[state] = n + 1
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
	a.mu.Lock()
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
	m.a.mu.Lock()
	defer m.a.mu.Unlock()
	n := m.a.need(m.state)
	if m.ended {
		n = 0
	}
	return int(n), m.a.err()
}

// Unlimited is the number of tokens left of a text that need not end.
const Unlimited = math.MaxInt32
