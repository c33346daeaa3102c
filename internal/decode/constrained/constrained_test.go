package constrained

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/systemgemma/systemgemma/internal/decode/sampler"
)

// The vocabulary of these tests: an end token, every byte, and some words.
var words = []string{"ab", "abc", "true", "false", `{"`, `":`, `"}`, "name"}

func piece(id int32) string {
	switch {
	case id == 0:
		return ""
	case id <= 256:
		return string([]byte{byte(id - 1)})
	}
	return words[id-257]
}

const size = 257 + 8

func newCache() *Cache { return NewCache(size, piece, map[int32]bool{0: true}) }

// letters spells texts byte by byte, as no tokenizer would: it needs more tokens than the pieces do.
func letters(ids []int32, text string) []int32 {
	for _, b := range []byte(text) {
		ids = append(ids, int32(b)+1)
	}
	return ids
}

// answer runs one, with random logits.
func answer(t *testing.T, c *Cache, s Source, encode func([]int32, string) []int32, seed uint64, limit int) (text string, certain int) {
	t.Helper()
	m, err := c.Start(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	inner, err := sampler.New(sampler.Params{Temperature: 1, Seed: seed + 1})
	if err != nil {
		t.Fatal(err)
	}
	a, err := New(inner, m, encode, 2, limit)
	if err != nil {
		t.Fatal(err)
	}
	a.Accept(5, 6) // the prompt may be anything
	r := rand.New(rand.NewPCG(seed, 0))
	logits := make([]float32, size)
	for n := 0; n < limit && !a.Done(); n++ {
		for i := range logits {
			logits[i] = r.Float32() * 4
		}
		sure := a.Certain(nil, 3)
		id, logprob, err := a.Sample(logits)
		if err != nil || len(sure) > 0 && sure[0] != id || !(logprob < 0) {
			t.Fatalf("after %q: %d, %v, %v; certain were %v", text, id, logprob, err, sure)
		}
		certain += min(1, len(sure))
		a.Accept(id)
		text += piece(id)
	}
	if !a.Complete() {
		t.Fatalf("%q is not complete after %d tokens", text, limit)
	}
	return text, certain
}

func TestAnswersAreCompleteInTime(t *testing.T) {
	c := newCache()
	for seed := range uint64(200) {
		text, _ := answer(t, c, Source{JSONObject: true}, nil, seed, 5+int(seed%20))
		if !strings.HasPrefix(text, "{") || !strings.HasSuffix(text, "}") {
			t.Fatalf("%q", text)
		}
	}
	// name is needed as one token where four are too many, though the tokenizer would spell it with four.
	name := Source{Regex: "(name|x)name"}
	for seed := range uint64(20) {
		if text, certain := answer(t, c, name, letters, seed, 2); !strings.HasSuffix(text, "name") || certain != 0 {
			t.Fatalf("%q with %d certain", text, certain)
		}
		if text, certain := answer(t, c, name, letters, seed, 9); certain < 3 {
			t.Fatalf("%q with %d certain", text, certain)
		}
	}
}

func TestTooFewTokensAreRefused(t *testing.T) {
	m, err := newCache().Start(t.Context(), Source{Choices: []string{"namename"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := New(nil, m, nil, 0, 1); err == nil || !strings.Contains(err.Error(), "may need 2 tokens to be complete, but the answer can have 1 only") {
		t.Error(err)
	}
}

// A token that was not allowed ends the answer with an error.
func TestWrongTokens(t *testing.T) {
	m, err := newCache().Start(t.Context(), Source{Regex: "[0-9]+"})
	if err != nil {
		t.Fatal(err)
	}
	inner, err := sampler.New(sampler.Params{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(inner, m, nil, 0, 9)
	if err != nil {
		t.Fatal(err)
	}
	s.Accept('a' + 1)
	if _, _, err := s.Sample(make([]float32, size)); err == nil || s.Done() || s.Complete() || s.Certain(nil, 1) != nil {
		t.Errorf("error %v, done %v, complete %v", err, s.Done(), s.Complete())
	}
}

func TestGrammarsAreCompiledOnceAndForgotten(t *testing.T) {
	c := newCache()
	var wg sync.WaitGroup
	for range 8 {
		for i := range 3 {
			wg.Go(func() {
				if _, err := c.Start(t.Context(), Source{Regex: fmt.Sprintf("a{%d}", i+1)}); err != nil {
					t.Error(err)
				}
			})
		}
	}
	wg.Wait()
	if len(c.recent) != 3 {
		t.Errorf("%d grammars of 3 sources", len(c.recent))
	}
	first := Source{Regex: "a{1}"}
	for i := range 2 * maxGrammars {
		for _, s := range []Source{{Choices: []string{fmt.Sprint(i)}}, first} {
			if _, err := c.Start(t.Context(), s); err != nil {
				t.Fatal(err)
			}
		}
	}
	if len(c.recent) != maxGrammars || c.find(first.key()) == nil {
		t.Errorf("%d grammars are kept, want %d with the one in use", len(c.recent), maxGrammars)
	}
	keys := map[key]bool{}
	sources := []Source{{}, {JSONObject: true}, {JSONObject: true, Spaced: true}, {Regex: "a"}, {GBNF: "a"}, {JSONSchema: []byte("a")}, {Choices: []string{"a"}}, {Choices: []string{"a", ""}}, {Choices: []string{"", "a"}}}
	for _, s := range sources {
		keys[s.key()] = true
	}
	if len(keys) != len(sources) {
		t.Errorf("%d keys of %d sources", len(keys), len(sources))
	}
}

func TestWaitingToCompileEndsWithTheContext(t *testing.T) {
	c := newCache()
	c.compiling <- struct{}{}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Start(ctx, Source{JSONObject: true}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
