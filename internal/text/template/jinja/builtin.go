package jinja

import (
	"slices"
	"strings"
)

// builtin is a filter, a test, a method or a global function.
type builtin struct {
	name   string
	params params
	call   func(a *arguments) value
}

// params are the parameters of a builtin behind the object that it works on.
type params struct {
	names    []string
	required int  // how many of them have no default
	any      bool // takes whatever is given, for itself to look at
}

// parseParams reads "old new [count]": what is in brackets has a default. "..." takes anything.
func parseParams(s string) params {
	if s == "..." {
		return params{any: true}
	}
	var p params
	for _, w := range strings.Fields(s) {
		if w[0] == '[' {
			w = strings.Trim(w, "[]")
		} else {
			p.required++
		}
		p.names = append(p.names, w)
	}
	return p
}

// arguments is a call of a builtin: self is the object it works on, vals has a value or absent for each parameter.
type arguments struct {
	r    *renderer
	self value
	vals []value
	args // as given, for builtins that take anything
}

// absent stands for an argument that was not given.
type absent struct{}

func (r *renderer) callBuiltin(b builtin, self value, given args) value {
	if r.err != nil {
		return nil
	}
	a := &arguments{r: r, self: self, args: given}
	if b.params.any {
		return b.call(a)
	}
	p := b.params
	if len(given.pos) > len(p.names) {
		r.typeError("%s() takes at most %d arguments (%d given)", b.name, len(p.names), len(given.pos))
		return nil
	}
	a.vals = make([]value, len(p.names))
	for i := range a.vals {
		a.vals[i] = absent{}
	}
	copy(a.vals, given.pos)
	for k, name := range given.names {
		i := slices.Index(p.names, name)
		if i < 0 || i < len(given.pos) {
			r.typeError("%s() got an unexpected keyword argument '%s'", b.name, name)
			return nil
		}
		a.vals[i] = given.kw[k]
	}
	for i := range p.required {
		if !a.has(i) {
			r.typeError("%s() missing required argument: '%s'", b.name, p.names[i])
			return nil
		}
	}
	return b.call(a)
}

func (a *arguments) has(i int) bool {
	_, missing := a.vals[i].(absent)
	return !missing
}

// val returns argument i, or def if it was not given.
func (a *arguments) val(i int, def value) value {
	if !a.has(i) {
		return def
	}
	return a.vals[i]
}

func (a *arguments) bool(i int, def bool) bool { return truth(a.val(i, def)) }

// int returns argument i, which must be an integer; none counts as not given.
func (a *arguments) int(i, def int) int {
	v := a.val(i, nil)
	if v == nil {
		return def
	}
	n, ok := toInt(v)
	if !ok {
		a.badType(v, "int")
	}
	return n
}

// text returns argument i, which must be a string; none counts as not given.
func (a *arguments) text(i int, def string) text {
	v := a.val(i, nil)
	if v == nil {
		return literal(def)
	}
	t, ok := v.(text)
	if !ok {
		a.badType(v, "str")
	}
	return t
}

// str returns argument i as str() gives it.
func (a *arguments) str(i int, def string) text { return a.r.str(a.val(i, literal(def))) }

// selfText is the object as soft_str gives it: filters work on the text of anything.
func (a *arguments) selfText() text { return a.r.str(a.self) }

func (a *arguments) badType(v value, want string) {
	if u, ok := v.(undefined); ok {
		a.r.undefinedUse(u)
		return
	}
	a.r.typeError("want %s as argument, found '%s'", want, typeName(v))
}

func table(entries []entry) map[string]builtin {
	t := make(map[string]builtin, len(entries))
	for _, e := range entries {
		for _, name := range strings.Fields(e.names) {
			t[name] = builtin{name, parseParams(e.params), e.call}
		}
	}
	return t
}
