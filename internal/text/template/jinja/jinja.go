// Package jinja parses and renders chat templates: the part of the Jinja language that such templates use, with the settings of Hugging Face
// transformers (trim_blocks, lstrip_blocks, break and continue, raise_exception, generation blocks, a tojson that escapes no HTML).
//
// It owns two promises. A template is hostile: it can reach nothing but the values given to Render, and steps, memory and depth are
// bounded, so that any source and any values end in text or in an *Error. And every rendered character knows where it comes from: the
// template, or the conversation. What an operation can't attribute for sure counts as conversation.
//
// It must not know what a message, a turn or a control token is. The reference is Jinja 3.1.6 in its immutable sandbox. Left out, since no
// known chat template uses it: template inheritance and inclusion, autoescaping (so no Markup type), and the filters of HTML pages.
package jinja

// Template is a parsed template. It never changes, so any number of goroutines may render it at once.
type Template struct {
	body  []node
	frame *frame
}

// Parse reads a template. The error is an *Error of kind Syntax, or of kind Limit for a source over 1 MiB or nested too deeply.
func Parse(src string) (*Template, error) {
	if len(src) > maxSource {
		return nil, &Error{Kind: Limit, Message: limitMessage("source bytes", maxSource)}
	}
	tokens, err := lex(src)
	if err != nil {
		return nil, err
	}
	p := parser{tokens: tokens}
	body := p.parseBody(nil)
	if p.err != nil {
		return nil, p.err
	}
	return &Template{body, newSymbols(nil, nil).inner(body, nothingFirst)}, nil
}

// Segment is a run of rendered text of one origin.
type Segment struct {
	Text string
	User bool // true: from the conversation; false: written in the template, or given as a Literal
}

// Render runs the template with the given variables. The segments are in order, none is empty, and neighbours differ in origin.
// Values may be nil, bool, int, int64, *big.Int, float64, string (text of the conversation), Literal, []any and Object, nested at will.
// The error is an *Error: what raise_exception was called with, or a fault of the template.
func (t *Template) Render(vars Object) ([]Segment, error) {
	return t.render(vars, defaultLimits)
}

// Literal is text that the owner of the program vouches for, such as the name of a control token: it counts as written in the template.
type Literal string

// Object is a mapping whose order matters: a template sees it when it iterates or calls tojson.
type Object []Field

// Field is one entry of an Object. Of two fields with one name the later counts.
type Field struct {
	Name  string
	Value any
}

func (t *Template) render(vars Object, lim limits) ([]Segment, error) {
	r := &renderer{limits: lim, vars: map[string]value{}}
	r.out = r.newBuilder()
	for _, f := range vars {
		r.vars[f.Name] = r.convert(f.Value)
	}
	r.execBlock(t.body, r.enterFrame(t.frame, nil))
	if r.err != nil {
		return nil, r.err
	}
	return segments(r.out.text()), nil
}

// segments cuts a text where its origin changes.
func segments(t text) []Segment {
	var out []Segment
	at := 0
	for _, u := range t.user {
		if at < u.lo {
			out = append(out, Segment{Text: t.s[at:u.lo]})
		}
		out = append(out, Segment{Text: t.s[u.lo:u.hi], User: true})
		at = u.hi
	}
	if at < len(t.s) {
		out = append(out, Segment{Text: t.s[at:]})
	}
	return out
}
