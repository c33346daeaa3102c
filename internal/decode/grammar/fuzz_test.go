package grammar

import (
	"encoding/json"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"
	"unicode/utf8"
)

// compiled checks what every source must give: a Grammar or an error, soon and in bounded memory. From a Grammar it takes texts at
// random, which must be complete, of the grammar, and UTF-8.
func compiled(t *testing.T, source string, seed uint64, compile func() (*Grammar, error)) (texts []string) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start := time.Now()
	g, err := compile()
	if d := time.Since(start); d > 20*time.Second {
		t.Fatalf("compiled in %v", d)
	}
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; used > 2<<30 {
		t.Fatalf("compiling %d bytes allocated %d MB", len(source), used>>20)
	}
	if err != nil {
		return nil
	}
	for i := range uint64(3) {
		r := rand.New(rand.NewPCG(seed, i))
		m := g.Start(smallVocabulary())
		need, err := m.Need()
		if err != nil || need > 300 {
			return texts
		}
		text, done := "", false
		for left := need + r.IntN(40); left > 0 && !m.Done(); left-- {
			mask, err := m.Mask(left)
			if err == ErrTooComplex {
				return texts
			}
			token := pick(mask, r)
			if token < 0 {
				t.Fatalf("no token is allowed after %q with %d left", text, left)
			}
			if err := m.Accept(token); err != nil {
				t.Fatalf("after %q: mask allows %d: %v", text, token, err)
			}
			if token != endToken {
				text += m.a.vocab.pieces[token]
			}
		}
		if done = m.Done() || m.Accepting(); !done || !g.matches(text) || !utf8.ValidString(text) {
			t.Fatalf("%q: done %v, matches %v, UTF-8 %v", text, done, g.matches(text), utf8.ValidString(text))
		}
		texts = append(texts, text)
	}
	return texts
}

func FuzzJSONSchema(f *testing.F) {
	for _, s := range []string{
		personSchema, `{"$ref":"#/$defs/a","$defs":{"a":{"items":{"$ref":"#/$defs/a"},"maxItems":2}}}`, `{"anyOf":[{"const":1},true],"not":{}}`,
		`{"oneOf":[{"pattern":"^a"},{"minimum":0.5,"exclusiveMaximum":1e-7}]}`, `{"patternProperties":{"^a":{},"b$":false},"additionalProperties":{"enum":[1,"a"]}}`,
		`{"allOf":[{"minLength":100000},{"maxLength":100000}]}`, `{"type":["integer","string"],"minimum":-1e300}`,
	} {
		f.Add([]byte(s), uint64(1), true)
	}
	f.Fuzz(func(t *testing.T, schema []byte, seed uint64, spaced bool) {
		for _, text := range compiled(t, string(schema), seed, func() (*Grammar, error) { return JSONSchema(schema, JSONOptions{Spaced: spaced}) }) {
			if !json.Valid([]byte(text)) {
				t.Fatalf("%s: %q is not JSON", schema, text)
			}
		}
	})
}

func FuzzRegex(f *testing.F) {
	for _, s := range []string{`a|b*`, `(?i)[^k]{2,5}\d+$`, `(a*)*b`, `((a{10}){10}){10}`, `(a|b)*a(a|b){20}`, `\p{L}.(?s).`, `^$`} {
		f.Add(s, uint64(1))
	}
	f.Fuzz(func(t *testing.T, expr string, seed uint64) {
		compiled(t, expr, seed, func() (*Grammar, error) { return Regex(expr) })
	})
}

func FuzzGBNF(f *testing.F) {
	for _, s := range []string{gbnfJSON, "root ::= \"a\"{1000000} | [^a-z]* root2\nroot2::=(\"x\" root)?", "root ::= root | .", "root ::= a a\na ::= b b\nb ::= \"\" | \"x\" a \"y\""} {
		f.Add(s, uint64(1))
	}
	f.Fuzz(func(t *testing.T, text string, seed uint64) {
		compiled(t, text, seed, func() (*Grammar, error) { return GBNF(text) })
	})
}

// Any pieces and tokens: no panic, and an accepted token is one that the mask has.
func FuzzMatcher(f *testing.F) {
	f.Add([]byte(`{"a`), []byte("\x03\x7e\x25\x64"))
	f.Fuzz(func(t *testing.T, extra, tokens []byte) {
		v, err := NewVocabulary(258+len(extra), func(id int32) string { // the end token, each byte, the beginnings of extra
			switch {
			case id == 0:
				return ""
			case id <= 256:
				return string([]byte{byte(id - 1)})
			}
			return string(extra[:id-257])
		}, []int32{0})
		if err != nil {
			t.Fatal(err)
		}
		g, err := JSONObject(JSONOptions{Spaced: true})
		if err != nil {
			t.Fatal(err)
		}
		m := g.Start(v)
		for i, b := range tokens {
			token := int32(b) + int32(i&1)*256
			mask, err := m.Mask(len(tokens) - i)
			if err != nil {
				t.Fatal(err)
			}
			all, _ := m.Mask(Unlimited)
			if err := m.Accept(token); (err == nil) != all.Has(token) || mask.Has(token) && err != nil {
				t.Fatalf("token %d: allowed %v, %v within the limit, but Accept gives %v", token, all.Has(token), mask.Has(token), err)
			}
		}
	})
}
