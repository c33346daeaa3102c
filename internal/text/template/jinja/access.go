package jinja

import (
	"slices"
	"strings"
)

// attribute is v.name: first what Python finds as an attribute, then the item of that name.
func (r *renderer) attribute(v value, name string) value {
	if u, ok := v.(undefined); ok {
		r.undefinedUse(u)
		return nil
	}
	if got, ok := r.pythonAttribute(v, name); ok {
		return got
	}
	if d, ok := v.(*dict); ok {
		if got, ok := d.get("s" + name); ok {
			return got
		}
	}
	return r.missing(v, name)
}

// missing is the undefined value for an attribute that v lacks; names that begin with two underscores are Python's inner life.
func (r *renderer) missing(v value, name string) value {
	if strings.HasPrefix(name, "__") {
		return unsafeAttribute(v, name)
	}
	kind := typeName(v)
	if v != nil {
		kind += " object"
	} else {
		kind = "None"
	}
	return undefined{message: "'" + kind + "' has no attribute '" + name + "'"}
}

func unsafeAttribute(v value, name string) value {
	return undefined{message: "access to attribute '" + name + "' of '" + typeName(v) + "' object is unsafe.", unsafe: true}
}

// Methods that change an object, which the sandbox forbids.
var (
	listMutators = []string{"append", "clear", "pop", "reverse", "insert", "sort", "extend", "remove"}
	dictMutators = []string{"clear", "pop", "popitem", "setdefault", "update"}
)

// pythonAttribute is Python's getattr for the types there are.
func (r *renderer) pythonAttribute(v value, name string) (value, bool) {
	var methods map[string]builtin
	switch v := v.(type) {
	case text:
		methods = textMethods
	case *dict:
		if slices.Contains(dictMutators, name) {
			return unsafeAttribute(v, name), true
		}
		methods = dictMethods
	case *seq:
		if v.kind == listSeq && slices.Contains(listMutators, name) {
			return unsafeAttribute(v, name), true
		}
		if v.kind == groupSeq && (name == "grouper" || name == "list") {
			return v.items[map[string]int{"grouper": 0, "list": 1}[name]], true
		}
		if v.kind == listSeq || v.isTuple() {
			methods = seqMethods
		}
	case *namespace:
		return v.attrs.get("s" + name)
	case *loop:
		return v.attr(name)
	case *macro:
		if name == "name" {
			return literal(v.name), true
		}
	}
	m, ok := methods[name]
	if !ok {
		return nil, false
	}
	r.alloc(entryCost)
	return &function{m.name, v, m.params, m.call}, true
}

// item is v[index]: the item, else the attribute of that name.
func (r *renderer) item(v, index value) value {
	if r.err != nil {
		return nil
	}
	if u, ok := v.(undefined); ok {
		r.undefinedUse(u)
		return nil
	}
	if got, ok := r.subscript(v, index); ok {
		return got
	}
	if name, ok := index.(text); ok {
		if got, ok := r.pythonAttribute(v, name.s); ok {
			return got
		}
		return r.missing(v, name.s)
	}
	return undefined{message: typeName(v) + " object has no element " + r.reprString(index)}
}

// subscript is Python's v[index]; ok is false where Python raises a TypeError or LookupError.
func (r *renderer) subscript(v, index value) (value, bool) {
	if d, ok := v.(*dict); ok {
		if !hashable(index) {
			return nil, false
		}
		h, _ := r.hashKey(index)
		return d.get(h)
	}
	i, ok := toInt(index)
	if !ok {
		return nil, false
	}
	switch v := v.(type) {
	case text:
		n := v.chars()
		if r.scan(len(v.s)); i < 0 {
			i += n
		}
		if i < 0 || i >= n {
			return nil, false
		}
		at := v.offset(i)
		return v.slice(at, at+literal(v.s[at:]).offset(1)), true
	case *seq:
		if v.kind == iteratorSeq || v.isView() {
			return nil, false
		}
		if i < 0 {
			i += len(v.items)
		}
		if i < 0 || i >= len(v.items) {
			return nil, false
		}
		return v.items[i], true
	}
	return nil, false
}

// hashable reports whether a value of v's type can be a dict key.
func hashable(v value) bool {
	switch v := v.(type) {
	case *seq:
		return v.isTuple()
	case *dict, *namespace:
		return false
	}
	return true
}

func (r *renderer) evalSlice(e *sliceExpr, s *scope) value {
	v := r.eval(e.of, s)
	var bounds [3]value
	for i, part := range []expr{e.start, e.stop, e.step} {
		if part != nil {
			bounds[i] = r.eval(part, s)
		}
	}
	if r.err != nil {
		return nil
	}
	return r.slice(v, bounds)
}

// slice is Python's v[start:stop:step]; none stands for a part that is left out.
func (r *renderer) slice(v value, bounds [3]value) value {
	for _, x := range append([]value{v}, bounds[:]...) {
		if u, ok := x.(undefined); ok {
			r.undefinedUse(u)
			return nil
		}
	}
	var n int
	t, isText := v.(text)
	q, isSeq := v.(*seq)
	switch {
	case isText:
		n = t.chars()
		r.scan(len(t.s))
	case isSeq && q.kind != iteratorSeq && !q.isView():
		n = len(q.items)
	default:
		r.typeError("'%s' object is not subscriptable", typeName(v))
		return nil
	}
	start, step, count, ok := r.sliceBounds(bounds, n)
	if !ok {
		return nil
	}
	if isText && step == 1 {
		lo := t.offset(start)
		return t.slice(lo, lo+literal(t.s[lo:]).offset(count))
	}
	if isText {
		q = &seq{items: r.charList(t)}
	}
	if !r.allocN(count+1, valueCost) {
		return nil
	}
	items := make([]value, count)
	for i := range items {
		items[i] = q.items[start+i*step]
	}
	if isText {
		return r.join(text{}, items)
	}
	if q.kind == groupSeq {
		return &seq{tupleSeq, items}
	}
	return &seq{q.kind, items}
}

// sliceBounds resolves a slice of n elements: the first index, the step, and how many there are.
func (r *renderer) sliceBounds(bounds [3]value, n int) (start, step, count int, ok bool) {
	var b [3]int
	for i, v := range bounds {
		if v == nil {
			continue
		}
		if b[i], ok = toInt(v); !ok {
			r.typeError("slice indices must be integers or None or have an __index__ method")
			return 0, 0, 0, false
		}
	}
	step = 1
	if bounds[2] != nil {
		step = max(b[2], -n-1) // a longer step reaches no further
		step = min(step, n+1)
	}
	if step == 0 {
		r.fail(Runtime, "ValueError: slice step cannot be zero")
		return 0, 0, 0, false
	}
	lo, hi := 0, n // where start and stop may be
	if step < 0 {
		lo, hi = -1, n-1
	}
	place := func(i, def int) int {
		if bounds[i] == nil {
			return def
		}
		if b[i] < 0 {
			return max(b[i]+n, lo)
		}
		return min(b[i], hi)
	}
	if step > 0 {
		start = place(0, lo)
		count = (place(1, hi) - start + step - 1) / step
	} else {
		start = place(0, hi)
		count = (place(1, lo) - start + step + 1) / step
	}
	return start, step, max(count, 0), true
}
