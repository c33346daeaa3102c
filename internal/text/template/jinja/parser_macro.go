package jinja

// parseFunction reads the body of something that runs as a function of its own: break and continue do not reach out of it.
func (p *parser) parseFunction(def *macroDef, end string) {
	p.macros = append(p.macros, def)
	loops := p.loops
	p.loops = 0
	def.body, _ = p.parseBlock(end)
	p.loops = loops
	p.macros = p.macros[:len(p.macros)-1]
}

func (p *parser) parseMacro(at line) node {
	def := &macroDef{name: p.expect(nameToken).text}
	p.parseSignature(def)
	p.parseFunction(def, "endmacro")
	return &macroNode{at, def}
}

func (p *parser) parseCallBlock(at line) node {
	def := &macroDef{name: "caller"}
	if p.peek().isOp("(") {
		p.parseSignature(def)
	}
	call, ok := p.parseExpr().(*callExpr)
	if !ok {
		p.fail("expected call")
		return nil
	}
	p.parseFunction(def, "endcall")
	return &callNode{at, call, def}
}

// parseGeneration reads the mark of what the model said, which only training needs: its content is printed as it is.
func (p *parser) parseGeneration(at line) node {
	def := &macroDef{}
	p.parseFunction(def, "endgeneration")
	return &blockNode{line: at, body: def.body}
}

func (p *parser) parseFilterBlock(at line) node {
	n := &blockNode{line: at, filter: p.parseBlockFilter(nil)}
	for k := 0; p.skipOp("|") && p.link(&k); {
		n.filter = p.parseBlockFilter(n.filter)
	}
	n.body, _ = p.parseBlock("endfilter")
	return n
}

// parseBlockFilter reads one filter of a block's text, to run behind an earlier one.
func (p *parser) parseBlockFilter(earlier *filterExpr) *filterExpr {
	if earlier == nil {
		return p.parseFilter(nil)
	}
	return p.parseFilter(earlier)
}

func (p *parser) parseSignature(def *macroDef) {
	p.expectOp("(")
	for p.err == nil && !p.peek().isOp(")") {
		if len(def.params) > 0 {
			p.expectOp(",")
		}
		def.params = append(def.params, p.expect(nameToken).text)
		if p.skipOp("=") {
			def.defaults = append(def.defaults, p.parseExpr())
		} else if len(def.defaults) > 0 {
			p.fail("non-default argument follows default argument")
		}
	}
	p.expectOp(")")
}

// parseTarget reads what can be assigned to. A tuple ends at the name end, if given. attrs allows name.attr.
func (p *parser) parseTarget(end string, attrs bool) target {
	var parts []target
	isTuple := false
	for p.err == nil {
		if len(parts) > 0 {
			p.expectOp(",")
		}
		if p.atTupleEnd(end) {
			break
		}
		parts = append(parts, p.parseTargetPart(attrs))
		if !p.peek().isOp(",") {
			break
		}
		isTuple = true
	}
	switch {
	case isTuple:
		return target{parts: parts, isTuple: true}
	case len(parts) == 1:
		return parts[0]
	}
	p.fail("Expected an expression, got '%s'", p.peek().describe())
	return target{}
}

func (p *parser) parseTargetPart(attrs bool) target {
	if p.skipOp("(") {
		if !p.enter() {
			return target{}
		}
		defer p.leave()
		t := p.parseTarget("", attrs)
		p.expectOp(")")
		return t
	}
	t := target{name: p.expect(nameToken).text}
	switch t.name {
	case "true", "false", "none", "True", "False", "None":
		p.fail("can't assign to 'const'")
	}
	if attrs && p.skipOp(".") {
		t.attr = p.expect(nameToken).text
	}
	return t
}
