package jinja

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// The character classes and case mappings of Python's str. Go's differ: strings.TrimSpace keeps U+001C to U+001F, unicode.ToUpper
// maps one character to one.

// isSpace is Python's str.isspace for one character.
func isSpace(c rune) bool {
	return c >= 0x1c && c <= 0x1f || unicode.IsSpace(c)
}

// isLineEnd reports where Python's splitlines cuts; \r\n is one end.
func isLineEnd(c rune) bool {
	return c >= '\n' && c <= '\r' || c >= 0x1c && c <= 0x1e || c == 0x85 || c == 0x2028 || c == 0x2029
}

func isLower(c rune) bool { return unicode.IsLower(c) || unicode.Is(unicode.Other_Lowercase, c) }
func isUpper(c rune) bool { return unicode.IsUpper(c) || unicode.Is(unicode.Other_Uppercase, c) }
func isCased(c rune) bool { return isLower(c) || isUpper(c) || unicode.IsTitle(c) }

// isAlphanumeric is Python's str.isalnum, and with '_' its \w.
func isAlphanumeric(c rune) bool { return unicode.IsLetter(c) || unicode.IsNumber(c) }

// isDigit is Python's str.isdigit: decimal digits, and superscripts and the like, which have a digit's value but no place.
func isDigit(c rune) bool {
	return unicode.Is(unicode.Nd, c) || c == 0xb2 || c == 0xb3 || c == 0xb9 || c == 0x2070 || c >= 0x2074 && c <= 0x2079 ||
		c >= 0x2080 && c <= 0x2089 || c >= 0x2460 && c <= 0x2468 || c >= 0x2474 && c <= 0x247c || c >= 0x2488 && c <= 0x2490 ||
		c >= 0x24f5 && c <= 0x24fd || c == 0x24ea || c == 0x24ff || c >= 0x2776 && c <= 0x277e || c >= 0x2780 && c <= 0x2788 ||
		c >= 0x278a && c <= 0x2792 || c >= 0x1369 && c <= 0x1371 || c >= 0x1f100 && c <= 0x1f10a || c >= 0x10a40 && c <= 0x10a43 ||
		c >= 0x10e60 && c <= 0x10e68 || c >= 0x11052 && c <= 0x1105a || c == 0x19da
}

// isIdentifier is Python's str.isidentifier.
func isIdentifier(s string) bool {
	for i, c := range s {
		if c != '_' && !unicode.IsLetter(c) && !unicode.Is(unicode.Nl, c) &&
			(i == 0 || !unicode.In(c, unicode.Mn, unicode.Mc, unicode.Nd, unicode.Pc)) {
			return false
		}
	}
	return s != ""
}

func upperChar(c rune) string {
	if s, ok := specialCase[c]; ok {
		return s[0]
	}
	return string(unicode.ToUpper(c))
}

func titleChar(c rune) string {
	if s, ok := specialCase[c]; ok {
		return s[1]
	}
	return string(unicode.ToTitle(c))
}

// lowerChar needs the text around byte i: a capital sigma at the end of a word has its own small form.
func lowerChar(s string, i int, c rune) string {
	switch c {
	case 0x130:
		return "i\u0307"
	case 0x3a3:
		if finalSigma(s, i) {
			return "\u03c2"
		}
	}
	return string(unicode.ToLower(c))
}

// finalSigma reports whether the sigma at byte i follows a cased character and none follows it (Unicode 3.13, Final_Sigma).
func finalSigma(s string, i int) bool {
	before := strings.TrimRightFunc(s[:i], caseIgnorable)
	c, _ := utf8.DecodeLastRuneInString(before)
	if before == "" || !isCased(c) {
		return false
	}
	after := strings.TrimLeftFunc(s[i+len("\u03a3"):], caseIgnorable)
	c, _ = utf8.DecodeRuneInString(after)
	return after == "" || !isCased(c)
}

func caseIgnorable(c rune) bool {
	return unicode.In(c, unicode.Mn, unicode.Me, unicode.Cf, unicode.Lm, unicode.Sk) ||
		strings.ContainsRune("'.:\u00b7\u0387\u055f\u05f4\u2018\u2019\u2024\u2027\ufe13\ufe52\ufe55\uff07\uff0e\uff1a", c)
}

func (r *renderer) upper(t text) text {
	return r.mapChars(t, func(_ int, c rune) string { return upperChar(c) })
}

func (r *renderer) lower(t text) text {
	return r.mapChars(t, func(i int, c rune) string { return lowerChar(t.s, i, c) })
}

// capitalize is Python's: the first character in title case, the rest in lower case.
func (r *renderer) capitalize(t text) text {
	return r.mapChars(t, func(i int, c rune) string {
		if i == 0 {
			return titleChar(c)
		}
		return lowerChar(t.s, i, c)
	})
}

// title is Python's str.title: each run of cased characters is capitalized.
func (r *renderer) title(t text) text {
	inWord := false
	return r.mapChars(t, func(i int, c rune) string {
		s := titleChar(c)
		if inWord {
			s = lowerChar(t.s, i, c)
		}
		inWord = isCased(c)
		return s
	})
}

// titleFilter is Jinja's title: the first character of the text, and each behind a space, a hyphen or an opening bracket, in upper case, the
// rest in lower case.
func (r *renderer) titleFilter(t text) text {
	first := true
	rest := 0 // where the part of this word begins that lower case looks at
	return r.mapChars(t, func(i int, c rune) string {
		wasFirst := first
		first = isSpace(c) || strings.ContainsRune("-({[<", c)
		if wasFirst || first {
			rest = i + utf8.RuneLen(c)
			return upperChar(c)
		}
		return lowerChar(t.s[rest:], i-rest, c)
	})
}
