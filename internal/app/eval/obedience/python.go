package obedience

import (
	"strings"
	"unicode"
)

// Python's ideas of space, word and case, where they differ from Go's.

// isSpace is str.isspace of one character: also the four separators 0x1c to 0x1f.
func isSpace(r rune) bool { return unicode.IsSpace(r) || 0x1c <= r && r <= 0x1f }

// trim is str.strip.
func trim(t string) string { return strings.TrimFunc(t, isSpace) }

// isWord is \w.
func isWord(r rune) bool { return unicode.IsLetter(r) || unicode.IsNumber(r) || r == '_' }

// strip takes everything but word characters from both ends, and makes the rest lower case.
func strip(t string) string {
	return lower(strings.TrimFunc(t, func(r rune) bool { return !isWord(r) }))
}

// lower is str.lower: two letters have special forms.
func lower(t string) string {
	if !strings.ContainsAny(t, "İΣ") {
		return strings.ToLower(t)
	}
	var b strings.Builder
	letters := []rune(t)
	for i, r := range letters {
		switch {
		case r == 'İ':
			b.WriteString("i\u0307")
		case r == 'Σ' && endsWord(letters, i):
			b.WriteRune('ς')
		default:
			b.WriteRune(unicode.ToLower(r))
		}
	}
	return b.String()
}

// endsWord is Unicode's Final_Sigma: a cased letter before, none after, whatever marks stand between.
func endsWord(letters []rune, i int) bool {
	cased := func(r rune) bool { return unicode.IsUpper(r) || unicode.IsLower(r) || unicode.IsTitle(r) }
	ignorable := func(r rune) bool {
		return unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf, unicode.Lm, unicode.Sk) || strings.ContainsRune("'.:·’", r)
	}
	before, after := i-1, i+1
	for before >= 0 && ignorable(letters[before]) {
		before--
	}
	for after < len(letters) && ignorable(letters[after]) {
		after++
	}
	return before >= 0 && cased(letters[before]) && !(after < len(letters) && cased(letters[after]))
}

// isLower is t == t.lower().
func isLower(t string) bool {
	return strings.IndexFunc(t, func(r rune) bool { return unicode.ToLower(r) != r }) < 0
}

// isUpper is t == t.upper().
func isUpper(t string) bool {
	return strings.IndexFunc(t, func(r rune) bool { return unicode.ToUpper(r) != r || unicode.Is(growsInUpperCase, r) }) < 0
}

// growsInUpperCase has the letters whose upper case is several letters (ß: SS) and which Go's ToUpper leaves as they are
// (Unicode's SpecialCasing.txt).
var growsInUpperCase = &unicode.RangeTable{
	R16: []unicode.Range16{
		{0x00df, 0x00df, 1}, {0x0149, 0x0149, 1}, {0x01f0, 0x01f0, 1}, {0x0390, 0x0390, 1}, {0x03b0, 0x03b0, 1}, {0x0587, 0x0587, 1}, {0x1e96, 0x1e9a, 1},
		{0x1f50, 0x1f56, 2}, {0x1f88, 0x1f8f, 1}, {0x1f98, 0x1f9f, 1}, {0x1fa8, 0x1faf, 1}, {0x1fb2, 0x1fb4, 2}, {0x1fb6, 0x1fb7, 1}, {0x1fbc, 0x1fbc, 1},
		{0x1fc2, 0x1fc4, 2}, {0x1fc6, 0x1fc7, 1}, {0x1fcc, 0x1fcc, 1}, {0x1fd2, 0x1fd3, 1}, {0x1fd6, 0x1fd7, 1}, {0x1fe2, 0x1fe4, 1}, {0x1fe6, 0x1fe7, 1},
		{0x1ff2, 0x1ff4, 2}, {0x1ff6, 0x1ff7, 1}, {0x1ffc, 0x1ffc, 1}, {0xfb00, 0xfb06, 1}, {0xfb13, 0xfb17, 1},
	},
	LatinOffset: 1,
}
