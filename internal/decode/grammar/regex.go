package grammar

import (
	"errors"
	"fmt"
	"regexp/syntax"
	"unicode"
)

// Regex compiles a regular expression of Go's syntax (RE2 with Perl's classes), which has to match the whole text: ^ at its
// beginning and $ at its end change nothing, and elsewhere are refused, as are word boundaries.
func Regex(expr string) (*Grammar, error) {
	const source = "regular expression"
	if len(expr) > maxSource {
		return nil, &Error{source, "", fmt.Sprintf("has %d bytes, at most %d are allowed", len(expr), maxSource)}
	}
	a := newArena(maxTerms)
	n, err := a.regex(expr, plainText{}, false)
	if err != nil {
		return nil, &Error{source, "", err.Error()}
	}
	return seal(source, a, n, nil)
}

// regex returns the term of an expression, which matches the whole text, or with search a part of it, as JSON schema's do.
func (a *arena) regex(expr string, enc spelling, search bool) (id, error) {
	re, err := syntax.Parse(expr, syntax.Perl)
	if err != nil {
		return fail, fmt.Errorf("%w; want the syntax of Go's package regexp", err)
	}
	var ends []id
	for re.Op == syntax.OpCapture {
		re = re.Sub[0]
	}
	branches := []*syntax.Regexp{re}
	if re.Op == syntax.OpAlternate {
		branches = re.Sub
	}
	for _, branch := range branches {
		rest, begin, end := anchors(branch)
		n, err := a.regexTerm(rest, enc)
		if err != nil {
			return fail, err
		}
		if search && !begin {
			n = a.cat(a.many(enc.class(a, anyRune)), n)
		}
		if search && !end {
			n = a.cat(n, a.many(enc.class(a, anyRune)))
		}
		ends = append(ends, n)
	}
	return a.alt(ends...), nil
}

// anchors takes ^ and $ from the ends of an expression.
func anchors(re *syntax.Regexp) (rest *syntax.Regexp, begin, end bool) {
	switch re.Op {
	case syntax.OpCapture:
		return anchors(re.Sub[0])
	case syntax.OpBeginText:
		return &syntax.Regexp{Op: syntax.OpEmptyMatch}, true, false
	case syntax.OpEndText:
		return &syntax.Regexp{Op: syntax.OpEmptyMatch}, false, true
	case syntax.OpConcat:
		subs := re.Sub
		for len(subs) > 0 && subs[0].Op == syntax.OpBeginText {
			subs, begin = subs[1:], true
		}
		for len(subs) > 0 && subs[len(subs)-1].Op == syntax.OpEndText {
			subs, end = subs[:len(subs)-1], true
		}
		return &syntax.Regexp{Op: syntax.OpConcat, Sub: subs}, begin, end
	}
	return re, false, false
}

var errAnchor = errors.New("^ and $ are supported at the beginning and end of the expression or of its outermost alternatives only")

func (a *arena) regexTerm(re *syntax.Regexp, enc spelling) (id, error) {
	if a.over != "" {
		return fail, nil // reported by seal
	}
	switch re.Op {
	case syntax.OpNoMatch:
		return fail, nil
	case syntax.OpEmptyMatch:
		return eps, nil
	case syntax.OpLiteral:
		if re.Flags&syntax.FoldCase == 0 {
			return enc.literal(a, re.Rune), nil
		}
		n := eps
		for i := len(re.Rune) - 1; i >= 0; i-- {
			n = a.cat(enc.class(a, folds(re.Rune[i])), n)
		}
		return n, nil
	case syntax.OpCharClass:
		return enc.class(a, re.Rune), nil
	case syntax.OpAnyChar:
		return enc.class(a, anyRune), nil
	case syntax.OpAnyCharNotNL:
		lineEnds := []rune{'\n', '\n'}
		if enc == (jsonText{}) { // JSON schema has JavaScript's expressions, for which these end lines too
			lineEnds = append(lineEnds, '\r', '\r', 0x2028, 0x2029)
		}
		return enc.class(a, without(anyRune, lineEnds)), nil
	case syntax.OpCapture:
		return a.regexTerm(re.Sub[0], enc)
	case syntax.OpStar, syntax.OpPlus, syntax.OpQuest, syntax.OpRepeat:
		n, err := a.regexTerm(re.Sub[0], enc)
		lo, hi := int32(0), int32(unbounded)
		switch re.Op {
		case syntax.OpPlus:
			lo = 1
		case syntax.OpQuest:
			hi = 1
		case syntax.OpRepeat:
			if lo = int32(re.Min); re.Max >= 0 {
				hi = int32(re.Max)
			}
		}
		return a.rep(n, lo, hi), err
	case syntax.OpConcat:
		n := eps
		for i := len(re.Sub) - 1; i >= 0; i-- {
			x, err := a.regexTerm(re.Sub[i], enc)
			if err != nil {
				return fail, err
			}
			n = a.cat(x, n)
		}
		return n, nil
	case syntax.OpAlternate:
		list := make([]id, len(re.Sub))
		for i, sub := range re.Sub {
			var err error
			if list[i], err = a.regexTerm(sub, enc); err != nil {
				return fail, err
			}
		}
		return a.alt(list...), nil
	case syntax.OpBeginText, syntax.OpEndText:
		return fail, errAnchor
	case syntax.OpBeginLine, syntax.OpEndLine:
		return fail, errors.New("multi-line mode (?m) is not supported; write \\n where lines end")
	case syntax.OpWordBoundary, syntax.OpNoWordBoundary:
		return fail, errors.New("word boundaries (\\b, \\B) are not supported; write the characters around them")
	}
	return fail, fmt.Errorf("%s is not supported", re.Op)
}

// folds returns the class of the characters that differ from r in case only.
func folds(r rune) (class []rune) {
	for c := r; ; {
		class = append(class, c, c)
		if c = unicode.SimpleFold(c); c == r {
			return class
		}
	}
}
