package jinja

import "math/big"

// test makes a builtin of a plain predicate.
func test(f func(v value) bool) func(a *arguments) value {
	return func(a *arguments) value { return f(a.self) }
}

// comparison makes a builtin of an operator.
func comparison(op string) func(a *arguments) value {
	return func(a *arguments) value { return a.r.compare(op, a.self, a.vals[0]) }
}

func isType[T any](v value) bool {
	_, ok := v.(T)
	return ok
}

var testEntries = []entry{
	{"defined", "", test(func(v value) bool { return !isType[undefined](v) })},
	{"undefined", "", test(isType[undefined])},
	{"none", "", test(func(v value) bool { return v == nil })},
	{"boolean", "", test(isType[bool])},
	{"true", "", test(func(v value) bool { b, ok := v.(bool); return ok && b })},
	{"false", "", test(func(v value) bool { b, ok := v.(bool); return ok && !b })},
	{"integer", "", test(func(v value) bool { return isType[int64](v) || isType[*big.Int](v) })},
	{"float", "", test(isType[float64])},
	{"number", "", test(isNumber)},
	{"string", "", test(isType[text])},
	{"mapping", "", test(isType[*dict])},
	{"callable", "", test(func(v value) bool {
		return isType[*macro](v) || isType[*function](v) || isType[*loop](v) || isType[undefined](v)
	})},
	{"iterable", "", test(func(v value) bool {
		return isType[undefined](v) || isType[text](v) || isType[*seq](v) || isType[*dict](v) || isType[*loop](v)
	})},
	{"sequence", "", test(isSequence)},
	{"sameas", "other", func(a *arguments) value { return same(a.self, a.vals[0]) }},
	{"escaped", "", test(func(value) bool { return false })},
	{"lower", "", func(a *arguments) value { return a.r.allCased(a.selfText(), isLower) }},
	{"upper", "", func(a *arguments) value { return a.r.allCased(a.selfText(), isUpper) }},
	{"odd", "", func(a *arguments) value { return a.r.modulo(a.self, int64(2), 1) }},
	{"even", "", func(a *arguments) value { return a.r.modulo(a.self, int64(2), 0) }},
	{"divisibleby", "num", func(a *arguments) value { return a.r.modulo(a.self, a.vals[0], 0) }},
	{"in", "seq", func(a *arguments) value { return a.r.contains(a.vals[0], a.self) }},
	{"filter", "", func(a *arguments) value { return known(a, filterNames) }},
	{"test", "", func(a *arguments) value { return known(a, testNames) }},
	{"eq equalto ==", "other", comparison("==")},
	{"ne !=", "other", comparison("!=")},
	{"lt lessthan <", "other", comparison("<")},
	{"le <=", "other", comparison("<=")},
	{"gt greaterthan >", "other", comparison(">")},
	{"ge >=", "other", comparison(">=")},
}

func filterNames() map[string]builtin { return filters }
func testNames() map[string]builtin   { return tests }

func known(a *arguments, table func() map[string]builtin) bool {
	t, ok := a.self.(text)
	_, found := table()[t.s]
	return ok && found
}

func isSequence(v value) bool {
	switch v := v.(type) {
	case text, *dict:
		return true
	case *seq:
		return v.kind != iteratorSeq && !v.isView()
	}
	return isType[undefined](v) // it has a length and, in name, an index
}

// same is Python's identity, as far as it can matter: for none, true and false, and for things that can only be equal to themselves.
func same(a, b value) bool {
	switch x := a.(type) {
	case undefined, text, *big.Int, float64:
		return false
	case int64:
		y, ok := b.(int64)
		return ok && x == y && x >= -5 && x <= 256 // the integers that CPython has only once
	}
	return a == b
}

// modulo reports whether v % n is want.
func (r *renderer) modulo(v, n value, want int64) bool {
	return r.equal(r.binary("%", v, n), want)
}

// allCased reports whether every cased character of t passes, and there is one: Python's islower and isupper.
func (r *renderer) allCased(t text, pass func(rune) bool) bool {
	r.scan(len(t.s))
	found := false
	for _, c := range t.s {
		if isCased(c) {
			if !pass(c) {
				return false
			}
			found = true
		}
	}
	return found
}
