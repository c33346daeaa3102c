package jinja

import (
	"strings"
)

func filterTrim(a *arguments) value {
	t := a.selfText()
	if a.val(0, nil) == nil {
		return t.strip(isSpace, true, true)
	}
	return t.strip(inSet(a.text(0, "").s), true, true)
}

// strip cuts the characters in the set off both ends, or one.
func (t text) strip(in func(rune) bool, left, right bool) text {
	lo, hi := 0, len(t.s)
	if left {
		lo = hi - len(strings.TrimLeftFunc(t.s, in))
	}
	if right {
		hi = max(lo, len(strings.TrimRightFunc(t.s, in)))
	}
	return t.slice(lo, hi)
}

func inSet(set string) func(rune) bool {
	return func(c rune) bool { return strings.ContainsRune(set, c) }
}

var htmlEscapes = map[rune]string{'&': "&amp;", '<': "&lt;", '>': "&gt;", '\'': "&#39;", '"': "&#34;"}

func filterEscape(a *arguments) value {
	return a.r.mapChars(a.selfText(), func(_ int, c rune) string {
		if e, ok := htmlEscapes[c]; ok {
			return e
		}
		return string(c)
	})
}

func filterReplace(a *arguments) value {
	return a.r.replace(a.selfText(), a.str(0, ""), a.str(1, ""), a.int(2, -1))
}

// filterIndent puts white space before each line but the first (unless asked) and the empty ones (unless asked).
func filterIndent(a *arguments) value {
	s, ok := a.self.(text)
	if !ok {
		a.badType(a.self, "str")
		return nil
	}
	indent, ok := a.val(0, int64(4)).(text)
	if !ok {
		indent = a.r.repeat(literal(" "), a.int(0, 4))
	}
	blank := a.bool(2, false)
	b := a.r.newBuilder()
	if a.bool(1, false) {
		b.write(indent)
	}
	lines := a.r.splitLines(a.r.concat(s, literal("\n")), false)
	for i, v := range lines {
		line := v.(text)
		if i > 0 {
			b.writeString("\n", false)
			if blank || line.s != "" {
				b.write(indent)
			}
		}
		b.write(line)
	}
	return b.text()
}

func filterTruncate(a *arguments) value {
	length, end, leeway := a.int(0, 255), a.text(2, "..."), a.int(3, 5)
	s, isText := a.self.(text)
	if n, ok := toInt(filterLength(a)); !isText && ok && n-leeway > length { // what is short enough passes, whatever it is
		a.badType(a.self, "str")
		return nil
	}
	if length < end.chars() || leeway < 0 {
		a.r.fail(Runtime, "AssertionError: expected length >= %d and leeway >= 0, got %d and %d", end.chars(), length, leeway)
		return nil
	}
	if s.chars()-leeway <= length {
		return a.self
	}
	cut := s.slice(0, s.offset(length-end.chars()))
	if i := strings.LastIndexByte(cut.s, ' '); i >= 0 && !a.bool(1, false) {
		cut = cut.slice(0, i)
	}
	return a.r.concat(cut, end)
}

func filterWordcount(a *arguments) value {
	s := a.selfText().s
	a.r.scan(len(s))
	n := len(strings.FieldsFunc(s, func(c rune) bool { return c != '_' && !isAlphanumeric(c) }))
	return int64(n)
}

func filterFormat(a *arguments) value {
	t := a.selfText()
	if len(a.kw) == 0 {
		return a.r.percentFormat(t, tuple(a.pos...))
	}
	if len(a.pos) > 0 {
		a.r.fail(Runtime, "can't handle positional and keyword arguments at the same time")
		return nil
	}
	d := newDict()
	for i, name := range a.names {
		a.r.set(d, literal(name), a.kw[i])
	}
	return a.r.percentFormat(t, d)
}

// join is Python's sep.join(items), with str() of each item.
func (r *renderer) join(sep text, items []value) text {
	b := r.newBuilder()
	for i, v := range items {
		if !r.spend(1) {
			break
		}
		if i > 0 {
			b.write(sep)
		}
		b.write(r.str(v))
	}
	return b.text()
}
