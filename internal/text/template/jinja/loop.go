package jinja

// loop is the variable of that name inside a for loop.
type loop struct {
	items   []value
	index0  int
	depth0  int                     // loops around this one that called it
	recurse func(items value) value // nil unless the loop is marked recursive
	changed []value                 // what loop.changed was asked last; nil: never
}

// runLoop runs a for statement over v. Each pass has a scope of its own, so what it sets is gone afterwards.
func (r *renderer) runLoop(n *forNode, v value, s *scope, depth0 int) flow {
	items := r.iterate(v)
	if n.filter != nil {
		items = r.filterItems(n, items, s)
	}
	l := &loop{items: items, depth0: depth0}
	if n.recursive {
		l.recurse = func(items value) value {
			return r.capture(func() { r.runLoop(n, items, s, depth0+1) })
		}
	}
	finished := false // whether a pass came to its end; the reference runs else where none did
	for i, x := range items {
		if !r.spend(1) {
			return flowNext
		}
		l.index0 = i
		inner := r.enterFrame(n.bodyFrame, s)
		inner.vars["loop"] = l
		r.assign(n.target, x, inner)
		f := r.execBlock(n.body, inner)
		if f == flowBreak {
			break
		}
		finished = finished || f == flowNext
	}
	if !finished {
		return r.execBlock(n.orElse, r.enterFrame(n.elseFrame, s)) // a break there is one of the loop around this one
	}
	return flowNext
}

func (r *renderer) filterItems(n *forNode, items []value, s *scope) []value {
	var kept []value
	for _, x := range items {
		if !r.spend(1) {
			break
		}
		inner := r.enterFrame(n.testFrame, s)
		r.assign(n.target, x, inner)
		if truth(r.eval(n.filter, inner)) {
			kept = append(kept, x)
		}
	}
	return r.list(kept).items
}

// attr returns a part of the loop variable.
func (l *loop) attr(name string) (value, bool) {
	n := len(l.items)
	switch name {
	case "index":
		return int64(l.index0 + 1), true
	case "index0":
		return int64(l.index0), true
	case "revindex":
		return int64(n - l.index0), true
	case "revindex0":
		return int64(n - l.index0 - 1), true
	case "first":
		return l.index0 == 0, true
	case "last":
		return l.index0 == n-1, true
	case "length":
		return int64(n), true
	case "depth":
		return int64(l.depth0 + 1), true
	case "depth0":
		return int64(l.depth0), true
	case "previtem":
		if l.index0 == 0 {
			return undefined{message: "there is no previous item"}, true
		}
		return l.items[l.index0-1], true
	case "nextitem":
		if l.index0+1 >= n {
			return undefined{message: "there is no next item"}, true
		}
		return l.items[l.index0+1], true
	case "cycle":
		return &function{name: name, self: l, params: params{any: true}, call: loopCycle}, true
	case "changed":
		return &function{name: name, self: l, params: params{any: true}, call: loopChanged}, true
	}
	return nil, false
}

func loopCycle(a *arguments) value {
	l := a.self.(*loop)
	if len(a.pos) == 0 {
		a.r.typeError("no items for cycling given")
		return nil
	}
	return a.pos[l.index0%len(a.pos)]
}

func loopChanged(a *arguments) value {
	l := a.self.(*loop)
	if l.changed != nil && a.r.equal(tuple(l.changed...), tuple(a.pos...)) {
		return false
	}
	l.changed = append([]value{}, a.pos...)
	return true
}
