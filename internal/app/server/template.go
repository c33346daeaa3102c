package server

import (
	"bytes"
	"errors"
	"unicode/utf8"
)

// Template is JSON in which texts are left open: the pieces of a stream differ in little else, and there is one for every token. What it
// makes equals what Marshal makes of the value, byte for byte.
type Template struct {
	Event string   // name of the event, in streams of events that have names
	parts [][]byte // before the first text, between texts, and after the last
}

var errTemplate = errors.New("server: no template: want a value whose JSON has each text as it is, once, in their order")

// NewTemplate makes a template of n texts. of makes the value that has them.
func NewTemplate(n int, of func(texts []string) any) (*Template, error) {
	texts := make([]string, n)
	empty, err := Marshal(of(texts))
	if err != nil {
		return nil, err
	}
	t, from := &Template{}, 0
	for i := range texts {
		texts[i] = "x"
		one, err := Marshal(of(texts))
		if err != nil {
			return nil, err
		}
		texts[i] = ""
		at := 0
		for at < len(empty) && at < len(one) && empty[at] == one[at] {
			at++
		}
		if at < from || len(one) != len(empty)+1 || one[at] != 'x' || !bytes.Equal(one[at+1:], empty[at:]) {
			return nil, errTemplate
		}
		t.parts = append(t.parts, empty[from:at])
		from = at
	}
	t.parts = append(t.parts, empty[from:])
	return t, nil
}

// append appends the JSON with texts, as many as there are.
func (t *Template) append(b []byte, texts ...string) []byte {
	b = append(b, t.parts[0]...)
	for i, text := range texts {
		b = append(appendText(b, text), t.parts[i+1]...)
	}
	return b
}

const hexDigits = "0123456789abcdef"

// appendText appends what stands between the quotes of a text in JSON, as encoding/json writes it without escaping HTML.
func appendText(b []byte, s string) []byte {
	done := 0 // of s
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c < utf8.RuneSelf && c != '"' && c != '\\' {
			i++
			continue
		}
		if c < utf8.RuneSelf {
			b = append(b, s[done:i]...)
			switch c {
			case '"', '\\':
				b = append(b, '\\', c)
			case '\b':
				b = append(b, '\\', 'b')
			case '\f':
				b = append(b, '\\', 'f')
			case '\n':
				b = append(b, '\\', 'n')
			case '\r':
				b = append(b, '\\', 'r')
			case '\t':
				b = append(b, '\\', 't')
			default:
				b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
			}
			i++
			done = i
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && size == 1: // no letter
			b = append(append(b, s[done:i]...), `\ufffd`...)
			done = i + size
		case r == '\u2028' || r == '\u2029': // ends of lines in JavaScript
			b = append(append(b, s[done:i]...), '\\', 'u', '2', '0', '2', hexDigits[r&15])
			done = i + size
		}
		i += size
	}
	return append(b, s[done:]...)
}
