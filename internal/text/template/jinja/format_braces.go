package jinja

import (
	"strings"
	"unicode/utf8"
)

// braces is one run of Python's str.format.
type braces struct {
	*arguments
	auto   int // the next argument for {}
	manual bool
}

func textFormat(a *arguments) value {
	f := &braces{arguments: a}
	return f.format(a.selfStr(), 2)
}

// format fills the fields of t. A layout may hold fields itself, but those no further ones: depth says how deep it goes.
func (f *braces) format(t text, depth int) text {
	b := f.r.newBuilder()
	if depth == 0 {
		f.r.fail(Runtime, "ValueError: Max string recursion exceeded")
	}
	for at := 0; at < len(t.s) && f.r.spend(1); {
		i := strings.IndexAny(t.s[at:], "{}")
		if i < 0 {
			b.write(t.slice(at, len(t.s)))
			break
		}
		b.write(t.slice(at, at+i))
		at += i
		if strings.HasPrefix(t.s[at+1:], t.s[at:at+1]) { // {{ or }}
			b.write(t.slice(at, at+1))
			at += 2
			continue
		}
		end := fieldEnd(t.s[at:])
		if t.s[at] == '}' || end < 0 {
			f.r.fail(Runtime, "ValueError: single '%c' encountered in format string", t.s[at])
			break
		}
		b.write(f.field(t.slice(at+1, at+end), depth))
		at += end + 1
	}
	return b.text()
}

// fieldEnd returns the place of the brace that closes the one at the start of s.
func fieldEnd(s string) int {
	open := 0
	for i := range len(s) {
		switch s[i] {
		case '{':
			open++
		case '}':
			if open--; open == 0 {
				return i
			}
		}
	}
	return -1
}

// field is name!conversion:layout.
func (f *braces) field(t text, depth int) text {
	name, spec := t.s, text{}
	if i := strings.IndexByte(t.s, ':'); i >= 0 {
		name, spec = t.s[:i], t.slice(i+1, len(t.s))
	}
	conversion := ""
	if i := strings.IndexByte(name, '!'); i >= 0 {
		name, conversion = name[:i], name[i+1:]
	}
	v := f.lookup(name)
	switch conversion {
	case "":
	case "s":
		v = f.r.str(v)
	case "r", "a":
		v = userText(f.r.reprString(v))
	default:
		f.r.fail(Runtime, "ValueError: want !s, !r or !a in a format, found !%s", conversion)
	}
	if strings.Contains(spec.s, "{") {
		spec = f.format(spec, depth-1)
	}
	if f.r.err != nil {
		return text{}
	}
	return f.r.formatValue(v, spec.s)
}

// lookup resolves first.attribute[index]...
func (f *braces) lookup(name string) value {
	end := strings.IndexAny(name, ".[")
	if end < 0 {
		end = len(name)
	}
	v := f.first(name[:end])
	for rest := name[end:]; rest != "" && f.r.err == nil; {
		if rest[0] == '.' {
			end = strings.IndexAny(rest[1:], ".[")
			if end < 0 {
				end = len(rest) - 1
			}
			v = f.r.attribute(v, rest[1:end+1])
			rest = rest[end+1:]
			continue
		}
		end = strings.IndexByte(rest, ']')
		if rest[0] != '[' || end < 0 {
			f.r.fail(Runtime, "ValueError: Missing ']' in format string")
			break
		}
		var index value = literal(rest[1:end])
		if n, k := scanNumber(rest[1:end]); k > 0 && k == end-1 {
			index = int64(n)
		}
		v = f.r.item(v, index)
		rest = rest[end+1:]
	}
	return v
}

// first is the argument that a field begins with: "" for the next one, a number, or a name.
func (f *braces) first(name string) value {
	n, length := scanNumber(name)
	switch {
	case name == "":
		n = f.auto
		f.auto++
	case length == len(name):
		f.manual = true
	default:
		if v, ok := f.keyword(name); ok {
			return v
		}
		f.r.fail(Runtime, "KeyError: %s", quote(name))
		return nil
	}
	if f.manual && f.auto > 0 {
		f.r.fail(Runtime, "ValueError: cannot switch between manual field specification and automatic field numbering")
		return nil
	}
	if n >= len(f.pos) {
		f.r.fail(Runtime, "IndexError: Replacement index %d out of range for positional args tuple", n)
		return nil
	}
	return f.pos[n]
}

func (f *braces) keyword(name string) (value, bool) {
	for i, n := range f.names {
		if n == name {
			return f.kw[i], true
		}
	}
	return nil, false
}

// formatValue is Python's format(v, spec).
func (r *renderer) formatValue(v value, spec string) text {
	if spec == "" {
		return r.str(v)
	}
	l, ok := parseLayout(spec)
	t, isText := v.(text)
	n := toBig(v)
	switch {
	case !ok:
	case isText && (l.verb == 0 || l.verb == 's') && l.align != '=' && l.sign == 0 && l.group == "" && !l.alternate:
		if l.align == 0 {
			l.align = '<'
		}
		return r.formatText(l, t)
	case n != nil && l.verb == 'c':
		if c, _ := toInt(v); c >= 0 && c <= 0x10ffff {
			return r.formatText(l, userText(string(rune(c))))
		}
	case n != nil && (l.verb == 0 || strings.IndexByte("bdnoxX", l.verb) >= 0) && l.precision < 0:
		return r.formatInt(l, n)
	case isNumber(v) && (l.verb == 0 || strings.IndexByte("eEfFgGn%", l.verb) >= 0):
		return r.formatFloat(l, toFloat(v))
	}
	r.fail(Runtime, "ValueError: Invalid format specifier %s for object of type '%s'", quote(spec), typeName(v))
	return text{}
}

// parseLayout reads [[fill]align][sign][#][0][width][,|_][.precision][type].
func parseLayout(s string) (l layout, ok bool) {
	l = layout{fill: " ", precision: -1}
	_, size := utf8.DecodeRuneInString(s)
	switch {
	case len(s) > size && strings.IndexByte("<>^=", s[size]) >= 0:
		l.fill, l.align, s = s[:size], s[size], s[size+1:]
	case strings.IndexByte("<>^=", s[0]) >= 0:
		l.align, s = s[0], s[1:]
	}
	take := func(set string) byte {
		if s == "" || strings.IndexByte(set, s[0]) < 0 {
			return 0
		}
		c := s[0]
		s = s[1:]
		return c
	}
	if l.sign = take("+- "); l.sign == '-' {
		l.sign = 0
	}
	l.alternate = take("#") != 0
	if take("0") != 0 && l.align == 0 {
		l.fill, l.align = "0", '='
	}
	n := 0
	l.width, n = scanNumber(s)
	s = s[n:]
	if g := take(",_"); g != 0 {
		l.group = string(g)
	}
	if take(".") != 0 {
		if l.precision, n = scanNumber(s); n == 0 {
			return l, false
		}
		s = s[n:]
	}
	l.verb = take("bcdeEfFgGnosxX%")
	return l, s == ""
}
