package jinja

import (
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// str is Python's str(v): what {{ v }} prints. Only a text keeps its origin; all else counts as conversation, since it may show any of it.
func (r *renderer) str(v value) text {
	switch v := v.(type) {
	case text:
		return v
	case undefined:
		return text{}
	}
	return userText(r.reprString(v))
}

// reprString is Python's repr(v).
func (r *renderer) reprString(v value) string {
	var b strings.Builder
	r.repr(&b, v)
	return b.String()
}

func (r *renderer) repr(b *strings.Builder, v value) {
	if !r.enter() {
		return
	}
	defer r.leave()
	put := func(s string) {
		if r.alloc(len(s)) {
			b.WriteString(s)
		}
	}
	switch v := v.(type) {
	case nil:
		put("None")
	case undefined:
		put("Undefined")
	case bool:
		if v {
			put("True")
		} else {
			put("False")
		}
	case int64:
		put(strconv.FormatInt(v, 10))
	case *big.Int:
		put(v.String())
	case float64:
		put(floatRepr(v))
	case text:
		if r.allocN(len(v.s), 4) { // an escape of a byte takes up to 4
			put(quote(v.s))
		}
	case *seq:
		r.reprSeq(b, v, put)
	case *dict:
		put("{")
		r.reprEntries(b, v, put)
		put("}")
	case *namespace:
		put("<Namespace {")
		r.reprEntries(b, v.attrs, put)
		put("}>")
	case *loop:
		put(fmt.Sprintf("<LoopContext %d/%d>", v.index0+1, len(v.items)))
	case *macro:
		put("<Macro " + quote(v.name) + ">")
	case *function:
		put("<built-in function " + v.name + ">")
	}
}

func (r *renderer) reprEntries(b *strings.Builder, d *dict, put func(string)) {
	for i, k := range d.keys {
		if i > 0 {
			put(", ")
		}
		r.repr(b, k)
		put(": ")
		r.repr(b, d.vals[i])
	}
}

func (r *renderer) reprSeq(b *strings.Builder, s *seq, put func(string)) {
	left, right := "[", "]"
	switch {
	case s.kind == iteratorSeq:
		put("<generator object>")
		return
	case s.kind == rangeSeq:
		put(rangeRepr(s.items))
		return
	case s.isTuple():
		left, right = "(", ")"
		if len(s.items) == 1 {
			right = ",)"
		}
	case s.isView():
		left, right = seqNames[s.kind]+"([", "])"
	}
	put(left)
	for i, x := range s.items {
		if i > 0 {
			put(", ")
		}
		r.repr(b, x)
		if r.err != nil {
			return
		}
	}
	put(right)
}

// rangeRepr rebuilds what a range was called with, up to ranges that are equal.
func rangeRepr(items []value) string {
	if len(items) == 0 {
		return "range(0, 0)"
	}
	first, _ := items[0].(int64)
	step := int64(1)
	if len(items) > 1 {
		second, _ := items[1].(int64)
		step = second - first
	}
	stop := first + step*int64(len(items))
	if step == 1 {
		return fmt.Sprintf("range(%d, %d)", first, stop)
	}
	return fmt.Sprintf("range(%d, %d, %d)", first, stop, step)
}

// quote is Python's repr of a string: single quotes unless only they occur in it, escapes for what can't be printed.
func quote(s string) string {
	q := '\''
	if strings.Contains(s, "'") && !strings.Contains(s, `"`) {
		q = '"'
	}
	var b strings.Builder
	b.WriteRune(q)
	for i, c := range s {
		switch {
		case c == q || c == '\\':
			b.WriteRune('\\')
			b.WriteRune(c)
		case c == '\n':
			b.WriteString(`\n`)
		case c == '\r':
			b.WriteString(`\r`)
		case c == '\t':
			b.WriteString(`\t`)
		case c == utf8.RuneError && !strings.HasPrefix(s[i:], "\uFFFD"):
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case unicode.IsPrint(c):
			b.WriteRune(c)
		case c < 0x100:
			fmt.Fprintf(&b, `\x%02x`, c)
		case c < 0x10000:
			fmt.Fprintf(&b, `\u%04x`, c)
		default:
			fmt.Fprintf(&b, `\U%08x`, c)
		}
	}
	b.WriteRune(q)
	return b.String()
}
