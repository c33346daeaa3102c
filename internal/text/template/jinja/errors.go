package jinja

import "fmt"

// Kind says what went wrong, as the reference's exception types do.
type Kind uint8

// The kinds of Error.
const (
	Syntax    Kind = iota + 1 // the template can't be parsed
	Undefined                 // an operation that needs a value met an undefined one
	Runtime                   // wrong types, division by zero, an index out of place: Python's exceptions
	Security                  // the template used something that the sandbox forbids
	Raise                     // the template called raise_exception: Message is its own text
	Limit                     // too many steps, too much memory or too deep
)

var kindNames = [...]string{Syntax: "syntax", Undefined: "undefined", Runtime: "runtime", Security: "security", Raise: "raise", Limit: "limit"}

// String returns the kind's name in lower case.
func (k Kind) String() string {
	if int(k) < len(kindNames) && kindNames[k] != "" {
		return kindNames[k]
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// Error is every error of this package.
type Error struct {
	Kind    Kind
	Line    int    // in the template, from 1; 0 where none applies
	Message string // of kind Raise: exactly what the template said
}

// Error returns the template's own words for kind Raise, else line, kind and fault.
func (e *Error) Error() string {
	switch {
	case e.Kind == Raise:
		return e.Message
	case e.Line == 0:
		return fmt.Sprintf("template: %s error: %s", e.Kind, e.Message)
	default:
		return fmt.Sprintf("template line %d: %s error: %s", e.Line, e.Kind, e.Message)
	}
}

// fail records the first error. From then on eval and exec do nothing, so a failing operation may return any value.
func (r *renderer) fail(kind Kind, format string, args ...any) {
	if r.err == nil {
		r.err = &Error{Kind: kind, Line: r.line, Message: fmt.Sprintf(format, args...)}
	}
}

// typeError is fail for what Python calls a TypeError, the most common of all.
func (r *renderer) typeError(format string, args ...any) {
	r.fail(Runtime, "TypeError: "+format, args...)
}
