package grammar

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// GBNF compiles a grammar in the form of llama.cpp: rules "name ::= alternatives", of which "root" is the text; "literals",
// [classes], names, (groups), the repetitions * + ? {n} {n,} {n,m}, the dot for any character, and # comments. A rule ends with
// its line, unless a group is open or the next line begins with |. Rules that refer to themselves before any text (left
// recursion) are refused, and so are llama.cpp's tokens, <name> and <[id]>.
func GBNF(text string) (*Grammar, error) {
	const source = "GBNF grammar"
	if len(text) > maxSource {
		return nil, &Error{source, "", fmt.Sprintf("has %d bytes, at most %d are allowed", len(text), maxSource)}
	}
	if !validText(text) {
		return nil, &Error{source, "", "is not valid UTF-8"}
	}
	p := &gbnf{a: newArena(maxTerms), text: text, rules: map[string]*gbnfRule{}}
	root, err := p.parse()
	if err != nil {
		return nil, &Error{source, fmt.Sprintf("line %d", 1+strings.Count(text[:p.at], "\n")), err.Error()}
	}
	return seal(source, p.a, root, p.names)
}

type gbnf struct {
	a     *arena
	text  string
	at    int
	depth int // of groups
	rules map[string]*gbnfRule
	names []string // by rule
}

type gbnfRule struct {
	rule    int32
	ref     id
	at      int // where it was first named
	defined bool
}

func (p *gbnf) parse() (root id, err error) {
	for p.space(true); p.at < len(p.text); p.space(true) {
		at := p.at
		name := p.name()
		if name == "" {
			return fail, fmt.Errorf("want the name of a rule, found %s", p.found())
		}
		r := p.rule(name, at)
		if r.defined {
			p.at = at
			return fail, fmt.Errorf("rule %q is defined twice", name)
		}
		r.defined = true
		p.space(false)
		if !strings.HasPrefix(p.text[p.at:], "::=") {
			return fail, fmt.Errorf("want ::= after rule name %q, found %s", name, p.found())
		}
		p.at += 3
		p.space(true)
		body, err := p.alternatives()
		if err != nil {
			return fail, err
		}
		if p.at < len(p.text) && p.text[p.at] != '\n' {
			return fail, fmt.Errorf("want the end of rule %q, found %s", name, p.found())
		}
		p.a.rules[r.rule] = body
		if len(p.names) > maxRules {
			return fail, fmt.Errorf("more than %d rules", maxRules)
		}
	}
	for _, name := range p.names { // in order, so that errors are the same each time
		if r := p.rules[name]; !r.defined {
			p.at = r.at
			return fail, fmt.Errorf("rule %q is used but not defined", name)
		}
	}
	r := p.rules["root"]
	if r == nil {
		return fail, fmt.Errorf("want a rule %q, found none", "root")
	}
	p.wrap()
	return r.ref, nil
}

// wrap makes a kLex of each rule that is like a string: it repeats many characters, and reaches no rule that is one already, nor
// one that refers to itself.
func (p *gbnf) wrap() {
	const white, grey, plain, done = 0, 1, 2, 3
	a := p.a
	state := make([]uint8, len(a.rules))
	var visit func(rule int32) bool // whether it and all it reaches are plain
	visit = func(rule int32) bool {
		state[rule] = grey
		wide, ok := false, true
		seen := map[id]bool{}
		var terms func(n id)
		terms = func(n id) {
			if seen[n] {
				return
			}
			seen[n] = true
			switch t := &a.terms[n]; t.kind {
			case kRef:
				if next := t.a; state[next] != plain && (state[next] != white || !visit(next)) {
					ok = false
				}
			case kCat:
				x, y := id(t.a), id(t.b)
				terms(x)
				terms(y)
			case kAlt:
				for _, k := range slices.Clone(a.kidsOf(t)) {
					terms(k)
				}
			case kRep:
				wide = wide || t.hi == unbounded && a.isWide(id(t.a))
				terms(id(t.a))
			}
		}
		terms(a.rules[rule])
		if state[rule] = plain; !ok || wide {
			state[rule] = done
		}
		if ok && wide {
			a.rules[rule] = a.lex(a.rules[rule])
		}
		return ok && !wide
	}
	for rule := range a.rules {
		if state[rule] == white {
			visit(int32(rule))
		}
	}
}

// isWide reports whether a term without rules may begin with most of ASCII.
func (a *arena) isWide(n id) bool {
	if a.terms[n].refs {
		return false
	}
	live := 0
	for b := byte(' '); b < 0x7F; b++ {
		if a.derive(n, b) != fail {
			live++
		}
	}
	return live > 64
}

func (p *gbnf) rule(name string, at int) *gbnfRule {
	r := p.rules[name]
	if r == nil {
		r = &gbnfRule{at: at}
		r.rule, r.ref = p.a.newRule()
		p.rules[name] = r
		p.names = append(p.names, name)
	}
	return r
}

func (p *gbnf) name() string {
	start := p.at
	for p.at < len(p.text) {
		c := p.text[p.at]
		if c != '-' && c != '_' && !(c >= '0' && c <= '9') && !(c|0x20 >= 'a' && c|0x20 <= 'z') {
			break
		}
		p.at++
	}
	return p.text[start:p.at]
}

// space skips blanks and comments, and ends of lines too where a rule goes on after them.
func (p *gbnf) space(lines bool) {
	for p.at < len(p.text) {
		switch c := p.text[p.at]; {
		case c == '#':
			for p.at < len(p.text) && p.text[p.at] != '\n' {
				p.at++
			}
		case c == ' ' || c == '\t' || c == '\r' || c == '\n' && lines:
			p.at++
		default:
			return
		}
	}
}

func (p *gbnf) found() string {
	if p.at >= len(p.text) {
		return "the end"
	}
	r, _ := utf8.DecodeRuneInString(p.text[p.at:])
	return strconv.QuoteRune(r)
}

func (p *gbnf) alternatives() (id, error) {
	var list []id
	for {
		n, err := p.sequence()
		if err != nil {
			return fail, err
		}
		list = append(list, n)
		at := p.at
		if p.space(true); p.at >= len(p.text) || p.text[p.at] != '|' {
			if p.depth == 0 {
				p.at = at
			}
			return p.a.alt(list...), nil
		}
		p.at++
		p.space(true)
	}
}

func (p *gbnf) sequence() (id, error) {
	var list []id
	for p.at < len(p.text) {
		n, ok, err := p.item()
		if err != nil {
			return fail, err
		}
		if !ok {
			break
		}
		p.space(p.depth > 0)
		for p.at < len(p.text) && strings.IndexByte("*+?{", p.text[p.at]) >= 0 {
			lo, hi, err := p.count()
			if err != nil {
				return fail, err
			}
			n = p.a.rep(n, lo, hi)
			p.space(p.depth > 0)
		}
		list = append(list, n)
	}
	return p.a.seq(list...), nil
}

// item reads what a repetition may follow; ok is false at the end of a sequence.
func (p *gbnf) item() (n id, ok bool, err error) {
	at := p.at
	switch c := p.text[p.at]; c {
	case '\n', '|', ')':
		return eps, false, nil
	case '"':
		n, err = p.literal()
	case '[':
		n, err = p.class()
	case '.':
		p.at++
		n = plainText{}.class(p.a, anyRune)
	case '(':
		if p.depth++; p.depth > maxDepth {
			return fail, false, fmt.Errorf("groups are nested more than %d deep", maxDepth)
		}
		p.at++
		p.space(true)
		if n, err = p.alternatives(); err == nil {
			if p.at >= len(p.text) || p.text[p.at] != ')' {
				return fail, false, fmt.Errorf("want ), found %s", p.found())
			}
			p.at++
			p.depth--
		}
	case '<', '!':
		return fail, false, fmt.Errorf("tokens (<name>, <[id]>, !<name>) are not supported; write the text")
	default:
		name := p.name()
		if name == "" {
			return fail, false, fmt.Errorf("want a literal, class, group or rule name, found %s", p.found())
		}
		n = p.rule(name, at).ref
	}
	return n, true, err
}

func (p *gbnf) count() (lo, hi int32, err error) {
	p.at++
	switch p.text[p.at-1] {
	case '*':
		return 0, unbounded, nil
	case '+':
		return 1, unbounded, nil
	case '?':
		return 0, 1, nil
	}
	end := strings.IndexByte(p.text[p.at:], '}')
	if end < 0 {
		return 0, 0, fmt.Errorf("want }, found the end")
	}
	text := p.text[p.at : p.at+end]
	first, second, two := strings.Cut(text, ",")
	number := func(s string, none int32) int32 {
		if s = strings.TrimSpace(s); s == "" {
			return none
		}
		n, e := strconv.ParseUint(s, 10, 31)
		if e != nil || n > maxRepeat {
			err = fmt.Errorf("want {n}, {n,} or {n,m} with numbers up to %d, found {%.40s}", maxRepeat, text)
		}
		return int32(n)
	}
	lo = number(first, -1)
	if hi = lo; two {
		hi = number(second, unbounded)
	}
	if err == nil && (lo < 0 || hi < lo) {
		err = fmt.Errorf("want {n}, {n,} or {n,m} with n <= m, found {%.40s}", text)
	}
	p.at += end + 1
	return lo, hi, err
}

func (p *gbnf) literal() (id, error) {
	var s []rune
	for p.at++; p.at < len(p.text) && p.text[p.at] != '\n'; {
		if p.text[p.at] == '"' {
			p.at++
			return p.a.word(string(s)), nil
		}
		r, err := p.char()
		if err != nil {
			return fail, err
		}
		s = append(s, r)
	}
	return fail, fmt.Errorf("want \" at the end of a literal, found the end of the line")
}

func (p *gbnf) class() (id, error) {
	var class []rune
	p.at++
	negated := p.at < len(p.text) && p.text[p.at] == '^'
	if negated {
		p.at++
	}
	for p.at < len(p.text) && p.text[p.at] != '\n' {
		if p.text[p.at] == ']' {
			p.at++
			class = normalised(class)
			if negated {
				class = without(anyRune, class)
			}
			return plainText{}.class(p.a, class), nil
		}
		lo, err := p.char()
		if err != nil {
			return fail, err
		}
		hi := lo
		if rest := p.text[p.at:]; len(rest) > 1 && rest[0] == '-' && rest[1] != ']' {
			p.at++
			if hi, err = p.char(); err != nil {
				return fail, err
			}
			if hi < lo {
				return fail, fmt.Errorf("class has the range %q to %q, which is empty", lo, hi)
			}
		}
		class = append(class, lo, hi)
	}
	return fail, fmt.Errorf("want ] at the end of a class, found the end of the line")
}

// normalised sorts the pairs of a class and joins those that overlap.
func normalised(class []rune) []rune {
	pairs := make([][2]rune, 0, len(class)/2)
	for i := 0; i < len(class); i += 2 {
		pairs = append(pairs, [2]rune{class[i], class[i+1]})
	}
	slices.SortFunc(pairs, func(x, y [2]rune) int { return int(x[0] - y[0]) })
	out := class[:0:0]
	for _, p := range pairs {
		if n := len(out); n > 0 && p[0] <= out[n-1]+1 {
			out[n-1] = max(out[n-1], p[1])
		} else {
			out = append(out, p[0], p[1])
		}
	}
	return out
}

// char reads a character of a literal or class, which may be escaped.
func (p *gbnf) char() (rune, error) {
	r, size := utf8.DecodeRuneInString(p.text[p.at:])
	p.at += size
	if r != '\\' {
		return r, nil
	}
	if p.at >= len(p.text) {
		return 0, fmt.Errorf("want a character after \\, found the end")
	}
	c := p.text[p.at]
	p.at++
	digits := 0
	switch c {
	case 'n':
		return '\n', nil
	case 'r':
		return '\r', nil
	case 't':
		return '\t', nil
	case '\\', '"', '[', ']', '-', '^':
		return rune(c), nil
	case 'x':
		digits = 2
	case 'u':
		digits = 4
	case 'U':
		digits = 8
	default:
		return 0, fmt.Errorf("want one of \\n \\r \\t \\\\ \\\" \\[ \\] \\- \\^ \\xHH \\uHHHH \\UHHHHHHHH, found \\%c", c)
	}
	if p.at+digits > len(p.text) {
		return 0, fmt.Errorf("want %d hexadecimal digits after \\%c, found the end", digits, c)
	}
	hex := p.text[p.at : p.at+digits]
	n, err := strconv.ParseUint(hex, 16, 32)
	if err != nil || n > unicode.MaxRune || n >= 0xD800 && n <= 0xDFFF {
		return 0, fmt.Errorf("want %d hexadecimal digits of a character after \\%c, found %q", digits, c, hex)
	}
	p.at += digits
	return rune(n), nil
}
