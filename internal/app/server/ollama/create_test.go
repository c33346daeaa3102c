package ollama

import (
	"strings"
	"testing"

	"github.com/systemgemma/systemgemma/internal/app/models"
	"github.com/systemgemma/systemgemma/internal/testkit/ask"
	"github.com/systemgemma/systemgemma/internal/testkit/sample"
)

// A model that was made with a system prompt, parameters and messages answers by them, where a request says nothing else.
func TestCreate(t *testing.T) {
	sample.Skip(t) // it converts
	store := &models.Store{Home: t.TempDir()}
	s := newServer(t, store, Options{})
	const body = `{"model":"pirate","from":"mini","system":"Talk like a pirate.","parameters":{"temperature":0,"num_predict":5,"stop":["xyz"]},"license":"mine"}`
	if list := ask.Lines[status](t, ask.Post(s, "/api/create", body)); list[len(list)-1].Status != "success" {
		t.Fatalf("%+v", list)
	}
	chat := func(model, further string) string {
		x := ask.JSON[answer](t, ask.Post(s, "/api/chat", `{"model":"`+model+`","stream":false,"messages":[`+further+`{"role":"user","content":"What is the capital of France?"}]}`))
		return x.text()
	}
	generate := func(model, further string) string {
		x := ask.JSON[answer](t, ask.Post(s, "/api/generate", `{"model":"`+model+`","stream":false,"prompt":"What is the capital of France?"`+further+`}`))
		return x.text()
	}
	const asked = `{"role":"system","content":"Talk like a pirate."},`
	if got, want := chat("pirate", ""), chat("pirate", asked); got != want || got == "" {
		t.Errorf("chat: %q, want %q", got, want)
	}
	if got, want := generate("pirate", ""), generate("pirate", `,"system":"Talk like a pirate."`); got != want || got == "" {
		t.Errorf("generate: %q, want %q", got, want)
	}
	whole := ask.JSON[answer](t, ask.Post(s, "/api/chat", `{"model":"mini","stream":false,"options":{"temperature":0},"messages":[`+asked+`{"role":"user","content":"What is the capital of France?"}]}`))
	if got := chat("pirate", ""); !strings.HasPrefix(whole.text(), got) || len(got) >= len(whole.text()) {
		t.Errorf("five tokens: %q of %q", got, whole.text())
	}
	if got := chat("pirate", `{"role":"system","content":"Answer in one word."},`); strings.HasPrefix(got, "Arr") {
		t.Errorf("a system prompt of the request is not obeyed: %q", got)
	}
	const next = `{"model":"second","from":"pirate","system":"","messages":[{"role":"user","content":"Hello"},{"role":"assistant","content":"Hi."}],"stream":false}`
	if x := ask.JSON[map[string]string](t, ask.Post(s, "/api/create", next)); x["status"] != "success" {
		t.Errorf("%v", x)
	}
	if got, want := chat("second", ""), chat("second", `{"role":"user","content":"Hello"},{"role":"assistant","content":"Hi."},`); got == "" || want == "" {
		t.Errorf("%q, %q", got, want)
	}
	show := ask.JSON[struct{ System, Modelfile string }](t, ask.Post(s, "/api/show", `{"model":"pirate"}`))
	if !strings.Contains(show.Modelfile, "Talk like a pirate.") {
		t.Errorf("show: %+v", show)
	}
}
