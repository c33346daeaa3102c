package openai

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/systemgemma/systemgemma/internal/app/server"
	"github.com/systemgemma/systemgemma/internal/testkit/ask"
)

// Without a temperature n answers are the same: one is computed, and all are told and counted.
func TestEqualAnswers(t *testing.T) {
	s := newServer(t, server.Config{})
	count := func() int64 { return s.Models().Meter().Answers.Load() }
	one := ask.JSON[chatAnswer](t, ask.Post(s, "/v1/chat/completions", `{`+hello+`,"temperature":0,"max_tokens":9}`))
	before := count()
	x := ask.JSON[chatAnswer](t, ask.Post(s, "/v1/chat/completions", `{`+hello+`,"temperature":0,"max_tokens":9,"n":3,"logprobs":true}`))
	if len(x.Choices) != 3 || count() != before+1 || x.Usage.Completion != 3*one.Usage.Completion || x.Usage.Prompt != one.Usage.Prompt {
		t.Fatalf("%d choices of %d runs, usage %+v; one is %+v", len(x.Choices), count()-before, x.Usage, one.Usage)
	}
	for i, c := range x.Choices {
		if c.Index != i || *c.Message.Content != *one.Choices[0].Message.Content || *c.Finish != "length" || len(c.Logprobs.Content) != 9 {
			t.Errorf("choice %d: %+v", i, c)
		}
	}
	called := ask.JSON[chatAnswer](t, ask.Post(s, "/v1/chat/completions", `{`+hello+`,`+weather+`,"tool_choice":"required","n":2}`))
	a, b := called.Choices[0].Message.Calls, called.Choices[1].Message.Calls
	if len(a) == 0 || len(a) != len(b) || a[0].Function != b[0].Function || a[0].ID == b[0].ID {
		t.Errorf("calls %+v and %+v: want the same, with ids of their own", a, b)
	}

	single := ask.JSON[completion](t, ask.Post(s, "/v1/completions", `{"prompt":["Two and","One"],"max_tokens":4}`))
	before = count()
	all := ask.JSON[completion](t, ask.Post(s, "/v1/completions", `{"prompt":["Two and","One"],"max_tokens":4,"n":2,"best_of":3,"logprobs":1}`))
	if len(all.Choices) != 4 || count() != before+2 || all.Usage.Completion != 3*single.Usage.Completion || all.Usage.Prompt != single.Usage.Prompt {
		t.Fatalf("%d choices of %d runs, usage %+v; one of each is %+v", len(all.Choices), count()-before, all.Usage, single.Usage)
	}
	w := ask.Post(s, "/v1/completions", `{"prompt":["Two and","One"],"max_tokens":4,"n":2,"logprobs":1,"stream":true,"stream_options":{"include_usage":true}}`)
	texts, tokens := map[int]string{}, map[int]int{}
	var last completion
	for _, last = range events[completion](t, w) {
		for _, c := range last.Choices {
			texts[c.Index] += c.Text
			if c.Logprobs != nil {
				tokens[c.Index] += len(c.Logprobs.Tokens)
			}
		}
	}
	if last.Usage == nil || last.Usage.Completion != 2*single.Usage.Completion || last.Usage.Prompt != single.Usage.Prompt {
		t.Errorf("usage %+v", last.Usage)
	}
	for i, c := range all.Choices {
		if want := single.Choices[i/2].Text; c.Index != i || c.Text != want || texts[i] != want || tokens[i] != len(c.Logprobs.Tokens) || tokens[i] == 0 {
			t.Errorf("choice %d: %q, streamed %q with %d tokens, want %q", i, c.Text, texts[i], tokens[i], want)
		}
	}
}

// What OpenAI has and this server does not is answered in OpenAI's form, with what there is.
func TestNothingThere(t *testing.T) {
	s := newServer(t, server.Config{})
	for _, path := range []string{"/v1/moderations", "/v1/images/generations", "/v1/audio/speech", "/v1/files", "/v1/batches", "/v1/assistants"} {
		w := ask.Post(s, path, `{"input":"a"}`)
		if w.Code != 404 || !isRefusal(w) || !strings.Contains(w.Body.String(), fmt.Sprintf("nothing is at %s; there are ", path)) || !strings.Contains(w.Body.String(), "/v1/chat/completions, /v1/completions, /v1/responses,") {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
}

// Pieces of a stream are written without encoding/json, one for each token, and equal what it writes.
func TestPiecesAreJSON(t *testing.T) {
	s := newServer(t, server.Config{})
	again := map[string]func(data string) (any, error){
		"/v1/chat/completions": func(data string) (any, error) { var x chatAnswer; return &x, json.Unmarshal([]byte(data), &x) },
		"/v1/completions":      func(data string) (any, error) { var x completion; return &x, json.Unmarshal([]byte(data), &x) },
	}
	for _, x := range []struct{ path, body string }{
		{"/v1/chat/completions", `{` + hello + `,"n":2,"temperature":1.5,"seed":3,"max_tokens":30,"ignore_eos":true,"stream":true,"stream_options":{"include_usage":true}}`},
		{"/v1/completions", `{"prompt":["Once \"upon\"\n\u2028","<a>"],"echo":true,"n":2,"max_tokens":30,"ignore_eos":true,"stream":true,"stream_options":{"include_usage":true}}`},
		{"/v1/completions", `{"model":"gpt-4o","prompt":"a","temperature":1.9,"seed":5,"max_tokens":50,"ignore_eos":true,"stream":true}`},
	} {
		n := 0
		for _, e := range ask.Events(t, ask.Post(s, x.path, x.body)) {
			if e.Data == "[DONE]" {
				continue
			}
			v, err := again[x.path](e.Data)
			if err != nil {
				t.Fatal(err)
			}
			want, err := server.Marshal(v)
			if err != nil {
				t.Fatal(err)
			}
			if n++; e.Data != string(want) {
				t.Errorf("%s:\n got %s\nwant %s", x.path, e.Data, want)
			}
		}
		if n < 15 {
			t.Errorf("%s: %d pieces", x.path, n)
		}
	}
}
