// Package schemas makes random JSON schemas of the keywords that structured output supports, for tests.
package schemas

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// Random makes a schema, of subschemas up to that depth.
func Random(r *rand.Rand, depth int) string { return maker{r}.rooted(depth) }

type maker struct{ *rand.Rand }

func (r maker) one(list ...string) string { return list[r.IntN(len(list))] }
func (r maker) half() bool                { return r.IntN(2) == 0 }

// object writes members that are not empty as an object.
func object(members ...string) string {
	var list []string
	for _, m := range members {
		if m != "" {
			list = append(list, m)
		}
	}
	return "{" + strings.Join(list, ",") + "}"
}

func (r maker) maybe(format string, args ...any) string {
	if r.half() {
		return ""
	}
	return fmt.Sprintf(format, args...)
}

func (r maker) schema(depth int) string {
	kinds := 12
	if depth == 0 {
		kinds = 6
	}
	lo, hi := r.IntN(4), 3+r.IntN(300)
	switch r.IntN(kinds) {
	case 0:
		return object(`"type":"string"`, r.maybe(`"minLength":%d`, lo), r.maybe(`"maxLength":%d`, hi),
			r.maybe(`"pattern":%q`, r.one("^[a-z]+$", "a.c", "^(ab|é)*$", "[0-9]{2}", "^.{0,9}$", "^\\w+@\\w+\\.com$", "^[^a]*$", "^\\S", "x$", "^$|b")))
	case 1:
		min := r.IntN(2000) - 1000
		return object(`"type":"integer"`, r.maybe(`"minimum":%d`, min), r.maybe(`"exclusiveMinimum":%d.5`, min), r.maybe(`"maximum":%d`, min+r.IntN(1000)))
	case 2:
		min := float64(r.IntN(2000)-1000) / float64(1+r.IntN(64))
		return object(`"type":"number"`, r.maybe(`"minimum":%v`, min), r.maybe(`"exclusiveMaximum":%v`, min+r.Float64()*20+0.001))
	case 3:
		return r.one(`{"type":"boolean"}`, `{"type":"null"}`, `{"type":["null","integer"]}`, `{"type":["string","boolean"],"maxLength":3}`, `{}`, `true`)
	case 4:
		return r.one(`{"const":{"a":[1,"é"]}}`, `{"const":1.50}`, `{"enum":["a","b\n",3,null,[],{"x":{}}]}`, `{"enum":["ab","b",7,-3.5],"type":["string","integer"],"minLength":2}`, `{"const":"\u0000\"\\"}`)
	case 5:
		return r.one(`{"$ref":"#/$defs/tree"}`, `{"$ref":"#/$defs/short"}`, `{"$ref":"#/$defs/short","minLength":1}`)
	case 6, 7:
		return object(`"type":"array"`, `"items":`+r.schema(depth-1), r.maybe(`"prefixItems":[%s,%s]`, r.schema(depth-1), r.schema(depth-1)),
			r.maybe(`"minItems":%d`, lo), r.maybe(`"maxItems":%d`, lo+r.IntN(4)))
	case 8, 9, 10:
		var properties, required []string
		for _, name := range []string{"a", "name", "é\\\"", "the", "x1"} {
			if r.half() {
				properties = append(properties, fmt.Sprintf(`"%s":%s`, name, r.schema(depth-1)))
			}
			if r.IntN(3) == 0 {
				required = append(required, `"`+name+`"`)
			}
		}
		additional := ""
		if r.IntN(3) == 0 {
			additional = `"additionalProperties":` + r.one(`false`, `true`, r.schema(depth-1))
		}
		patterns := ""
		if r.IntN(4) == 0 {
			patterns = fmt.Sprintf(`"patternProperties":{"^n":%s,"[0-9]$":%s}`, r.schema(depth-1), r.schema(depth-1))
		}
		return object(`"type":"object"`, `"properties":{`+strings.Join(properties, ",")+`}`, `"required":[`+strings.Join(required, ",")+`]`, additional, patterns)
	default:
		return r.one(
			fmt.Sprintf(`{"anyOf":[%s,%s]}`, r.schema(depth-1), r.schema(depth-1)),
			fmt.Sprintf(`{"allOf":[%s,{"title":"x"}],"type":["object","array","string"]}`, r.schema(depth-1)),
			fmt.Sprintf(`{"allOf":[{"properties":{"a":%s}},{"properties":{"b":%s},"required":["b"]}],"type":"object"}`, r.schema(depth-1), r.schema(depth-1)),
			fmt.Sprintf(`{"oneOf":[{"type":"object","properties":{"k":{"const":"x"},"v":%s},"required":["k"]},{"type":"object","properties":{"k":{"enum":["y","z"]}},"required":["k"],"additionalProperties":%s},{"type":["null","string"]}]}`, r.schema(depth-1), r.schema(depth-1)),
			fmt.Sprintf(`{"oneOf":[%s,%s]}`, r.schema(depth-1), r.schema(depth-1)),
			`{"type":"object"}`,
		)
	}
}

// rooted adds the definitions that schemas refer to.
func (r maker) rooted(depth int) string {
	return fmt.Sprintf(`{"allOf":[%s],"$defs":{"short":{"type":"string","maxLength":4},"tree":{"type":"object","properties":{"value":%s,"children":{"items":{"$ref":"#/$defs/tree"},"maxItems":2}},"required":["value"]}}}`,
		r.schema(depth), r.one(`{"type":"integer"}`, `{"$ref":"#/$defs/short"}`, `{"type":"string","pattern":"^b"}`))
}
