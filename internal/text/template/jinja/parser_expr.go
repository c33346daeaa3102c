package jinja

import (
	"math/big"
	"slices"
	"strconv"
)

// exprTuple says how a tuple without brackets is read.
type exprTuple struct {
	condition bool   // a if b else c is allowed; where not, an if belongs to the statement
	brackets  bool   // it stands in brackets, so it may be empty
	end       string // a name that ends it
}

func (p *parser) atTupleEnd(end string) bool {
	t := p.peek()
	return t.kind == variableEnd || t.kind == blockEnd || t.isOp(")") || end != "" && t.isName(end)
}

// parseTuple reads an expression, or several with commas between.
func (p *parser) parseTuple(how exprTuple) expr {
	var items []expr
	isTuple := false
	for p.err == nil {
		if len(items) > 0 {
			p.expectOp(",")
		}
		if p.atTupleEnd(how.end) {
			break
		}
		if how.condition {
			items = append(items, p.parseExpr())
		} else {
			items = append(items, p.parseOr())
		}
		if !p.peek().isOp(",") {
			break
		}
		isTuple = true
	}
	if !isTuple && len(items) == 1 {
		return items[0]
	}
	if !isTuple && !how.brackets {
		p.fail("Expected an expression, got '%s'", p.peek().describe())
	}
	return &tupleExpr{items}
}

// parseExpr reads a whole expression: [a if b else c].
func (p *parser) parseExpr() expr {
	if !p.enter() {
		return nil
	}
	defer p.leave()
	e := p.parseOr()
	for n := 0; p.skipName("if") && p.link(&n); {
		c := &condExpr{then: e, test: p.parseOr()}
		if p.skipName("else") {
			c.orElse = p.parseExpr()
		}
		e = c
	}
	return e
}

func (p *parser) parseOr() expr {
	e := p.parseAnd()
	for n := 0; p.skipName("or") && p.link(&n); {
		e = &logicExpr{false, e, p.parseAnd()}
	}
	return e
}

func (p *parser) parseAnd() expr {
	e := p.parseNot()
	for n := 0; p.skipName("and") && p.link(&n); {
		e = &logicExpr{true, e, p.parseNot()}
	}
	return e
}

func (p *parser) parseNot() expr {
	if !p.skipName("not") {
		return p.parseCompare()
	}
	if !p.enter() {
		return nil
	}
	defer p.leave()
	return &unaryExpr{"not", p.parseNot()}
}

func (p *parser) parseCompare() expr {
	c := &compareExpr{first: p.parseSum()}
	for {
		op := ""
		switch t := p.peek(); {
		case t.kind == operatorToken && slices.Contains([]string{"==", "!=", "<", "<=", ">", ">="}, t.text):
			op = t.text
		case t.isName("in"):
			op = "in"
		case t.isName("not") && p.look().isName("in"):
			op = "not in"
			p.next()
		}
		if op == "" {
			break
		}
		p.next()
		c.ops = append(c.ops, op)
		c.rest = append(c.rest, p.parseSum())
	}
	if len(c.ops) == 0 {
		return c.first
	}
	return c
}

// The levels of arithmetic, loosest first: + -, then ~, then * / // %, then **, which here groups to the left.
func (p *parser) parseSum() expr { return p.parseBinary(p.parseConcat, "+", "-") }

func (p *parser) parseConcat() expr {
	e := p.parseProduct()
	if !p.peek().isOp("~") {
		return e
	}
	c := &concatExpr{parts: []expr{e}}
	for p.skipOp("~") {
		c.parts = append(c.parts, p.parseProduct())
	}
	return c
}

func (p *parser) parseProduct() expr { return p.parseBinary(p.parsePower, "*", "/", "//", "%") }

func (p *parser) parsePower() expr {
	return p.parseBinary(func() expr { return p.parseUnary(true) }, "**")
}

func (p *parser) parseBinary(operand func() expr, ops ...string) expr {
	e := operand()
	for n := 0; ; {
		t := p.peek()
		if t.kind != operatorToken || !slices.Contains(ops, t.text) || !p.link(&n) {
			return e
		}
		p.next()
		e = &binaryExpr{t.text, e, operand()}
	}
}

// parseUnary reads a sign, a primary expression and what follows it. A sign binds tighter than a filter: -1 | abs is 1.
func (p *parser) parseUnary(filters bool) expr {
	if !p.enter() {
		return nil
	}
	defer p.leave()
	var e expr
	if t := p.peek(); t.isOp("-") || t.isOp("+") {
		p.next()
		e = &unaryExpr{t.text, p.parseUnary(false)}
	} else {
		e = p.parsePrimary()
	}
	e = p.parsePostfix(e)
	if filters {
		e = p.parseFilters(e)
	}
	return e
}

func (p *parser) parsePrimary() expr {
	t := p.next()
	switch {
	case t.kind == nameToken:
		return p.name(t.text)
	case t.kind == stringToken:
		s := t.text
		for p.peek().kind == stringToken {
			s += p.next().text
		}
		return &constExpr{literal(s)}
	case t.kind == integerToken:
		return p.integer(t.text)
	case t.kind == floatToken:
		f, _ := strconv.ParseFloat(t.text, 64) // out of range gives infinity, as in Python
		return &constExpr{f}
	case t.isOp("("):
		e := p.parseTuple(exprTuple{condition: true, brackets: true})
		p.expectOp(")")
		return e
	case t.isOp("["):
		return &listExpr{p.parseItems("]")}
	case t.isOp("{"):
		return p.parseDict()
	}
	p.fail("unexpected '%s'", t.describe())
	return nil
}

func (p *parser) name(name string) expr {
	switch name {
	case "true", "True":
		return &constExpr{true}
	case "false", "False":
		return &constExpr{false}
	case "none", "None":
		return &constExpr{nil}
	}
	for _, m := range p.macros {
		m.usesCaller = m.usesCaller || name == "caller"
		m.usesVarargs = m.usesVarargs || name == "varargs"
		m.usesKwargs = m.usesKwargs || name == "kwargs"
	}
	return &nameExpr{name}
}

func (p *parser) integer(s string) expr {
	n := parseInteger(s)
	switch {
	case n.IsInt64():
		return &constExpr{n.Int64()}
	case n.BitLen() > maxIntBits:
		p.fail("%s", limitMessage("bits of an integer", maxIntBits))
		p.err.Kind = Limit
		return nil
	}
	return &constExpr{new(big.Int).Set(n)}
}

// parseItems reads expressions with commas between, up to and with the closing bracket.
func (p *parser) parseItems(closing string) []expr {
	var items []expr
	for p.err == nil && !p.peek().isOp(closing) {
		if len(items) > 0 {
			p.expectOp(",")
			if p.peek().isOp(closing) {
				break
			}
		}
		items = append(items, p.parseExpr())
	}
	p.expectOp(closing)
	return items
}

func (p *parser) parseDict() expr {
	d := &dictExpr{}
	for p.err == nil && !p.peek().isOp("}") {
		if len(d.keys) > 0 {
			p.expectOp(",")
			if p.peek().isOp("}") {
				break
			}
		}
		d.keys = append(d.keys, p.parseExpr())
		p.expectOp(":")
		d.vals = append(d.vals, p.parseExpr())
	}
	p.expectOp("}")
	return d
}
