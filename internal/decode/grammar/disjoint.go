package grammar

import (
	"regexp"
	"slices"
)

// maxDisjointDepth is how deep in objects oneOf looks for the property in which its branches differ.
const maxDisjointDepth = 3

// allDisjoint reports whether no value satisfies facts of both lists, as far as can be shown.
func (c *compiler) allDisjoint(xs, ys []*facts) (bool, error) {
	return c.disjointWithin(xs, ys, maxDisjointDepth)
}

func (c *compiler) disjointWithin(xs, ys []*facts, depth int) (bool, error) {
	for _, x := range xs {
		for _, y := range ys {
			if ok, err := c.disjoint(x, y, depth); !ok || err != nil {
				return false, err
			}
		}
	}
	return true, nil
}

func (c *compiler) disjoint(x, y *facts, depth int) (bool, error) {
	if c.folds++; c.folds > maxFolds {
		return false, refuse(x.at, "is too complex: oneOf has too many branches to compare")
	}
	if x.hasEnum || y.hasEnum {
		return c.disjointEnums(x, y)
	}
	types := x.types & y.types
	if types&(typeNull|typeBool) != 0 {
		return false, nil
	}
	if types&(typeInteger|typeFraction) != 0 {
		low, high := narrower(x.low, y.low, 1), narrower(x.high, y.high, -1)
		if low.limit == nil || high.limit == nil || low.limit.Cmp(high.limit) < 0 ||
			low.limit.Cmp(high.limit) == 0 && !low.exclusive && !high.exclusive {
			return false, nil
		}
	}
	if types&typeString != 0 {
		n, err := c.characters(x, true)
		if err != nil {
			return false, err
		}
		m, err := c.characters(y, true)
		if err != nil || c.and(n, m) != fail {
			return false, err
		}
	}
	if types&typeArray != 0 && max(x.minItems, y.minItems) <= min(x.maxItems, y.maxItems) {
		return false, nil
	}
	if types&typeObject != 0 {
		return c.disjointObjects(x, y, depth)
	}
	return true, nil
}

// disjointEnums compares facts of which some have an enum: by its values, as texts.
func (c *compiler) disjointEnums(x, y *facts) (bool, error) {
	if !x.hasEnum {
		x, y = y, x
	}
	for _, v := range x.enum {
		ok, err := c.allows(x, v)
		if err != nil {
			return false, err
		}
		switch {
		case !ok || y.types&v.types() == 0:
			continue
		case y.hasEnum:
			text := v.compact(true)
			ok = slices.ContainsFunc(y.enum, func(w *value) bool { return w.compact(true) == text })
		case v.kind == '[' || v.kind == '{':
			return false, nil // can't tell
		}
		if ok {
			if ok, err = c.allows(y, v); ok || err != nil {
				return false, err
			}
		}
	}
	return true, nil
}

// disjointObjects looks for a property that both require, or that one requires and the other has no room for, with values that
// are disjoint.
func (c *compiler) disjointObjects(x, y *facts, depth int) (bool, error) {
	if depth == 0 {
		return false, nil
	}
	for _, name := range append(slices.Clip(x.required), y.required...) {
		a, err := c.propertyFacts(x, name)
		if err != nil {
			return false, err
		}
		b, err := c.propertyFacts(y, name)
		if err != nil {
			return false, err
		}
		both := slices.Contains(x.required, name) && slices.Contains(y.required, name)
		if !both && len(a) > 0 && len(b) > 0 {
			continue // one may be without it
		}
		if ok, err := c.disjointWithin(a, b, depth-1); ok || err != nil {
			return ok, err
		}
	}
	return false, nil
}

// propertyFacts returns what is known of a property's value; nothing if it can have none.
func (c *compiler) propertyFacts(f *facts, name string) ([]*facts, error) {
	matchers := map[string]*regexp.Regexp{}
	for _, o := range f.objects {
		if o.patterns == nil {
			continue
		}
		for _, p := range o.patterns.keys {
			re, err := regexp.Compile(javascript(p))
			if err != nil {
				return nil, refuse(o.patterns, "want a regular expression as property name, found %.80q: %v", p, err)
			}
			matchers[p] = re
		}
	}
	list := []*facts{newFacts(f.at)}
	for _, s := range f.schemasOf(name, matchers) {
		var err error
		if list, err = c.fold(s, list, nil); err != nil {
			return nil, err
		}
	}
	return list, nil
}
