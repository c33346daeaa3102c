package jinja

import (
	"fmt"
	"slices"
	"strings"
)

// parser makes statements and expressions of tokens. After the first fault the next token is the end of the template, so every loop ends.
type parser struct {
	tokens []token
	pos    int
	err    *Error
	depth  int         // of blocks and expressions, at most maxNesting
	loops  int         // for loops around this place, within the function that it is in
	macros []*macroDef // macros around this place
	ends   [][]string  // tags that end the blocks around this place
	tags   []string    // names of those blocks
}

func (p *parser) peek() token { return p.tokens[p.pos] }

// look is the token behind the next one.
func (p *parser) look() token { return p.tokens[min(p.pos+1, len(p.tokens)-1)] }

func (p *parser) next() token {
	t := p.peek()
	if t.kind != eofToken {
		p.pos++
	}
	return t
}

func (p *parser) fail(format string, args ...any) {
	if p.err == nil {
		p.err = &Error{Kind: Syntax, Line: p.peek().line, Message: fmt.Sprintf(format, args...)}
		p.pos = len(p.tokens) - 1
	}
}

// enter goes one level deeper. A true result must be followed by leave.
func (p *parser) enter() bool {
	if p.depth >= maxNesting {
		p.fail("%s", limitMessage("levels of nesting", maxNesting))
		p.err.Kind = Limit
		return false
	}
	p.depth++
	return true
}

func (p *parser) leave() { p.depth-- }

// link adds a piece to a chain such as a + b + c or a.b.c, whose tree is as deep as the chain is long.
func (p *parser) link(length *int) bool {
	if *length++; *length > maxChain {
		p.fail("%s", limitMessage("operations in a row", maxChain))
		p.err.Kind = Limit
	}
	return p.err == nil
}

func (t token) isOp(op string) bool     { return t.kind == operatorToken && t.text == op }
func (t token) isName(name string) bool { return t.kind == nameToken && t.text == name }

func (p *parser) skipOp(op string) bool {
	if p.peek().isOp(op) {
		p.next()
		return true
	}
	return false
}

func (p *parser) skipName(name string) bool {
	if p.peek().isName(name) {
		p.next()
		return true
	}
	return false
}

func (p *parser) expectOp(op string) {
	if !p.skipOp(op) {
		p.fail("expected token '%s', got '%s'", op, p.peek().describe())
	}
}

func (p *parser) expect(kind tokenKind) token {
	if p.peek().kind != kind {
		want := map[tokenKind]string{nameToken: "name", blockEnd: "end of statement block", variableEnd: "end of print statement"}[kind]
		p.fail("expected token '%s', got '%s'", want, p.peek().describe())
		return token{}
	}
	return p.next()
}

// parseBody reads text and tags up to one of the given tags, which is then the next token; nil reads up to the end of the template.
func (p *parser) parseBody(ends []string) []node {
	if !p.enter() {
		return nil
	}
	defer p.leave()
	if ends != nil {
		p.ends = append(p.ends, ends)
		defer func() { p.ends = p.ends[:len(p.ends)-1] }()
	}
	var body []node
	for p.err == nil {
		t := p.next()
		switch t.kind {
		case dataToken:
			body = append(body, &dataNode{line(t.line), t.text})
		case variableBegin:
			body = append(body, &outputNode{line(t.line), p.parseTuple(exprTuple{condition: true})})
			p.expect(variableEnd)
		case blockBegin:
			if p.peek().kind == nameToken && slices.Contains(ends, p.peek().text) {
				return body
			}
			if n := p.parseStatement(); n != nil {
				body = append(body, n)
			}
			p.expect(blockEnd)
		case eofToken:
			if ends != nil {
				p.failTag("")
			}
			return body
		}
	}
	return nil
}

// parseBlock reads the rest of a tag, its body, and the tag that ends it; it returns that tag's name.
func (p *parser) parseBlock(ends ...string) ([]node, string) {
	p.skipOp(":")
	p.expect(blockEnd)
	body := p.parseBody(ends)
	return body, p.next().text
}

// failTag says that a tag (or, for "", the end of the template) is out of place, and what was awaited.
func (p *parser) failTag(name string) {
	message := "Unexpected end of template."
	if name != "" {
		message = fmt.Sprintf("Encountered unknown tag '%s'.", name)
	}
	if n := len(p.ends); n > 0 {
		want := "'" + strings.Join(p.ends[n-1], "' or '") + "'"
		known := slices.ContainsFunc(p.ends, func(e []string) bool { return slices.Contains(e, name) })
		if known && name != "" {
			message += " You probably made a nesting mistake. Jinja is expecting this tag, but currently looking for " + want + "."
		} else {
			message += " Jinja was looking for the following tags: " + want + "."
		}
	}
	if n := len(p.tags); n > 0 {
		message += fmt.Sprintf(" The innermost block that needs to be closed is '%s'.", p.tags[n-1])
	}
	p.fail("%s", message)
}

func (p *parser) parseStatement() node {
	t := p.next()
	if t.kind != nameToken {
		p.fail("tag name expected")
		return nil
	}
	parse, ok := map[string]func(*parser, line) node{
		"for": (*parser).parseFor, "if": (*parser).parseIf, "set": (*parser).parseSet, "with": (*parser).parseWith,
		"macro": (*parser).parseMacro, "call": (*parser).parseCallBlock, "filter": (*parser).parseFilterBlock,
		"generation": (*parser).parseGeneration,
		"break":      (*parser).parseBreak, "continue": (*parser).parseContinue,
	}[t.text]
	if !ok {
		p.failTag(t.text)
		return nil
	}
	p.tags = append(p.tags, t.text)
	n := parse(p, line(t.line))
	p.tags = p.tags[:len(p.tags)-1]
	return n
}

func (p *parser) parseFor(at line) node {
	n := &forNode{line: at, target: p.parseTarget("in", false)}
	if !p.skipName("in") {
		p.fail("expected token 'in', got '%s'", p.peek().describe())
	}
	n.iter = p.parseTuple(exprTuple{end: "recursive"})
	if p.skipName("if") {
		n.filter = p.parseExpr()
	}
	n.recursive = p.skipName("recursive")
	var ended string
	p.loops++
	n.body, ended = p.parseBlock("endfor", "else")
	p.loops--
	if ended == "else" {
		n.orElse, _ = p.parseBlock("endfor")
	}
	return n
}

func (p *parser) parseIf(at line) node {
	n := &ifNode{line: at}
	for p.err == nil {
		b := branch{test: p.parseTuple(exprTuple{})}
		var ended string
		b.body, ended = p.parseBlock("elif", "else", "endif")
		n.branches = append(n.branches, b)
		if ended == "else" {
			n.orElse, _ = p.parseBlock("endif")
		}
		if ended != "elif" {
			break
		}
	}
	return n
}

func (p *parser) parseSet(at line) node {
	t := p.parseTarget("", true)
	if p.skipOp("=") {
		return &setNode{at, t, p.parseTuple(exprTuple{condition: true})}
	}
	n := &blockNode{line: at, target: &t}
	for k := 0; p.skipOp("|") && p.link(&k); {
		n.filter = p.parseBlockFilter(n.filter)
	}
	n.body, _ = p.parseBlock("endset")
	return n
}

func (p *parser) parseWith(at line) node {
	n := &withNode{line: at}
	for p.err == nil && p.peek().kind != blockEnd {
		if len(n.targets) > 0 {
			p.expectOp(",")
		}
		n.targets = append(n.targets, p.parseTarget("", false))
		p.expectOp("=")
		n.values = append(n.values, p.parseExpr())
	}
	n.body, _ = p.parseBlock("endwith")
	return n
}

func (p *parser) parseBreak(at line) node { return p.parseJump(at, "break") }

func (p *parser) parseContinue(at line) node { return p.parseJump(at, "continue") }

func (p *parser) parseJump(at line, name string) node {
	if p.loops == 0 {
		p.fail("'%s' outside loop", name)
	}
	return &breakNode{at, name == "continue"}
}
