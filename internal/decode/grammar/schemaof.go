package grammar

import (
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode"
)

// SchemaOf returns the JSON schema of what encoding/json makes of values of a Go type, such that every text that satisfies it
// decodes into one:
//
//   - a struct is an object of its fields, in their order, by the rules of encoding/json for names and embedded structs; all are
//     required but those with omitempty or omitzero; there are no other properties
//   - a slice is an array, a Go array one of its length, a map with string keys an object, a []byte a string in base64
//   - a pointer is its element or null; an interface without methods and a json.RawMessage are any value
//   - integers are bounded by their type; time.Time is a date-time
//
// Recursive types are. What has no schema is refused, with the way to it: functions, channels, complex numbers, other interfaces
// and map keys, the tag option "string", and types that decode themselves.
func SchemaOf(t reflect.Type) ([]byte, error) {
	if t == nil {
		return nil, fmt.Errorf("schema of a Go type: want a type, found nil")
	}
	m := schemaOf{names: map[reflect.Type]string{}, taken: map[string]bool{}}
	root, err := m.of(t, t.String())
	if err != nil {
		return nil, fmt.Errorf("schema of a Go type: %w", err)
	}
	if len(m.defs) == 0 {
		return []byte(root), nil
	}
	return []byte(root[:len(root)-1] + `,"$defs":{` + strings.Join(m.defs, ",") + "}}"), nil
}

type schemaOf struct {
	names map[reflect.Type]string // of $defs
	taken map[string]bool
	defs  []string
}

var (
	timeType        = reflect.TypeFor[time.Time]()
	rawType         = reflect.TypeFor[json.RawMessage]()
	jsonNumberType  = reflect.TypeFor[json.Number]()
	unmarshalerType = reflect.TypeFor[json.Unmarshaler]()
	textType        = reflect.TypeFor[encoding.TextUnmarshaler]()
)

func (m *schemaOf) of(t reflect.Type, path string) (string, error) {
	switch t {
	case timeType:
		return `{"type":"string","format":"date-time"}`, nil
	case rawType:
		return `{"title":"any value"}`, nil
	case jsonNumberType:
		return `{"type":"number"}`, nil
	}
	if t.Kind() != reflect.Pointer && t.Kind() != reflect.Interface {
		for _, i := range []reflect.Type{unmarshalerType, textType} {
			if t.Implements(i) || reflect.PointerTo(t).Implements(i) {
				return "", fmt.Errorf("%s: type %s decodes itself (%s), so its form is not known", path, t, i)
			}
		}
	}
	switch k := t.Kind(); k {
	case reflect.Bool:
		return `{"type":"boolean"}`, nil
	case reflect.String:
		return `{"type":"string"}`, nil
	case reflect.Float32, reflect.Float64:
		return `{"type":"number"}`, nil
	case reflect.Int, reflect.Int64:
		return `{"type":"integer"}`, nil
	case reflect.Uint, reflect.Uint64:
		return `{"type":"integer","minimum":0}`, nil
	case reflect.Int8, reflect.Int16, reflect.Int32:
		high := int64(1)<<(t.Bits()-1) - 1
		return fmt.Sprintf(`{"type":"integer","minimum":%d,"maximum":%d}`, -high-1, high), nil
	case reflect.Uint8, reflect.Uint16, reflect.Uint32:
		return fmt.Sprintf(`{"type":"integer","minimum":0,"maximum":%d}`, int64(1)<<t.Bits()-1), nil
	case reflect.Interface:
		if t.NumMethod() == 0 {
			return `{"title":"any value"}`, nil
		}
	case reflect.Struct, reflect.Slice, reflect.Array, reflect.Map, reflect.Pointer:
		if t.Name() == "" {
			return m.composite(t, path)
		}
		name, ok := m.names[t]
		if !ok {
			name = m.name(t)
			m.names[t] = name
			at := len(m.defs)
			m.defs = append(m.defs, "") // its place, before those that it needs
			def, err := m.composite(t, path)
			if err != nil {
				return "", err
			}
			m.defs[at] = quote(name) + ":" + def
		}
		return `{"$ref":` + quote("#/$defs/"+name) + `}`, nil
	}
	return "", fmt.Errorf("%s: type %s has no JSON schema", path, t)
}

// name returns a name for a type that no other has, and that a JSON pointer need not escape.
func (m *schemaOf) name(t reflect.Type) string {
	base := strings.Map(func(r rune) rune {
		if strings.ContainsRune("~/%[]*., ", r) {
			return '_'
		}
		return r
	}, t.Name())
	name := base
	for i := 2; m.taken[name]; i++ {
		name = fmt.Sprintf("%s_%d", base, i)
	}
	m.taken[name] = true
	return name
}

func (m *schemaOf) composite(t reflect.Type, path string) (string, error) {
	switch t.Kind() {
	case reflect.Struct:
		return m.object(t, path)
	case reflect.Map:
		if t.Key().Kind() != reflect.String || t.Key().Implements(textType) || reflect.PointerTo(t.Key()).Implements(textType) {
			return "", fmt.Errorf("%s: map keys of type %s are not supported, only strings", path, t.Key())
		}
		element, err := m.of(t.Elem(), path+"[]")
		return `{"type":"object","additionalProperties":` + element + `}`, err
	case reflect.Pointer:
		element, err := m.of(t.Elem(), path)
		return `{"anyOf":[` + element + `,{"type":"null"}]}`, err
	}
	if t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8 {
		return `{"type":"string","pattern":"^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/][AQgw]==|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=)?$"}`, nil
	}
	element, err := m.of(t.Elem(), path+"[]")
	size := ""
	if t.Kind() == reflect.Array {
		size = fmt.Sprintf(`,"minItems":%d,"maxItems":%d`, t.Len(), t.Len())
	}
	return `{"type":"array","items":` + element + size + `}`, err
}

// object returns the schema of a struct.
func (m *schemaOf) object(t reflect.Type, path string) (string, error) {
	var properties, required []string
	for _, f := range fieldsOf(t) {
		if f.quoted {
			return "", fmt.Errorf("%s.%s: the tag option \"string\" is not supported", path, f.name)
		}
		s, err := m.of(f.t, path+"."+f.name)
		if err != nil {
			return "", err
		}
		properties = append(properties, quote(f.name)+":"+s)
		if !f.optional {
			required = append(required, quote(f.name))
		}
	}
	return `{"type":"object","properties":{` + strings.Join(properties, ",") + `},"required":[` + strings.Join(required, ",") +
		`],"additionalProperties":false}`, nil
}

type field struct {
	name                     string
	t                        reflect.Type
	depth                    int // of embedding
	tagged, optional, quoted bool
}

// fieldsOf returns the fields that encoding/json knows of a struct: of several with one name the least deep one, or of several of
// those the only one that has the name from a tag; otherwise none.
func fieldsOf(t reflect.Type) (fields []field) {
	var all []field
	collect(t, 0, nil, &all)
	for i, f := range all {
		best := !slices.ContainsFunc(all[:i], func(o field) bool { return o.name == f.name })
		for _, o := range all {
			if o.name == f.name && (o.depth < f.depth || o.depth == f.depth && o.tagged && !f.tagged) {
				f = o
			}
		}
		rivals := 0
		for _, o := range all {
			if o.name == f.name && o.depth == f.depth && o.tagged == f.tagged {
				rivals++
			}
		}
		if best && rivals == 1 {
			fields = append(fields, f)
		}
	}
	return fields
}

func collect(t reflect.Type, depth int, path []reflect.Type, all *[]field) {
	if slices.Contains(path, t) {
		return // an embedded struct that embeds itself: its fields are deeper each time
	}
	path = append(slices.Clip(path), t)
	for i := range t.NumField() {
		f := t.Field(i)
		tag := f.Tag.Get("json")
		name, options, _ := strings.Cut(tag, ",")
		if strings.ContainsFunc(name, notInName) {
			name = ""
		}
		embedded := f.Type
		if embedded.Kind() == reflect.Pointer {
			embedded = embedded.Elem()
		}
		inline := f.Anonymous && name == "" && embedded.Kind() == reflect.Struct
		switch {
		case tag == "-", !f.IsExported() && !(inline && f.Type.Kind() == reflect.Struct):
			continue
		case inline:
			collect(embedded, depth+1, path, all)
			continue
		}
		has := func(option string) bool { return slices.Contains(strings.Split(options, ","), option) }
		field := field{name: name, t: f.Type, depth: depth, tagged: name != "", optional: has("omitempty") || has("omitzero"), quoted: has("string")}
		if name == "" {
			field.name = f.Name
		}
		*all = append(*all, field)
	}
}

// notInName reports whether encoding/json takes a name with r for none.
func notInName(r rune) bool {
	return !strings.ContainsRune("!#$%&()*+-./:;<=>?@[]^_{|}~ ", r) && !unicode.IsLetter(r) && !unicode.IsDigit(r)
}
