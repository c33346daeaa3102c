package jinja

// globals are the functions that every template finds.
var globals = map[string]value{
	"range":           &function{name: "range", params: parseParams("..."), call: globalRange},
	"dict":            &function{name: "dict", params: parseParams("..."), call: globalDict},
	"namespace":       &function{name: "namespace", params: parseParams("..."), call: globalNamespace},
	"raise_exception": &function{name: "raise_exception", params: parseParams("message"), call: globalRaise},
}

func globalRange(a *arguments) value {
	if len(a.kw) > 0 || len(a.pos) < 1 || len(a.pos) > 3 {
		a.r.typeError("range() takes 1 to 3 arguments")
		return nil
	}
	b := [3]int{0, 0, 1} // start, stop, step
	at := 0
	if len(a.pos) == 1 {
		at = 1
	}
	for i, v := range a.pos {
		n, ok := toInt(v)
		if !ok {
			a.badType(v, "int")
			return nil
		}
		b[at+i] = max(-1<<40, min(n, 1<<40)) // more is too long anyway; so nothing below overflows
	}
	if b[2] == 0 {
		a.r.fail(Runtime, "ValueError: range() arg 3 must not be zero")
		return nil
	}
	n := (b[1] - b[0] + b[2] - 1) / b[2]
	if b[2] < 0 {
		n = (b[1] - b[0] + b[2] + 1) / b[2]
	}
	n = max(n, 0)
	if n > maxRange {
		a.r.fail(Runtime, "OverflowError: Range too big. The sandbox blocks ranges larger than MAX_RANGE (%d).", maxRange)
		return nil
	}
	if !a.r.allocN(n, valueCost) {
		return nil
	}
	items := make([]value, n)
	for i := range items {
		items[i] = int64(b[0] + i*b[2])
	}
	return &seq{rangeSeq, items}
}

// globalDict is dict(mapping or pairs, name=value).
func globalDict(a *arguments) value {
	d := newDict()
	switch {
	case len(a.pos) > 1:
		a.r.typeError("dict expected at most 1 argument, got %d", len(a.pos))
	case len(a.pos) == 1:
		if from, ok := a.pos[0].(*dict); ok {
			for i, k := range from.keys {
				a.r.set(d, k, from.vals[i])
			}
			break
		}
		for _, pair := range a.r.iterate(a.pos[0]) {
			kv := a.r.iterate(pair)
			if len(kv) != 2 {
				a.r.fail(Runtime, "ValueError: want pairs to make a dict, found a sequence of length %d", len(kv))
				return nil
			}
			a.r.set(d, kv[0], kv[1])
		}
	}
	for i, name := range a.names {
		a.r.set(d, literal(name), a.kw[i])
	}
	return d
}

func globalNamespace(a *arguments) value {
	d, _ := globalDict(a).(*dict)
	if d == nil {
		return nil
	}
	return &namespace{d}
}

// globalRaise ends the render with the template's own message.
func globalRaise(a *arguments) value {
	a.r.fail(Raise, "%s", a.str(0, "").s)
	return nil
}
