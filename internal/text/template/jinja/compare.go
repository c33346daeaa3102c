package jinja

import (
	"cmp"
	"strings"
)

// equal is Python's a == b. It never fails by type.
func (r *renderer) equal(a, b value) bool {
	if !r.enter() {
		return false
	}
	defer r.leave()
	switch x := a.(type) {
	case undefined:
		_, ok := b.(undefined)
		return ok
	case text:
		y, ok := b.(text)
		return ok && r.scan(min(len(x.s), len(y.s))) && x.s == y.s
	case bool, int64, float64:
		if !isNumber(b) {
			return false
		}
		order, ok := compareNumbers(a, b)
		return ok && order == 0
	case *seq:
		y, ok := b.(*seq)
		return ok && (x == y || r.equalSeqs(x, y))
	case *dict:
		y, ok := b.(*dict)
		return ok && (x == y || r.equalDicts(x, y))
	}
	if toBig(a) != nil && isNumber(b) {
		order, ok := compareNumbers(a, b)
		return ok && order == 0
	}
	return a == b // none, and things that are equal to themselves only: all comparable in Go
}

func (r *renderer) equalSeqs(a, b *seq) bool {
	same := a.kind == b.kind || a.isTuple() && b.isTuple()
	if !same || a.kind == iteratorSeq || a.kind == valuesSeq || len(a.items) != len(b.items) {
		return false
	}
	for i := range a.items {
		if !r.equal(a.items[i], b.items[i]) {
			return false
		}
	}
	return true
}

func (r *renderer) equalDicts(a, b *dict) bool {
	if len(a.keys) != len(b.keys) {
		return false
	}
	for i, key := range a.keys {
		h, _ := r.hashKey(key)
		y, ok := b.get(h)
		if !ok || !r.equal(a.vals[i], y) {
			return false
		}
	}
	return true
}

// order compares for < and for sorting: -1, 0 or 1. ok is false for NaN, and after a failure: op names the operator in its message.
func (r *renderer) order(op string, a, b value) (c int, ok bool) {
	if !r.enter() {
		return 0, false
	}
	defer r.leave()
	switch x := a.(type) {
	case text:
		if y, isText := b.(text); isText {
			// UTF-8 keeps the order of code points, which is Python's.
			return strings.Compare(x.s, y.s), r.scan(min(len(x.s), len(y.s)))
		}
	case bool, int64, float64:
		if isNumber(b) {
			return compareNumbers(a, b)
		}
	case *seq:
		if y, isSeq := b.(*seq); isSeq && (x.kind == listSeq && y.kind == listSeq || x.isTuple() && y.isTuple()) {
			return r.orderSeqs(op, x, y)
		}
	default:
		if toBig(a) != nil && isNumber(b) {
			return compareNumbers(a, b)
		}
	}
	for _, v := range []value{a, b} {
		if u, isUndefined := v.(undefined); isUndefined {
			r.undefinedUse(u)
			return 0, false
		}
	}
	r.typeError("'%s' not supported between instances of '%s' and '%s'", op, typeName(a), typeName(b))
	return 0, false
}

func (r *renderer) orderSeqs(op string, a, b *seq) (int, bool) {
	for i := range min(len(a.items), len(b.items)) {
		if !r.equal(a.items[i], b.items[i]) {
			return r.order(op, a.items[i], b.items[i])
		}
	}
	return cmp.Compare(len(a.items), len(b.items)), r.err == nil
}

// contains is Python's x in v.
func (r *renderer) contains(v, x value) bool {
	switch v := v.(type) {
	case text:
		sub, ok := x.(text)
		if !ok {
			r.typeError("'in <string>' requires string as left operand, not %s", typeName(x))
			return false
		}
		return r.scan(len(v.s)) && strings.Contains(v.s, sub.s)
	case *dict:
		h, ok := r.hashKey(x)
		_, found := v.get(h)
		return ok && found
	case undefined:
		return false
	case *seq:
		for i, y := range v.items {
			if r.equal(x, y) {
				if v.kind == iteratorSeq {
					v.items = v.items[i+1:]
				}
				return true
			}
		}
		r.iterate(v) // an iterator is used up
		return false
	}
	r.typeError("argument of type '%s' is not iterable", typeName(v))
	return false
}

// compare is a op b, op being a comparison of the language.
func (r *renderer) compare(op string, a, b value) bool {
	switch op {
	case "==":
		return r.equal(a, b)
	case "!=":
		return !r.equal(a, b)
	case "in":
		return r.contains(b, a)
	case "not in":
		return !r.contains(b, a)
	}
	c, ok := r.order(op, a, b)
	if !ok {
		return false
	}
	switch op {
	case "<":
		return c < 0
	case "<=":
		return c <= 0
	case ">":
		return c > 0
	default:
		return c >= 0
	}
}
