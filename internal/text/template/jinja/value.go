package jinja

import (
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"unicode/utf8"
)

// value is what an expression gives, one of:
//
//	undefined, nil (none), bool, int64, *big.Int (too large for int64), float64, text,
//	*seq, *dict, *namespace, *loop, *macro, *function
type value = any

// undefined is the value of what does not exist. Printing, iterating and testing it work; anything else is an error with its message.
type undefined struct {
	message string
	unsafe  bool // forbidden rather than absent
}

// seqKind tells apart Python's sequence types, whose operations differ.
type seqKind uint8

const (
	listSeq seqKind = iota
	tupleSeq
	rangeSeq
	keysSeq
	valuesSeq
	itemsSeq
	groupSeq    // a tuple (grouper, list) whose parts have names
	iteratorSeq // what map, select and the like give: one pass, no length, no index
)

var seqNames = [...]string{"list", "tuple", "range", "dict_keys", "dict_values", "dict_items", "tuple", "generator"}

type seq struct {
	kind  seqKind
	items []value
}

func (s *seq) isTuple() bool { return s.kind == tupleSeq || s.kind == groupSeq }

// isView reports whether s is a view of a dict, which has a length but no index.
func (s *seq) isView() bool { return s.kind == keysSeq || s.kind == valuesSeq || s.kind == itemsSeq }

func tuple(items ...value) *seq { return &seq{tupleSeq, items} }

const valueCost = 16 // bytes of one element

// list makes a list and pays for it.
func (r *renderer) list(items []value) *seq { return r.newSeq(listSeq, items) }

func (r *renderer) newSeq(kind seqKind, items []value) *seq {
	r.allocN(len(items)+1, valueCost)
	return &seq{kind, items}
}

// dict is a mapping in order of insertion.
type dict struct {
	keys  []value
	vals  []value
	index map[string]int // by hashKey
}

const entryCost = 96 // bytes of one dict entry, its place in the index included

func newDict() *dict { return &dict{index: map[string]int{}} }

func (d *dict) get(key string) (value, bool) {
	if i, ok := d.index[key]; ok {
		return d.vals[i], true
	}
	return nil, false
}

// set adds or replaces an entry; like Python, it keeps the place and the key of one that exists.
func (r *renderer) set(d *dict, key, val value) {
	h, ok := r.hashKey(key)
	if !ok {
		return
	}
	if i, ok := d.index[h]; ok {
		d.vals[i] = val
		return
	}
	if !r.alloc(entryCost + len(h)) {
		return
	}
	d.index[h] = len(d.keys)
	d.keys = append(d.keys, key)
	d.vals = append(d.vals, val)
}

// namespace is the one kind of value whose parts {% set %} can change.
type namespace struct{ attrs *dict }

// function is a built-in: a global, or a method bound to its object.
type function struct {
	name   string
	self   value // nil for a global
	params params
	call   func(a *arguments) value
}

// typeName is the name of v's type in Python, for messages.
func typeName(v value) string {
	switch v := v.(type) {
	case nil:
		return "NoneType"
	case bool:
		return "bool"
	case int64, *big.Int:
		return "int"
	case float64:
		return "float"
	case text:
		return "str"
	case *seq:
		return seqNames[v.kind]
	case *dict:
		return "dict"
	case *namespace:
		return "Namespace"
	case *loop:
		return "LoopContext"
	case *macro:
		return "Macro"
	case *function:
		return "builtin_function_or_method"
	default:
		return "Undefined"
	}
}

// truth is Python's bool(v).
func truth(v value) bool {
	switch v := v.(type) {
	case nil, undefined:
		return false
	case bool:
		return v
	case int64:
		return v != 0
	case float64:
		return v != 0
	case text:
		return v.s != ""
	case *seq:
		return v.kind == iteratorSeq || len(v.items) > 0
	case *dict:
		return len(v.keys) > 0
	case *loop:
		return len(v.items) > 0
	}
	return true
}

// undefinedUse fails with the message of an undefined value.
func (r *renderer) undefinedUse(u undefined) {
	if u.unsafe {
		r.fail(Security, "%s", u.message)
		return
	}
	r.fail(Undefined, "%s", u.message)
}

// iterate returns the elements of v as a for loop sees them. An iterator is empty afterwards.
func (r *renderer) iterate(v value) []value {
	switch v := v.(type) {
	case undefined:
		return nil
	case text:
		return r.charList(v)
	case *seq:
		items := v.items
		if v.kind == iteratorSeq {
			v.items = nil
		}
		r.spend(len(items)/16 + 1)
		return items
	case *dict:
		return v.keys
	case *loop:
		return nil // the reference would share one position between two loops
	}
	r.typeError("'%s' object is not iterable", typeName(v))
	return nil
}

// charList is the list of the characters of t.
func (r *renderer) charList(t text) []value {
	n := t.chars()
	if !r.allocN(n, valueCost+entryCost) {
		return nil
	}
	out := make([]value, 0, n)
	for at := 0; at < len(t.s); {
		_, size := utf8.DecodeRuneInString(t.s[at:])
		out = append(out, t.slice(at, at+size))
		at += size
	}
	return out
}

// convert makes a value of what Render was given. Every string in it is text of the conversation, but for a Literal.
func (r *renderer) convert(v any) value {
	if !r.enter() {
		return nil
	}
	defer r.leave()
	switch v := v.(type) {
	case nil, bool, int64, float64:
		return v
	case *big.Int:
		return r.integer(v)
	case int:
		return int64(v)
	case string:
		return userText(v)
	case Literal:
		return literal(string(v))
	case []any:
		items := make([]value, len(v))
		for i, x := range v {
			items[i] = r.convert(x)
		}
		return r.list(items)
	case Object:
		d := newDict()
		for _, f := range v {
			r.set(d, userText(f.Name), r.convert(f.Value))
		}
		return d
	}
	r.fail(Runtime, "want nil, bool, int, int64, float64, string, Literal, []any or Object as a value, found %T", v)
	return nil
}

// hashKey returns a string that is equal for values that are equal as dict keys. Lists and dicts have none.
func (r *renderer) hashKey(v value) (string, bool) {
	switch v := v.(type) {
	case text:
		return "s" + v.s, true
	case nil:
		return "none", true
	case undefined:
		return "undefined", true
	case bool, int64, *big.Int, float64:
		return numberKey(v), true
	case *seq:
		if !v.isTuple() || !r.enter() {
			break
		}
		defer r.leave()
		var b strings.Builder
		b.WriteString("(")
		for _, x := range v.items {
			k, ok := r.hashKey(x)
			if !ok || !r.alloc(len(k)) {
				return "", false
			}
			b.WriteString(strconv.Itoa(len(k)) + ":" + k)
		}
		return b.String(), true
	case *macro, *function, *loop:
		return fmt.Sprintf("%p", v), true
	}
	r.typeError("unhashable type: '%s'", typeName(v))
	return "", false
}
