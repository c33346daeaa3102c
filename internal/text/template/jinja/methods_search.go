package jinja

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// textSearchEntries are the methods of strings that look for something in them.
var textSearchEntries = []entry{
	{"startswith", "prefix [start] [end]", func(a *arguments) value { return affix(a, strings.HasPrefix) }},
	{"endswith", "suffix [start] [end]", func(a *arguments) value { return affix(a, strings.HasSuffix) }},
	{"find", "sub [start] [end]", func(a *arguments) value { return find(a, strings.Index, false) }},
	{"rfind", "sub [start] [end]", func(a *arguments) value { return find(a, strings.LastIndex, false) }},
	{"index", "sub [start] [end]", func(a *arguments) value { return find(a, strings.Index, true) }},
	{"rindex", "sub [start] [end]", func(a *arguments) value { return find(a, strings.LastIndex, true) }},
	{"count", "sub [start] [end]", textCount},
	{"split", "[sep] [maxsplit]", textSplit},
	{"rsplit", "[sep] [maxsplit]", textRsplit},
	{"splitlines", "[keepends]", func(a *arguments) value { return a.r.list(a.r.splitLines(a.selfStr(), a.bool(0, false))) }},
	{"partition", "sep", func(a *arguments) value { return partition(a, strings.Index, false) }},
	{"rpartition", "sep", func(a *arguments) value { return partition(a, strings.LastIndex, true) }},
}

// window is the part of the string that start and end (arguments 1 and 2) select, and the number of characters before it. ok is false
// where start lies behind the end of the string: then not even the empty string is found.
func window(a *arguments) (t text, before int, ok bool) {
	t = a.selfStr()
	n := t.chars()
	a.r.scan(len(t.s))
	start, step, count, ok := a.r.sliceBounds([3]value{a.val(1, nil), a.val(2, nil)}, n)
	if given, isInt := toInt(a.val(1, nil)); isInt && given > n || step != 1 {
		return text{}, 0, false
	}
	lo := t.offset(start)
	return t.slice(lo, lo+literal(t.s[lo:]).offset(count)), start, ok
}

func affix(a *arguments, has func(s, affix string) bool) value {
	t, _, ok := window(a)
	options := []value{a.vals[0]}
	if s, isSeq := a.vals[0].(*seq); isSeq && s.isTuple() {
		options = s.items
	}
	for _, v := range options {
		o, isText := v.(text)
		if !isText {
			a.badType(v, "str")
			return nil
		}
		if ok && has(t.s, o.s) {
			return true
		}
	}
	return false
}

func find(a *arguments, index func(s, sub string) int, must bool) value {
	t, before, ok := window(a)
	sub := a.text(0, "")
	if ok {
		if i := index(t.s, sub.s); i >= 0 {
			return int64(before + utf8.RuneCountInString(t.s[:i]))
		}
	}
	if must {
		a.r.fail(Runtime, "ValueError: substring not found")
	}
	return int64(-1)
}

func textCount(a *arguments) value {
	t, _, ok := window(a)
	if !ok {
		return int64(0)
	}
	return int64(strings.Count(t.s, a.text(0, "").s))
}

func partition(a *arguments, index func(s, sub string) int, last bool) value {
	t, sep := a.selfStr(), a.text(0, "")
	if sep.s == "" {
		a.r.fail(Runtime, "ValueError: empty separator")
		return nil
	}
	a.r.scan(len(t.s))
	i := index(t.s, sep.s)
	switch {
	case i >= 0:
		end := i + len(sep.s)
		return tuple(t.slice(0, i), t.slice(i, end), t.slice(end, len(t.s)))
	case last:
		return tuple(text{}, text{}, t)
	}
	return tuple(t, text{}, text{})
}

// separator returns the separator of a split, and how many cuts there may be; ok is false for white space.
func separator(a *arguments) (sep text, cuts int, ok bool) {
	cuts = a.int(1, -1)
	if cuts < 0 {
		cuts = len(a.selfStr().s) + 1
	}
	if a.val(0, nil) == nil {
		return text{}, cuts, false
	}
	sep = a.text(0, "")
	if sep.s == "" {
		a.r.fail(Runtime, "ValueError: empty separator")
	}
	return sep, cuts, true
}

// pieces collects the parts of a split and pays for them.
type pieces struct {
	r   *renderer
	out []value
}

func (p *pieces) add(t text) bool {
	if !p.r.alloc(valueCost + entryCost) {
		return false
	}
	p.out = append(p.out, t)
	return true
}

func textSplit(a *arguments) value {
	t := a.selfStr()
	sep, cuts, bySep := separator(a)
	if a.r.err != nil || !a.r.scan(len(t.s)) {
		return nil
	}
	p := pieces{r: a.r}
	if !bySep {
		for t = t.strip(isSpace, true, false); t.s != "" && cuts > 0; cuts-- {
			i := strings.IndexFunc(t.s, isSpace)
			if i < 0 {
				break
			}
			if !p.add(t.slice(0, i)) {
				return nil
			}
			t = t.slice(i, len(t.s)).strip(isSpace, true, false)
		}
		if t.s != "" {
			p.add(t)
		}
		return a.r.list(p.out)
	}
	at := 0
	for ; cuts > 0; cuts-- {
		i := strings.Index(t.s[at:], sep.s)
		if i < 0 || !p.add(t.slice(at, at+i)) {
			break
		}
		at += i + len(sep.s)
	}
	p.add(t.slice(at, len(t.s)))
	return a.r.list(p.out)
}

func textRsplit(a *arguments) value {
	t := a.selfStr()
	sep, cuts, bySep := separator(a)
	if a.r.err != nil || !a.r.scan(len(t.s)) {
		return nil
	}
	p := pieces{r: a.r}
	if !bySep {
		for t = t.strip(isSpace, false, true); t.s != "" && cuts > 0; cuts-- {
			i := strings.LastIndexFunc(t.s, isSpace)
			if i < 0 {
				break
			}
			_, size := utf8.DecodeRuneInString(t.s[i:])
			if !p.add(t.slice(i+size, len(t.s))) {
				return nil
			}
			t = t.slice(0, i).strip(isSpace, false, true)
		}
		if t.s != "" {
			p.add(t)
		}
	} else {
		end := len(t.s)
		for ; cuts > 0; cuts-- {
			i := strings.LastIndex(t.s[:end], sep.s)
			if i < 0 || !p.add(t.slice(i+len(sep.s), end)) {
				break
			}
			end = i
		}
		p.add(t.slice(0, end))
	}
	slices.Reverse(p.out)
	return a.r.list(p.out)
}
