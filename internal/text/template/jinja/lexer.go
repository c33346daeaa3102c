package jinja

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// tokenKind is what the parser sees. Comments, raw tags and white space are gone by then.
type tokenKind uint8

const (
	eofToken tokenKind = iota
	dataToken
	variableBegin
	variableEnd
	blockBegin
	blockEnd
	nameToken
	stringToken
	integerToken
	floatToken
	operatorToken
)

type token struct {
	kind tokenKind
	text string // of a string: its value; of an operator: itself
	line int
}

// describe is the token as messages show it.
func (t token) describe() string {
	switch t.kind {
	case eofToken:
		return "end of template"
	case variableBegin:
		return "begin of print statement"
	case variableEnd:
		return "end of print statement"
	case blockBegin:
		return "begin of statement block"
	case blockEnd:
		return "end of statement block"
	default:
		return t.text
	}
}

// lexer cuts a source into tokens. The rules for white space around tags are trim_blocks and lstrip_blocks:
//
//	-%} -}} -#}  drop all white space that follows         {%- {{- {#-  drop all white space before
//	%} #}        drop one newline that follows             {% {#        drop blanks before, back to a line's start
//	+%} +#}      drop nothing                              {%+ {#+ {{   drop nothing
type lexer struct {
	src       string // newlines are \n, the last one is dropped
	pos       int
	line      int
	lineStart bool // what was read last ends with a newline, or nothing was
	tokens    []token
	err       *Error
}

func lex(src string) ([]token, error) {
	src = strings.ReplaceAll(strings.ReplaceAll(src, "\r\n", "\n"), "\r", "\n")
	l := &lexer{src: strings.TrimSuffix(src, "\n"), line: 1, lineStart: true}
	for l.pos < len(l.src) && l.err == nil {
		l.root()
	}
	if l.err != nil {
		return nil, l.err
	}
	l.emit(eofToken, "")
	return l.tokens, nil
}

func (l *lexer) fail(format string, args ...any) {
	if l.err == nil {
		l.err = &Error{Kind: Syntax, Line: l.line, Message: fmt.Sprintf(format, args...)}
	}
}

func (l *lexer) emit(kind tokenKind, s string) {
	l.tokens = append(l.tokens, token{kind, s, l.line})
}

// take moves over the next n bytes and returns them.
func (l *lexer) take(n int) string {
	s := l.src[l.pos : l.pos+n]
	l.pos += n
	l.line += strings.Count(s, "\n")
	l.lineStart = strings.HasSuffix(s, "\n")
	return s
}

func (l *lexer) rest() string { return l.src[l.pos:] }

// root reads text up to the next tag, and that tag.
func (l *lexer) root() {
	at := l.tagStart()
	if at < 0 {
		l.emit(dataToken, l.take(len(l.rest())))
		return
	}
	tag, sign := l.rest()[at:at+2], ""
	if s := l.rest()[at+2:]; s != "" && (s[0] == '-' || s[0] == '+') {
		sign = s[:1]
	}
	l.data(at, sign, tag != "{{")
	if n := rawBegin(l.rest()); n > 0 {
		l.take(n)
		l.raw()
		return
	}
	line := l.line
	l.take(2 + len(sign))
	switch tag {
	case "{#":
		l.comment()
	case "{{":
		l.tokens = append(l.tokens, token{variableBegin, tag, line})
		l.tag(variableEnd)
	default:
		l.tokens = append(l.tokens, token{blockBegin, tag, line})
		l.tag(blockEnd)
	}
}

// tagStart finds the next {{, {% or {#.
func (l *lexer) tagStart() int {
	s, at := l.rest(), 0
	for {
		i := strings.IndexByte(s[at:], '{')
		if i < 0 || at+i+1 >= len(s) {
			return -1
		}
		at += i
		if c := s[at+1]; c == '{' || c == '%' || c == '#' {
			return at
		}
		at++
	}
}

// data takes n bytes of text that stand before a tag with the given sign.
func (l *lexer) data(n int, sign string, lstrip bool) {
	wasLineStart := l.lineStart
	line := l.line
	s := l.take(n)
	switch {
	case sign == "-":
		s = strings.TrimRightFunc(s, isSpace)
	case sign != "+" && lstrip:
		from := strings.LastIndexByte(s, '\n') + 1
		if (from > 0 || wasLineStart) && strings.TrimLeftFunc(s[from:], isSpace) == "" {
			s = s[:from]
		}
	}
	if s != "" {
		l.tokens = append(l.tokens, token{dataToken, s, line})
	}
}

// skipSpace returns the length of the white space that s begins with.
func skipSpace(s string) int { return len(s) - len(strings.TrimLeftFunc(s, isSpace)) }

// rawBegin returns the length of a {% raw %} that s begins with, or 0. Unlike other tags it keeps a newline that follows.
func rawBegin(s string) int {
	n, ok := tagNamed(s, "raw")
	switch {
	case !ok:
		return 0
	case strings.HasPrefix(s[n:], "-%}"):
		n += len("-%}")
		return n + skipSpace(s[n:])
	case strings.HasPrefix(s[n:], "%}"):
		return n + len("%}")
	}
	return 0
}

// tagNamed matches the begin of a block tag, its sign and its name, and returns the length up to what ends the tag.
func tagNamed(s, name string) (int, bool) {
	t, ok := strings.CutPrefix(s, "{%")
	if !ok {
		return 0, false
	}
	if t != "" && (t[0] == '-' || t[0] == '+') {
		t = t[1:]
	}
	t, ok = strings.CutPrefix(strings.TrimLeftFunc(t, isSpace), name)
	return len(s) - len(strings.TrimLeftFunc(t, isSpace)), ok
}

// end returns the length of the end of a tag (%} or #}, with its sign and the white space it drops) that s begins with, or 0.
func end(s, mark string) int {
	switch {
	case strings.HasPrefix(s, "+"+mark):
		return 1 + len(mark)
	case strings.HasPrefix(s, "-"+mark):
		n := 1 + len(mark)
		return n + skipSpace(s[n:])
	case strings.HasPrefix(s, mark+"\n"):
		return len(mark) + 1
	case strings.HasPrefix(s, mark):
		return len(mark)
	}
	return 0
}

// raw reads up to and with {% endraw %}. Where the source ends right here there is nothing to miss.
func (l *lexer) raw() {
	s := l.rest()
	for at := 0; ; at++ {
		i := strings.Index(s[at:], "{%")
		if i < 0 {
			if s != "" {
				l.fail("Missing end of raw directive")
			}
			return
		}
		at += i
		n, ok := tagNamed(s[at:], "endraw")
		if !ok {
			continue
		}
		e := end(s[at+n:], "%}")
		if e == 0 {
			continue
		}
		sign := ""
		if c := s[at+2]; c == '-' || c == '+' {
			sign = s[at+2 : at+3]
		}
		l.data(at, sign, true)
		l.take(n + e)
		return
	}
}

// comment drops everything up to and with #}. Where the source ends right here there is nothing to miss.
func (l *lexer) comment() {
	s := l.rest()
	if s == "" {
		return
	}
	at := strings.Index(s, "#}")
	if at < 0 {
		l.fail("Missing end of comment tag")
		return
	}
	if at > 0 && (s[at-1] == '-' || s[at-1] == '+') {
		at--
	}
	l.take(at + end(s[at:], "#}"))
}

// tag reads the tokens of an expression or statement up to its end, which counts only outside of brackets.
func (l *lexer) tag(endKind tokenKind) {
	var open []byte // closing brackets that are awaited
	for l.pos < len(l.src) && l.err == nil {
		s := l.rest()
		if n := l.tagEnd(endKind); n > 0 && len(open) == 0 {
			l.emit(endKind, "")
			l.take(n)
			return
		}
		c, _ := utf8.DecodeRuneInString(s)
		switch {
		case isSpace(c):
			l.take(skipSpace(s))
		case l.number(s):
		case c == '_' || isAlphanumeric(c):
			l.name(s)
		case c == '\'' || c == '"':
			l.str(s)
		default:
			l.operator(s, &open)
		}
	}
}

func (l *lexer) tagEnd(endKind tokenKind) int {
	if endKind == blockEnd {
		return end(l.rest(), "%}")
	}
	s := l.rest()
	if strings.HasPrefix(s, "-}}") {
		return 3 + skipSpace(s[3:])
	}
	if strings.HasPrefix(s, "}}") {
		return 2
	}
	return 0
}

func (l *lexer) name(s string) {
	n := strings.IndexFunc(s, func(c rune) bool { return c != '_' && !isAlphanumeric(c) })
	if n < 0 {
		n = len(s)
	}
	if !isIdentifier(s[:n]) {
		l.fail("Invalid character in identifier")
		return
	}
	l.emit(nameToken, s[:n])
	l.take(n)
}
