package jinja

// textMethods are the methods of strings, seqMethods those of lists and tuples, dictMethods those of mappings: the ones that change nothing.
var textMethods, seqMethods, dictMethods map[string]builtin

func init() {
	textMethods = table(append(textMethodEntries, textSearchEntries...))
	seqMethods = table([]entry{
		{"index", "value", seqIndex},
		{"count", "value", seqCount},
		{"copy", "", func(a *arguments) value { return a.r.list(a.self.(*seq).items) }},
	})
	dictMethods = table([]entry{
		{"get", "key [default]", dictGet},
		{"keys", "", func(a *arguments) value { return a.r.newSeq(keysSeq, a.self.(*dict).keys) }},
		{"values", "", func(a *arguments) value { return a.r.newSeq(valuesSeq, a.self.(*dict).vals) }},
		{"items", "", func(a *arguments) value { return a.r.newSeq(itemsSeq, a.r.pairs(a.self.(*dict))) }},
		{"copy", "", func(a *arguments) value { return a.self }}, // nothing can tell: neither can be changed
	})
}

func dictGet(a *arguments) value {
	h, ok := a.r.hashKey(a.vals[0])
	if v, found := a.self.(*dict).get(h); ok && found {
		return v
	}
	return a.val(1, nil)
}

func seqIndex(a *arguments) value {
	for i, v := range a.self.(*seq).items {
		if a.r.equal(v, a.vals[0]) {
			return int64(i)
		}
	}
	a.r.fail(Runtime, "ValueError: value is not in list")
	return nil
}

func seqCount(a *arguments) value {
	n := int64(0)
	for _, v := range a.self.(*seq).items {
		if a.r.equal(v, a.vals[0]) {
			n++
		}
	}
	return n
}
