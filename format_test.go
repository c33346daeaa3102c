package systemgemma_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/jsonschema-go/jsonschema"
	"github.com/systemgemma/systemgemma"
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

// last runs an answer to its end.
func last(ctx context.Context, m *systemgemma.Model, prompt string, o systemgemma.GenerateOptions) (r *systemgemma.Result, err error) {
	var e systemgemma.Event
	for e, err = range m.Chat(ctx, user(prompt), &systemgemma.ChatOptions{GenerateOptions: o}) {
	}
	return e.Result, err
}

// Answers to random schemas satisfy them, greedy and sampled, many at a time: an answer that is not marked as cut is complete.
func TestFormatRandomSchemas(t *testing.T) {
	sample.Skip(t)
	want := 200
	if testing.Short() {
		want = 20
	}
	m := open(t, "", nil)
	var wg sync.WaitGroup
	var mu sync.Mutex
	slots := make(chan struct{}, 16)
	answers, tokens, certain, small := 0, 0, 0, 0
	found := 0
	for seed := uint64(0); found < want; seed++ {
		r := rand.New(rand.NewPCG(seed, 11))
		schema, spaced := schemas.Random(r, 3), r.IntN(2) == 0
		format := &systemgemma.Format{JSONSchema: json.RawMessage(schema), Spaced: spaced}
		maxTokens := 60 + r.IntN(60)
		first, err := last(t.Context(), m, "Say it as JSON.", systemgemma.GenerateOptions{Format: format, MaxTokens: maxTokens, Sampling: &systemgemma.Sampling{}})
		if errors.As(err, new(*systemgemma.FormatError)) {
			continue // the schema allows nothing, or mixes what isn't supported
		}
		found++
		if err != nil {
			if !strings.Contains(err.Error(), "tokens to be complete") {
				t.Fatalf("seed %d: %v\n%s", seed, err, schema)
			}
			small++
			continue
		}
		check := func(r *systemgemma.Result, err error) {
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Errorf("seed %d: %v\n%s", seed, err, schema)
				return
			}
			if err := validate(schema, r.Text); err != nil || r.Cut || len(r.IDs) > maxTokens+1 {
				t.Errorf("seed %d: %v, cut %v, %d tokens of %d\n%s\n%s", seed, err, r.Cut, len(r.IDs), maxTokens, schema, r.Text)
			}
			answers, tokens, certain = answers+1, tokens+len(r.IDs), certain+r.CertainTokens
		}
		check(first, nil)
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			check(last(t.Context(), m, "Say it as JSON.", systemgemma.GenerateOptions{Format: format, MaxTokens: maxTokens, Sampling: &systemgemma.Sampling{Temperature: 1.5, Seed: seed + 1}}))
		})
	}
	wg.Wait()
	t.Logf("%d answers of %d tokens, %d of them certain; %d schemas needed more tokens than there were", answers, tokens, certain, small)
	if answers < want || certain == 0 {
		t.Errorf("%d answers, %d certain tokens", answers, certain)
	}
}

const person = `{"type":"object","properties":{"name":{"type":"string","maxLength":20},"age":{"type":"integer","minimum":0,"maximum":150},
	"role":{"enum":["administrator","editor"]}},"required":["name","age","role"]}`

// The same answer alone, among others, with a drafter, and with as many certain tokens at a time as there are.
func TestFormatSameBits(t *testing.T) {
	m := open(t, "", nil)
	drafted := open(t, "", &systemgemma.Options{Draft: systemgemma.Mini})
	for _, s := range []systemgemma.Sampling{{}, {Temperature: 1.3, TopK: 20, TopP: 0.9, RepetitionPenalty: 1.1, Seed: 5}} {
		o := systemgemma.GenerateOptions{Format: &systemgemma.Format{JSONSchema: json.RawMessage(person)}, Sampling: &s, MaxTokens: 60}
		alone, err := last(t.Context(), m, "Who?", o)
		if err != nil || alone.Cut || validate(person, alone.Text) != nil || alone.CertainTokens < 5 {
			t.Fatalf("%+v, %v", alone, err)
		}
		var wg sync.WaitGroup
		for i := range 12 {
			wg.Go(func() {
				other := o
				switch i % 3 {
				case 0:
					other.Format = &systemgemma.Format{JSONObject: true}
				case 1:
					other.Prediction = alone.Text
				case 2:
				}
				r, err := last(t.Context(), m, "Who?", other)
				if i%3 != 0 && (err != nil || !slices.Equal(r.IDs, alone.IDs) || !slices.Equal(r.Logprobs, alone.Logprobs)) {
					t.Errorf("among others: %+v, %v; want %+v", r, err, alone)
				}
			})
		}
		wg.Wait()
		r, err := last(t.Context(), drafted, "Who?", o)
		if err != nil || !slices.Equal(r.IDs, alone.IDs) || !slices.Equal(r.Logprobs, alone.Logprobs) {
			t.Errorf("with a draft model: %+v, %v; want %+v", r, err, alone)
		}
	}
}

func TestFormatKinds(t *testing.T) {
	m := open(t, "", nil)
	const grammar = "root ::= \"answer: \" word (\", \" word)*\nword ::= [a-z]{3,8}"
	for _, s := range []systemgemma.Sampling{{}, {Temperature: 1, Seed: 1}, {Temperature: 3, Seed: 2, TopK: 5, MinP: 0.05}} {
		for want, f := range map[string]systemgemma.Format{
			`^\{.*\}$`:                    {JSONObject: true},
			`^[0-9]{4}-[01][0-9]$`:        {Regex: `[0-9]{4}-[01][0-9]`},
			`^(Paris|London|Rome)$`:       {Choices: []string{"Paris", "London", "Rome"}},
			`^answer: [a-z]{3,8}(, .*)?$`: {GBNF: grammar},
			`^"[a-z]{3}"$`:                {JSONSchema: json.RawMessage(`{"type":"string","pattern":"^[a-z]{3}$"}`), Spaced: true},
		} {
			r, err := last(t.Context(), m, "What is the capital of France?", systemgemma.GenerateOptions{Format: &f, MaxTokens: 40, Sampling: &s})
			if err != nil || r.Cut || !regexp.MustCompile(`(?s)`+want).MatchString(r.Text) {
				t.Errorf("%+v: %+v, %v", f, r, err)
			}
			if f.JSONObject && !json.Valid([]byte(r.Text)) {
				t.Errorf("no JSON: %s", r.Text)
			}
		}
	}
	r, err := last(t.Context(), m, "What is the capital of France?", systemgemma.GenerateOptions{Format: &systemgemma.Format{Choices: []string{"London", "Paris"}}, Sampling: &systemgemma.Sampling{}})
	if err != nil || r.FinishReason != systemgemma.FinishStop || r.Text != "Paris" {
		t.Errorf("choice: %+v, %v; want Paris", r, err)
	}
}

// Errors say what is wrong with which part of a format.
func TestFormatErrors(t *testing.T) {
	m := open(t, "", nil)
	digits := []int32{}
	for id := range int32(m.Info().Vocabulary) {
		if strings.ContainsAny(m.Piece(id), "0123456789") {
			digits = append(digits, id)
		}
	}
	for want, o := range map[string]systemgemma.GenerateOptions{
		"format: want one of JSONSchema, JSONObject, Regex, Choices and GBNF, found none": {Format: &systemgemma.Format{}},
		"found JSONObject and Regex":                                                                 {Format: &systemgemma.Format{JSONObject: true, Regex: "a"}},
		"format: want JSONSchema or JSONObject beside Spaced, found Regex":                           {Format: &systemgemma.Format{Regex: "a", Spaced: true}},
		"format: JSON schema: #/properties/tags/uniqueItems: uniqueItems is not supported with true": {Format: &systemgemma.Format{JSONSchema: json.RawMessage(`{"properties":{"tags":{"items":{},"uniqueItems":true}}}`)}},
		"format: regular expression: ":                                                               {Format: &systemgemma.Format{Regex: "(a"}},
		"format: choices: want at least one, found none":                                             {Format: &systemgemma.Format{Choices: []string{}}},
		"format: GBNF grammar: ":                                                                     {Format: &systemgemma.Format{GBNF: "root ::= root"}},
		"format: want no MinTokens beside it":                                                        {Format: &systemgemma.Format{JSONObject: true}, MinTokens: 9},
		"no token is left: together, suppress, the format ban all":                                   {Format: &systemgemma.Format{Regex: "[0-9]"}, Sampling: &systemgemma.Sampling{Suppress: digits}},
		"format: want no IgnoreEOS beside it":                                                        {Format: &systemgemma.Format{JSONObject: true}, IgnoreEOS: true},
		"tokens to be complete, but the answer can have 3 only; allow more tokens, or ask for less":  {Format: &systemgemma.Format{Regex: "[a-z]{50}"}, MaxTokens: 3},
		"tokens to be complete, but the answer can have 20":                                          {Format: &systemgemma.Format{GBNF: "root ::= [a-z]{4000}"}},
	} {
		_, err := last(t.Context(), m, "Hi", o)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: error %v, want %q", o.Format, err, want)
		}
	}
	without := open(t, "internal/convert/testdata/models/one-layer-f32", nil)
	for _, err := range without.Generate(t.Context(), systemgemma.Prompt{IDs: []int32{2}}, &systemgemma.GenerateOptions{Format: &systemgemma.Format{JSONObject: true}}) {
		if !errors.Is(err, systemgemma.ErrNoTokenizer) {
			t.Errorf("without tokenizer: %v", err)
		}
	}
}

// Hostile formats are refused or end their answer with an error, soon; others go on beside them.
func TestFormatHostile(t *testing.T) {
	m := open(t, "", nil)
	var wg sync.WaitGroup
	wg.Go(func() {
		r, err := last(t.Context(), m, "Who?", systemgemma.GenerateOptions{Format: &systemgemma.Format{JSONSchema: json.RawMessage(person)}, MaxTokens: 60})
		if err != nil || r.Cut {
			t.Errorf("beside hostile ones: %+v, %v", r, err)
		}
	})
	deep := strings.Repeat(`{"items":`, 5000) + `{}` + strings.Repeat(`}`, 5000)
	for name, f := range map[string]systemgemma.Format{
		"deep":        {JSONSchema: json.RawMessage(deep)},
		"huge":        {JSONSchema: json.RawMessage(`{"const":"` + strings.Repeat("a", 1<<20) + `"}`)},
		"exponential": {JSONSchema: json.RawMessage(`{"allOf":[` + strings.Repeat(`{"anyOf":[{"minimum":1},{"maxLength":2},{"minItems":1}]},`, 30) + `{}]}`)},
		"bomb":        {Regex: `((((a{1000}){1000}){1000}){1000})`},
		"intersected": {JSONSchema: json.RawMessage(`{"type":"string","pattern":"(a|b)*a(a|b){40}","minLength":100}`)},
		"ambiguous":   {GBNF: "root ::= a a\na ::= b b\nb ::= c c\nc ::= \"\" | \"x\" a \"y\" | [a-z]"},
		"endless":     {GBNF: "root ::= \"a\" root"},
		"no UTF-8":    {Choices: []string{"\xff"}},
	} {
		wg.Go(func() {
			start := time.Now()
			r, err := last(t.Context(), m, "Hi", systemgemma.GenerateOptions{Format: &f, MaxTokens: 50})
			if err == nil && r.Cut {
				t.Errorf("%s: cut without an error: %+v", name, r)
			}
			t.Logf("%s: %.90v after %v", name, err, time.Since(start).Round(time.Millisecond))
		})
	}
	wg.Wait()
}

// What ends an answer early leaves it marked as cut.
func TestFormatCut(t *testing.T) {
	m := open(t, "", nil)
	long := &systemgemma.Format{Regex: `(ab){300}`}
	r, err := last(t.Context(), m, "Hi", systemgemma.GenerateOptions{Format: long, Stop: []string{"abab"}})
	if err != nil || !r.Cut || r.Stop != "abab" {
		t.Errorf("stop text: %+v, %v", r, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var e systemgemma.Event
	for e, err = range m.Chat(ctx, user("Hi"), &systemgemma.ChatOptions{GenerateOptions: systemgemma.GenerateOptions{Format: long}}) {
		cancel()
	}
	if !errors.Is(err, context.Canceled) || e.Result == nil || !e.Result.Cut || e.Result.FinishReason != systemgemma.FinishCancel {
		t.Errorf("cancelled: %+v, %v", e.Result, err)
	}
	// At the limit on tokens an answer is complete, though it might go on.
	r, err = last(t.Context(), m, "Hi", systemgemma.GenerateOptions{Format: &systemgemma.Format{Regex: `[a-c]+`}, MaxTokens: 5, Sampling: &systemgemma.Sampling{Temperature: 1, Seed: 1}})
	if err != nil || r.Cut || len(r.IDs) > 5 {
		t.Errorf("at the limit: %+v, %v", r, err)
	}
}

type place struct {
	City string   `json:"city"`
	At   *float64 `json:"at,omitempty"`
}

type trip struct {
	Title  string            `json:"title"`
	Days   uint8             `json:"days"`
	Places []place           `json:"places"`
	Notes  map[string]string `json:"notes"`
	When   time.Time         `json:"when"`
}

func TestChatInto(t *testing.T) {
	m := open(t, "", nil)
	ctx := t.Context()
	for seed := range uint64(8) {
		o := &systemgemma.ChatOptions{GenerateOptions: systemgemma.GenerateOptions{MaxTokens: 120, Sampling: &systemgemma.Sampling{Temperature: float64(seed) / 4, Seed: seed}}}
		v, r, err := systemgemma.ChatInto[trip](ctx, m, user("Plan a trip."), o)
		if err != nil || v.When.IsZero() && !strings.Contains(r.Text, "0001-01-01") || o.Format != nil {
			t.Fatalf("%+v, %+v, %v", v, r, err)
		}
		var again trip
		if err := json.Unmarshal([]byte(r.Text), &again); err != nil || !reflect.DeepEqual(v, again) {
			t.Errorf("%+v, want %+v of %s (%v)", v, again, r.Text, err)
		}
	}
	if v, r, err := systemgemma.ChatInto[[2]bool](ctx, m, user("Yes?"), nil); err != nil || fmt.Sprintf("[%v,%v]", v[0], v[1]) != r.Text {
		t.Errorf("array: %v, %+v, %v", v, r, err)
	}
	own := &systemgemma.ChatOptions{GenerateOptions: systemgemma.GenerateOptions{Format: &systemgemma.Format{JSONSchema: json.RawMessage(`{"const":7}`), Spaced: true}}}
	if v, _, err := systemgemma.ChatInto[int](ctx, m, user("?"), own); err != nil || v != 7 {
		t.Errorf("a schema of one's own: %v, %v", v, err)
	}
	if v, r, err := systemgemma.ChatInto[string](ctx, m, user("?"), own); err == nil || r.Text != "7" || v != "" {
		t.Errorf("a schema that does not fit the type: %q, %+v, %v", v, r, err)
	}
	cut := &systemgemma.ChatOptions{GenerateOptions: systemgemma.GenerateOptions{Stop: []string{`"days"`}}}
	if _, r, err := systemgemma.ChatInto[trip](ctx, m, user("?"), cut); !errors.Is(err, systemgemma.ErrCut) || !r.Cut {
		t.Errorf("cut: %+v, %v", r, err)
	}
	if _, _, err := systemgemma.ChatInto[func()](ctx, m, user("?"), nil); err == nil {
		t.Error("a function: want an error")
	}
	other := &systemgemma.ChatOptions{GenerateOptions: systemgemma.GenerateOptions{Format: &systemgemma.Format{JSONObject: true}}}
	if _, _, err := systemgemma.ChatInto[trip](ctx, m, user("?"), other); err == nil {
		t.Error("another format: want an error")
	}
}
