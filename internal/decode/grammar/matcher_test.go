package grammar

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
)

const endToken = 0

// smallVocabulary has an end token, every byte, and pieces that cross the borders of JSON's tokens.
var smallVocabulary = sync.OnceValue(func() *Vocabulary {
	pieces := []string{"<eos>", "", "<control>"}
	for b := range 256 {
		pieces = append(pieces, string([]byte{byte(b)}))
	}
	pieces = append(pieces, strings.Split(`{" {"a ": ":" "," ," "} "}} ]} ]] [[ [{ }, }] ,1 :1 10 12 123 00 .5 e1 true false null true, nu "a "b a" ab abc the name é éé 😀 `+
		`":"Z \" \\ \n \u0 ]," "," "],"  -1 - 0. yes, no, xyz aaaa aaaaaaaa "aaaa aaaa" { {{ () )) ((`, " ")...)
	pieces = append(pieces, " ", "  ", " the", "\n", "\n  ", ": ", ", ", "a", "\xf0\x9f", "\x98\x80")
	v, err := NewVocabulary(len(pieces), func(id int32) string {
		if id == 2 {
			return ""
		}
		return pieces[id]
	}, []int32{endToken})
	if err != nil {
		panic(err)
	}
	return v
})

// some are grammars of every source.
func some(t testing.TB) map[string]*Grammar {
	list := map[string]*Grammar{}
	add := func(name string, g *Grammar, err error) {
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		list[name] = g
	}
	schema := func(name, s string, o JSONOptions) {
		g, err := JSONSchema([]byte(s), o)
		add(name, g, err)
	}
	g, err := Choice([]string{"yes", "no", "yes, no", "éa", "the name"})
	add("choice", g, err)
	g, err = Regex(`(a|é){2,4}[0-9]*x{3,300}|.*😀`)
	add("regex", g, err)
	g, err = GBNF(gbnfJSON)
	add("gbnf", g, err)
	g, err = GBNF(`root ::= "" | "(" root ")" root`)
	add("parentheses", g, err)
	g, err = JSONObject(JSONOptions{})
	add("object", g, err)
	g, err = JSONObject(JSONOptions{Spaced: true})
	add("spaced object", g, err)
	schema("strings", `{"items":{"type":"string","maxLength":5},"minItems":1,"maxItems":3}`, JSONOptions{})
	schema("long strings", `{"items":{"type":"string","minLength":20,"maxLength":1000},"maxItems":3}`, JSONOptions{})
	schema("person", `{"properties":{"name":{"type":"string"},"age":{"type":"integer","minimum":0,"maximum":130},"tags":{"items":{"enum":["a","ab","abc"]}},
		"score":{"type":"number","minimum":0,"maximum":1}},"required":["name","age"]}`, JSONOptions{})
	schema("tree", `{"$ref":"#/$defs/n","$defs":{"n":{"properties":{"v":{"type":"integer"},"c":{"items":{"$ref":"#/$defs/n"}}},"required":["v","c"]}}}`, JSONOptions{Spaced: true})
	schema("pattern", `{"pattern":"^[a-c]*b$","minLength":3,"maxLength":200}`, JSONOptions{})
	schema("map", `{"properties":{"a":{"type":"null"},"ab":{"type":"boolean"}},"additionalProperties":{"type":"integer"}}`, JSONOptions{})
	return list
}

// walk chooses allowed tokens at random, at most left, and returns the text. It fails the test if the text gets stuck.
func walk(t testing.TB, name string, m *Matcher, r *rand.Rand, left int) (text string, done bool) {
	t.Helper()
	var b strings.Builder
	for ; left > 0 && !m.Done(); left-- {
		mask, err := m.Mask(left)
		if err != nil {
			t.Fatalf("%s: after %q: %v", name, b.String(), err)
		}
		token := pick(mask, r)
		if token < 0 {
			t.Fatalf("%s: no token is allowed after %q with %d left", name, b.String(), left)
		}
		if err := m.Accept(token); err != nil {
			t.Fatalf("%s: after %q: mask allows %d: %v", name, b.String(), token, err)
		}
		if token != endToken {
			b.WriteString(m.a.vocab.pieces[token])
		}
	}
	return b.String(), m.Done() || m.Accepting()
}

// pick returns an allowed token at random, those of several bytes more often than their number; -1 if there is none.
func pick(mask Mask, r *rand.Rand) int32 {
	var short, long []int32
	for w, word := range mask {
		for b := range 64 {
			if word>>b&1 == 0 {
				continue
			}
			if id := int32(w*64 + b); id < 259 {
				short = append(short, id)
			} else {
				long = append(long, id)
			}
		}
	}
	if len(short) == 0 || len(long) > 0 && r.IntN(3) > 0 {
		short = long
	}
	if len(short) == 0 {
		return -1
	}
	return short[r.IntN(len(short))]
}

// Whatever is chosen among what the masks allow, texts end complete with the tokens they have, if those are enough.
func TestWalksEndComplete(t *testing.T) {
	v := smallVocabulary()
	for name, g := range some(t) {
		for seed := range uint64(150) {
			r := rand.New(rand.NewPCG(seed, 1))
			m := g.Start(v)
			need, err := m.Need()
			if err != nil {
				t.Fatal(err)
			}
			left := need + r.IntN(60)
			text, done := walk(t, name, m, r, left)
			if !done || !g.matches(text) {
				t.Fatalf("%s, seed %d: %d tokens (need %d) gave %q: done %v, matches %v", name, seed, left, need, text, done, g.matches(text))
			}
		}
	}
}

// A mask has exactly the tokens whose bytes the grammar allows and after which what is left suffices.
func TestMasksAreExact(t *testing.T) {
	v := smallVocabulary()
	for name, g := range some(t) {
		plain := g.arena.clone(maxGrown) // another way to the states: no tables, no kLex masks, no clamps
		for seed := range uint64(12) {
			r := rand.New(rand.NewPCG(seed, 2))
			m := g.Start(v)
			state := g.start
			for left := 30 + r.IntN(30); left > 0 && !m.Done(); left-- {
				all, err := m.Mask(Unlimited)
				if err != nil {
					t.Fatal(err)
				}
				limited, err := m.Mask(left)
				if err != nil {
					t.Fatal(err)
				}
				need, _ := m.Need()
				for id := range int32(len(v.pieces)) {
					next := state
					plain.work = maxWork
					for _, b := range []byte(v.pieces[id]) {
						next = plain.derive(next, b)
					}
					want := v.pieces[id] != "" && next != fail
					wantLimited := want
					if want && need <= left {
						c := m.Clone()
						if err := c.Accept(id); err != nil {
							t.Fatal(err)
						}
						n, _ := c.Need()
						wantLimited = n <= left-1
					}
					if id == endToken {
						want = plain.nullable(state)
						wantLimited = want
					}
					if all.Has(id) != want || limited.Has(id) != wantLimited {
						t.Fatalf("%s, seed %d, %d left (need %d), token %d %q: allowed %v and %v, want %v and %v",
							name, seed, left, need, id, v.pieces[id], all.Has(id), limited.Has(id), want, wantLimited)
					}
				}
				token := pick(limited, r)
				if token < 0 {
					break
				}
				for _, b := range []byte(v.pieces[token]) {
					state = plain.derive(state, b)
				}
				if err := m.Accept(token); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}

// Forced tokens are the only way: every allowed token at each step of them begins with the same text.
func TestForced(t *testing.T) {
	v := smallVocabulary()
	g, err := JSONSchema([]byte(`{"properties":{"name":{"type":"string"},"é":{"enum":[true]}},"required":["name","é"]}`), JSONOptions{})
	if err != nil {
		t.Fatal(err)
	}
	m := g.Start(v)
	spell := func(tokens []int32) (s string) {
		for _, id := range tokens {
			s += v.pieces[id]
			if err := m.Accept(id); err != nil {
				t.Fatal(err)
			}
		}
		return s
	}
	// ":" might have been the beginning of ":"Z: the model has to choose.
	if got, want := spell(m.Forced(nil, nil)), `{"name`; got != want {
		t.Errorf("forced %q, want %q", got, want)
	}
	spell([]int32{'"' + 3, ':' + 3, '"' + 3, 'x' + 3, '"' + 3})
	bytewise := func(tokens []int32, text string) []int32 {
		for _, b := range []byte(text) {
			tokens = append(tokens, int32(b)+3)
		}
		return tokens
	}
	if got, want := m.Forced([]int32{7}, bytewise), bytewise([]int32{7}, `,"é":true}`); !slices.Equal(got, want) {
		t.Errorf("forced %v, want %v", got, want)
	}
	lies := func(tokens []int32, text string) []int32 { return append(tokens, 2, 5000) }
	if got, want := spell(m.Forced(nil, lies)), `,"é":true}`; got != want {
		t.Errorf("forced %q, want %q", got, want)
	}
	if !m.Done() || len(m.Forced(nil, nil)) > 0 {
		t.Errorf("Done %v after all forced tokens, and more forced", m.Done())
	}
	for name, g := range some(t) {
		for seed := range uint64(20) {
			r := rand.New(rand.NewPCG(seed, 3))
			m := g.Start(v)
			for range 30 {
				text := ""
				for _, id := range m.Forced(nil, nil) {
					mask, _ := m.Mask(Unlimited)
					if !mask.Has(id) || mask.Has(endToken) {
						t.Fatalf("%s: forced token %q is not allowed, or the end is", name, v.pieces[id])
					}
					if err := m.Accept(id); err != nil {
						t.Fatal(err)
					}
					text += v.pieces[id]
				}
				mask, err := m.Mask(Unlimited)
				if err != nil {
					t.Fatal(err)
				}
				token := pick(mask, r)
				if token < 0 || m.Accept(token) != nil || m.Done() {
					break
				}
			}
		}
	}
}

func TestMatcherRefuses(t *testing.T) {
	v := smallVocabulary()
	g, err := Choice([]string{"ab", "abc"})
	if err != nil {
		t.Fatal(err)
	}
	m := g.Start(v)
	for _, id := range []int32{endToken, 1, 2, 'x' + 3, -1, int32(len(v.pieces))} {
		if m.Accept(id) == nil {
			t.Errorf("token %d is accepted at the beginning", id)
		}
	}
	for _, b := range "ab" {
		if err := m.Accept(b + 3); err != nil {
			t.Fatal(err)
		}
	}
	other := m.Clone()
	if !m.Accepting() || m.Done() {
		t.Errorf("after ab: Accepting %v, Done %v, want true, false", m.Accepting(), m.Done())
	}
	if err := m.Accept(endToken); err != nil || !m.Done() {
		t.Errorf("end token after ab: %v, Done %v", err, m.Done())
	}
	if mask, err := m.Mask(Unlimited); err != nil || mask.Count() > 0 || m.Accept('c'+3) == nil {
		t.Errorf("after the end: %d tokens are allowed, %v", mask.Count(), err)
	}
	if err := other.Accept('c' + 3); err != nil || !other.Done() {
		t.Errorf("clone after abc: %v, Done %v", err, other.Done())
	}
}

func TestMaskApply(t *testing.T) {
	logits := []float32{1, 2, 3, 4}
	Mask{0b0101}.Apply(logits[:])
	if got := fmt.Sprint(logits); got != "[1 -Inf 3 -Inf]" {
		t.Errorf("Apply gives %s", got)
	}
}

func TestNewVocabularyRefuses(t *testing.T) {
	bytes := func(id int32) string { return string([]byte{byte(id)}) }
	for name, err := range map[string]error{
		"no bytes":  second(NewVocabulary(10, func(int32) string { return "a" }, nil)),
		"one less":  second(NewVocabulary(255, func(id int32) string { return bytes(max(id, 1)) }, nil)),
		"end":       second(NewVocabulary(256, bytes, []int32{256})),
		"no pieces": second(NewVocabulary(0, bytes, nil)),
	} {
		if err == nil {
			t.Errorf("%s: want an error", name)
		}
	}
	if _, err := NewVocabulary(256, bytes, nil); err != nil {
		t.Error(err)
	}
}

func second[T any](_ T, err error) error { return err }

// A grammar with more states than are allowed ends in an error, soon, and a new text starts afresh.
func TestTooManyStates(t *testing.T) {
	v := smallVocabulary()
	g, err := GBNF(`root ::= [ab]* "a" [ab]{5000}`)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		m := g.Start(v)
		r := rand.New(rand.NewPCG(1, 1))
		for i := 0; ; i++ {
			mask, err := m.Mask(Unlimited)
			if err == nil {
				err = m.Accept(pick(mask, r))
			}
			if err == ErrTooComplex {
				break
			}
			if err != nil || i > 10000 {
				t.Fatalf("after %d tokens: %v, want ErrTooComplex", i, err)
			}
		}
	}
}

// Matchers of one grammar may be used at the same time, and do not disturb each other.
func TestConcurrentMatchers(t *testing.T) {
	v := smallVocabulary()
	g, err := JSONObject(JSONOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	texts := make([]string, 8)
	for i := range texts {
		wg.Go(func() { texts[i], _ = walk(t, "object", g.Start(v), rand.New(rand.NewPCG(uint64(i/2), 1)), 200) })
	}
	wg.Wait()
	for i := 0; i < len(texts); i += 2 {
		if texts[i] != texts[i+1] || !g.matches(texts[i]) {
			t.Errorf("the same choices gave %q and %q", texts[i], texts[i+1])
		}
	}
}
