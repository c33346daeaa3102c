package grammar

import (
	"math"
	"slices"
)

// An id names a term of an arena. Terms are interned: of two equal ids each names the same language, and what a grammar builds
// twice is stored once.
type id int32

const (
	fail id = 0 // matches nothing
	eps  id = 1 // matches the empty text
)

type kind uint8

// The kinds of terms, and what their fields mean.
const (
	kFail  kind = iota
	kEps        //
	kSet        // one byte of sets[a]
	kWords      // the ends, from byte b on, of the texts lists[a][lo:hi], which are sorted and agree in the bytes before b
	kCat        // a, then b; a is never a kCat itself, so that b is the whole stack of what is to follow
	kAlt        // one of kids[a:a+b], sorted; no two begin with the same term
	kAnd        // both a and b; neither has rules in it
	kNot        // anything but a; stands inside a kAnd only
	kRep        // a, lo to hi times
	kRef        // rules[a]
	kLex        // a, kept whole in a kCat: what follows is of no interest until it has ended (see mask.go)
)

const (
	unbounded = math.MaxInt32 // hi of a kRep
	infinite  = 1 << 30       // min of a term that matches nothing
	huge      = 1 << 29       // the highest min of others; more is held for as much
)

type term struct {
	kind   kind
	refs   bool // there is a rule in it
	a, b   int32
	lo, hi int32
	min    int32 // bytes of the shortest text that it matches
}

// An arena holds terms. It is not safe for concurrent use.
type arena struct {
	terms []term
	kids  []id
	slots []id // open hash table of terms; 0 is free
	sets  []byteSet
	lists [][]string
	rules []id

	setIndex  map[byteSet]int32
	wordIndex map[string]id

	single map[id]bool // terms of one character of a JSON string each

	sealed    bool // the mins of rules are known
	exploring bool
	limit     int    // on terms and kids
	work      int    // derivatives, terms looked up and alternatives compared that may still be
	over      string // what went over a limit, or ""; results are wrong from then on
}

func newArena(limit int) *arena {
	a := &arena{limit: limit, work: maxWork, setIndex: map[byteSet]int32{}, wordIndex: map[string]id{}, single: map[id]bool{}, slots: make([]id, 1<<8)}
	a.terms = append(a.terms, term{kind: kFail, min: infinite}, term{kind: kEps})
	return a
}

// clone returns an arena that grows on its own, up to limit.
func (a *arena) clone(limit int) *arena {
	c := *a
	c.terms, c.kids, c.slots = slices.Clone(a.terms), slices.Clone(a.kids), slices.Clone(a.slots)
	c.limit = limit
	return &c // sets, lists and rules grow only while a grammar is compiled
}

func (a *arena) size() int { return len(a.terms) + len(a.kids) }

func (a *arena) exceed(what string) id {
	if a.over == "" {
		a.over = what
	}
	return fail
}

// hash mixes what makes a term the same as another.
func (a *arena) hash(t term, kids []id) uint64 {
	const prime = 0x9E3779B97F4A7C15
	h := uint64(t.kind)
	mix := func(x uint64) { h = (h ^ x) * prime; h ^= h >> 29 }
	if t.kind == kAlt {
		for _, k := range kids {
			mix(uint64(uint32(k)))
		}
		return h
	}
	mix(uint64(uint32(t.a))<<32 | uint64(uint32(t.b)))
	mix(uint64(uint32(t.lo))<<32 | uint64(uint32(t.hi)))
	return h
}

// intern returns the id of a term, kids those of a kAlt. A new term that matches nothing becomes fail.
func (a *arena) intern(t term, kids []id) id {
	a.work--
	h := a.hash(t, kids)
	mask := uint64(len(a.slots) - 1)
	i := h & mask
	for ; a.slots[i] != 0; i = (i + 1) & mask {
		o := &a.terms[a.slots[i]]
		if o.kind != t.kind {
			continue
		}
		if t.kind == kAlt {
			if slices.Equal(a.kidsOf(o), kids) {
				return a.slots[i]
			}
		} else if o.a == t.a && o.b == t.b && o.lo == t.lo && o.hi == t.hi {
			return a.slots[i]
		}
	}
	if a.over != "" || a.size()+len(kids) >= a.limit {
		return a.exceed("its terms")
	}
	if t.kind == kAlt {
		t.a, t.b = int32(len(a.kids)), int32(len(kids))
		a.kids = append(a.kids, kids...)
	}
	n := id(len(a.terms))
	a.terms = append(a.terms, t)
	if t.kind != kAnd {
		a.measure(n)
		if t := a.terms[n]; t.min == infinite && (a.sealed || !t.refs) {
			a.terms = a.terms[:n] // it may happen again, but costs no memory
			return fail
		}
	}
	a.slots[i] = n
	if 2*len(a.terms) > len(a.slots) {
		a.rehash()
	}
	return n
}

func (a *arena) rehash() {
	a.slots = make([]id, 2*len(a.slots))
	mask := uint64(len(a.slots) - 1)
	for n := 2; n < len(a.terms); n++ {
		t := &a.terms[n]
		i := a.hash(*t, a.kidsOf(t)) & mask
		for a.slots[i] != 0 {
			i = (i + 1) & mask
		}
		a.slots[i] = id(n)
	}
}

func (a *arena) kidsOf(t *term) []id {
	if t.kind != kAlt {
		return nil
	}
	return a.kids[t.a : t.a+t.b]
}

// measure sets refs and min of a term from those of its parts and reports whether min changed. Those of a kAnd need explore.
func (a *arena) measure(n id) bool {
	t := &a.terms[n]
	old := t.min
	switch t.kind {
	case kSet:
		t.min = 1
	case kWords:
		t.min = infinite
		for _, w := range a.lists[t.a][t.lo:t.hi] {
			t.min = min(t.min, int32(len(w))-t.b)
		}
	case kCat:
		x, y := &a.terms[t.a], &a.terms[t.b]
		t.refs, t.min = x.refs || y.refs, plus(x.min, y.min)
	case kAlt:
		t.min = infinite
		for _, k := range a.kidsOf(t) {
			t.refs, t.min = t.refs || a.terms[k].refs, min(t.min, a.terms[k].min)
		}
	case kNot:
		t.refs, t.min = a.terms[t.a].refs, 0 // of use in a kAnd only, which looks itself
	case kRep:
		x := &a.terms[t.a]
		t.refs, t.min = x.refs, times(x.min, t.lo)
	case kRef:
		t.refs = true
		if t.min = infinite; int(t.a) < len(a.rules) && a.sealed {
			t.min = a.terms[a.rules[t.a]].min
		}
	case kLex:
		t.refs, t.min = a.terms[t.a].refs, a.terms[t.a].min
	}
	return t.min != old
}

func plus(x, y int32) int32 {
	if x == infinite || y == infinite {
		return infinite
	}
	return min(x+y, huge)
}

func times(x, n int32) int32 {
	switch {
	case n == 0:
		return 0
	case x == infinite:
		return infinite
	}
	return int32(min(int64(x)*int64(n), huge))
}

// nullable reports whether a term matches the empty text.
func (a *arena) nullable(n id) bool {
	switch t := &a.terms[n]; t.kind {
	case kAnd:
		return a.nullable(id(t.a)) && a.nullable(id(t.b))
	case kNot:
		return !a.nullable(id(t.a))
	default:
		return t.min == 0
	}
}

// most returns the bytes of the longest text of a term without rules, or huge if there is none.
func (a *arena) most(n id) int32 {
	switch t := &a.terms[n]; t.kind {
	case kEps:
		return 0
	case kSet:
		return 1
	case kWords:
		m := int32(0)
		for _, w := range a.lists[t.a][t.lo:t.hi] {
			m = max(m, int32(len(w))-t.b)
		}
		return m
	case kCat:
		return plus(a.most(id(t.a)), a.most(id(t.b)))
	case kAlt:
		m := int32(0)
		for _, k := range a.kidsOf(t) {
			m = max(m, a.most(k))
		}
		return m
	case kRep:
		if t.hi != unbounded {
			return times(a.most(id(t.a)), t.hi)
		}
	}
	return huge
}
