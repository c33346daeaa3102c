package jinja

import (
	"slices"
	"strconv"
	"strings"
)

func filterDefault(a *arguments) value {
	if _, ok := a.self.(undefined); ok || a.bool(1, false) && !truth(a.self) {
		return a.val(0, text{})
	}
	return a.self
}

func filterAttr(a *arguments) value {
	name := a.text(0, "").s
	if u, ok := a.self.(undefined); ok {
		a.r.undefinedUse(u)
		return nil
	}
	if got, ok := a.r.pythonAttribute(a.self, name); ok {
		return got
	}
	return a.r.missing(a.self, name)
}

func filterLength(a *arguments) value {
	switch v := a.self.(type) {
	case undefined:
		return int64(0)
	case text:
		a.r.scan(len(v.s))
		return int64(v.chars())
	case *dict:
		return int64(len(v.keys))
	case *loop:
		return int64(len(v.items))
	case *seq:
		if v.kind != iteratorSeq {
			return int64(len(v.items))
		}
	}
	a.r.typeError("object of type '%s' has no len()", typeName(a.self))
	return nil
}

func filterFirst(a *arguments) value {
	if s, ok := a.self.(*seq); ok && s.kind == iteratorSeq && len(s.items) > 0 {
		v := s.items[0]
		s.items = s.items[1:] // the rest waits for whoever iterates next
		return v
	}
	items := a.r.iterate(a.self)
	if len(items) == 0 {
		return undefined{message: "No first item, sequence was empty."}
	}
	return items[0]
}

func filterLast(a *arguments) value {
	if s, ok := a.self.(*seq); ok && s.kind == iteratorSeq {
		a.r.typeError("'generator' object is not reversible")
		return nil
	}
	items := a.r.iterate(a.self)
	if len(items) == 0 {
		return undefined{message: "No last item, sequence was empty."}
	}
	return items[len(items)-1]
}

func filterJoin(a *arguments) value {
	items := a.r.iterate(a.self)
	if attribute := a.val(1, nil); attribute != nil {
		items = a.r.attributes(items, attribute, nil)
	}
	return a.r.join(a.str(0, ""), items)
}

func filterReverse(a *arguments) value {
	items := slices.Clone(a.r.iterate(a.self))
	slices.Reverse(items)
	if _, ok := a.self.(text); ok {
		return a.r.join(text{}, items)
	}
	if s, ok := a.self.(*seq); ok && s.kind == iteratorSeq {
		return a.r.list(items)
	}
	return a.r.newSeq(iteratorSeq, items)
}

// attributePath splits the attribute argument of a filter: 'a.b.0' is three steps, of which a number is an index.
func attributePath(attribute value) []value {
	t, ok := attribute.(text)
	if !ok {
		return []value{attribute}
	}
	var path []value
	for _, part := range strings.Split(t.s, ".") {
		if n, err := strconv.ParseUint(part, 10, 31); err == nil {
			path = append(path, int64(n))
			continue
		}
		path = append(path, literal(part))
	}
	return path
}

// follow is v with the steps of path taken; where one leads nowhere it goes on from def, unless def is nil.
func (r *renderer) follow(v value, path []value, def value) value {
	for _, step := range path {
		v = r.item(v, step)
		if _, ok := v.(undefined); ok && def != nil {
			v = def
		}
	}
	return v
}

// attributes is the list of that attribute of each item.
func (r *renderer) attributes(items []value, attribute, def value) []value {
	path := attributePath(attribute)
	if !r.allocN(len(items), valueCost) {
		return nil
	}
	out := make([]value, len(items))
	for i, v := range items {
		if !r.spend(1) {
			break
		}
		out[i] = r.follow(v, path, def)
	}
	return out
}

// sortKeys is what a filter sorts or compares by: the attribute (none: the item itself), texts in lower case unless case counts.
func (r *renderer) sortKeys(items []value, attribute value, caseSensitive bool, def value) []value {
	keys := items
	if attribute != nil {
		keys = r.attributes(items, attribute, def)
	}
	if caseSensitive || !r.allocN(len(items), valueCost) {
		return keys
	}
	keys = slices.Clone(keys)
	for i, k := range keys {
		if t, ok := k.(text); ok {
			keys[i] = r.lower(t)
		}
	}
	return keys
}

// sorted returns the order of keys, stable, also when reversed.
func (r *renderer) sorted(keys []value, reverse bool) []int {
	if !r.allocN(len(keys), valueCost) {
		return nil
	}
	order := make([]int, len(keys))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int {
		if r.err != nil {
			return 0
		}
		c, _ := r.order("<", keys[i], keys[j])
		if reverse {
			return -c
		}
		return c
	})
	return order
}

// pick returns the items in the given order.
func (r *renderer) pick(items []value, order []int) []value {
	if !r.allocN(len(order), valueCost) {
		return nil
	}
	out := make([]value, len(order))
	for i, k := range order {
		out[i] = items[k]
	}
	return out
}

func filterSort(a *arguments) value {
	items := a.r.iterate(a.self)
	attribute := a.val(2, nil)
	keys := a.r.multiKeys(items, attribute, a.bool(1, false))
	return a.r.list(a.r.pick(items, a.r.sorted(keys, a.bool(0, false))))
}

// multiKeys is sortKeys for sort, which takes several attributes with commas between.
func (r *renderer) multiKeys(items []value, attribute value, caseSensitive bool) []value {
	t, ok := attribute.(text)
	if !ok || !strings.Contains(t.s, ",") {
		return r.sortKeys(items, attribute, caseSensitive, nil)
	}
	var columns [][]value
	for _, name := range strings.Split(t.s, ",") {
		columns = append(columns, r.sortKeys(items, literal(name), caseSensitive, nil))
	}
	if !r.allocN(len(items), len(columns)*valueCost) {
		return nil
	}
	keys := make([]value, len(items))
	for i := range keys {
		key := &seq{kind: tupleSeq}
		for _, c := range columns {
			key.items = append(key.items, c[i])
		}
		keys[i] = key
	}
	return keys
}

func filterDictsort(a *arguments) value {
	d, ok := a.self.(*dict)
	if !ok {
		a.badType(a.self, "dict")
		return nil
	}
	by := d.keys
	switch a.text(1, "key").s {
	case "key":
	case "value":
		by = d.vals
	default:
		a.r.fail(Runtime, `You can only sort by either "key" or "value"`)
		return nil
	}
	keys := a.r.sortKeys(by, nil, a.bool(0, false), nil)
	return a.r.list(a.r.pick(a.r.pairs(d), a.r.sorted(keys, a.bool(2, false))))
}

// pairs is the list of (key, value) of d.
func (r *renderer) pairs(d *dict) []value {
	if !r.allocN(len(d.keys), 4*valueCost) {
		return nil
	}
	out := make([]value, len(d.keys))
	for i, k := range d.keys {
		out[i] = tuple(k, d.vals[i])
	}
	return out
}
