package grammar

import (
	"cmp"
	"math/big"
	"slices"
	"strings"
)

// annotations are keywords that do not limit values.
var annotations = []string{
	"$schema", "$comment", "$defs", "definitions", "title", "description", "default", "example", "examples", "deprecated", "readOnly",
	"writeOnly", "contentEncoding", "contentMediaType", "contentSchema",
}

// impliedTypes are the types of values that keywords limit. A schema that has some, but says nothing of types, is taken to mean them.
var impliedTypes = map[string]typeSet{
	"minLength": typeString, "maxLength": typeString, "pattern": typeString, "format": typeString,
	"minimum": typeInteger | typeFraction, "maximum": typeInteger | typeFraction, "multipleOf": typeInteger | typeFraction,
	"exclusiveMinimum": typeInteger | typeFraction, "exclusiveMaximum": typeInteger | typeFraction,
	"items": typeArray, "prefixItems": typeArray, "minItems": typeArray, "maxItems": typeArray,
	"properties": typeObject, "patternProperties": typeObject, "additionalProperties": typeObject, "required": typeObject,
	"minProperties": typeObject, "maxProperties": typeObject,
}

// keywords adds to f what a schema's own keywords say. fold deals with $ref, allOf, anyOf and oneOf.
func (c *compiler) keywords(s *value, f *facts) error {
	var array *arrayFacts
	var object *objectFacts
	arrays := func() *arrayFacts {
		if array == nil {
			array = &arrayFacts{}
			f.arrays = append(f.arrays, array)
		}
		return array
	}
	objects := func() *objectFacts {
		if object == nil {
			object = &objectFacts{}
			f.objects = append(f.objects, object)
		}
		return object
	}
	implied, typed := typeSet(0), false
	for i, key := range s.keys {
		v := s.values[i]
		implied |= impliedTypes[key]
		var err error
		switch key {
		case "$ref", "allOf", "anyOf", "oneOf", "type", "const", "enum":
			typed = true
		}
		switch key {
		case "$ref", "allOf", "anyOf", "oneOf":
		case "type":
			err = f.setTypes(v)
		case "const":
			f.setEnum([]*value{v})
		case "enum":
			if v.kind != '[' {
				err = refuse(v, "want a list of values, found %.40s", v.compact(false))
			}
			f.setEnum(v.values)
		case "minLength":
			err = raise(&f.minLength, v)
		case "maxLength":
			err = lower(&f.maxLength, v)
		case "pattern", "format":
			if v.kind != '"' {
				return refuse(v, "want a string, found %.40s", v.compact(false))
			}
			if key == "pattern" {
				f.patterns = append(f.patterns, v)
			} else {
				f.formats = append(f.formats, v)
			}
		case "minimum", "exclusiveMinimum":
			err = f.low.narrow(v, key != "minimum", 1)
		case "maximum", "exclusiveMaximum":
			err = f.high.narrow(v, key != "maximum", -1)
		case "multipleOf":
			if v.compact(true) != "1" {
				return refuse(v, "multipleOf is supported for 1 only, found %.40s; use enum for few values", v.compact(false))
			}
			f.types &^= typeFraction
		case "items":
			if v.kind == '[' {
				return refuse(v, "items as a list is from older drafts; write prefixItems")
			}
			arrays().items = v
		case "prefixItems":
			if v.kind != '[' {
				return refuse(v, "want a list of schemas, found %.40s", v.compact(false))
			}
			arrays().prefix = v.values
		case "minItems":
			err = raise(&f.minItems, v)
		case "maxItems":
			err = lower(&f.maxItems, v)
		case "properties", "patternProperties":
			if v.kind != '{' {
				return refuse(v, "want an object of schemas, found %.40s", v.compact(false))
			}
			if key == "properties" {
				objects().properties = v
			} else {
				objects().patterns = v
			}
		case "additionalProperties":
			objects().additional = v
		case "required":
			err = f.require(v)
		case "minProperties":
			err = raise(&f.minProperties, v)
		case "maxProperties":
			err = lower(&f.maxProperties, v)
		case "uniqueItems", "unevaluatedProperties":
			// false, of the latter, is what we do anyway: no properties that no schema names
			if v.kind != 'b' || key == "uniqueItems" && v.truth {
				return refuse(v, "%s is not supported with %.40s", key, v.compact(false))
			}
		case "$id":
			if s != c.root {
				return refuse(v, "$id is supported at the root only")
			}
		default:
			if !slices.Contains(annotations, key) && !strings.HasPrefix(key, "x-") {
				return refuse(v, "keyword %.80q is not supported; remove it, or name it x-... if it is a comment", key)
			}
		}
		if err != nil {
			return err
		}
	}
	if !typed && implied != 0 {
		f.types &= implied
	}
	f.filterEnum()
	return nil
}

func (f *facts) setTypes(v *value) error {
	names := []*value{v}
	if v.kind == '[' {
		names = v.values
	}
	var types typeSet
	for _, n := range names {
		t, ok := typeNames[n.text]
		if n.kind != '"' || !ok {
			return refuse(v, "want null, boolean, integer, number, string, array or object, found %.40s", n.compact(false))
		}
		types |= t
	}
	f.types &= types
	return nil
}

// setEnum leaves those values that are allowed already.
func (f *facts) setEnum(values []*value) {
	if !f.hasEnum {
		f.enum, f.hasEnum = values, true
		return
	}
	old := map[string]bool{}
	for _, v := range f.enum {
		old[v.compact(true)] = true
	}
	f.enum = slices.DeleteFunc(slices.Clone(values), func(v *value) bool { return !old[v.compact(true)] })
}

// filterEnum removes values whose type is not allowed.
func (f *facts) filterEnum() {
	if f.hasEnum {
		f.enum = slices.DeleteFunc(slices.Clone(f.enum), func(v *value) bool { return f.types&v.types() == 0 })
	}
}

func (v *value) types() typeSet {
	switch v.kind {
	case 'n':
		return typeNull
	case 'b':
		return typeBool
	case '0':
		if r, ok := number(v.text); ok && r.IsInt() {
			return typeInteger
		}
		return typeFraction
	case '"':
		return typeString
	case '[':
		return typeArray
	}
	return typeObject
}

func (f *facts) require(v *value) error {
	if v.kind != '[' {
		return refuse(v, "want a list of property names, found %.40s", v.compact(false))
	}
	for _, name := range v.values {
		if name.kind != '"' {
			return refuse(name, "want a property name, found %.40s", name.compact(false))
		}
		if !slices.Contains(f.required, name.text) {
			f.required = append(f.required, name.text)
		}
	}
	return nil
}

func raise(n *int32, v *value) error {
	c, err := count(v)
	*n = max(*n, c)
	return err
}

func lower(n *int32, v *value) error {
	c, err := count(v)
	*n = min(*n, c)
	return err
}

// narrow moves a bound to a keyword's if that is the narrower one. sign is 1 for a lower bound.
func (b *bound) narrow(v *value, exclusive bool, sign int) error {
	limit, ok := number(v.text)
	if v.kind != '0' || !ok || len(v.text) > maxDigits {
		return refuse(v, "want a number of at most %d digits, found %.60s", maxDigits, v.compact(false))
	}
	n := bound{limit, exclusive}
	if b.limit == nil {
		*b = n
		return nil
	}
	if order := sign * limit.Cmp(b.limit); order > 0 || order == 0 && exclusive {
		*b = n
	}
	return nil
}

// allows reports whether a bound lets x through. sign is 1 for a lower bound.
func (b bound) allows(x *big.Rat, sign int) bool {
	if b.limit == nil {
		return true
	}
	order := sign * x.Cmp(b.limit)
	return order > 0 || order == 0 && !b.exclusive
}

// narrower returns the narrower of two bounds.
func narrower(x, y bound, sign int) bound {
	if x.limit == nil || y.limit != nil && cmp.Or(sign*y.limit.Cmp(x.limit), b2i(y.exclusive)) > 0 {
		return y
	}
	return x
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}
