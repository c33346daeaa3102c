package jinja

// The reference compiles a template, and decides then which variable a name means. The rules show: in
//
//	{% for x in xs %}{{ a }}{% endfor %}{% set a = 1 %}
//
// a is undefined in the loop, even if Render was given an a, because it is a variable of the template that has no value yet. This file
// decides likewise. A frame is the body of a template, loop, macro, call, filter, generation or with block, or of a set with a body; an if
// block belongs to the frame around it.

// start says what a variable of a frame holds when the frame is entered.
type start uint8

const (
	startParam   start = iota // what the frame is given: loop targets, arguments
	startContext              // what Render was given under that name
	startOuter                // what the frame around it holds
	startMissing              // nothing
)

// frame lists the variables of a frame, in order of their appearance.
type frame struct {
	names  []string
	starts map[string]start
}

// symbols collects the variables of a frame, or of a branch of an if block in it.
type symbols struct {
	frame
	stores map[string]bool // assigned to, in this frame or branch
	outer  *symbols        // of the frame around it, complete
	base   *symbols        // of a branch: what was known before the if block
}

func newSymbols(outer, base *symbols) *symbols {
	return &symbols{frame: frame{starts: map[string]start{}}, stores: map[string]bool{}, outer: outer, base: base}
}

// known reports whether the name is a variable of this frame.
func (s *symbols) known(name string) bool {
	for ; s != nil; s = s.base {
		if _, ok := s.starts[name]; ok {
			return true
		}
	}
	return false
}

func (s *symbols) stored(name string) bool {
	for ; s != nil; s = s.base {
		if s.stores[name] {
			return true
		}
	}
	return false
}

// knownOutside reports whether the name is a variable of any frame around this one.
func (s *symbols) knownOutside(name string) bool {
	for o := s.outer; o != nil; o = o.outer {
		if o.known(name) {
			return true
		}
	}
	return false
}

func (s *symbols) define(name string, at start) {
	if _, ok := s.starts[name]; !ok {
		s.names = append(s.names, name)
	}
	s.starts[name] = at
}

func (s *symbols) param(name string) {
	s.stores[name] = true
	s.define(name, startParam)
}

func (s *symbols) load(name string) {
	if !s.known(name) && !s.knownOutside(name) {
		s.define(name, startContext)
	}
}

func (s *symbols) store(name string) {
	s.stores[name] = true
	switch {
	case s.known(name):
	case s.knownOutside(name):
		s.define(name, startOuter)
	default:
		s.define(name, startMissing)
	}
}

// merge takes over what the branches of an if block found. What only branches assign to keeps its outer value where they are not taken.
func (s *symbols) merge(branches ...*symbols) {
	var assigned []string
	for _, b := range branches {
		for name := range b.stores {
			if !s.stored(name) {
				assigned = append(assigned, name)
			}
		}
	}
	for _, b := range branches {
		for _, name := range b.names {
			s.define(name, b.starts[name])
		}
		for name := range b.stores {
			s.stores[name] = true
		}
	}
	for _, name := range assigned {
		if s.knownOutside(name) {
			s.define(name, startOuter)
		} else {
			s.define(name, startContext)
		}
	}
}

// block collects what statements do to the variables of their frame. It does not look into frames inside.
func (s *symbols) block(body []node) {
	for _, n := range body {
		switch n := n.(type) {
		case *outputNode:
			names(n.expr, s.load)
		case *ifNode:
			s.branches(n.branches, n.orElse)
		case *forNode:
			names(n.iter, s.load)
		case *setNode:
			names(n.value, s.load)
			s.target(n.target, s.store)
		case *blockNode:
			switch {
			case n.target != nil:
				s.target(*n.target, s.store)
			case n.filter != nil:
				names(n.filter, s.load)
			}
		case *withNode:
			for _, v := range n.values {
				names(v, s.load)
			}
		case *macroNode:
			s.store(n.def.name)
		case *callNode:
			names(n.call, s.load)
		}
	}
}

// branches reads if ... elif ... else: to the reference, an elif is an if block inside the else branch.
func (s *symbols) branches(list []branch, orElse []node) {
	names(list[0].test, s.load)
	body, rest, last := newSymbols(s.outer, s), newSymbols(s.outer, s), newSymbols(s.outer, s)
	body.block(list[0].body)
	for i := range list[1:] {
		rest.branches(list[i+1:i+2], nil)
	}
	last.block(orElse)
	s.merge(body, rest, last)
}

// target calls f for the variables that an assignment changes. A namespace is only looked up.
func (s *symbols) target(t target, f func(name string)) {
	switch {
	case t.isTuple:
		for _, part := range t.parts {
			s.target(part, f)
		}
	case t.attr != "":
		s.load(t.name)
	default:
		f(t.name)
	}
}

// inner makes the frame of a body inside s: first is what happens before the body's statements.
func (s *symbols) inner(body []node, first func(in *symbols)) *frame {
	in := newSymbols(s, nil)
	first(in)
	in.block(body)
	in.frames(body)
	return &in.frame
}

func nothingFirst(*symbols) {}

// frames gives every frame inside the statements its variables. s must be complete.
func (s *symbols) frames(body []node) {
	for _, n := range body {
		switch n := n.(type) {
		case *ifNode:
			for _, b := range n.branches {
				s.frames(b.body)
			}
			s.frames(n.orElse)
		case *forNode:
			s.loopFrames(n)
		case *blockNode:
			n.frame = s.inner(n.body, func(in *symbols) {
				if n.filter != nil {
					names(n.filter, in.load)
				}
			})
		case *withNode:
			n.frame = s.inner(n.body, func(in *symbols) {
				for _, t := range n.targets {
					in.target(t, in.param)
				}
			})
		case *macroNode:
			s.macroFrame(n.def)
		case *callNode:
			s.macroFrame(n.body)
		}
	}
}

func (s *symbols) loopFrames(n *forNode) {
	target := func(in *symbols) { in.target(n.target, in.param) }
	n.bodyFrame = s.inner(n.body, func(in *symbols) {
		in.param("loop")
		target(in)
	})
	n.elseFrame = s.inner(n.orElse, nothingFirst)
	if n.filter != nil {
		n.testFrame = s.inner(nil, func(in *symbols) {
			target(in)
			names(n.filter, in.load)
		})
	}
}

func (s *symbols) macroFrame(d *macroDef) {
	d.frame = s.inner(d.body, func(in *symbols) {
		for _, p := range d.params {
			in.param(p)
		}
		for name, used := range map[string]bool{"caller": d.usesCaller, "varargs": d.usesVarargs, "kwargs": d.usesKwargs} {
			if used {
				in.param(name)
			}
		}
		for _, e := range d.defaults {
			names(e, in.load)
		}
	})
}
