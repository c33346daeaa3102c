package jinja

func filterUnique(a *arguments) value {
	items := a.r.iterate(a.self)
	keys := a.r.sortKeys(items, a.val(1, nil), a.bool(0, false), nil)
	seen := map[string]bool{}
	var out []value
	for i, k := range keys {
		h, ok := a.r.hashKey(k)
		if !ok || !a.r.alloc(entryCost+len(h)) {
			return nil
		}
		if !seen[h] {
			seen[h] = true
			out = append(out, items[i])
		}
	}
	return a.r.newSeq(iteratorSeq, out)
}

// extreme is min (sign -1) or max (sign 1): the first of several that are equal.
func extreme(a *arguments, sign int) value {
	items := a.r.iterate(a.self)
	if len(items) == 0 {
		return undefined{message: "No aggregated item, sequence was empty."}
	}
	keys := a.r.sortKeys(items, a.val(1, nil), a.bool(0, false), nil)
	op := map[int]string{-1: "<", 1: ">"}[sign]
	best := 0
	for i := 1; i < len(keys); i++ {
		if c, ok := a.r.order(op, keys[i], keys[best]); ok && c == sign {
			best = i
		}
	}
	return items[best]
}

func filterSum(a *arguments) value {
	items := a.r.iterate(a.self)
	if attribute := a.val(0, nil); attribute != nil {
		items = a.r.attributes(items, attribute, nil)
	}
	total := a.val(1, int64(0))
	if _, ok := total.(text); ok {
		a.r.typeError("sum() can't sum strings [use ''.join(seq) instead]")
		return nil
	}
	for _, v := range items {
		if !a.r.spend(1) {
			break
		}
		total = a.r.binary("+", total, v)
	}
	return total
}

// filterBatch cuts a list into rows of a length, the last one filled up if there is something to fill it with.
func filterBatch(a *arguments) value {
	size, fill := a.int(0, 0), a.val(1, nil)
	var rows []value
	var row []value
	for _, v := range a.r.iterate(a.self) {
		if len(row) == size && a.r.spend(1) {
			rows = append(rows, a.r.list(row))
			row = nil
		}
		row = append(row, v)
	}
	if len(row) == 0 {
		return a.r.newSeq(iteratorSeq, rows)
	}
	if fill != nil && a.r.allocN(max(size-len(row), 0), valueCost) {
		for len(row) < size {
			row = append(row, fill)
		}
	}
	return a.r.newSeq(iteratorSeq, append(rows, a.r.list(row)))
}

// filterSlice cuts a list into a number of columns; the first ones are longer, or the others filled up.
func filterSlice(a *arguments) value {
	n, fill := a.int(0, 0), a.val(1, nil)
	items := a.r.iterate(a.self)
	if n == 0 {
		a.r.fail(Runtime, "ZeroDivisionError: integer division or modulo by zero")
		return nil
	}
	if n < 0 || !a.r.allocN(n, 4*valueCost) {
		return &seq{kind: iteratorSeq}
	}
	size, extra := len(items)/n, len(items)%n
	columns := make([]value, n)
	at := 0
	for i := range columns {
		end := at + size
		if i < extra {
			end++
		}
		column := append([]value(nil), items[at:end]...)
		if fill != nil && i >= extra {
			column = append(column, fill)
		}
		columns[i] = a.r.list(column)
		at = end
	}
	return a.r.newSeq(iteratorSeq, columns)
}

// filterGroupby sorts by an attribute and puts what is equal in it together; the group bears the first one's own spelling.
func filterGroupby(a *arguments) value {
	items := a.r.iterate(a.self)
	attribute, def, caseSensitive := a.val(0, nil), a.val(1, nil), a.bool(2, false)
	keys := a.r.sortKeys(items, attribute, caseSensitive, def)
	names := a.r.attributes(items, attribute, def)
	order := a.r.sorted(keys, false)
	var groups []value
	for at := 0; at < len(order) && a.r.err == nil; {
		end := at + 1
		for end < len(order) && a.r.equal(keys[order[at]], keys[order[end]]) {
			end++
		}
		members := a.r.list(a.r.pick(items, order[at:end]))
		groups = append(groups, &seq{groupSeq, []value{names[order[at]], members}})
		at = end
	}
	return a.r.list(groups)
}

func filterItems(a *arguments) value {
	switch v := a.self.(type) {
	case undefined:
		return &seq{kind: iteratorSeq}
	case *dict:
		return a.r.newSeq(iteratorSeq, a.r.pairs(v))
	}
	a.r.typeError("Can only get item pairs from a mapping.")
	return nil
}

// iterateTrue is iterate, but takes anything that is not true for empty.
func (r *renderer) iterateTrue(v value) []value {
	if !truth(v) {
		return nil
	}
	return r.iterate(v)
}

// filterMap gives an attribute of each item, or what another filter makes of it.
func filterMap(a *arguments) value {
	items := a.r.iterateTrue(a.self)
	if attribute, ok := a.takeKw("attribute"); ok && len(a.pos) == 0 {
		def, _ := a.takeKw("default")
		if len(a.names) > 0 {
			a.r.fail(Runtime, "Unexpected keyword argument '%s'", a.names[0])
			return nil
		}
		return a.r.newSeq(iteratorSeq, a.r.attributes(items, attribute, def))
	}
	if len(a.pos) == 0 {
		a.r.fail(Runtime, "map requires a filter argument")
		return nil
	}
	f, ok := lookup(a, filters, "filter", a.pos[0])
	if !ok || !a.r.allocN(len(items), valueCost) {
		return nil
	}
	out := make([]value, len(items))
	for i, v := range items {
		if !a.r.spend(1) {
			return nil
		}
		out[i] = a.r.nested(f, v, args{pos: a.pos[1:], names: a.names, kw: a.kw})
	}
	return a.r.newSeq(iteratorSeq, out)
}

// nested is callBuiltin one level deeper: map can call map.
func (r *renderer) nested(b builtin, self value, given args) value {
	if !r.enter() {
		return nil
	}
	defer r.leave()
	return r.callBuiltin(b, self, given)
}

func lookup(a *arguments, table map[string]builtin, what string, name value) (builtin, bool) {
	t, _ := name.(text)
	b, ok := table[t.s]
	if !ok {
		a.r.fail(Runtime, "No %s named '%s'.", what, a.r.str(name).s)
	}
	return b, ok
}

// choose keeps the items (or their attribute) that pass a test, or are true where none is given; with want false, the others.
func choose(a *arguments, want, byAttribute bool) value {
	items := a.r.iterateTrue(a.self)
	pos := a.pos
	tested := items
	if byAttribute {
		if len(pos) == 0 {
			a.r.fail(Runtime, "Missing parameter for attribute name")
			return nil
		}
		tested = a.r.attributes(items, pos[0], nil)
		pos = pos[1:]
	}
	var test *builtin
	if len(pos) > 0 {
		t, ok := lookup(a, tests, "test", pos[0])
		if !ok {
			return nil
		}
		test = &t
		pos = pos[1:]
	}
	var out []value
	for i, v := range tested {
		if !a.r.spend(1) {
			return nil
		}
		pass := v
		if test != nil {
			pass = a.r.nested(*test, v, args{pos: pos, names: a.names, kw: a.kw})
		}
		if truth(pass) == want {
			out = append(out, items[i])
		}
	}
	return a.r.newSeq(iteratorSeq, out)
}
