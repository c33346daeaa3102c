package obedience

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// A check is one property of an answer.
type check struct {
	kind, value string
	pass        func(answer string) bool
}

// newCheck makes the check of a kind. Equals, starts, ends and yes_no compare what strip leaves; a value of which it leaves
// nothing (an emoji, for example) is compared as it stands.
func newCheck(kind, value string) (check, error) {
	c := check{kind: kind, value: value}
	bare := strip(value)
	switch kind {
	case "regex", "not_regex":
		p, err := compile(value, kind == "regex")
		if err != nil {
			return c, err
		}
		c.pass = func(t string) bool { return p.search(t) == (kind == "regex") }
	case "equals":
		c.pass = func(t string) bool {
			if bare == "" {
				return trim(t) == value
			}
			return strip(t) == bare
		}
	case "starts":
		c.pass = func(t string) bool {
			if bare == "" {
				return strings.HasPrefix(t, value)
			}
			return strings.HasPrefix(strip(t), bare)
		}
	case "ends":
		c.pass = func(t string) bool {
			if bare == "" {
				return strings.HasSuffix(strings.TrimRightFunc(t, isSpace), value)
			}
			return strings.HasSuffix(strip(t), bare)
		}
	case "upper":
		c.pass = func(t string) bool { return t != "" && isUpper(t) }
	case "lower":
		c.pass = func(t string) bool { return t != "" && isLower(t) }
	case "yes_no":
		c.pass = func(t string) bool { s := strip(t); return s == "yes" || s == "no" }
	case "json":
		c.pass = func(t string) bool { return isObject(t, value) }
	case "lines", "max_words", "min_words":
		n, err := strconv.Atoi(value)
		if err != nil {
			return c, fmt.Errorf("check %s: want a number, found %q", kind, value)
		}
		c.pass = countCheck(kind, n)
	default:
		return c, fmt.Errorf("check: want regex, not_regex, equals, starts, ends, upper, lower, yes_no, json, lines, max_words or min_words, found %q", kind)
	}
	return c, nil
}

func countCheck(kind string, n int) func(string) bool {
	words := func(t string) int { return len(strings.FieldsFunc(t, isSpace)) }
	switch kind {
	case "lines":
		return func(t string) bool { return strings.Count(trim(t), "\n")+1 == n }
	case "max_words":
		return func(t string) bool { w := words(t); return 0 < w && w <= n }
	default:
		return func(t string) bool { return words(t) >= n }
	}
}

// isObject says whether t is a JSON object, one with the given key if key is not empty. As to Python's json module, NaN,
// Infinity and -Infinity are numbers.
func isObject(t, key string) bool {
	var o map[string]json.RawMessage
	if err := json.Unmarshal([]byte(plainNumbers(t)), &o); err != nil || o == nil {
		return false
	}
	_, ok := o[key]
	return key == "" || ok
}

// plainNumbers replaces NaN, Infinity and -Infinity outside strings by a zero that touches nothing: 1NaN stays wrong.
func plainNumbers(t string) string {
	var b strings.Builder
	inString := false
next:
	for i := 0; i < len(t); i++ {
		switch {
		case t[i] == '"':
			inString = !inString
		case t[i] == '\\' && i+1 < len(t): // outside strings it is an error whatever follows
			b.WriteByte(t[i])
			i++
		case !inString:
			for _, name := range [...]string{"NaN", "Infinity", "-Infinity"} {
				if strings.HasPrefix(t[i:], name) {
					b.WriteString(" 0 ")
					i += len(name) - 1
					continue next
				}
			}
		}
		b.WriteByte(t[i])
	}
	return b.String()
}
