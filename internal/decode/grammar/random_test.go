package grammar

import (
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/jsonschema-go/jsonschema"
	"github.com/systemgemma/systemgemma/internal/testkit/sample"
	"github.com/systemgemma/systemgemma/internal/testkit/schemas"
)

// validate reports what an independent validator has against a text.
func validate(schema, text string) error {
	var s jsonschema.Schema
	if err := json.Unmarshal([]byte(schema), &s); err != nil {
		return err
	}
	resolved, err := s.Resolve(nil)
	if err != nil {
		return err
	}
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		return err
	}
	return resolved.Validate(v)
}

// Random texts of 1,000 random schemas satisfy them, says an independent validator.
func TestRandomSchemas(t *testing.T) {
	sample.Skip(t)
	want := 1000
	if testing.Short() {
		want = 100
	}
	v := smallVocabulary()
	found, refused, walks := 0, 0, 0
	for seed := uint64(0); found < want; seed++ {
		r := rand.New(rand.NewPCG(seed, 7))
		schema := schemas.Random(r, 3)
		o := JSONOptions{Spaced: r.IntN(2) == 0}
		g, err := JSONSchema([]byte(schema), o)
		if err != nil {
			var e *Error
			if e, _ = err.(*Error); e == nil || !strings.Contains(e.Reason, "no text at all") && !strings.Contains(e.Reason, "of oneOf may match") &&
				!strings.Contains(e.Reason, "beside other keywords") && !strings.Contains(e.Reason, "ways to choose") {
				t.Fatalf("seed %d: %v\n%s", seed, err, schema)
			}
			if refused++; refused > 2*found+100 {
				t.Fatalf("%d schemas of %d are refused, the last: %v\n%s", refused, refused+found, err, schema)
			}
			continue
		}
		found++
		for range 3 {
			m := g.Start(v)
			need, err := m.Need()
			if err != nil {
				t.Fatal(err)
			}
			text, done := walk(t, schema, m, r, need+r.IntN(80))
			if err := validate(schema, text); err != nil || !done {
				t.Fatalf("seed %d: %v, done %v\n%s\n%s", seed, err, done, schema, text)
			}
			walks++
		}
	}
	t.Logf("%d schemas, %d walks; %d more refused", found, walks, refused)
}
