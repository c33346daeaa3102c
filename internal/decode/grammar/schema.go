package grammar

import (
	"fmt"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"
)

// JSONOptions say how JSON is written.
type JSONOptions struct {
	// Spaced allows, after each of { [ , : and before each of ] }, nothing, one space, or (not after :) a line end and up to 32
	// spaces: so models may indent as they are used to, but not fill an answer with blanks. Default: none at all.
	Spaced bool
}

// JSONObject compiles "any JSON object".
func JSONObject(o JSONOptions) (*Grammar, error) { return JSONSchema([]byte(`{"type":"object"}`), o) }

// JSONSchema compiles the common part of JSON Schema, draft 2020-12; docs/structured.md lists it. What isn't supported is refused by
// an *Error that names the keyword and has a JSON pointer to it. The texts of the Grammar are JSON that satisfies the schema, but not
// all such JSON: properties come in the schema's order, and an object that lists properties has no others unless
// additionalProperties or patternProperties asks for them.
func JSONSchema(schema []byte, o JSONOptions) (*Grammar, error) {
	if len(schema) > maxSource {
		return nil, &Error{jsonSource, "", fmt.Sprintf("has %d bytes, at most %d are allowed", len(schema), maxSource)}
	}
	root, err := parseJSON(schema)
	if err != nil {
		return nil, &Error{jsonSource, "", err.Error()}
	}
	c := &compiler{
		arena: newArena(maxTerms), root: root, spaced: o.Spaced,
		numbers: map[*value]int{}, rules: map[string]id{},
	}
	start, err := c.conjunction([]*value{root})
	if err != nil {
		return nil, err
	}
	for len(c.pending) > 0 { // a loop, not recursion: schemas may be deep
		p := c.pending[0]
		c.pending = c.pending[1:]
		n, err := c.body(p.schemas)
		if err != nil {
			return nil, err
		}
		c.arena.rules[p.rule] = n
		if c.arena.over != "" {
			break
		}
	}
	return seal(jsonSource, c.arena, start, c.names)
}

const jsonSource = "JSON schema"

// A compiler makes terms of a schema. A value has to satisfy several schemas at once where allOf, $ref or the rules of objects say
// so: each set of schemas that occurs is one rule, which ends recursion too.
type compiler struct {
	*arena
	root    *value
	spaced  bool
	numbers map[*value]int // of schemas, in the order they are met
	rules   map[string]id
	names   []string
	pending []pendingRule
	folds   int // so far
}

type pendingRule struct {
	rule    int32
	schemas []*value
}

func refuse(at *value, format string, args ...any) error {
	return &Error{jsonSource, at.pointer(), fmt.Sprintf(format, args...)}
}

// conjunction returns the rule of values that satisfy all of some schemas; of all values, if there are none.
func (c *compiler) conjunction(schemas []*value) (id, error) {
	var set []*value
	for _, s := range schemas {
		if s.kind != 'b' && s.kind != '{' {
			return fail, refuse(s, "want a schema, which is an object or true or false, found %.40s", s.compact(false))
		}
		if s.kind == 'b' && !s.truth {
			return fail, nil
		}
		if _, ok := c.numbers[s]; !ok {
			c.numbers[s] = len(c.numbers)
		}
		if s.kind == '{' && len(s.keys) > 0 && !slices.Contains(set, s) {
			set = append(set, s)
		}
	}
	slices.SortFunc(set, func(x, y *value) int { return c.numbers[x] - c.numbers[y] })
	var key strings.Builder
	for _, s := range set {
		fmt.Fprintf(&key, "%d ", c.numbers[s])
	}
	ref, ok := c.rules[key.String()]
	if !ok {
		if len(c.rules) >= maxRules {
			return fail, &Error{jsonSource, "", fmt.Sprintf("has more than %d different subschemas and combinations of them", maxRules)}
		}
		rule, n := c.newRule()
		ref = n
		c.rules[key.String()] = ref
		name := "any value"
		if len(set) > 0 {
			name = set[0].pointer()
		}
		c.names = append(c.names, name)
		c.pending = append(c.pending, pendingRule{rule, set})
	}
	return ref, nil
}

func (c *compiler) body(schemas []*value) (id, error) {
	list := []*facts{newFacts(c.root)}
	var err error
	for _, s := range schemas {
		if list, err = c.fold(s, list, nil); err != nil {
			return fail, err
		}
	}
	var alternatives []id
	for _, f := range list {
		n, err := c.value(f)
		if err != nil {
			return fail, err
		}
		alternatives = append(alternatives, n)
	}
	return c.alt(alternatives...), nil
}

// The types of JSON. A schema's "number" is integer and fraction.
type typeSet uint8

const (
	typeNull typeSet = 1 << iota
	typeBool
	typeInteger
	typeFraction
	typeString
	typeArray
	typeObject
	allTypes = 1<<7 - 1
)

var typeNames = map[string]typeSet{
	"null": typeNull, "boolean": typeBool, "integer": typeInteger, "number": typeInteger | typeFraction, "string": typeString,
	"array": typeArray, "object": typeObject,
}

// facts are what schemas say about a value, without "or": anyOf and oneOf give a list of facts, of which one holds.
type facts struct {
	at        *value // for errors
	types     typeSet
	enum      []*value
	hasEnum   bool
	low, high bound

	minLength, maxLength int32
	patterns, formats    []*value

	arrays             []*arrayFacts
	minItems, maxItems int32

	objects                      []*objectFacts
	required                     []string
	minProperties, maxProperties int32
}

type bound struct {
	limit     *big.Rat // nil: none
	exclusive bool
}

type arrayFacts struct {
	prefix []*value
	items  *value // nil: none said
}

type objectFacts struct {
	properties, patterns *value // objects of schemas, or nil
	additional           *value // nil: none said
}

func newFacts(at *value) *facts {
	return &facts{at: at, types: allTypes, maxLength: unbounded, maxItems: unbounded, maxProperties: unbounded}
}

// clone returns a copy to which more may be added.
func (f *facts) clone() *facts {
	c := *f
	c.patterns, c.formats = slices.Clip(f.patterns), slices.Clip(f.formats)
	c.arrays, c.objects, c.required = slices.Clip(f.arrays), slices.Clip(f.objects), slices.Clip(f.required)
	return &c
}

// fold adds what a schema says to each of a list of facts. path are the schemas whose fold this is part of.
func (c *compiler) fold(s *value, list []*facts, path []*value) ([]*facts, error) {
	if s.kind == 'b' {
		if !s.truth {
			return nil, nil
		}
		return list, nil
	}
	if s.kind != '{' {
		return nil, refuse(s, "want a schema, which is an object or true or false, found %.40s", s.compact(false))
	}
	if slices.Contains(path, s) {
		return nil, refuse(s, "refers to itself without anything in between ($ref, allOf, anyOf, oneOf only)")
	}
	if len(path) > maxDepth {
		return nil, refuse(s, "$ref, allOf, anyOf and oneOf are nested more than %d deep", maxDepth)
	}
	if c.folds++; c.folds > maxFolds {
		return nil, refuse(s, "is too complex: $ref, allOf, anyOf and oneOf combine in too many ways")
	}
	path = append(slices.Clip(path), s)
	own := make([]*facts, 0, len(list))
	for _, f := range list {
		f = f.clone()
		f.at = s
		if err := c.keywords(s, f); err != nil {
			return nil, err
		}
		if f.types != 0 && !(f.hasEnum && len(f.enum) == 0) {
			own = append(own, f)
		}
	}
	list = own
	for i, key := range s.keys {
		v := s.values[i]
		var err error
		switch key {
		case "$ref":
			var target *value
			if target, err = c.resolve(v); err == nil {
				list, err = c.fold(target, list, path)
			}
		case "allOf", "anyOf", "oneOf":
			if v.kind != '[' || len(v.values) == 0 {
				return nil, refuse(v, "want a list of schemas, found %.40s", v.compact(false))
			}
			list, err = c.combine(key, v, list, path)
		}
		if err != nil {
			return nil, err
		}
	}
	return list, nil
}

func (c *compiler) combine(key string, v *value, list []*facts, path []*value) ([]*facts, error) {
	if key == "allOf" {
		for _, sub := range v.values {
			var err error
			if list, err = c.fold(sub, list, path); err != nil {
				return nil, err
			}
		}
		return list, nil
	}
	var branches [][]*facts
	var all []*facts
	for _, sub := range v.values {
		b, err := c.fold(sub, list, path)
		if err != nil {
			return nil, err
		}
		branches = append(branches, b)
		if all = append(all, b...); len(all) > maxBranches {
			return nil, refuse(v, "anyOf and oneOf, taken together, give more than %d ways to choose", maxBranches)
		}
	}
	if key == "oneOf" {
		for j := range branches {
			for i := range j {
				if ok, err := c.allDisjoint(branches[i], branches[j]); err != nil {
					return nil, err
				} else if !ok {
					return nil, refuse(v, "branches %d and %d of oneOf may match the same value, or can't be shown not to; make them differ in "+
						"type, or in a required property with different const or enum values; or use anyOf", i, j)
				}
			}
		}
	}
	return all, nil
}

// resolve returns what a $ref refers to.
func (c *compiler) resolve(ref *value) (*value, error) {
	pointer, ok := strings.CutPrefix(ref.text, "#")
	if ref.kind != '"' || !ok {
		return nil, refuse(ref, "want a reference within this schema, such as #/$defs/name, found %.80s", ref.compact(false))
	}
	at := c.root
	if pointer == "" {
		return at, nil
	}
	if pointer[0] != '/' {
		return nil, refuse(ref, "references to $anchor are not supported; write a JSON pointer such as #/$defs/name, found %.80q", ref.text)
	}
	for name := range strings.SplitSeq(pointer[1:], "/") {
		name = strings.NewReplacer("~1", "/", "~0", "~").Replace(unescapePercent(name))
		var next *value
		if at.kind == '[' {
			if i, err := strconv.Atoi(name); err == nil && i >= 0 && i < len(at.values) {
				next = at.values[i]
			}
		} else {
			next = at.get(name)
		}
		if next == nil {
			return nil, refuse(ref, "%.80q refers to nothing: %s has no %.80q", ref.text, at.pointer(), name)
		}
		at = next
	}
	return at, nil
}

// unescapePercent undoes %HH; other text stays as it is.
func unescapePercent(s string) string {
	for i := 0; i+2 < len(s); i++ {
		if s[i] == '%' {
			if n, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err == nil {
				s = s[:i] + string([]byte{byte(n)}) + s[i+3:]
			}
		}
	}
	return s
}

// count reads a keyword that is a number of things.
func count(v *value) (int32, error) {
	r, ok := number(v.text)
	if v.kind != '0' || !ok || !r.IsInt() || r.Sign() < 0 {
		return 0, refuse(v, "want a whole number that is not negative, found %.40s", v.compact(false))
	}
	if r.Cmp(new(big.Rat).SetInt64(maxRepeat)) > 0 {
		if v.name == "minLength" || v.name == "minItems" || v.name == "minProperties" {
			return 0, refuse(v, "want at most %d, found %.40s", maxRepeat, v.text)
		}
		return math.MaxInt32, nil // as good as none
	}
	return int32(r.Num().Int64()), nil
}
