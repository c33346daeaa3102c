package ollama

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/systemgemma/systemgemma/internal/app/models"
	"github.com/systemgemma/systemgemma/internal/testkit/ask"
	"github.com/systemgemma/systemgemma/internal/testkit/sample"
)

// A model is made with weights of another type, of a model or of files, and tells how far it is.
func TestQuantize(t *testing.T) {
	sample.Skip(t) // it converts
	store := &models.Store{Home: t.TempDir()}
	s := newServer(t, store, Options{})
	digest := bring(t, s.Handler(), plainFile(t))
	for _, x := range []struct{ body, typ string }{
		{`{"model":"a","files":{"mini.gguf":"` + digest + `"},"quantize":"Q4_0"}`, "q4_0"}, {`{"model":"b","from":"a","quantize":"w8a8"}`, "w8a8"}, {`{"model":"c","from":"mini","quantize":"w4"}`, "w4"},
	} {
		list := ask.Lines[status](t, ask.Post(s, "/api/create", x.body))
		told := false
		for _, l := range list {
			told = told || l.Status == "quantizing model to "+x.typ && l.Completed == l.Total && l.Total > 0
		}
		if !told || list[len(list)-1].Status != "success" {
			t.Errorf("%s: %+v", x.body, list)
		}
	}
	for name, typ := range map[string]string{"a": "q4_0", "b": "w8a8", "c": "w4"} {
		all, err := store.Find(name)
		if err != nil || len(all) != 1 || all[0].Type != typ {
			t.Errorf("%s: %+v, %v; want one of %s", name, all, err, typ)
		}
		if x := ask.JSON[answer](t, ask.Post(s, "/api/generate", `{"model":"`+name+`","prompt":"Hello","stream":false,"options":{"num_predict":3}}`)); x.Count == 0 {
			t.Errorf("%s: %+v", name, x)
		}
	}
	for _, typ := range []string{"q4_K_M", "q4_K_S", "x"} {
		if w := ask.Post(s, "/api/create", `{"model":"d","from":"mini","quantize":"`+typ+`"}`); w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), typ) {
			t.Errorf("%s: %d %s", typ, w.Code, w.Body)
		}
	}
}

// lora is a folder of small models and adapters.
const lora = "../../../checkpoint/peft/testdata/lora"

// bringAll uploads the files of a folder that begin with prefix: the map of a request.
func bringAll(t *testing.T, s http.Handler, dir, prefix string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	digests := map[string]string{}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), prefix) || e.IsDir() {
			continue
		}
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		digests[e.Name()] = bring(t, s, b)
	}
	text, _ := json.Marshal(digests)
	return string(text)
}

// A model of safetensors files has the adapters that it is made with, of either form, and one that fits no model makes none.
func TestAdaptersOfANewModel(t *testing.T) {
	sample.Skip(t) // it converts
	store := &models.Store{Home: t.TempDir()}
	s := newServer(t, store, Options{})
	for name, adapters := range map[string]string{
		"none": `{}`, "folder": bringAll(t, s.Handler(), filepath.Join(lora, "plain-r4-qv"), "adapter_"), "file": bringAll(t, s.Handler(), lora, "plain-r4-qv.gguf"),
	} {
		body := `{"model":"` + name + `","files":` + bringAll(t, s.Handler(), filepath.Join(lora, "base"), "") + `,"adapters":` + adapters + `,"quantize":"f32","stream":false}`
		if w := ask.Post(s, "/api/create", body); w.Code != http.StatusOK {
			t.Fatalf("%s: %d %s", name, w.Code, w.Body)
		}
		all, err := store.Find(name)
		if err != nil {
			t.Fatal(err)
		}
		carried, err := store.Settings(&all[0])
		if err != nil || len(carried.Adapters) != map[string]int{"folder": 1, "file": 1}[name] {
			t.Errorf("%s carries %+v, %v", name, carried, err)
		}
		l, err := s.Models().Acquire(t.Context(), name, nil)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if uses, err := l.Use(nil); err != nil || len(uses) != len(carried.Adapters) {
			t.Errorf("%s uses %+v, %v", name, uses, err)
		}
		l.Release()
	}
	left, err := os.ReadDir(filepath.Join(store.Home, "uploads"))
	if err != nil || len(left) != 1 {
		t.Errorf("left of uploads: %v, %v", left, err)
	}
	for _, x := range []struct{ body, want string }{
		{`{"model":"bad","from":"none","adapters":` + bringAll(t, s.Handler(), filepath.Join(lora, "refuse-shape"), "adapter_") + `}`, "adapters: "},
		{`{"model":"bad","from":"none","adapters":{"notes.txt":"sha256:` + strings.Repeat("0", 64) + `"}}`, "no such blob"},
		{`{"model":"bad","from":"none","adapters":{"../x.gguf":"sha256:` + strings.Repeat("0", 64) + `"}}`, ".. part"},
		{`{"model":"bad","files":` + bringAll(t, s.Handler(), filepath.Join(lora, "plain-r4-qv"), "adapter_") + `}`, "files: "},
	} {
		if w := ask.Post(s, "/api/create", x.body); w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), x.want) {
			t.Errorf("%.90s: %d %s, want %q", x.body, w.Code, w.Body, x.want)
		}
	}
	if _, err := store.Find("bad"); err == nil {
		t.Error("a model was made with an adapter that fits none")
	}
}

// An empty system message switches off the model's own, in the way of chats; an empty system of generate is none given, as Ollama has it.
func TestEmptySystem(t *testing.T) {
	sample.Skip(t) // it converts
	s := newServer(t, &models.Store{Home: t.TempDir()}, Options{})
	if w := ask.Post(s, "/api/create", `{"model":"pirate","from":"mini","system":"Talk like a pirate.","parameters":{"temperature":0},"stream":false}`); w.Code != http.StatusOK {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	count := func(path, body string) int {
		x := ask.JSON[answer](t, ask.Post(s, path, `{`+body+`,"stream":false,"options":{"num_predict":1}}`))
		return x.PromptCount
	}
	const user = `{"role":"user","content":"Hi"}`
	plain := count("/api/chat", `"model":"mini","messages":[`+user+`]`)
	pirate := count("/api/chat", `"model":"pirate","messages":[`+user+`]`)
	off := count("/api/chat", `"model":"pirate","messages":[{"role":"system","content":""},`+user+`]`)
	if off != plain || pirate <= plain {
		t.Errorf("%d tokens with an empty system message, want %d; with the model's own %d", off, plain, pirate)
	}
	if got := count("/api/generate", `"model":"pirate","prompt":"Hi","system":""`); got != pirate {
		t.Errorf("generate: %d tokens, want %d", got, pirate)
	}
	if w := ask.Post(s, "/api/create", `{"model":"quiet","from":"pirate","system":"","stream":false}`); w.Code != http.StatusOK {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	if got := count("/api/chat", `"model":"quiet","messages":[`+user+`]`); got != plain {
		t.Errorf("a model made with an empty system prompt: %d tokens, want %d", got, plain)
	}
}
