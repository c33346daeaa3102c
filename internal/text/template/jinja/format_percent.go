package jinja

import (
	"math/big"
	"strings"
)

// percent is one run of Python's % operator on a string.
type percent struct {
	r       *renderer
	args    []value
	next    int   // the first unused of args
	mapping value // what %(name)s looks into; nil if it has no names
}

// percentFormat is Python's t % v: a tuple is a list of arguments, a mapping serves names, anything else is one argument.
func (r *renderer) percentFormat(t text, v value) text {
	p := &percent{r: r, args: []value{v}}
	lenient := false // arguments may be left over
	switch x := v.(type) {
	case *seq:
		if x.isTuple() {
			p.args = x.items
		} else {
			lenient = true
		}
	case *dict:
		p.mapping, lenient = x, true
	case undefined:
		lenient = true
	}
	b := r.newBuilder()
	at := 0
	for r.spend(1) {
		i := strings.IndexByte(t.s[at:], '%')
		if i < 0 {
			break
		}
		b.write(t.slice(at, at+i))
		at += i + 1
		at += p.conversion(b, t, at)
	}
	b.write(t.slice(min(at, len(t.s)), len(t.s)))
	if p.next < len(p.args) && !lenient {
		r.typeError("not all arguments converted during string formatting")
	}
	return b.text()
}

// conversion writes what the conversion that begins at t.s[at], behind its %, stands for, and returns the conversion's length.
func (p *percent) conversion(b *builder, t text, at int) int {
	s := t.s[at:]
	n := 0
	var named value
	isNamed := false
	if strings.HasPrefix(s, "(") {
		end := strings.IndexByte(s, ')')
		if end < 0 {
			p.r.fail(Runtime, "ValueError: incomplete format key")
			return len(s)
		}
		if p.mapping == nil {
			p.r.typeError("format requires a mapping")
			return len(s)
		}
		var ok bool
		if named, ok = p.mapping.(*dict).get("s" + s[1:end]); !ok {
			p.r.fail(Runtime, "KeyError: %s", quote(s[1:end]))
			return len(s)
		}
		isNamed = true
		n = end + 1
	}
	l, length := p.layout(s[n:])
	n += length
	if n >= len(s) {
		p.r.fail(Runtime, "ValueError: incomplete format")
		return len(s)
	}
	verb := s[n]
	n++
	if verb == '%' {
		b.write(t.slice(at+n-1, at+n))
		return n
	}
	v := named
	if !isNamed {
		v = p.arg()
	}
	if p.r.err == nil {
		l.verb = verb
		b.write(p.convert(l, v))
	}
	return n
}

// layout reads flags, width and precision, and returns their length.
func (p *percent) layout(s string) (l layout, n int) {
	l = layout{fill: " ", align: '>', precision: -1}
	zero := false
	for ; n < len(s) && strings.IndexByte("-+ #0", s[n]) >= 0; n++ {
		switch s[n] {
		case '-':
			l.align = '<'
		case '+':
			l.sign = '+'
		case ' ':
			l.sign = max(l.sign, ' ') // '+' wins, whatever the order
		case '#':
			l.alternate = true
		case '0':
			zero = true
		}
	}
	if zero && l.align == '>' {
		l.fill, l.align = "0", '='
	}
	width, k := p.amount(s[n:])
	n += k
	if width < 0 {
		l.align, width = '<', -width
	}
	l.width = width
	if n < len(s) && s[n] == '.' {
		l.precision, k = p.amount(s[n+1:])
		l.precision = max(l.precision, 0)
		n += 1 + k
	}
	for n < len(s) && strings.IndexByte("hlL", s[n]) >= 0 { // C's lengths, which mean nothing here
		n++
	}
	return l, n
}

// amount reads a number, or * for the next argument.
func (p *percent) amount(s string) (value, length int) {
	if !strings.HasPrefix(s, "*") {
		return scanNumber(s)
	}
	n, ok := p.arg().(int64)
	if !ok {
		p.r.typeError("* wants int")
		return 0, 1
	}
	return int(max(-1<<31, min(n, 1<<31))), 1
}

func (p *percent) arg() value {
	if p.next >= len(p.args) {
		p.r.typeError("not enough arguments for format string")
		return nil
	}
	p.next++
	return p.args[p.next-1]
}

func (p *percent) convert(l layout, v value) text {
	text_ := func(t text) text {
		l.fill = " "
		if l.align == '=' {
			l.align = '>'
		}
		return p.r.formatText(l, t)
	}
	switch l.verb {
	case 's':
		return text_(p.r.str(v))
	case 'r', 'a':
		return text_(userText(p.r.reprString(v)))
	case 'c':
		if t, ok := v.(text); ok && t.chars() == 1 {
			return text_(t)
		}
		if n, ok := toInt(v); ok && n >= 0 && n <= 0x10ffff {
			return text_(userText(string(rune(n))))
		}
		p.r.typeError("%%c requires int or char")
	case 'd', 'i', 'u', 'x', 'X', 'o':
		if n := p.integer(l.verb, v); n != nil {
			return p.r.formatInt(l, n)
		}
	case 'e', 'E', 'f', 'F', 'g', 'G':
		if isNumber(v) {
			return p.r.formatFloat(l, toFloat(v))
		}
		p.r.typeError("must be real number, not %s", typeName(v))
	default:
		p.r.fail(Runtime, "ValueError: unsupported format character '%c'", l.verb)
	}
	return text{}
}

// integer is v for a verb that shows an integer; the decimal ones take a float too and cut it.
func (p *percent) integer(verb byte, v value) *big.Int {
	if f, ok := v.(float64); ok && strings.IndexByte("diu", verb) >= 0 {
		if n := toBig(p.r.truncate(f, nil)); n != nil {
			return n
		}
	}
	if n := toBig(v); n != nil {
		return n
	}
	p.r.typeError("%%%c format: a real number is required, not %s", verb, typeName(v))
	return nil
}
