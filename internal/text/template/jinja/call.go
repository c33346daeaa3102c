package jinja

import "slices"

// macro is a macro or a call block's body, with the scope it was defined in.
type macro struct {
	*macroDef
	scope *scope
}

func (r *renderer) closure(def *macroDef, s *scope) value {
	r.alloc(valueCost)
	return &macro{def, s}
}

// args are evaluated arguments.
type args struct {
	pos   []value
	names []string // of kw
	kw    []value
}

// takeKw removes a keyword argument.
func (a *args) takeKw(name string) (value, bool) {
	i := slices.Index(a.names, name)
	if i < 0 {
		return nil, false
	}
	v := a.kw[i]
	a.names = slices.Delete(a.names, i, i+1)
	a.kw = slices.Delete(a.kw, i, i+1)
	return v, true
}

func (r *renderer) evalArgs(e argExprs, s *scope) args {
	a := args{pos: r.evalAll(e.pos, s), names: slices.Clone(e.names), kw: r.evalAll(e.kw, s)}
	if e.args != nil {
		a.pos = append(a.pos, r.iterate(r.eval(e.args, s))...)
	}
	if e.kwargs != nil {
		d, ok := r.eval(e.kwargs, s).(*dict)
		if !ok {
			r.typeError("argument after ** must be a mapping")
			return a
		}
		for i, k := range d.keys {
			name, ok := k.(text)
			if !ok {
				r.typeError("keywords must be strings")
				return a
			}
			a.names = append(a.names, name.s)
			a.kw = append(a.kw, d.vals[i])
		}
	}
	for i, name := range a.names {
		if slices.Contains(a.names[:i], name) {
			r.typeError("got multiple values for keyword argument '%s'", name)
		}
	}
	r.allocN(len(a.pos)+len(a.kw), valueCost)
	return a
}

// call is fn(args).
func (r *renderer) call(fn value, a args) value {
	if !r.enter() {
		return nil
	}
	defer r.leave()
	switch fn := fn.(type) {
	case undefined:
		r.undefinedUse(fn)
		return nil
	case *macro:
		return r.callMacro(fn, a)
	case *function:
		return r.callBuiltin(builtin{fn.name, fn.params, fn.call}, fn.self, a)
	case *loop:
		if fn.recurse == nil {
			r.typeError("The loop must have the 'recursive' marker to be called recursively.")
			return nil
		}
		if len(a.pos) != 1 || len(a.kw) > 0 {
			r.typeError("loop() takes one argument")
			return nil
		}
		return fn.recurse(a.pos[0])
	}
	r.typeError("'%s' object is not callable", typeName(fn))
	return nil
}

// callMacro binds the arguments and returns what the body prints.
func (r *renderer) callMacro(m *macro, a args) value {
	s := r.enterFrame(m.frame, m.scope)
	n := len(m.params)
	for i, name := range m.params {
		v, given := value(nil), i < len(a.pos)
		if given {
			v = a.pos[i]
		} else {
			v, given = a.takeKw(name)
		}
		if d := i - (n - len(m.defaults)); !given && d >= 0 {
			v, given = r.eval(m.defaults[d], s), true
		}
		if !given {
			v = undefined{message: "parameter '" + name + "' was not provided"}
		}
		s.vars[name] = v
	}
	if m.usesCaller && !slices.Contains(m.params, "caller") {
		v, ok := a.takeKw("caller")
		if !ok {
			v = undefined{message: "No caller defined"}
		}
		s.vars["caller"] = v
	}
	r.bindRest(m, a, s)
	if r.err != nil {
		return nil
	}
	return r.capture(func() { r.execBlock(m.body, s) })
}

// bindRest gives the arguments that no parameter takes to kwargs and varargs, if the macro mentions them.
func (r *renderer) bindRest(m *macro, a args, s *scope) {
	if m.usesKwargs {
		d := newDict()
		for i, name := range a.names {
			r.set(d, literal(name), a.kw[i])
		}
		s.vars["kwargs"] = d
	} else if len(a.names) > 0 {
		r.typeError("macro '%s' takes no keyword argument '%s'", m.name, a.names[0])
	}
	rest := a.pos[min(len(m.params), len(a.pos)):]
	if m.usesVarargs {
		s.vars["varargs"] = tuple(rest...)
	} else if len(rest) > 0 {
		r.typeError("macro '%s' takes not more than %d argument(s)", m.name, len(m.params))
	}
}
