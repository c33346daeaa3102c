package jinja

import (
	"math/big"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Forms of numbers; a digit may be followed by one underscore. A float may not start behind a point: a.0.1 is two indices.
var (
	floatForm   = regexp.MustCompile(`^(?i)(\d+_)*\d+((\.(\d+_)*\d+)?e[+-]?(\d+_)*\d+|\.(\d+_)*\d+)`)
	integerForm = regexp.MustCompile(`^(?i)(0b(_?[01])+|0o(_?[0-7])+|0x(_?[\da-f])+|[1-9](_?\d)*|0(_?0)*)`)
)

// number reads a number if there is one.
func (l *lexer) number(s string) bool {
	if s[0] < '0' || s[0] > '9' {
		return false
	}
	if l.pos == 0 || l.src[l.pos-1] != '.' {
		if f := floatForm.FindString(s); f != "" {
			l.emit(floatToken, strings.ReplaceAll(f, "_", ""))
			l.take(len(f))
			return true
		}
	}
	if i := integerForm.FindString(s); i != "" {
		l.emit(integerToken, strings.ReplaceAll(i, "_", ""))
		l.take(len(i))
		return true
	}
	return false
}

// str reads a string literal, which may run over several lines.
func (l *lexer) str(s string) {
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case s[0]:
			v, ok := unescape(s[1:i])
			if !ok {
				l.fail("want an escape such as \\n, \\x41 or \\u0041, found an incomplete or unknown one in %s", s[:i+1])
				return
			}
			l.emit(stringToken, v)
			l.take(i + 1)
			return
		}
	}
	l.fail("unexpected char %q at %d", s[:1], l.pos)
}

var simpleEscapes = map[byte]string{'\n': "", '\\': "\\", '\'': "'", '"': `"`, 'a': "\a", 'b': "\b", 'f': "\f", 'n': "\n", 'r': "\r", 't': "\t", 'v': "\v"}

// unescape resolves the escapes of a Python string. An unknown one keeps its backslash; \N{name} is not supported.
func unescape(s string) (string, bool) {
	if !strings.Contains(s, `\`) {
		return s, true
	}
	var b strings.Builder
	for s != "" {
		i := strings.IndexByte(s, '\\')
		if i < 0 {
			b.WriteString(s)
			break
		}
		b.WriteString(s[:i])
		s = s[i+1:]
		if s == "" {
			return "", false
		}
		if e, ok := simpleEscapes[s[0]]; ok {
			b.WriteString(e)
			s = s[1:]
			continue
		}
		c, n := codeEscape(s)
		switch {
		case n < 0:
			return "", false
		case n == 0:
			b.WriteByte('\\')
		default:
			b.WriteRune(c)
		}
		s = s[n:]
	}
	return b.String(), true
}

// codeEscape reads x41, u0041, U00000041 or up to three octal digits. n is the bytes read: 0 for no such escape, -1 for a wrong one.
func codeEscape(s string) (c rune, n int) {
	if s[0] >= '0' && s[0] <= '7' {
		for n < len(s) && n < 3 && s[n] >= '0' && s[n] <= '7' {
			c = c<<3 | rune(s[n]-'0')
			n++
		}
		return c, n
	}
	digits := map[byte]int{'x': 2, 'u': 4, 'U': 8}[s[0]]
	if digits == 0 {
		if s[0] == 'N' {
			return 0, -1
		}
		return 0, 0
	}
	if len(s) < 1+digits {
		return 0, -1
	}
	v, err := strconv.ParseUint(s[1:1+digits], 16, 32)
	if err != nil || v > utf8.MaxRune || !utf8.ValidRune(rune(v)) {
		return 0, -1
	}
	return rune(v), 1 + digits
}

// operators, longest first where one begins another.
var operators = []string{"//", "**", "==", "!=", "<=", ">=", "+", "-", "/", "*", "%", "~", "[", "]", "(", ")", "{", "}", ">", "<", "=", ".", ":", "|", ",", ";"}

var closing = map[string]byte{"(": ')', "[": ']', "{": '}'}

func (l *lexer) operator(s string, open *[]byte) {
	for _, op := range operators {
		if !strings.HasPrefix(s, op) {
			continue
		}
		if c, ok := closing[op]; ok {
			*open = append(*open, c)
		} else if op == ")" || op == "]" || op == "}" {
			n := len(*open)
			if n == 0 {
				l.fail("unexpected '%s'", op)
				return
			}
			if (*open)[n-1] != op[0] {
				l.fail("unexpected '%s', expected '%c'", op, (*open)[n-1])
				return
			}
			*open = (*open)[:n-1]
		}
		l.emit(operatorToken, op)
		l.take(len(op))
		return
	}
	c, _ := utf8.DecodeRuneInString(s)
	l.fail("unexpected char %q at %d", c, l.pos)
}

// parseInteger reads the text of an integer token.
func parseInteger(s string) *big.Int {
	base := 10
	switch strings.ToLower(s[:min(2, len(s))]) {
	case "0x":
		base = 16
	case "0o":
		base = 8
	case "0b":
		base = 2
	}
	if base != 10 {
		s = s[2:]
	}
	n, _ := new(big.Int).SetString(s, base)
	return n
}
