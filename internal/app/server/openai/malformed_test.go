package openai

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/systemgemma/systemgemma/internal/app/server"
	"github.com/systemgemma/systemgemma/internal/testkit/ask"
)

// wellFormed are requests that are answered, by path.
var wellFormed = map[string]string{
	"/v1/chat/completions": `{"model":"mini","messages":[{"role":"user","content":"a"}],"max_tokens":1,"temperature":1,"top_p":0.9,"n":1,"stop":["x"],"logit_bias":{"5":1},"logprobs":true,"top_logprobs":2,"seed":1,"stream":false,"response_format":{"type":"json_object"},"tools":[{"type":"function","function":{"name":"f"}}],"presence_penalty":0,"frequency_penalty":0,"prediction":{"type":"content","content":"a"},"system_mode":"merge"}`,
	"/v1/completions":      `{"model":"mini","prompt":["a"],"max_tokens":1,"echo":true,"logprobs":1,"best_of":1,"n":1,"suffix":"","seed":3,"temperature":0}`,
	"/v1/responses":        `{"model":"mini","input":[{"role":"user","content":"a"}],"max_output_tokens":1,"instructions":"b","text":{"format":{"type":"text"}},"truncation":"auto","tool_choice":"none","include":[],"store":false}`,
	"/v1/embeddings":       `{"model":"mini","input":["a"],"encoding_format":"float"}`,
}

// wrong values, most of which no field takes.
var wrong = []string{`"\u0000"`, `{}`, `[]`, `[[]]`, `true`, `-1`, `1e400`, `1e18`, `99999999999999999999`, `0.5`, `"x"`, `[null]`, `[{}]`, `{"a":{}}`, `[[1,2],"a"]`, `{"type":"x"}`, `{"type":1}`, `""`, `[""]`, `[-5]`, `"nan"`}

// isRefusal says whether an answer is a 4xx in OpenAI's form.
func isRefusal(w *httptest.ResponseRecorder) bool {
	var x struct {
		Error struct{ Message, Type string }
	}
	return w.Code >= 400 && w.Code < 500 && json.Unmarshal(w.Body.Bytes(), &x) == nil && x.Error.Message != "" && x.Error.Type != "" && w.Header().Get("Content-Type") == "application/json"
}

// Every request is answered or refused in OpenAI's form: none fails, whatever is wrong with it; and at least 500 are refused.
func TestMalformed(t *testing.T) {
	s := newServer(t, server.Config{MaxBody: 1 << 20})
	refused, tried := 0, 0
	try := func(path, body string, must bool) {
		t.Helper()
		w := ask.Post(s, path, body)
		tried++
		switch {
		case isRefusal(w):
			refused++
		case w.Code == 200 && !must:
		default:
			t.Errorf("%s %.300s: %d %.300s", path, body, w.Code, w.Body)
		}
	}
	for path, body := range wellFormed {
		try(path, body, false)
		var fields map[string]json.RawMessage
		if err := json.Unmarshal([]byte(body), &fields); err != nil {
			t.Fatal(err)
		}
		for name := range fields {
			for _, x := range wrong {
				own := map[string]json.RawMessage{}
				for k, v := range fields {
					own[k] = v
				}
				own[name] = json.RawMessage(x)
				var b bytes.Buffer // json.Marshal would refuse what is no number
				for k, v := range own {
					fmt.Fprintf(&b, ",%q:%s", k, v)
				}
				try(path, "{"+b.String()[1:]+"}", false)
			}
		}
		for i := 1; i < len(body); i += 1 + len(body)/40 { // cut off
			try(path, body[:i], true)
		}
		deep := strings.Repeat("[", 1000)
		for _, x := range []string{"", "null", "[]", `"a"`, "1", "{", "}", body + "}", body + body, "\xff\xfe" + body, `{"a":` + deep, `{"a":` + deep + strings.Repeat("]", 1000) + "}",
			`{"model":"mini","model":"mini"}`, `{"model":"nothing"}`, `{"model":3}`, strings.Repeat(" ", 2<<20), `{"x":"` + strings.Repeat("a", 2<<20) + `"}`, "{}", strings.Replace(body, `"mini"`, `"../../etc/passwd"`, 1)} {
			try(path, x, true)
		}
	}
	long := strings.Repeat("word ", 5000)
	for body, want := range map[string]string{
		`{"messages":[{"role":"user","content":"` + long + `"}]}`: `"code":"context_length_exceeded"`,
		`{"messages":[]}`: `"param":"messages"`,
		`{"messages":[{"role":"robot","content":"a"}]}`:                                                                             `"param":"messages[0].role"`,
		`{"messages":[{"role":"user"}]}`:                                                                                            `"param":"messages[0].content"`,
		`{"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"x"}}]}]}`:                                   `Gemma 2 reads text only`,
		`{"messages":[{"role":"user","content":"a"}],"response_format":{"type":"json_schema","json_schema":{"schema":{"not":{}}}}}`: `JSON schema: #`,
		`{"messages":[{"role":"user","content":"a"}],"guided_regex":"(((("}`:                                                        `regular expression`,
		`{"messages":[{"role":"user","content":"a"}],"grammar":"nonsense"}`:                                                         `GBNF grammar`,
		`{"messages":[{"role":"user","content":"a"}],"n":1000000}`:                                                                  `"param":"n"`,
		`{"messages":[{"role":"user","content":"a"}],"max_tokens":9223372036854775807999}`:                                          `"param":"max_tokens"`,
		`{"messages":[{"role":"user","content":"a"}],"system_mode":"sytem"}`:                                                        `sytem`,
		`{"messages":[{"role":"system","content":"a"},{"role":"user","content":"a"}],"system_mode":"strict"}`:                       `invalid_request_error`,
		`{"messages":[{"role":"user","content":"a"}],"stream_options":{"include_usage":true}}`:                                      `"param":"stream_options"`,
		`{"messages":[{"role":"user","content":"a"}],"top_logprobs":3}`:                                                             `"param":"top_logprobs"`,
		`{"messages":[{"role":"user","content":"a"}],"top_logprobs":21,"logprobs":true}`:                                            `"param":"top_logprobs"`,
		`{"messages":[{"role":"user","content":"a"}],"logit_bias":{"99999999":1}}`:                                                  `invalid_request_error`,
		`{"messages":[{"role":"user","content":"a"}],"continue_final_message":true}`:                                                `"param":"continue_final_message"`,
		`{"messages":[{"role":"user","content":"a"}],"lora":[{"id":0}]}`:                                                            `"param":"lora"`,
		`{"messages":[` + strings.Repeat(`{"role":"user","content":""},`, 10_000) + `{"role":"user","content":""}]}`:                `want 1 to 10000 messages`,
	} {
		for _, stream := range []string{"", `"stream":true,`} {
			w := ask.Post(s, "/v1/chat/completions", "{"+stream+body[1:])
			if tried++; !isRefusal(w) || !strings.Contains(w.Body.String(), want) {
				if stream != "" && strings.Contains(body, "stream_options") {
					continue // then it is right
				}
				t.Errorf("%.120s: %d %.300s, want a refusal with %s", body, w.Code, w.Body, want)
			} else {
				refused++
			}
		}
	}
	if refused < 500 {
		t.Errorf("%d of %d requests were refused, want 500", refused, tried)
	}
	t.Logf("%d of %d requests were refused", refused, tried)
}

// Of any bytes comes an answer or a refusal.
func FuzzRequest(f *testing.F) {
	s := newServer(f, server.Config{})
	paths := []string{"/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/embeddings"}
	for i, p := range paths {
		f.Add(uint8(i), []byte(wellFormed[p]))
	}
	f.Fuzz(func(t *testing.T, which uint8, body []byte) {
		path := paths[int(which)%len(paths)]
		if !bytes.Contains(body, []byte(`tokens":1,`)) && path != "/v1/embeddings" {
			body = bytes.Replace(body, []byte("{"), []byte(`{"max_tokens":1,`), 1) // no long answers
		}
		w := ask.Post(s, path, string(body))
		if w.Code != 200 && !isRefusal(w) {
			t.Fatalf("%s %q: %d %s", path, body, w.Code, w.Body)
		}
	})
}

// Many bytes of random change of a good request.
func TestMutated(t *testing.T) {
	s := newServer(t, server.Config{})
	r := rand.New(rand.NewPCG(1, 2))
	for path, body := range wellFormed {
		for range 150 {
			b := []byte(body)
			for range 1 + r.IntN(3) {
				switch i := r.IntN(len(b)); r.IntN(3) {
				case 0:
					b[i] = byte(r.IntN(256))
				case 1:
					b = append(b[:i:i], b[i+1:]...)
				default:
					b = append(b[:i:i], append([]byte{`[]{},:"0e-`[r.IntN(10)]}, b[i:]...)...)
				}
			}
			if w := ask.Post(s, path, string(b)); w.Code != 200 && !isRefusal(w) {
				t.Fatalf("%s %q: %d %s", path, b, w.Code, w.Body)
			}
		}
	}
}
