package jinja

// renderer is one render under way.
type renderer struct {
	limits                  // what is left
	err    *Error           // the first fault; nothing runs after it
	vars   map[string]value // given to Render
	line   int              // of the statement that runs
	out    *builder         // where output goes
}

// scope is a frame under way: the variables of a block. Lookups go outward.
type scope struct {
	vars  map[string]value // absent: declared, without a value
	outer *scope
}

// enterFrame makes the scope of a frame inside outer. Its parameters are the caller's to set.
func (r *renderer) enterFrame(f *frame, outer *scope) *scope {
	s := &scope{make(map[string]value, len(f.names)), outer}
	if !r.allocN(len(f.names), valueCost) {
		return s
	}
	for _, name := range f.names {
		switch f.starts[name] {
		case startContext:
			s.vars[name] = r.given(name)
		case startOuter:
			s.vars[name] = outer.find(name)
		default:
			s.vars[name] = absent{}
		}
	}
	return s
}

// given is what Render was given under a name, or the global function of that name.
func (r *renderer) given(name string) value {
	if v, ok := r.vars[name]; ok {
		return v
	}
	if f, ok := globals[name]; ok {
		return f
	}
	return absent{}
}

func (s *scope) find(name string) value {
	for ; s != nil; s = s.outer {
		if v, ok := s.vars[name]; ok {
			return v
		}
	}
	return absent{}
}

func (s *scope) lookup(name string) value {
	v := s.find(name)
	if _, ok := v.(absent); ok {
		return undefined{message: "'" + name + "' is undefined"}
	}
	return v
}

// flow is how a statement ended.
type flow uint8

const (
	flowNext flow = iota
	flowBreak
	flowContinue
)

func (r *renderer) execBlock(body []node, s *scope) flow {
	if !r.enter() {
		return flowNext
	}
	defer r.leave()
	for _, n := range body {
		if !r.spend(1) {
			return flowNext
		}
		r.line = n.lineNumber()
		if f := r.exec(n, s); f != flowNext {
			return f
		}
	}
	return flowNext
}

func (r *renderer) exec(n node, s *scope) flow {
	switch n := n.(type) {
	case *dataNode:
		r.out.writeString(n.text, false)
	case *outputNode:
		r.out.write(r.str(r.eval(n.expr, s)))
	case *ifNode:
		return r.execIf(n, s)
	case *forNode:
		return r.runLoop(n, r.eval(n.iter, s), s, 0)
	case *setNode:
		r.assign(n.target, r.eval(n.value, s), s)
	case *blockNode:
		return r.execCapture(n, s)
	case *withNode:
		inner := r.enterFrame(n.frame, s)
		for i, t := range n.targets {
			r.assign(t, r.eval(n.values[i], s), inner)
		}
		return r.execBlock(n.body, inner)
	case *macroNode:
		s.vars[n.def.name] = r.closure(n.def, s)
	case *callNode:
		r.execCall(n, s)
	case *breakNode:
		if n.again {
			return flowContinue
		}
		return flowBreak
	}
	return flowNext
}

func (r *renderer) execIf(n *ifNode, s *scope) flow {
	for _, b := range n.branches {
		if truth(r.eval(b.test, s)) {
			return r.execBlock(b.body, s)
		}
	}
	return r.execBlock(n.orElse, s)
}

// capture runs f and returns what it printed.
func (r *renderer) capture(f func()) text {
	outer := r.out
	r.out = r.newBuilder()
	f()
	t := r.out.text()
	r.out = outer
	return t
}

func (r *renderer) execCapture(n *blockNode, s *scope) flow {
	var f flow
	inner := r.enterFrame(n.frame, s)
	body := r.capture(func() { f = r.execBlock(n.body, inner) })
	if f != flowNext {
		return f // the reference loses what the block has printed, too
	}
	var v value = body
	if n.filter != nil {
		v = r.applyFilter(n.filter, body, inner)
	}
	if n.target != nil {
		r.assign(*n.target, v, s)
		return flowNext
	}
	r.out.write(r.str(v))
	return flowNext
}

func (r *renderer) execCall(n *callNode, s *scope) {
	fn := r.eval(n.call.fn, s)
	args := r.evalArgs(n.call.args, s)
	args.names = append(args.names, "caller")
	args.kw = append(args.kw, r.closure(n.body, s))
	r.out.write(r.str(r.call(fn, args)))
}

// assign gives v to a target. In a tuple every part must find a value, and none may be left.
func (r *renderer) assign(t target, v value, s *scope) {
	switch {
	case r.err != nil:
	case t.isTuple:
		items := r.iterate(v)
		if r.err == nil && len(items) != len(t.parts) {
			r.fail(Runtime, "ValueError: want %d values to unpack, found %d", len(t.parts), len(items))
			return
		}
		for i, part := range t.parts {
			if r.err == nil {
				r.assign(part, items[i], s)
			}
		}
	case t.attr != "":
		ns, ok := s.lookup(t.name).(*namespace)
		if !ok {
			r.fail(Runtime, "cannot assign attribute on non-namespace object")
			return
		}
		r.set(ns.attrs, literal(t.attr), v)
	default:
		s.vars[t.name] = v
	}
}
