package jinja

import (
	"math"
	"math/big"
	"strconv"
	"strings"
	"unicode/utf8"
)

// layout is a parsed conversion, of either kind: %-8.3f or {:<8.3f}.
type layout struct {
	fill      string // one character
	align     byte   // < > ^, or = for padding behind the sign
	sign      byte   // + or a space: shown before positive numbers; 0: nothing is
	alternate bool   // 0x before hexadecimal numbers
	group     string // between thousands
	width     int
	precision int // -1: not given
	verb      byte
}

// pad brings prefix and body, which may be parts of the conversation, to the width.
func (r *renderer) pad(l layout, prefix string, body text) text {
	n := l.width - utf8.RuneCountInString(prefix) - body.chars()
	left, middle, right := 0, 0, 0
	switch {
	case n <= 0:
	case l.align == '<':
		right = n
	case l.align == '^':
		left = n / 2
		right = n - left
	case l.align == '=':
		middle = n
	default:
		left = n
	}
	fill := userText(l.fill)
	return r.concat(r.repeat(fill, left), userText(prefix), r.repeat(fill, middle), body, r.repeat(fill, right))
}

// formatText is a string in a layout.
func (r *renderer) formatText(l layout, t text) text {
	if l.precision >= 0 {
		t = t.slice(0, t.offset(l.precision))
	}
	if l.width == 0 {
		return t
	}
	return r.pad(l, "", t)
}

// signOf is what stands before the digits of a number.
func (l layout) signOf(negative bool) string {
	switch {
	case negative:
		return "-"
	case l.sign != 0:
		return string(l.sign)
	}
	return ""
}

// formatInt is an integer in a layout with one of the verbs b d o x X. In % formats, the precision is a least number of digits.
func (r *renderer) formatInt(l layout, n *big.Int) text {
	base := map[byte]int{'b': 2, 'o': 8, 'x': 16, 'X': 16}[l.verb]
	if base == 0 {
		base = 10
	}
	prefix := l.signOf(n.Sign() < 0)
	digits := new(big.Int).Abs(n).Text(base)
	if l.verb == 'X' {
		digits = strings.ToUpper(digits)
	}
	if l.alternate && base != 10 {
		prefix += "0" + string(l.verb)
	}
	if missing := l.precision - len(digits); missing > 0 {
		digits = r.repeat(literal("0"), missing).s + digits
	}
	every := 3
	if base != 10 {
		every = 4
	}
	return r.pad(l, prefix, userText(groupDigits(digits, l.group, every)))
}

// formatFloat is a number in a layout with one of the verbs e E f F g G %, or 0 for the shortest form.
func (r *renderer) formatFloat(l layout, f float64) text {
	if l.precision > maxPrecision {
		r.fail(Runtime, "ValueError: want a precision of at most %d, found %d", maxPrecision, l.precision)
		return text{}
	}
	abs := math.Abs(f)
	prefix := l.signOf(math.Signbit(f) && !math.IsNaN(f))
	var s string
	switch {
	case math.IsNaN(f) || math.IsInf(f, 0):
		s = strings.TrimPrefix(floatRepr(abs), "-")
	case l.verb == 0 && l.precision < 0:
		s = floatRepr(abs)
	default:
		s = fixedFloat(abs, l)
	}
	if l.verb >= 'A' && l.verb <= 'Z' {
		s = strings.ToUpper(s)
	}
	whole, rest := s, ""
	if i := strings.IndexAny(s, ".e%"); i >= 0 {
		whole, rest = s[:i], s[i:]
	}
	return r.pad(l, prefix, userText(groupDigits(whole, l.group, 3)+rest))
}

func fixedFloat(f float64, l layout) string {
	precision := l.precision
	if precision < 0 {
		precision = 6
	}
	switch l.verb {
	case 'e', 'E':
		return strconv.FormatFloat(f, 'e', precision, 64)
	case 'f', 'F':
		return strconv.FormatFloat(f, 'f', precision, 64)
	case '%':
		return strconv.FormatFloat(f*100, 'f', precision, 64) + "%"
	}
	s := strconv.FormatFloat(f, 'g', max(precision, 1), 64)
	if l.verb == 0 && !strings.ContainsAny(s, ".e") {
		s += ".0"
	}
	return s
}

// groupDigits puts sep between every so many digits, counted from the right.
func groupDigits(digits, sep string, every int) string {
	if sep == "" || strings.ContainsFunc(digits, func(c rune) bool { return c == 'i' || c == 'n' }) { // inf, nan
		return digits
	}
	var parts []string
	for len(digits) > every {
		parts = append([]string{digits[len(digits)-every:]}, parts...)
		digits = digits[:len(digits)-every]
	}
	return strings.Join(append([]string{digits}, parts...), sep)
}

// scanNumber reads digits at the start of s. A number that would not fit is as large as any that fits: it is refused when memory is asked for.
func scanNumber(s string) (n, length int) {
	for length < len(s) && s[length] >= '0' && s[length] <= '9' {
		n = min(n*10+int(s[length]-'0'), math.MaxInt32)
		length++
	}
	return n, length
}
