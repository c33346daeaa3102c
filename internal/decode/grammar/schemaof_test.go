package grammar

import (
	"encoding/json"
	"math/big"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"
)

type person struct {
	Name   string `json:"name"`
	Age    uint8  `json:"age,omitempty"`
	Hidden string `json:"-"`
	hidden int
	Born   time.Time          `json:"born,omitzero"`
	Tags   []string           `json:"tags"`
	Scores map[string]float64 `json:"scores"`
	Friend *person            `json:"friend"`
	Code   [2]int16
	Data   []byte          `json:"data"`
	Raw    json.RawMessage `json:"raw"`
	Any    any             `json:"any"`
	Wait   time.Duration
	place
}

type place struct {
	City string
	Name string `json:"name"` // person's own is less deep
}

type list []list

type pair[A, B any] struct {
	First  A
	Second B
}

func TestSchemaOf(t *testing.T) {
	for _, c := range []struct {
		t    reflect.Type
		want string
	}{
		{reflect.TypeFor[int](), `{"type":"integer"}`},
		{reflect.TypeFor[[]int8](), `{"type":"array","items":{"type":"integer","minimum":-128,"maximum":127}}`},
		{reflect.TypeFor[*bool](), `{"anyOf":[{"type":"boolean"},{"type":"null"}]}`},
		{reflect.TypeFor[struct {
			A string
			B int `json:"é,omitempty"`
		}](), `{"type":"object","properties":{"A":{"type":"string"},"é":{"type":"integer"}},"required":["A"],"additionalProperties":false}`},
		{reflect.TypeFor[list](), `{"$ref":"#/$defs/list","$defs":{"list":{"type":"array","items":{"$ref":"#/$defs/list"}}}}`},
		{reflect.TypeFor[place](), `{"$ref":"#/$defs/place","$defs":{"place":{"type":"object","properties":{"City":{"type":"string"},"name":{"type":"string"}},"required":["City","name"],"additionalProperties":false}}}`},
	} {
		got, err := SchemaOf(c.t)
		if err != nil || string(got) != c.want {
			t.Errorf("%v: found %s, %v\nwant %s", c.t, got, err, c.want)
		}
	}
}

// Every text that satisfies a type's schema decodes into it, with all fields known.
func TestSchemaOfDecodes(t *testing.T) {
	_ = person{}.hidden
	for _, value := range []any{
		&person{}, &list{}, &map[string]*place{}, &pair[pair[int, bool], *pair[string, [3]uint32]]{}, new(uint64), new(json.Number),
	} {
		schema, err := SchemaOf(reflect.TypeOf(value).Elem())
		if err != nil {
			t.Fatal(err)
		}
		g, err := JSONSchema(schema, JSONOptions{})
		if err != nil {
			t.Fatalf("%s: %v", schema, err)
		}
		for seed := range uint64(100) {
			r := rand.New(rand.NewPCG(seed, 5))
			m := g.Start(smallVocabulary())
			need, err := m.Need()
			if err != nil {
				t.Fatal(err)
			}
			text, done := walk(t, string(schema), m, r, need+r.IntN(100))
			d := json.NewDecoder(strings.NewReader(text))
			d.DisallowUnknownFields()
			target := reflect.New(reflect.TypeOf(value).Elem()).Interface()
			if err := d.Decode(target); err != nil || !done {
				t.Fatalf("%s\n%s: %v, done %v", schema, text, err, done)
			}
		}
	}
}

func TestSchemaOfRefuses(t *testing.T) {
	for _, c := range []struct {
		t      reflect.Type
		reason string
	}{
		{nil, "want a type"},
		{reflect.TypeFor[struct{ A []func() }](), ".A[]: type func()"},
		{reflect.TypeFor[chan int](), "chan int"},
		{reflect.TypeFor[complex64](), "complex64"},
		{reflect.TypeFor[error](), "error"},
		{reflect.TypeFor[map[int]string](), "map keys of type int"},
		{reflect.TypeFor[big.Int](), "decodes itself"},
		{reflect.TypeFor[struct {
			A int `json:"a,string"`
		}](), `.a: the tag option "string"`},
	} {
		if _, err := SchemaOf(c.t); err == nil || !strings.Contains(err.Error(), c.reason) {
			t.Errorf("%v: found %v, want an error with %q", c.t, err, c.reason)
		}
	}
}
