package grammar

import "sort"

// spend takes from the work that may be done, and reports whether there is some left.
func (a *arena) spend(work int) bool {
	if a.work -= work; a.work < 0 {
		a.exceed("the steps to find out what may follow")
	}
	return a.work >= 0
}

// derive returns what may follow byte b in the texts of a term (J. Brzozowski, 1964; S. Owens et al., 2009).
func (a *arena) derive(n id, b byte) id {
	if !a.spend(1) {
		return fail
	}
	t := a.terms[n] // a copy: the slice may move
	switch t.kind {
	case kSet:
		if a.sets[t.a].has(b) {
			return eps
		}
	case kWords:
		return a.deriveWords(&t, b)
	case kCat:
		next := a.cat(a.derive(id(t.a), b), id(t.b))
		if a.nullable(id(t.a)) {
			next = a.alt(next, a.derive(id(t.b), b))
		}
		return next
	case kAlt:
		var few [8]id
		next := few[:0]
		for i := t.a; i < t.a+t.b; i++ {
			if d := a.derive(a.kids[i], b); d != fail {
				next = append(next, d)
			}
		}
		if len(next) == 1 {
			return next[0]
		}
		return a.alt(next...)
	case kAnd:
		x := a.derive(id(t.a), b)
		if x == fail {
			return fail
		}
		return a.and(x, a.derive(id(t.b), b))
	case kNot:
		return a.not(a.derive(id(t.a), b))
	case kRep:
		x := a.derive(id(t.a), b)
		if x == fail {
			return fail
		}
		lo, hi := max(t.lo-1, 0), t.hi
		if a.nullable(id(t.a)) {
			lo = 0
		}
		if hi != unbounded {
			hi--
		}
		return a.cat(x, a.rep(id(t.a), lo, hi))
	case kRef:
		return a.derive(a.rules[t.a], b)
	case kLex:
		return a.lex(a.derive(id(t.a), b))
	}
	return fail
}

func (a *arena) deriveWords(t *term, b byte) id {
	list, depth := a.lists[t.a][t.lo:t.hi], int(t.b)
	at := func(i int) int { // -1 for the one that ends here, which is the first
		if len(list[i]) == depth {
			return -1
		}
		return int(list[i][depth])
	}
	lo := sort.Search(len(list), func(i int) bool { return at(i) >= int(b) })
	hi := lo + sort.Search(len(list)-lo, func(i int) bool { return at(lo+i) > int(b) })
	return a.wordsFrom(t.a, t.b+1, t.lo+int32(lo), t.lo+int32(hi))
}

// cuts returns bytes at which the derivatives of a term may change: between two of them all bytes have the same one.
func (a *arena) cuts(n id) (c byteSet) {
	if !a.spend(1) {
		return c
	}
	switch t := &a.terms[n]; t.kind {
	case kSet:
		return a.sets[t.a].cuts()
	case kWords:
		var s byteSet
		for _, w := range a.lists[t.a][t.lo:t.hi] {
			if len(w) > int(t.b) {
				b := w[t.b]
				s.add(b)
				if b < 255 {
					s.add(b + 1)
				}
			}
		}
		return s
	case kCat:
		c = a.cuts(id(t.a))
		if a.nullable(id(t.a)) {
			c.union(a.cuts(id(t.b)))
		}
	case kAlt:
		for _, k := range a.kidsOf(t) {
			c.union(a.cuts(k))
		}
	case kAnd:
		c = a.cuts(id(t.a))
		c.union(a.cuts(id(t.b)))
	case kNot, kRep, kLex:
		return a.cuts(id(t.a))
	case kRef:
		return a.cuts(a.rules[t.a])
	}
	return c
}

// matches reports whether a term matches a text.
func (a *arena) matches(n id, text string) bool {
	for i := 0; i < len(text) && n != fail; i++ {
		n = a.derive(n, text[i])
	}
	return n != fail && a.nullable(n)
}

// explore finds the min of an intersection and of all that can be derived from it, so that those that match nothing are known
// before a text walks into them. It is why intersections have no rules in them: with those it would not end.
func (a *arena) explore(root id) {
	a.exploring = true
	defer func() { a.exploring = false }()
	states := []id{root}
	index := map[id]int{root: 0}
	var from [][]int // from[i]: states with a step to i
	from = append(from, nil)
	for i := 0; i < len(states); i++ {
		c := a.cuts(states[i])
		c.rangesOf(func(lo, _ byte) bool {
			next := a.derive(states[i], lo)
			if next == fail {
				return true
			}
			j, ok := index[next]
			if !ok {
				j = len(states)
				index[next] = j
				states = append(states, next)
				from = append(from, nil)
			}
			from[j] = append(from[j], i)
			return true
		})
		if len(states) > maxExplored {
			a.exceed("the combinations of pattern, length and format of a string, or of property names")
		}
		if a.over != "" {
			return
		}
	}
	var queue []int
	for i, n := range states {
		a.terms[n].min = infinite
		if a.nullable(n) {
			a.terms[n].min = 0
			queue = append(queue, i)
		}
	}
	for k := 0; k < len(queue); k++ {
		for _, i := range from[queue[k]] {
			if t := &a.terms[states[i]]; t.min == infinite {
				t.min = a.terms[states[queue[k]]].min + 1
				queue = append(queue, i)
			}
		}
	}
}

// shortest returns the shortest text of an intersection, of several the first.
func (a *arena) shortest(n id) string {
	text := make([]byte, 0, a.terms[n].min)
	for a.terms[n].min > 0 {
		c := a.cuts(n)
		c.rangesOf(func(lo, _ byte) bool {
			next := a.derive(n, lo)
			if a.terms[next].min != a.terms[n].min-1 {
				return true
			}
			text, n = append(text, lo), next
			return false
		})
	}
	return string(text)
}
