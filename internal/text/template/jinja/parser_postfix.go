package jinja

import "strings"

// parsePostfix reads the attributes, indices and calls behind e.
func (p *parser) parsePostfix(e expr) expr {
	for n := 0; p.link(&n); {
		switch t := p.peek(); {
		case t.isOp("."):
			e = p.parseAttribute(e)
		case t.isOp("["):
			e = p.parseIndex(e)
		case t.isOp("("):
			e = &callExpr{e, p.parseArgs()}
		default:
			return e
		}
	}
	return nil
}

func (p *parser) parseAttribute(e expr) expr {
	p.next()
	switch t := p.next(); t.kind {
	case nameToken:
		return &attrExpr{e, t.text}
	case integerToken:
		return &indexExpr{e, p.integer(t.text)}
	default:
		p.fail("expected name or number")
		return nil
	}
}

func (p *parser) parseIndex(e expr) expr {
	p.next()
	first := p.sliceIndex()
	if p.skipOp(":") {
		s := &sliceExpr{of: e, start: first, stop: p.sliceIndex()}
		if p.skipOp(":") {
			s.step = p.sliceIndex()
		}
		p.expectOp("]")
		return s
	}
	parts := []expr{first}
	for p.err == nil && p.skipOp(",") {
		parts = append(parts, p.parseExpr())
	}
	p.expectOp("]")
	switch {
	case len(parts) > 1:
		return &indexExpr{e, &tupleExpr{parts}}
	case first == nil:
		return &indexExpr{e, &tupleExpr{}}
	}
	return &indexExpr{e, first}
}

// sliceIndex reads one of the three parts of a slice, nil if it is left out.
func (p *parser) sliceIndex() expr {
	if t := p.peek(); t.isOp(":") || t.isOp("]") || t.isOp(",") {
		return nil
	}
	return p.parseExpr()
}

// parseFilters reads the filters, tests and calls behind e.
func (p *parser) parseFilters(e expr) expr {
	for n := 0; p.link(&n); {
		switch t := p.peek(); {
		case t.isOp("|"):
			p.next()
			e = p.parseFilter(e)
		case t.isName("is"):
			e = p.parseTest(e)
		case t.isOp("("):
			e = &callExpr{e, p.parseArgs()}
		default:
			return e
		}
	}
	return nil
}

// dottedName reads a name; the reference allows dots in the names of filters and tests, though none has any.
func (p *parser) dottedName() string {
	parts := []string{p.expect(nameToken).text}
	for p.skipOp(".") {
		parts = append(parts, p.expect(nameToken).text)
	}
	return strings.Join(parts, ".")
}

// parseFilter reads a filter of e, which is nil where a block's body stands for it.
func (p *parser) parseFilter(of expr) *filterExpr {
	f := &filterExpr{of: of, name: p.dottedName()}
	if p.peek().isOp("(") {
		f.args = p.parseArgs()
	}
	var ok bool
	if f.filter, ok = filters[f.name]; !ok {
		p.fail("No filter named '%s'.", f.name)
	}
	return f
}

func (p *parser) parseTest(of expr) expr {
	p.next()
	negated := p.skipName("not")
	t := &testExpr{of: of, name: p.dottedName()}
	switch next := p.peek(); {
	case next.isOp("("):
		t.args = p.parseArgs()
	case next.isName("is"):
		p.fail("You cannot chain multiple tests with is")
	case next.kind == nameToken && next.text != "else" && next.text != "or" && next.text != "and",
		next.kind == stringToken, next.kind == integerToken, next.kind == floatToken, next.isOp("["), next.isOp("{"):
		t.args.pos = []expr{p.parsePostfix(p.parsePrimary())}
	}
	var ok bool
	if t.test, ok = tests[t.name]; !ok {
		p.fail("No test named '%s'.", t.name)
	}
	if negated {
		return &unaryExpr{"not", t}
	}
	return t
}

// parseArgs reads (a, b, name=c, *args, **kwargs).
func (p *parser) parseArgs() argExprs {
	var a argExprs
	p.expectOp("(")
	ensure := func(ok bool) {
		if !ok {
			p.fail("invalid syntax for function call expression")
		}
	}
	for first := true; p.err == nil && !p.peek().isOp(")"); first = false {
		if !first {
			p.expectOp(",")
			if p.peek().isOp(")") {
				break
			}
		}
		switch {
		case p.skipOp("*"):
			ensure(a.args == nil && a.kwargs == nil)
			a.args = p.parseExpr()
		case p.skipOp("**"):
			ensure(a.kwargs == nil)
			a.kwargs = p.parseExpr()
		case p.peek().kind == nameToken && p.look().isOp("="):
			ensure(a.kwargs == nil)
			a.names = append(a.names, p.next().text)
			p.next()
			a.kw = append(a.kw, p.parseExpr())
		default:
			ensure(a.args == nil && a.kwargs == nil && len(a.kw) == 0)
			a.pos = append(a.pos, p.parseExpr())
		}
	}
	p.expectOp(")")
	return a
}
