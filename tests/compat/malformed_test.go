package compat

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// bodies are right requests, whose parts a test spoils.
var bodies = map[string]string{
	"/v1/chat/completions": `{"model":"mini","messages":[{"role":"user","content":"hi"}],"max_tokens":2,"temperature":0.5,"top_p":0.9,"n":1,"stop":["x"],"logit_bias":{"5":1},"seed":1}`,
	"/v1/completions":      `{"model":"mini","prompt":"hi","max_tokens":2,"logprobs":1,"echo":false}`,
	"/v1/embeddings":       `{"model":"mini","input":"hi","encoding_format":"float"}`,
	"/v1/responses":        `{"model":"mini","input":"hi","max_output_tokens":16}`,
	"/v1/messages":         `{"model":"mini","max_tokens":2,"system":"hi","messages":[{"role":"user","content":"hi"}],"stop_sequences":["x"]}`,
	"/api/chat":            `{"model":"mini","messages":[{"role":"user","content":"hi"}],"stream":false,"options":{"num_predict":2}}`,
	"/api/generate":        `{"model":"mini","prompt":"hi","stream":false,"options":{"num_predict":2}}`,
	"/api/embed":           `{"model":"mini","input":"hi"}`,
	"/tokenize":            `{"content":"hi"}`,
	"/detokenize":          `{"tokens":[5]}`,
	"/apply-template":      `{"messages":[{"role":"user","content":"hi"}]}`,
}

// spoil makes a request that no server may take: not JSON, or a member of a wrong kind or range.
func spoil(r *rand.Rand, body string) string {
	var object map[string]json.RawMessage
	if err := json.Unmarshal([]byte(body), &object); err != nil {
		panic(err)
	}
	switch r.IntN(5) {
	case 0:
		return body[:1+r.IntN(len(body)-1)] // cut
	case 1:
		return strings.Repeat("[", 1+r.IntN(100_000))
	case 2:
		return []string{"", "null", "7", `"x"`, "[]", "{}", "\x00\xff", "{\"model\":\"mini\"}{"}[r.IntN(8)]
	}
	wrong := []string{`{"a":{"b":[{}]}}`, `[[[1]]]`, `-1e400`, `1e99`, `"\ud800"`, `true`, `[null,7,{}]`, `-99999999999`}
	var keys []string
	for k := range object {
		if k != "stream" && k != "seed" && k != "echo" {
			keys = append(keys, k)
		}
	}
	object[keys[r.IntN(len(keys))]] = json.RawMessage(wrong[r.IntN(len(wrong))])
	var parts []string
	for k, v := range object {
		parts = append(parts, fmt.Sprintf("%q:%s", k, v))
	}
	return "{" + strings.Join(parts, ",") + "}"
}

// Requests that are wrong get an answer that says so, in the form of their dialect; the server never fails. Some spoiled ones happen to be
// right: those are answered.
func TestMalformed(t *testing.T) {
	s := serve(t)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	refused := 0
	for n := 0; refused < 500; n++ {
		if n > 2000 {
			t.Fatalf("only %d of %d requests were refused", refused, n)
		}
		for path, body := range bodies {
			bad := spoil(r, body)
			code, answer, err := post(s.url+path, bad)
			if err != nil {
				t.Fatalf("%s %.200q: %v", path, bad, err)
			}
			if code == 200 {
				continue
			}
			refused++
			var x struct{ Error any }
			if err := json.Unmarshal(answer, &x); err != nil || code < 400 || code >= 500 {
				t.Errorf("%s %.200q: status %d, %.300s", path, bad, code, answer)
				continue
			}
			text, isText := x.Error.(string)
			object, isObject := x.Error.(map[string]any)
			if ollama := strings.HasPrefix(path, "/api/"); ollama && (!isText || text == "") || !ollama && (!isObject || object["message"] == "") {
				t.Errorf("%s %.200q: not an error of its dialect: %.300s", path, bad, answer)
			}
		}
	}
	if code, _, err := post(s.url+"/v1/chat/completions", bodies["/v1/chat/completions"]); code != 200 || err != nil {
		t.Errorf("after all that: %d, %v", code, err)
	}
}
