package openai

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/systemgemma/systemgemma"
	"github.com/systemgemma/systemgemma/internal/app/server"
	"github.com/systemgemma/systemgemma/internal/testkit/ask"
)

// What evaluation harnesses send and read: choices of a batch in order, arrays of prompt and one more token, null first, the same
// number in both places, and the scores of the library.
func TestEchoContract(t *testing.T) {
	s := newServer(t, server.Config{})
	m, err := systemgemma.Open("", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	var lists [][]int32
	for _, text := range []string{"The capital of France is Paris.", "Two and two", "a"} {
		ids, err := m.Tokenize("<bos>"+text, true)
		if err != nil {
			t.Fatal(err)
		}
		lists = append(lists, ids)
	}
	prompts, _ := json.Marshal(lists)
	for _, max := range []int{1, 0} {
		w := ask.Post(s, "/v1/completions", fmt.Sprintf(`{"model":"mini","prompt":%s,"temperature":0,"max_tokens":%d,"logprobs":1,"seed":1234,"echo":true}`, prompts, max))
		x := ask.JSON[completion](t, w)
		if len(x.Choices) != len(lists) || strings.Contains(w.Body.String(), "Infinity") || strings.Contains(w.Body.String(), "NaN") {
			t.Fatalf("%s", w.Body)
		}
		for i, c := range x.Choices {
			l, ids := c.Logprobs, lists[i]
			n := len(ids) + max
			if c.Index != i || len(l.Tokens) != n || len(l.Logprobs) != n || len(l.Top) != n || len(l.Offsets) != n || l.Logprobs[0] != nil || l.Top[0] != nil {
				t.Fatalf("choice %d: %+v, want arrays of %d", i, l, n)
			}
			score, err := m.Score(context.Background(), ids, 1)
			if err != nil {
				t.Fatal(err)
			}
			for k := 1; k < n; k++ {
				best := math.Inf(-1)
				for _, v := range l.Top[k] {
					best = math.Max(best, v)
				}
				if len(l.Top[k]) == 0 {
					t.Fatalf("choice %d: nothing at %d", i, k)
				}
				if k >= len(ids) {
					if *l.Logprobs[k] != best {
						t.Errorf("choice %d: the greedy token is not the best one", i)
					}
					continue
				}
				if greedy := *l.Logprobs[k] == best; greedy != score.Greedy[k-1] || *l.Logprobs[k] != math.Max(score.Logprobs[k-1], -1e4) {
					t.Errorf("choice %d, token %d: %v (best %v), want %v, greedy %v", i, k, *l.Logprobs[k], best, score.Logprobs[k-1], score.Greedy[k-1])
				}
			}
			if got := strings.Join(l.Tokens, ""); max == 0 && got != c.Text {
				t.Errorf("choice %d: tokens %q, text %q", i, got, c.Text)
			}
			for k := range l.Tokens {
				if rest := string([]rune(c.Text)[l.Offsets[k]:]); k < len(ids) && !strings.HasPrefix(rest, l.Tokens[k]) {
					t.Errorf("choice %d: offset %d of %q is wrong", i, l.Offsets[k], l.Tokens[k])
				}
			}
		}
	}
}

// An answer that ends at once has its place in the arrays, and a text that spells <bos> gets no second one.
func TestEchoEdges(t *testing.T) {
	s := newServer(t, server.Config{})
	ask := func(body string) completionChoice {
		t.Helper()
		return ask.JSON[completion](t, ask.Post(s, "/v1/completions", body)).Choices[0]
	}
	spelt := ask(`{"prompt":"<bos>Hello there","max_tokens":0,"logprobs":1,"echo":true}`)
	bare := ask(`{"prompt":"Hello there","max_tokens":0,"logprobs":1,"echo":true}`)
	if len(spelt.Logprobs.Tokens) != len(bare.Logprobs.Tokens) || spelt.Text != "<bos>Hello there" || bare.Text != "Hello there" {
		t.Errorf("%+v %+v", spelt.Logprobs.Tokens, bare.Logprobs.Tokens)
	}
	for i := range bare.Logprobs.Tokens {
		if i > 0 && *spelt.Logprobs.Logprobs[i] != *bare.Logprobs.Logprobs[i] {
			t.Errorf("token %d: %v and %v", i, *spelt.Logprobs.Logprobs[i], *bare.Logprobs.Logprobs[i])
		}
	}
	if bare.Logprobs.Offsets[1] != 0 || spelt.Logprobs.Offsets[1] != 5 {
		t.Errorf("offsets %v, %v", bare.Logprobs.Offsets, spelt.Logprobs.Offsets)
	}
	// An end token by force.
	end := ask(`{"prompt":"Hello","max_tokens":1,"logprobs":2,"echo":true,"logit_bias":{"1":1000},"temperature":0}`)
	plain := ask(`{"prompt":"Hello","max_tokens":1,"logprobs":2,"logit_bias":{"1":1000},"temperature":0}`)
	n := len(end.Logprobs.Tokens)
	if *end.Finish != "stop" || end.Logprobs.Tokens[n-1] != "<eos>" || end.Text != "Hello" || len(plain.Logprobs.Tokens) != 0 || plain.Text != "" {
		t.Errorf("%+v %q; %+v", end.Logprobs, end.Text, plain.Logprobs)
	}
	from := ask(`{"prompt":"Hello there, how are you?","max_tokens":0,"logprobs":1,"echo":true,"logprobs_from":3}`)
	for i, x := range from.Logprobs.Logprobs {
		if (x == nil) != (i < 3) {
			t.Errorf("logprobs_from 3: token %d is %v", i, x)
		}
	}
}

// With --lm-eval-compat prompts get the <bos> that the client leaves out, and no array shows it.
func TestCompat(t *testing.T) {
	s := newServer(t, server.Config{Compat: true})
	ids := `[5,6,7]`
	hidden := ask.JSON[completion](t, ask.Post(s, "/v1/completions", `{"prompt":[`+ids+`],"max_tokens":1,"logprobs":1,"echo":true}`)).Choices[0]
	shown := ask.JSON[completion](t, ask.Post(newServer(t, server.Config{}), "/v1/completions", `{"prompt":[[2,5,6,7]],"max_tokens":1,"logprobs":1,"echo":true}`)).Choices[0]
	if len(hidden.Logprobs.Tokens) != 4 || hidden.Logprobs.Logprobs[0] == nil || len(shown.Logprobs.Tokens) != 5 {
		t.Fatalf("%+v %+v", hidden.Logprobs, shown.Logprobs)
	}
	for i, x := range hidden.Logprobs.Logprobs {
		if *x != *shown.Logprobs.Logprobs[i+1] {
			t.Errorf("token %d: %v, want %v", i, *x, *shown.Logprobs.Logprobs[i+1])
		}
	}
	text := ask.JSON[completion](t, ask.Post(s, "/v1/completions", `{"prompt":"Hello","max_tokens":1,"logprobs":1,"echo":true}`)).Choices[0]
	if text.Logprobs.Tokens[0] == "<bos>" || text.Logprobs.Offsets[0] != 0 {
		t.Errorf("%+v", text.Logprobs)
	}
}

func TestCompletions(t *testing.T) {
	s := newServer(t, server.Config{})
	x := ask.JSON[completion](t, ask.Post(s, "/v1/completions", `{"prompt":["One","Two"],"n":2,"temperature":1,"seed":5,"max_tokens":4,"stop":["zzz"]}`))
	if len(x.Choices) != 4 || x.Choices[3].Index != 3 || x.Usage.Completion == 0 || x.Object != "text_completion" {
		t.Fatalf("%+v", x)
	}
	var texts [4]string
	list := events[completion](t, ask.Post(s, "/v1/completions", `{"prompt":["One","Two"],"n":2,"temperature":1,"seed":5,"max_tokens":4,"stop":["zzz"],"stream":true,"stream_options":{"include_usage":true}}`))
	for _, e := range list[:len(list)-1] {
		texts[e.Choices[0].Index] += e.Choices[0].Text
	}
	for i, c := range x.Choices {
		if c.Text != texts[i] {
			t.Errorf("choice %d: streamed %q, want %q", i, texts[i], c.Text)
		}
	}
	if u := list[len(list)-1].Usage; u == nil || u.Prompt != x.Usage.Prompt || u.Completion != x.Usage.Completion || u.Total != x.Usage.Total {
		t.Errorf("usage %+v, want %+v", u, x.Usage) // how many tokens were cached depends on what ran when
	}
	best := ask.JSON[completion](t, ask.Post(s, "/v1/completions", `{"prompt":"One","n":1,"best_of":6,"temperature":1.5,"seed":5,"max_tokens":5,"logprobs":0}`))
	all := ask.JSON[completion](t, ask.Post(s, "/v1/completions", `{"prompt":"One","n":6,"temperature":1.5,"seed":5,"max_tokens":5,"logprobs":0}`))
	mean := func(c completionChoice) float64 {
		sum := 0.0
		for _, l := range c.Logprobs.Logprobs {
			sum += *l
		}
		return sum / float64(len(c.Logprobs.Logprobs))
	}
	for _, c := range all.Choices {
		if *c.Finish == "length" && mean(c) > mean(best.Choices[0])+1e-9 { // those that stopped have one more token in their mean
			t.Errorf("%q (%v) is likelier than the best %q (%v)", c.Text, mean(c), best.Choices[0].Text, mean(best.Choices[0]))
		}
	}
	if len(best.Choices) != 1 || best.Usage.Completion < 6 {
		t.Errorf("%+v", best.Usage)
	}
	// A stop text does not appear, nor anything after it.
	a := ask.JSON[completion](t, ask.Post(s, "/v1/completions", `{"prompt":"The capital of France is","max_tokens":12}`)).Choices[0].Text
	if len(a) > 3 {
		stop, _ := json.Marshal(a[1:3])
		if b := ask.JSON[completion](t, ask.Post(s, "/v1/completions", `{"prompt":"The capital of France is","max_tokens":12,"stop":`+string(stop)+`}`)); b.Choices[0].Text != a[:1] || *b.Choices[0].Finish != "stop" {
			t.Errorf("%q cut at %s is %q", a, stop, b.Choices[0].Text)
		}
	}
	// Control tokens that a text spells are text, unless that is asked for.
	plain := ask.JSON[completion](t, ask.Post(s, "/v1/completions", `{"prompt":"<start_of_turn>user","max_tokens":0,"echo":true,"logprobs":0}`)).Choices[0].Logprobs.Tokens
	special := ask.JSON[completion](t, ask.Post(s, "/v1/completions", `{"prompt":"<start_of_turn>user","parse_special":true,"max_tokens":0,"echo":true,"logprobs":0}`)).Choices[0].Logprobs.Tokens
	if len(special) >= len(plain) || special[1] != "<start_of_turn>" {
		t.Errorf("%q, %q", plain, special)
	}
}
