package grammar

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"slices"
	"strconv"
	"strings"
)

// A value is JSON that remembers the order of its properties and where it stands.
type value struct {
	kind   byte // n(ull), b(ool), 0 (number), " (string), [ or {
	truth  bool
	text   string // of a string; a number as it is written
	keys   []string
	values []*value // of an array, or beside keys

	parent *value
	name   string // in parent
}

// parseJSON reads one JSON value. Its memory is bounded by the size of data.
func parseJSON(data []byte) (*value, error) {
	if !validText(string(data)) {
		return nil, errors.New("is not valid UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	v, err := readValue(d, nil, "", 0)
	if err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("want one JSON value, found more after it")
	}
	return v, nil
}

func readValue(d *json.Decoder, parent *value, name string, depth int) (*value, error) {
	v := &value{parent: parent, name: name}
	token, err := d.Token()
	if err != nil {
		return nil, fmt.Errorf("is not valid JSON: %w", err)
	}
	if depth > maxDepth {
		return nil, fmt.Errorf("is nested more than %d deep", maxDepth)
	}
	switch t := token.(type) {
	case nil:
		v.kind = 'n'
	case bool:
		v.kind, v.truth = 'b', t
	case string:
		v.kind, v.text = '"', t
	case json.Number:
		v.kind, v.text = '0', string(t)
	case json.Delim:
		v.kind = byte(t)
		seen := map[string]bool{}
		for d.More() {
			key := strconv.Itoa(len(v.values))
			if v.kind == '{' {
				t, err := d.Token()
				if err != nil {
					return nil, fmt.Errorf("is not valid JSON: %w", err)
				}
				key = t.(string) // the decoder accepts nothing else
				if seen[key] {
					return nil, fmt.Errorf("has property %q twice at %s", key, v.pointer())
				}
				seen[key] = true
				v.keys = append(v.keys, key)
			}
			sub, err := readValue(d, v, key, depth+1)
			if err != nil {
				return nil, err
			}
			v.values = append(v.values, sub)
		}
		if _, err := d.Token(); err != nil {
			return nil, fmt.Errorf("is not valid JSON: %w", err)
		}
	}
	return v, nil
}

// pointer returns where v stands, as a JSON pointer in a URI fragment.
func (v *value) pointer() string {
	if v.parent == nil {
		return "#"
	}
	return v.parent.pointer() + "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(v.name)
}

func (v *value) get(key string) *value {
	if v == nil || v.kind != '{' {
		return nil
	}
	if i := slices.Index(v.keys, key); i >= 0 {
		return v.values[i]
	}
	return nil
}

// compact returns the value as compact JSON. Sorted, equal values give equal texts.
func (v *value) compact(sorted bool) string { return string(v.appendTo(nil, sorted)) }

func (v *value) appendTo(b []byte, sorted bool) []byte {
	switch v.kind {
	case 'n':
		return append(b, "null"...)
	case 'b':
		return strconv.AppendBool(b, v.truth)
	case '"':
		return append(b, quote(v.text)...)
	case '0':
		if r, ok := number(v.text); ok && sorted {
			return append(b, r.RatString()...)
		}
		return append(b, v.text...)
	}
	order := make([]int, len(v.values))
	for i := range order {
		order[i] = i
	}
	if sorted && v.kind == '{' {
		slices.SortFunc(order, func(i, j int) int { return strings.Compare(v.keys[i], v.keys[j]) })
	}
	b = append(b, v.kind)
	for n, i := range order {
		if n > 0 {
			b = append(b, ',')
		}
		if v.kind == '{' {
			b = append(append(b, quote(v.keys[i])...), ':')
		}
		b = v.values[i].appendTo(b, sorted)
	}
	return append(b, v.kind+2) // ] or }
}

// maxExponent bounds the numbers that are compared.
const maxExponent = 400

// number returns the exact value of a JSON number; false if it is too large or small to be worth it.
func number(text string) (*big.Rat, bool) {
	if i := strings.IndexAny(text, "eE"); i >= 0 {
		if n, err := strconv.Atoi(text[i+1:]); err != nil || n > maxExponent || n < -maxExponent {
			return nil, false
		}
	}
	return new(big.Rat).SetString(text)
}
