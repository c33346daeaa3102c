package grammar

import (
	"fmt"
	"unicode"
	"unicode/utf8"
)

// validText reports whether s is UTF-8. What is generated always is.
func validText(s string) bool { return utf8.ValidString(s) }

// A spelling says how a character is written: as itself, or as a JSON string has it. Classes are sorted, disjoint pairs of a
// first and a last character, as in package regexp/syntax.
type spelling interface {
	class(a *arena, class []rune) id
	literal(a *arena, s []rune) id
}

var anyRune = []rune{0, unicode.MaxRune}

// plainText writes characters as UTF-8.
type plainText struct{}

func (plainText) literal(a *arena, s []rune) id { return a.word(string(s)) }

func (plainText) class(a *arena, class []rune) id {
	var ascii byteSet
	var parts []id
	for i := 0; i < len(class); i += 2 {
		for lo, last := class[i], class[i+1]; lo <= last; {
			hi := last // of a run whose characters have as many bytes each, and no surrogates
			for _, end := range []rune{0x7F, 0x7FF, 0xD7FF, 0xDFFF, 0xFFFF, unicode.MaxRune} {
				if lo <= end {
					hi = min(hi, end)
					break
				}
			}
			switch {
			case hi <= 0x7F:
				ascii.addRange(byte(lo), byte(hi))
			case lo < 0xD800 || lo > 0xDFFF:
				parts = append(parts, a.span(string(lo), string(hi), 0x80, 0xBF))
			}
			lo = hi + 1
		}
	}
	return a.alt(append(parts, a.set(ascii))...)
}

// jsonText writes characters as they stand between the quotes of a JSON string, each in one way only: an escape where there must
// be one, the short one where there is one. So two texts are equal exactly if their JSON is, and intersections mean what they say.
type jsonText struct{}

// mustEscape are the characters that can't stand in a JSON string.
var mustEscape = []rune{0, 0x1F, '"', '"', '\\', '\\'}

func (jsonText) literal(a *arena, s []rune) id { return a.word(string(appendJSONText(nil, string(s)))) }

func (jsonText) class(a *arena, class []rune) id {
	var escapes []string
	for i := 0; i < len(class); i += 2 {
		for r := class[i]; r <= min(class[i+1], '\\'); r++ {
			if r < ' ' || r == '"' || r == '\\' {
				escapes = append(escapes, string(appendJSONText(nil, string(r))))
			}
		}
	}
	plain := plainText{}.class(a, without(class, mustEscape))
	if len(escapes) > 0 {
		plain = a.alt(plain, a.words(escapes))
	}
	a.single[plain] = true
	return plain
}

// without returns class less the characters of minus.
func without(class, minus []rune) (rest []rune) {
	for i := 0; i < len(class); i += 2 {
		lo, hi := class[i], class[i+1]
		for j := 0; j < len(minus) && lo <= hi; j += 2 {
			if minus[j] > hi || minus[j+1] < lo {
				continue
			}
			if lo < minus[j] {
				rest = append(rest, lo, minus[j]-1)
			}
			lo = minus[j+1] + 1
		}
		if lo <= hi {
			rest = append(rest, lo, hi)
		}
	}
	return rest
}

// appendJSONText appends s as it stands between the quotes of a JSON string.
func appendJSONText(b []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		switch c := s[i]; c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\b':
			b = append(b, `\b`...)
		case '\f':
			b = append(b, `\f`...)
		case '\n':
			b = append(b, `\n`...)
		case '\r':
			b = append(b, `\r`...)
		case '\t':
			b = append(b, `\t`...)
		default:
			if c < ' ' {
				b = fmt.Appendf(b, `\u%04x`, c)
			} else {
				b = append(b, c)
			}
		}
	}
	return b
}

// quote returns s as a JSON string.
func quote(s string) string {
	return string(append(appendJSONText([]byte{'"'}, s), '"'))
}
