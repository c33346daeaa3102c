package jinja

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// self is the string that a method of strings was called on.
func (a *arguments) selfStr() text { return a.self.(text) }

var textMethodEntries = []entry{
	{"upper", "", func(a *arguments) value { return a.r.upper(a.selfStr()) }},
	{"lower", "", func(a *arguments) value { return a.r.lower(a.selfStr()) }},
	{"capitalize", "", func(a *arguments) value { return a.r.capitalize(a.selfStr()) }},
	{"title", "", func(a *arguments) value { return a.r.title(a.selfStr()) }},
	{"strip", "[chars]", func(a *arguments) value { return stripMethod(a, true, true) }},
	{"lstrip", "[chars]", func(a *arguments) value { return stripMethod(a, true, false) }},
	{"rstrip", "[chars]", func(a *arguments) value { return stripMethod(a, false, true) }},
	{"replace", "old new [count]", func(a *arguments) value {
		return a.r.replace(a.selfStr(), a.text(0, ""), a.text(1, ""), a.int(2, -1))
	}},
	{"join", "iterable", textJoin},
	{"format", "...", textFormat},
	{"zfill", "width", textZfill},
	{"ljust", "width [fillchar]", func(a *arguments) value { return justify(a, 0) }},
	{"rjust", "width [fillchar]", func(a *arguments) value { return justify(a, 1) }},
	{"center", "width [fillchar]", func(a *arguments) value { return justify(a, 2) }},
	{"removeprefix", "prefix", func(a *arguments) value {
		s := a.selfStr()
		return s.slice(len(s.s)-len(strings.TrimPrefix(s.s, a.text(0, "").s)), len(s.s))
	}},
	{"removesuffix", "suffix", func(a *arguments) value {
		s := a.selfStr()
		return s.slice(0, len(strings.TrimSuffix(s.s, a.text(0, "").s)))
	}},
	{"isupper", "", func(a *arguments) value { return a.r.allCased(a.selfStr(), isUpper) }},
	{"islower", "", func(a *arguments) value { return a.r.allCased(a.selfStr(), isLower) }},
	{"isspace", "", every(isSpace)},
	{"isalpha", "", every(unicode.IsLetter)},
	{"isalnum", "", every(isAlphanumeric)},
	{"isdigit", "", every(isDigit)},
	{"isdecimal", "", every(func(c rune) bool { return unicode.Is(unicode.Nd, c) })},
	{"isnumeric", "", every(unicode.IsNumber)},
	{"isascii", "", func(a *arguments) value {
		return a.selfStr().s == "" || every(func(c rune) bool { return c < 128 })(a).(bool)
	}},
}

// every makes a method that asks whether there is a character and all of them pass.
func every(pass func(rune) bool) func(a *arguments) value {
	return func(a *arguments) value {
		s := a.selfStr().s
		a.r.scan(len(s))
		return s != "" && !strings.ContainsFunc(s, func(c rune) bool { return !pass(c) })
	}
}

func stripMethod(a *arguments, left, right bool) value {
	in := isSpace
	if a.val(0, nil) != nil {
		in = inSet(a.text(0, "").s)
	}
	return a.selfStr().strip(in, left, right)
}

// textJoin is Python's sep.join, which takes strings only.
func textJoin(a *arguments) value {
	items := a.r.iterate(a.vals[0])
	for i, v := range items {
		if _, ok := v.(text); !ok {
			a.r.typeError("sequence item %d: expected str instance, %s found", i, typeName(v))
			return nil
		}
	}
	return a.r.join(a.selfStr(), items)
}

func textZfill(a *arguments) value {
	s := a.selfStr()
	zeros := a.r.repeat(literal("0"), a.int(0, 0)-s.chars())
	sign := 0
	if s.s != "" && (s.s[0] == '-' || s.s[0] == '+') {
		sign = 1
	}
	return a.r.concat(s.slice(0, sign), zeros, s.slice(sign, len(s.s)))
}

// justify pads on the right (side 0), on the left (1) or on both (2).
func justify(a *arguments, side int) value {
	s, fill := a.selfStr(), a.text(1, " ")
	if fill.chars() != 1 {
		a.r.typeError("The fill character must be exactly one character long")
		return nil
	}
	width := a.int(0, 0)
	if width < 0 {
		return s
	}
	pad := max(width-s.chars(), 0)
	left := 0
	switch side {
	case 1:
		left = pad
	case 2:
		left = pad/2 + pad&width&1
	}
	return a.r.concat(a.r.repeat(fill, left), s, a.r.repeat(fill, pad-left))
}

// splitLines is Python's splitlines; keep leaves the line ends on.
func (r *renderer) splitLines(t text, keep bool) []value {
	var out []value
	start := 0
	for i := 0; i < len(t.s); {
		c, size := utf8.DecodeRuneInString(t.s[i:])
		if !isLineEnd(c) {
			i += size
			continue
		}
		next := i + size
		if strings.HasPrefix(t.s[i:], "\r\n") {
			next = i + 2
		}
		end := i
		if keep {
			end = next
		}
		if !r.alloc(valueCost + entryCost) {
			return nil
		}
		out = append(out, t.slice(start, end))
		i, start = next, next
	}
	if start < len(t.s) {
		out = append(out, t.slice(start, len(t.s)))
	}
	return out
}
