package ollama

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/systemgemma/systemgemma"
	"github.com/systemgemma/systemgemma/internal/app/models"
	"github.com/systemgemma/systemgemma/internal/app/server"
	"github.com/systemgemma/systemgemma/internal/app/server/hosted"
	"github.com/systemgemma/systemgemma/internal/testkit/ask"
	"github.com/systemgemma/systemgemma/internal/testkit/sample"
)

// promptTokens is how many tokens the prompt of a short chat has: the system prompt that a model carries included.
func promptTokens(t *testing.T, s *server.Server, model string) int {
	t.Helper()
	x := ask.JSON[answer](t, ask.Post(s, "/api/chat", `{"model":"`+model+`","stream":false,"options":{"num_predict":1},"messages":[{"role":"user","content":"Hi"}]}`))
	return x.PromptCount
}

// during is an answer that looks at the server whenever a line of it is written.
type during struct {
	*httptest.ResponseRecorder
	look func(line []byte)
}

func (w *during) Write(p []byte) (int, error) {
	w.look(p)
	return w.ResponseRecorder.Write(p)
}

// A model that is made under a name that is used takes its place: until it is whole the old one answers, what runs goes on to its end, and
// nothing of the old one is left.
func TestCreateReplaces(t *testing.T) {
	sample.Skip(t) // it converts
	store := &models.Store{Home: t.TempDir()}
	s := newServer(t, store, Options{})
	create := func(body string) {
		t.Helper()
		if w := ask.Post(s, "/api/create", body); w.Code != http.StatusOK || strings.Contains(w.Body.String(), "error") {
			t.Fatalf("%s: %d %s", body, w.Code, w.Body)
		}
	}
	only := func(typ string) models.Model {
		t.Helper()
		all, err := store.Find("local/pirate")
		if err != nil || len(all) != 1 || all[0].Type != typ {
			t.Fatalf("%+v, %v: want one model, of type %s", all, err, typ)
		}
		return all[0]
	}
	create(`{"model":"pirate","from":"mini","system":"Talk like a pirate."}`)
	first, plain := only("w8a8"), promptTokens(t, s, "mini")
	old := promptTokens(t, s, "pirate")

	l, err := s.Models().Acquire(t.Context(), "pirate", nil)
	if err != nil {
		t.Fatal(err)
	}
	o := l.Defaults()
	o.MaxTokens, o.IgnoreEOS = 40, true
	running := l.Chat(t.Context(), []systemgemma.Message{{Role: "user", Content: "Hi"}}, &systemgemma.ChatOptions{GenerateOptions: o})
	tokens := 0
	for e, err := range running {
		if err != nil {
			t.Fatal(err)
		}
		if tokens++; tokens == 1 { // amid the answer
			looked := false
			w := &during{httptest.NewRecorder(), func(line []byte) {
				if !looked && bytes.Contains(line, []byte("quantizing")) && !bytes.Contains(line, []byte("success")) {
					looked = true
					if got := promptTokens(t, s, "pirate"); got != old {
						t.Errorf("while the new one is made: a prompt of %d tokens, want %d", got, old)
					}
				}
			}}
			r := httptest.NewRequest("POST", "/api/create", strings.NewReader(`{"model":"pirate","from":"pirate","system":"","quantize":"w4"}`))
			r.Host = "localhost"
			s.Handler().ServeHTTP(w, r)
			if !looked || !strings.Contains(w.Body.String(), "success") {
				t.Errorf("%t, %s", looked, w.Body)
			}
			if got := promptTokens(t, s, "pirate"); got != plain {
				t.Errorf("the new one: a prompt of %d tokens, want %d", got, plain)
			}
		}
		if e.Result != nil && len(e.Result.IDs) != 40 {
			t.Errorf("the running answer ends after %d tokens", len(e.Result.IDs))
		}
	}
	l.Release()
	second := only("w4")
	if second.Path == first.Path {
		t.Error("the new file has the name of the old one, which may be open")
	}

	// What can't be made leaves what is there.
	for _, body := range []string{
		`{"model":"pirate","from":"none","stream":false}`, `{"model":"pirate","from":"mini","parameters":{"temperature":"hot"},"stream":false}`, `{"model":"pirate","from":"mini","quantize":"q4_K_M","stream":false}`,
	} {
		if w := ask.Post(s, "/api/create", body); w.Code < 400 {
			t.Errorf("%s: %d", body, w.Code)
		}
	}
	if got := only("w4"); got.Path != second.Path || promptTokens(t, s, "pirate") != plain {
		t.Errorf("%s: want %s", got.Path, second.Path)
	}

	// Of one type, on one day: the file has another name, which others find by the same name.
	create(`{"model":"pirate","from":"pirate","system":"Talk like a pirate."}`)
	third := only("w4")
	if third.Path == second.Path || promptTokens(t, s, "pirate") != old {
		t.Errorf("%s after %s: a prompt of %d tokens, want %d", third.Path, second.Path, promptTokens(t, s, "pirate"), old)
	}
	create(`{"model":"pirate","from":"mini","quantize":"w4"}`)
	if fourth := only("w4"); fourth.Path == third.Path || promptTokens(t, s, "pirate") != plain {
		t.Errorf("%s after %s", fourth.Path, third.Path)
	}

	// A name that was an alias, and names that can't be had.
	if w := ask.Post(s, "/api/copy", `{"source":"mini","destination":"nick"}`); w.Code != http.StatusOK {
		t.Fatal(w.Body)
	}
	create(`{"model":"nick","from":"mini","system":"Talk like a pirate."}`)
	if got := promptTokens(t, s, "nick"); got != old {
		t.Errorf("nick: a prompt of %d tokens, want %d", got, old)
	}
	create(`{"model":"me/own","from":"nick"}`)
	for name, want := range map[string]string{"mini": "part of it", "2b": "google/gemma-2-2b-it", "own": "a name of me/own"} {
		for path, body := range map[string]string{"/api/create": `{"model":"` + name + `","from":"nick","stream":false}`, "/api/copy": `{"source":"nick","destination":"` + name + `"}`} {
			if w := ask.Post(s, path, body); w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), want) {
				t.Errorf("%s: %d %s, want %q", body, w.Code, w.Body, want)
			}
		}
	}
	if w := ask.Post(s, "/api/copy", `{"source":"pirate","destination":"nick"}`); w.Code != http.StatusOK {
		t.Fatal(w.Body)
	}
	if got := promptTokens(t, s, "nick"); got != plain {
		t.Errorf("a copy over nick: a prompt of %d tokens, want %d", got, plain)
	}
}

// A model that was named when the server was started is the new one, too.
func TestCreateReplacesWhatWasGiven(t *testing.T) {
	sample.Skip(t) // it converts
	store := &models.Store{Home: t.TempDir()}
	before := newServer(t, store, Options{})
	if w := ask.Post(before, "/api/create", `{"model":"pirate","from":"mini","system":"Talk like a pirate."}`); w.Code != http.StatusOK {
		t.Fatal(w.Body)
	}
	set, err := hosted.New(hosted.Options{Models: []string{"pirate"}, Store: store})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = set.Close(context.Background()) }()
	s := server.New(set, server.Config{})
	s.Add(New(s, Options{}))
	old, plain := promptTokens(t, s, "pirate"), promptTokens(t, s, "mini")
	if w := ask.Post(s, "/api/create", `{"model":"pirate","from":"pirate","system":""}`); w.Code != http.StatusOK {
		t.Fatal(w.Body)
	}
	if got := promptTokens(t, s, "pirate"); got != plain || old == plain {
		t.Errorf("a prompt of %d tokens, want %d", got, plain)
	}
}
