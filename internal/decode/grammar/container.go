package grammar

import (
	"fmt"
	"regexp"
	"slices"
)

// gap returns what may stand after or before a bracket, or after a comma; nothing unless asked for.
func (c *compiler) gap() id {
	if !c.spaced {
		return eps
	}
	return c.opt(c.alt(c.word(" "), c.cat(c.word("\n"), c.rep(c.word(" "), 0, 32))))
}

func (c *compiler) comma() id { return c.cat(c.word(","), c.gap()) }

// array returns the term of the arrays that facts allow: those of element 0, element 1 ... and then of more, as long as allowed.
func (c *compiler) array(f *facts) (id, error) {
	prefix, closed := 0, false
	for _, a := range f.arrays {
		prefix = max(prefix, len(a.prefix))
		closed = closed || len(a.prefix) > 0 && a.items == nil // what no schema speaks of is not said
	}
	element := func(i int) (id, error) {
		var all []*value
		for _, a := range f.arrays {
			switch {
			case i < len(a.prefix):
				all = append(all, a.prefix[i])
			case a.items != nil:
				all = append(all, a.items)
			}
		}
		return c.conjunction(all)
	}
	least, most := f.minItems, f.maxItems
	if closed && least <= int32(prefix) {
		most = min(most, int32(prefix))
	}
	if least > most {
		return fail, nil
	}
	item, err := element(prefix)
	if err != nil {
		return fail, err
	}
	p := int32(prefix)
	var rest id // after element prefix-1, or of an array without prefix
	switch {
	case most <= p:
		rest = eps
		if p == 0 {
			return c.brackets("[", eps, "]"), nil
		}
	case p > 0:
		rest = c.rep(c.cat(c.comma(), item), max(least-p, 0), times32(most, -p))
	default:
		rest = c.cat(item, c.rep(c.cat(c.comma(), item), max(least-1, 0), times32(most, -1)))
		if least == 0 {
			rest = c.opt(rest)
		}
	}
	for i := int32(prefix) - 1; i >= 0; i-- {
		n, err := element(int(i))
		if err != nil {
			return fail, err
		}
		if i >= most {
			continue
		}
		if i+1 >= most {
			rest = eps
		}
		rest = c.cat(n, rest)
		if i > 0 {
			rest = c.cat(c.comma(), rest)
		}
		if i >= least {
			rest = c.alt(eps, rest)
		}
	}
	return c.brackets("[", rest, "]"), nil
}

// times32 adds d to a number of times, which may be unbounded.
func times32(n, d int32) int32 {
	if n == unbounded {
		return n
	}
	return n + d
}

// brackets encloses content, with gaps where there is some.
func (c *compiler) brackets(open string, content id, end string) id {
	inside := content
	if c.spaced && content != eps {
		inside = c.seq(c.gap(), content, c.gap())
		if c.terms[content].min == 0 && !c.terms[content].refs || c.emptyToo(content) {
			inside = c.alt(eps, inside)
		}
	}
	return c.seq(c.word(open), inside, c.word(end))
}

// emptyToo reports whether a term, whose rules may have no bodies yet, has the empty text among its alternatives.
func (c *compiler) emptyToo(n id) bool {
	switch t := &c.terms[n]; t.kind {
	case kEps:
		return true
	case kRep:
		return t.lo == 0
	case kAlt:
		return slices.ContainsFunc(c.kidsOf(t), c.emptyToo)
	}
	return false
}

// property returns the term of a property and its value, which all of some schemas allow.
func (c *compiler) property(key id, schemas []*value) (id, error) {
	n, err := c.conjunction(schemas)
	colon := c.word(":")
	if c.spaced {
		colon = c.cat(colon, c.opt(c.word(" ")))
	}
	return c.seq(key, colon, n), err
}

// object returns the term of the objects that facts allow: properties that a schema names, in the order of the schemas, then others.
func (c *compiler) object(f *facts) (id, error) {
	var names []string
	open, silent := false, len(f.required) == 0 // to properties that no schema names; about all properties
	patterns := map[string]*value{}
	var order []string // of patterns
	for _, o := range f.objects {
		if o.properties != nil {
			names = append(names, o.properties.keys...)
		}
		if o.patterns != nil {
			for i, p := range o.patterns.keys {
				if patterns[p] == nil {
					order = append(order, p)
				}
				patterns[p] = o.patterns.values[i]
			}
		}
		open, silent = open || o.additional != nil, silent && o.properties == nil && o.patterns == nil
	}
	names = append(names, f.required...)
	names = unique(names)
	matchers := map[string]*regexp.Regexp{}
	for _, p := range order {
		re, err := regexp.Compile(javascript(p))
		if err != nil || len(p) > maxSource/4 {
			return fail, refuse(patterns[p], "want a regular expression as property name, found %.80q: %v", p, err)
		}
		matchers[p] = re
	}
	// after is the term of what may follow when at least one property stands, first when none does.
	extra, err := c.extras(f, names, order, open || silent)
	if err != nil {
		return fail, err
	}
	least, most, err := c.objectSize(f, names, extra != fail)
	if err != nil {
		return fail, err
	}
	after := c.rep(c.cat(c.comma(), extra), max(least-1, 0), times32(most, -min(most, 1)))
	first := c.cat(extra, after)
	if most == 0 {
		first = fail
	}
	if least == 0 {
		first = c.alt(eps, first)
	}
	for _, name := range slices.Backward(names) {
		n, err := c.property(c.word(quote(name)), f.schemasOf(name, matchers))
		if err != nil {
			return fail, err
		}
		here, now := c.cat(n, after), c.seq(c.comma(), n, after)
		if slices.Contains(f.required, name) {
			first, after = here, now
		} else {
			first, after = c.alt(here, first), c.alt(now, after)
		}
		if c.over != "" {
			return fail, nil
		}
	}
	return c.brackets("{", first, "}"), nil
}

func unique(names []string) (list []string) {
	seen := map[string]bool{}
	for _, n := range names {
		if !seen[n] {
			seen[n] = true
			list = append(list, n)
		}
	}
	return list
}

// schemasOf returns the schemas that the value of a property has to satisfy.
func (f *facts) schemasOf(name string, matchers map[string]*regexp.Regexp) (all []*value) {
	for _, o := range f.objects {
		found := false
		if v := o.properties.get(name); v != nil {
			all, found = append(all, v), true
		}
		if o.patterns != nil {
			for i, p := range o.patterns.keys {
				if matchers[p].MatchString(name) {
					all, found = append(all, o.patterns.values[i]), true
				}
			}
		}
		if !found && o.additional != nil {
			all = append(all, o.additional)
		}
	}
	return all
}

// extras returns the term of one property that no schema names: of one that matches exactly one pattern, or that matches none and
// additionalProperties allows; fail if there are none such.
func (c *compiler) extras(f *facts, names, patterns []string, open bool) (id, error) {
	canonical := jsonText{}.class(c.arena, anyRune)
	name := c.many(canonical)
	if len(names) > 0 {
		list := make([]string, len(names))
		for i, n := range names {
			list[i] = string(appendJSONText(nil, n))
		}
		name = c.and(name, c.not(c.words(list)))
	}
	terms := make([]id, len(patterns))
	for i, p := range patterns {
		n, err := c.regex(javascript(p), jsonText{}, true)
		if err != nil {
			return fail, refuse(f.at, "patternProperties %.80q: %v", p, err)
		}
		terms[i] = n
	}
	var list []id
	add := func(name id, schemas []*value) error {
		if name == fail {
			return nil
		}
		q := c.word(`"`)
		n, err := c.property(c.lex(c.seq(q, name, q)), schemas)
		list = append(list, n)
		return err
	}
	for i, p := range patterns {
		key := c.and(name, terms[i])
		var schemas []*value
		for _, o := range f.objects {
			if v := o.patterns.get(p); v != nil {
				schemas = append(schemas, v)
			} else if o.additional != nil {
				schemas = append(schemas, o.additional)
			}
		}
		for j := range patterns {
			if j != i {
				key = c.and(key, c.not(terms[j]))
			}
		}
		if err := add(key, schemas); err != nil {
			return fail, err
		}
	}
	if open {
		var schemas []*value
		for _, o := range f.objects {
			if o.additional != nil {
				schemas = append(schemas, o.additional)
			}
		}
		for _, t := range terms {
			name = c.and(name, c.not(t))
		}
		if len(names) == 0 && len(patterns) == 0 {
			name = c.many(c.anyCharacter())
		}
		if err := add(name, schemas); err != nil {
			return fail, err
		}
	}
	return c.alt(list...), nil
}

// objectSize returns how many properties that no schema names there have to be and may be.
func (c *compiler) objectSize(f *facts, names []string, extra bool) (least, most int32, err error) {
	required := int32(len(f.required))
	most = unbounded
	if f.minProperties > required {
		if f.minProperties > required+1 || len(names) > len(f.required) {
			return 0, 0, refuse(f.at, "minProperties %d is supported only if that many properties are required, or is 1 for objects without "+
				"properties of their own (a model may name a property twice)", f.minProperties)
		}
		least = f.minProperties - required
	}
	if f.maxProperties < unbounded {
		if int32(len(names)) > f.maxProperties || extra && len(names) > len(f.required) {
			return 0, 0, refuse(f.at, "maxProperties %d is supported only if no more are named, or all named are required", f.maxProperties)
		}
		most = f.maxProperties - int32(len(names))
	}
	if least > most {
		return 0, 0, &Error{jsonSource, f.at.pointer(), fmt.Sprintf("wants at least %d properties and at most %d", f.minProperties, f.maxProperties)}
	}
	return least, most, nil
}
