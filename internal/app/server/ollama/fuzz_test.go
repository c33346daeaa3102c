package ollama

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/systemgemma/systemgemma/internal/app/server/option"
	"github.com/systemgemma/systemgemma/internal/app/server/talk"
	"github.com/systemgemma/systemgemma/internal/testkit/ask"
)

// Whatever a body says, the answer is JSON of Ollama's form and no failure of the server.
func FuzzRequests(f *testing.F) {
	for _, seed := range []string{
		`{"model":"mini","messages":[{"role":"user","content":"a","images":[]}],"num_predict":1}`, `{"model":"mini","keep_alive":"-1m","prompt":"","context":[2]}`,
		`{"model":"mini","messages":[{"role":"assistant","tool_calls":[{"id":null,"function":{"name":"x","arguments":{"a":1}}}]}]}`, `{"name":"mini","verbose":true}`, `[`, ``,
	} {
		f.Add(seed)
	}
	s := newServer(f, nil, Options{})
	f.Fuzz(func(t *testing.T, body string) {
		for _, path := range []string{"/api/show", "/api/create", "/api/pull"} {
			w := ask.Post(s, path, body)
			if w.Code != http.StatusOK && (w.Code < 400 || w.Code > 499 && w.Code != http.StatusNotImplemented || !json.Valid(w.Body.Bytes())) {
				t.Errorf("%s: %d %s", path, w.Code, w.Body)
			}
		}
		checkReaders(t, body)
	})
}

// checkReaders reads a body as chat and generate do, without running it.
func checkReaders(t *testing.T, body string) {
	t.Helper()
	f, err := option.Decode([]byte(body))
	if err != nil {
		return
	}
	list, err := readMessages(f)
	if err == nil && len(list) > talk.MaxMessages {
		t.Errorf("%d messages", len(list))
	}
	for _, m := range list {
		for _, c := range m.Calls {
			if c.Name == "" || !json.Valid(c.Arguments) {
				t.Errorf("call %+v", c)
			}
		}
	}
	if g, err := readGenerate(f); err == nil && g.raw && (g.system != "" || len(g.context) > 0) {
		t.Errorf("%+v", g)
	}
	if d, err := keepAlive(f); err != nil && d != nil {
		t.Errorf("%v beside %v", d, err)
	}
}
