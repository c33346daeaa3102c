package jinja

import (
	"fmt"
	"math"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// encoder writes JSON as Python's json.dumps does. Its text counts as conversation throughout.
type encoder struct {
	r                *renderer
	b                strings.Builder
	ascii, sortKeys  bool
	indent           string // of one level
	lines            bool   // one value a line
	itemSep, nameSep string
}

func filterTojson(a *arguments) value {
	e := &encoder{r: a.r, ascii: a.bool(0, false), sortKeys: a.bool(3, false), itemSep: ", ", nameSep: ": "}
	switch v := a.val(1, nil).(type) {
	case nil:
	case text:
		e.indent, e.lines = v.s, true
	default:
		e.indent, e.lines = a.r.repeat(literal(" "), a.int(1, 0)).s, true
	}
	if e.lines {
		e.itemSep = ","
	}
	if s := a.val(2, nil); s != nil {
		parts := a.r.iterate(s)
		if len(parts) != 2 {
			a.r.fail(Runtime, "ValueError: want two separators, found %d", len(parts))
			return nil
		}
		e.itemSep, e.nameSep = a.r.str(parts[0]).s, a.r.str(parts[1]).s
	}
	e.value(a.self, 0)
	return userText(e.b.String())
}

func (e *encoder) put(s string) {
	if e.r.alloc(len(s)) {
		e.b.WriteString(s)
	}
}

func (e *encoder) value(v value, level int) {
	if !e.r.enter() {
		return
	}
	defer e.r.leave()
	switch v := v.(type) {
	case nil:
		e.put("null")
	case bool:
		e.put(fmt.Sprint(v))
	case float64:
		e.put(jsonFloat(v))
	case text:
		e.str(v.s)
	case *dict:
		e.dict(v, level)
	case *seq:
		if v.kind != listSeq && !v.isTuple() {
			e.r.typeError("Object of type %s is not JSON serializable", typeName(v))
			return
		}
		e.container("[", "]", len(v.items), level, func(i int) { e.value(v.items[i], level+1) })
	default:
		if toBig(v) == nil {
			e.r.typeError("Object of type %s is not JSON serializable", typeName(v))
			return
		}
		e.put(toBig(v).String())
	}
}

func jsonFloat(f float64) string {
	switch {
	case math.IsNaN(f):
		return "NaN"
	case math.IsInf(f, 1):
		return "Infinity"
	case math.IsInf(f, -1):
		return "-Infinity"
	}
	return floatRepr(f)
}

// container writes n parts between brackets.
func (e *encoder) container(left, right string, n, level int, part func(i int)) {
	e.put(left)
	for i := range n {
		if e.r.err != nil {
			return
		}
		if i > 0 {
			e.put(e.itemSep)
		}
		e.newline(level + 1)
		part(i)
	}
	if n > 0 {
		e.newline(level)
	}
	e.put(right)
}

func (e *encoder) newline(level int) {
	if !e.lines {
		return
	}
	e.put("\n")
	for range level {
		e.put(e.indent)
	}
}

func (e *encoder) dict(d *dict, level int) {
	order := make([]int, len(d.keys))
	for i := range order {
		order[i] = i
	}
	if e.sortKeys {
		order = e.r.sorted(d.keys, false)
	}
	e.container("{", "}", len(order), level, func(i int) {
		e.key(d.keys[order[i]])
		e.put(e.nameSep)
		e.value(d.vals[order[i]], level+1)
	})
}

// key writes a name. JSON has only strings there, so numbers, bools and none become theirs.
func (e *encoder) key(k value) {
	switch k := k.(type) {
	case text:
		e.str(k.s)
		return
	case nil, bool:
		e.put(`"` + map[value]string{nil: "null", true: "true", false: "false"}[k] + `"`)
		return
	case float64:
		e.put(`"` + jsonFloat(k) + `"`)
		return
	}
	if n := toBig(k); n != nil {
		e.put(`"` + n.String() + `"`)
		return
	}
	e.r.typeError("keys must be str, int, float, bool or None, not %s", typeName(k))
}

var jsonEscapes = map[rune]string{'"': `\"`, '\\': `\\`, '\n': `\n`, '\r': `\r`, '\t': `\t`, '\b': `\b`, '\f': `\f`}

func (e *encoder) str(s string) {
	if !e.r.scan(len(s)) || !e.r.alloc(len(s)+2) {
		return
	}
	e.b.WriteByte('"')
	for i, c := range s {
		esc, ok := jsonEscapes[c]
		switch {
		case ok:
			e.put(esc)
		case c < 0x20:
			e.put(fmt.Sprintf(`\u%04x`, c))
		case e.ascii && c > 0xffff:
			hi, lo := utf16.EncodeRune(c)
			e.put(fmt.Sprintf(`\u%04x\u%04x`, hi, lo))
		case e.ascii && c > 0x7e:
			e.put(fmt.Sprintf(`\u%04x`, c))
		case c == utf8.RuneError && !strings.HasPrefix(s[i:], "\uFFFD"):
			e.b.WriteByte(s[i])
		default:
			e.b.WriteRune(c)
		}
	}
	e.b.WriteByte('"')
}
