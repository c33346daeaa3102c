package native

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/systemgemma/systemgemma/internal/testkit/ask"
)

// Whatever a body says, the answer is JSON and no failure of the server.
func FuzzRequests(f *testing.F) {
	for _, seed := range []string{
		`{"content":["a",2],"with_pieces":true,"add_special":true}`, `{"prompt":"<bos>a","return_token_strs":true}`, `{"tokens":[2,3]}`, `[{"id":0,"scale":1}]`, `[`, ``,
		`{"messages":[{"role":"system","content":"a"},{"role":"user","content":[{"type":"text","text":"b"}]}],"system_mode":"merge","continue_final_message":false}`,
	} {
		f.Add(seed)
	}
	s := newServer(f, Options{})
	f.Fuzz(func(t *testing.T, body string) {
		for _, path := range []string{"/tokenize", "/detokenize", "/apply-template", "/lora-adapters"} {
			w := ask.Post(s, path, body)
			if w.Code != http.StatusOK && (w.Code < 400 || w.Code > 499) || !json.Valid(w.Body.Bytes()) {
				t.Errorf("%s: %d %s", path, w.Code, w.Body)
			}
		}
	})
}
