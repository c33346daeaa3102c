package grammar

import (
	"cmp"
	"slices"
	"strings"
)

func (a *arena) set(s byteSet) id {
	if s == (byteSet{}) {
		return fail
	}
	n, ok := a.setIndex[s]
	if !ok {
		n = int32(len(a.sets))
		a.sets = append(a.sets, s)
		a.setIndex[s] = n
	}
	return a.intern(term{kind: kSet, a: n}, nil)
}

// word matches one text.
func (a *arena) word(s string) id { return a.words([]string{s}) }

// words matches each of some texts, which it sorts.
func (a *arena) words(list []string) id {
	slices.Sort(list)
	list = slices.Compact(list)
	key := strings.Join(list, "\xff") // no text has this byte
	n, ok := a.wordIndex[key]
	if !ok {
		a.lists = append(a.lists, list)
		n = a.wordsFrom(int32(len(a.lists)-1), 0, 0, int32(len(list)))
		a.wordIndex[key] = n
	}
	return n
}

func (a *arena) wordsFrom(list, depth, lo, hi int32) id {
	if lo == hi {
		return fail
	}
	if hi == lo+1 && len(a.lists[list][lo]) == int(depth) {
		return eps
	}
	return a.intern(term{kind: kWords, a: list, b: depth, lo: lo, hi: hi}, nil)
}

func (a *arena) cat(x, y id) id {
	switch {
	case x == fail || y == fail:
		return fail
	case x == eps:
		return y
	case y == eps:
		return x
	}
	if t := a.terms[x]; t.kind == kCat {
		return a.cat(id(t.a), a.cat(id(t.b), y))
	}
	return a.intern(term{kind: kCat, a: int32(x), b: int32(y)}, nil)
}

func (a *arena) seq(list ...id) id {
	n := eps
	for _, x := range slices.Backward(list) {
		n = a.cat(x, n)
	}
	return n
}

// alt matches what one of the list matches. Alternatives that begin with the same term become one, with an alternative after it:
// so the number of stacks in a state does not grow with the ways to reach it.
func (a *arena) alt(list ...id) id {
	type branch struct{ head, rest id }
	var few [8]branch
	branches := few[:0]
	for _, x := range list {
		t := &a.terms[x]
		parts := a.kidsOf(t)
		if t.kind != kAlt {
			parts = []id{x}
		}
		for _, p := range parts {
			if p == fail {
				continue
			}
			b := branch{p, eps}
			if t := &a.terms[p]; t.kind == kCat {
				b = branch{id(t.a), id(t.b)}
			}
			branches = append(branches, b)
		}
	}
	if !a.spend(len(branches)) {
		return fail
	}
	slices.SortFunc(branches, func(x, y branch) int {
		return cmp.Or(cmp.Compare(x.head, y.head), cmp.Compare(x.rest, y.rest))
	})
	branches = slices.Compact(branches)
	kids := make([]id, 0, len(branches))
	for i := 0; i < len(branches); {
		j := i + 1
		for j < len(branches) && branches[j].head == branches[i].head {
			j++
		}
		rest := branches[i].rest
		if j > i+1 {
			rests := make([]id, 0, j-i)
			for _, b := range branches[i:j] {
				rests = append(rests, b.rest)
			}
			rest = a.alt(rests...)
		}
		kids = append(kids, a.cat(branches[i].head, rest))
		i = j
	}
	switch len(kids) {
	case 0:
		return fail
	case 1:
		return kids[0]
	}
	slices.Sort(kids)
	return a.intern(term{kind: kAlt}, kids)
}

// and matches what both match. Neither may have rules in it.
func (a *arena) and(x, y id) id {
	if x == fail || y == fail {
		return fail
	}
	known := len(a.terms)
	n := a.intern(term{kind: kAnd, a: int32(min(x, y)), b: int32(max(x, y))}, nil)
	if int(n) >= known && !a.exploring {
		a.explore(n)
	}
	if a.terms[n].min == infinite {
		return fail
	}
	return n
}

func (a *arena) not(x id) id {
	if t := &a.terms[x]; t.kind == kNot {
		return id(t.a)
	}
	return a.intern(term{kind: kNot, a: int32(x)}, nil)
}

// rep matches x lo to hi times. The number is kept as a number, so that a high one costs nothing.
func (a *arena) rep(x id, lo, hi int32) id {
	switch {
	case hi == 0 || x == eps || x == fail && lo == 0:
		return eps
	case x == fail:
		return fail
	case lo == 1 && hi == 1:
		return x
	}
	if !a.terms[x].refs && a.nullable(x) {
		lo = 0
	}
	if t := &a.terms[x]; t.kind == kRep && t.lo == 0 && t.hi == unbounded {
		return x
	}
	return a.intern(term{kind: kRep, a: int32(x), lo: lo, hi: hi}, nil)
}

func (a *arena) opt(x id) id  { return a.rep(x, 0, 1) }
func (a *arena) many(x id) id { return a.rep(x, 0, unbounded) }

// lex keeps x whole: see kLex.
func (a *arena) lex(x id) id {
	switch a.terms[x].kind {
	case kFail, kEps, kSet, kWords, kLex:
		return x
	}
	return a.intern(term{kind: kLex, a: int32(x)}, nil)
}

// newRule returns a rule whose body is still to be set.
func (a *arena) newRule() (rule int32, ref id) {
	rule = int32(len(a.rules))
	a.rules = append(a.rules, fail)
	return rule, a.intern(term{kind: kRef, a: rule}, nil)
}

// span matches texts of one length, byte by byte from lo to hi in the order of bytes, where each byte after the first that
// differs runs from least to most.
func (a *arena) span(lo, hi string, least, most byte) id {
	var s byteSet
	if lo == "" {
		return eps
	}
	if len(lo) == 1 {
		s.addRange(lo[0], hi[0])
		return a.set(s)
	}
	first, last := lo[0], hi[0]
	lowest, highest := strings.Repeat(string([]byte{least}), len(lo)-1), strings.Repeat(string([]byte{most}), len(lo)-1)
	one := func(b byte, lo, hi string) id {
		var s byteSet
		s.add(b)
		return a.cat(a.set(s), a.span(lo, hi, least, most))
	}
	if first == last {
		return one(first, lo[1:], hi[1:])
	}
	var parts []id
	if lo[1:] != lowest {
		parts = append(parts, one(first, lo[1:], highest))
		first++
	}
	if hi[1:] != highest {
		parts = append(parts, one(last, lowest, hi[1:]))
		last--
	}
	if first <= last {
		s.addRange(first, last)
		parts = append(parts, a.cat(a.set(s), a.span(lowest, highest, least, most)))
	}
	return a.alt(parts...)
}
