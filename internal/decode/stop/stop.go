// Package stop ends a generation at a stop string, also one that is spread over several pieces of text.
//
// It owns the rule of what may be shown when: after each piece, if stop strings are complete in the whole text so far, the
// text ends where the earliest of them begins (the longest, where several begin at the same place); otherwise everything is
// shown except the longest end of the text with which a stop string could begin.
//
// It must not know what a token is: an end token is the caller's business, and calls Flush without a piece of its own.
package stop

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
)

// A Matcher watches one text. Each byte costs constant time on average however many stop strings there are
// (A. Aho and M. Corasick, 1975), and memory is bounded by the stop strings and the longest piece.
type Matcher struct {
	nodes []node
	next  map[edge]int32 // children in the tree of all stop strings
	stops []string

	state int32  // the node that spells the longest end of the text with which a stop string begins
	buf   []byte // buf[shown:] is that end: seen, not yet shown
	shown int
	found int // index in stops, or -1
}

// A node stands for a beginning of stop strings; node 0 for the empty one.
type node struct {
	depth int32 // bytes from the root
	fail  int32 // node of the longest proper end of this beginning that is in the tree too
	stop  int32 // the longest stop string that ends here, as an index in stops; -1 if none does
}

type edge struct {
	from int32
	b    byte
}

// New returns a matcher at the start of a text. The error names an empty stop string. No stop string at all is fine.
func New(stops []string) (*Matcher, error) {
	m := &Matcher{nodes: []node{{stop: -1}}, next: map[edge]int32{}, stops: stops, found: -1}
	for i, s := range stops {
		if s == "" {
			return nil, fmt.Errorf("stop: want strings of at least one byte, found an empty one at index %d; leave it out", i)
		}
		m.insert(s, int32(i))
	}
	m.link()
	return m, nil
}

// insert adds a stop string to the tree. Nodes come after their parents.
func (m *Matcher) insert(s string, index int32) {
	at := int32(0)
	for i := range len(s) {
		child, ok := m.next[edge{at, s[i]}]
		if !ok {
			child = int32(len(m.nodes))
			m.nodes = append(m.nodes, node{depth: m.nodes[at].depth + 1, stop: -1})
			m.next[edge{at, s[i]}] = child
		}
		at = child
	}
	if m.nodes[at].stop < 0 {
		m.nodes[at].stop = index
	}
}

// link sets fail and stop of every node, those of smaller depth first.
func (m *Matcher) link() {
	edges := slices.SortedFunc(maps.Keys(m.next), func(a, b edge) int {
		return cmp.Compare(m.nodes[a.from].depth, m.nodes[b.from].depth)
	})
	for _, e := range edges {
		n := &m.nodes[m.next[e]]
		if n.depth > 1 {
			n.fail = m.step(m.nodes[e.from].fail, e.b)
		}
		if n.stop < 0 { // its own stop string is longer than any that is an end of it
			n.stop = m.nodes[n.fail].stop
		}
	}
}

// step follows one byte.
func (m *Matcher) step(at int32, b byte) int32 {
	for {
		if child, ok := m.next[edge{at, b}]; ok {
			return child
		}
		if at == 0 {
			return 0
		}
		at = m.nodes[at].fail
	}
}

// Add takes the next piece of the text, and returns what may be shown now and whether a stop string was found. After that
// the text is over: Add and Flush return nothing more.
func (m *Matcher) Add(text string) (emit string, stopped bool) {
	if m.found >= 0 {
		return "", true
	}
	if len(m.stops) == 0 {
		return text, false
	}
	m.buf = append(m.buf, text...)
	begin := len(m.buf) // of the stop string found
	for i := len(m.buf) - len(text); i < len(m.buf); i++ {
		m.state = m.step(m.state, m.buf[i])
		if s := m.nodes[m.state].stop; s >= 0 {
			b := i + 1 - len(m.stops[s])
			if b < begin || b == begin && len(m.stops[s]) > len(m.stops[m.found]) {
				begin, m.found = b, int(s)
			}
		}
	}
	if m.found >= 0 {
		emit = string(m.buf[m.shown:begin])
		m.buf, m.shown = nil, 0
		return emit, true
	}
	return m.show(len(m.buf) - int(m.nodes[m.state].depth)), false
}

// Flush returns what is held back, for the end of the text. Unless a stop string was found, the matcher is then at the
// start of a new text.
func (m *Matcher) Flush() string {
	m.state = 0
	return m.show(len(m.buf))
}

// show returns buf up to end, and moves the rest to the front once it is the smaller part: so each byte moves once on average.
func (m *Matcher) show(end int) string {
	text := string(m.buf[m.shown:end])
	m.shown = end
	if m.shown > len(m.buf)/2 {
		m.buf = m.buf[:copy(m.buf, m.buf[m.shown:])]
		m.shown = 0
	}
	return text
}

// Found is the stop string that ended the text, or empty.
func (m *Matcher) Found() string {
	if m.found < 0 {
		return ""
	}
	return m.stops[m.found]
}
