package anthropic

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/systemgemma/systemgemma/internal/app/server"
	"github.com/systemgemma/systemgemma/internal/testkit/ask"
)

// isRefusal says whether an answer is a 4xx of that type in Anthropic's form; "": of any.
func isRefusal(w *httptest.ResponseRecorder, kind string) bool {
	var x failure
	return w.Code >= 400 && w.Code < 500 && json.Unmarshal(w.Body.Bytes(), &x) == nil && x.Type == "error" && x.Error.Message != "" && x.Error.Type != "" && (kind == "" || x.Error.Type == kind) &&
		x.RequestID != "" && x.RequestID == w.Header().Get("Request-Id") && w.Header().Get("Content-Type") == "application/json"
}

// What can't be honoured is refused by its name, and so is what is wrong.
func TestRefused(t *testing.T) {
	s := newServer(t, server.Config{MaxBody: 1 << 20})
	const user = `"max_tokens":4,"messages":[{"role":"user","content":"a"}]`
	turn := func(role, content string) string {
		return `"max_tokens":4,"messages":[{"role":"` + role + `","content":` + content + `}]`
	}
	for _, x := range []struct{ body, kind, want string }{
		{`"messages":[{"role":"user","content":"a"}]`, "", "max_tokens: want how many tokens the answer may have, found none"},
		{`"max_tokens":0,"messages":[{"role":"user","content":"a"}]`, "", "max_tokens: want 1 or more"},
		{`"max_tokens":4`, "", "messages: want 1 to"}, {`"max_tokens":4,"messages":[]`, "", "messages: want 1 to"}, {`"max_tokens":4,"messages":"a"`, "", "messages: want a list of objects"},
		{`"max_tokens":4,"messages":[3]`, "", "messages[0]: want an object"},
		{turn("system", `"a"`), "", "messages[0].role: want user or assistant"}, {turn("user", `3`), "", "messages[0].content: want a text or a list of blocks, found 3"},
		{turn("user", `null`), "", "messages[0].content: want a text or a list of blocks, found none"}, {turn("user", `[]`), "", "messages[0].content: want at least one block"},
		{turn("user", `[{"type":"text"}]`), "", "messages[0].content[0].text: want a text"}, {turn("user", `["a"]`), "", "messages[0].content[0]: want an object"},
		{turn("user", `[{"type":"image","source":{}}]`), "", `messages[0].content[0].type: want text, tool_use of an assistant or tool_result of a user, found \"image\"`},
		{turn("user", `[{"type":"document","source":{}}]`), "", `found \"document\"`}, {turn("user", `[{"type":"tool_use","id":"a","name":"b"}]`), "", `found \"tool_use\"`},
		{turn("assistant", `[{"type":"thinking","thinking":"a"}]`), "", `found \"thinking\"`}, {turn("assistant", `[{"type":"tool_result","tool_use_id":"a"}]`), "", `found \"tool_result\"`},
		{turn("assistant", `[{"type":"tool_use","name":"a"}]`), "", "want a call's id"}, {turn("assistant", `[{"type":"tool_use","id":"a","name":"b","input":[]}]`), "", "input: want arguments"},
		{turn("user", `[{"type":"tool_result","content":"a"}]`), "", "tool_use_id: want the id"},
		{turn("user", `[{"type":"tool_result","tool_use_id":"a","content":[{"type":"image"}]}]`), "", `messages[0].content[0].content[0].type: want text, found \"image\"`},
		{user + `,"system":[{"type":"image"}]`, "", "system[0].type: want text"}, {user + `,"system":3`, "", "system: want a text or a list of blocks"},
		{user + `,"thinking":{"type":"enabled","budget_tokens":1024}`, "", "thinking: Gemma 2 does not support thinking"}, {user + `,"thinking":{"type":"adaptive"}`, "", "thinking:"},
		{user + `,"tools":[{"type":"web_search_20250305","name":"web_search"}]`, "", `tools[0].type: want custom, found \"web_search_20250305\"`},
		{user + `,"tools":[{"name":"a b"}]`, "", "tools[0].name"}, {user + `,"tools":[{"name":"a","input_schema":3}]`, "", "tools[0].input_schema: want a JSON schema"},
		{user + `,"tools":[{"name":"a"},{"name":"a"}]`, "", "want names that differ"}, {user + `,"tool_choice":{"type":"any"}`, "", "tool_choice: want tools beside it"},
		{user + `,"tools":[{"name":"a"}],"tool_choice":{"type":"tool","name":"b"}`, "", "tool_choice.name: want the name of one of tools"},
		{user + `,"tools":[{"name":"a"}],"tool_choice":{"type":"some"}`, "", "tool_choice.type: want auto, any, tool or none"}, {user + `,"tool_choice":"auto"`, "", "tool_choice: want an object"},
		{user + `,"tools":[{"name":"a"}],"tool_choice":{"type":"any"},"output_format":{"type":"json_object"}`, "", "tool_choice: want no format beside a call"},
		{user + `,"mcp_servers":[{"type":"url","url":"http://x"}]`, "", "mcp_servers:"}, {user + `,"container":"a"`, "", "container:"}, {user + `,"context_management":{"edits":[]}`, "", "context_management:"},
		{user + `,"logprobs":true`, "", "logprobs:"}, {user + `,"top_logprobs":2`, "", "top_logprobs:"}, {user + `,"n":2`, "", "n: want a whole number from 1 to 1"},
		{user + `,"output_config":{"format":{"type":"json_schema","schema":{"not":{}}}}`, "", "JSON schema"}, {user + `,"output_config":{"format":{"type":"xml"}}`, "", "output_config.format.type"},
		{user + `,"output_config":{"format":{"type":"json_object"}},"output_format":{"type":"json_object"}`, "", "output_config.format: want one form"},
		{user + `,"output_format":{"type":"json_object"},"grammar":"root ::= \"a\""`, "", "output_config.format: want one form"},
		{user + `,"temperature":-1`, "", "temperature: want"}, {user + `,"stop_sequences":[3]`, "", "stop_sequences: want"}, {user + `,"stop_sequences":["a"],"stop":["b"]`, "", "want one name for it"},
		{user + `,"stream":3`, "", "stream: want true or false"}, {user + `,"model":"nothing"`, "not_found_error", "nothing"}, {user + `,"system_mode":"x"`, "", "x"},
		{turn("user", `"`+strings.Repeat("word ", 5000)+`"`), "", "prompt is too long: "},
		{user + `,"x":"` + strings.Repeat("a", 2<<20) + `"`, "request_too_large", "want a body of at most"},
	} {
		for _, stream := range []string{"", `"stream":true,`} {
			if stream != "" && strings.Contains(x.body, `"stream"`) {
				continue
			}
			kind := x.kind
			if kind == "" {
				kind = "invalid_request_error"
			}
			w := ask.Post(s, path, "{"+stream+x.body+"}")
			if !isRefusal(w, kind) || !strings.Contains(w.Body.String(), x.want) {
				t.Errorf("%.200s: %d %.300s, want %s with %s", x.body, w.Code, w.Body, kind, x.want)
			}
		}
	}
	for _, x := range []struct{ method, path, kind, want string }{
		{"GET", path, "invalid_request_error", "/v1/messages takes POST, not GET"},
		{"POST", path + "/batches", "not_found_error", "nothing is at /v1/messages/batches; there are /v1/messages, /v1/messages/count_tokens"},
	} {
		if w := ask.Do(s, x.method, x.path, "{}"); !isRefusal(w, x.kind) || !strings.Contains(w.Body.String(), x.want) {
			t.Errorf("%s %s: %d %s", x.method, x.path, w.Code, w.Body)
		}
	}
}

const wellFormed = `{"model":"mini","max_tokens":1,"messages":[{"role":"user","content":[{"type":"text","text":"a"}]},{"role":"assistant","content":[{"type":"tool_use","id":"x","name":"f","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"x","content":"b","is_error":true}]}],` +
	`"system":[{"type":"text","text":"b","cache_control":{"type":"ephemeral"}}],"tools":[{"name":"f","input_schema":{"type":"object"}}],"tool_choice":{"type":"auto"},"stop_sequences":["x"],"temperature":1,"top_p":0.9,"top_k":5,"stream":false,"metadata":{},"thinking":{"type":"disabled"},"output_config":{}}`

// Every request is answered or refused in Anthropic's form, whatever is wrong with it.
func TestMalformed(t *testing.T) {
	s := newServer(t, server.Config{})
	var fields map[string]json.RawMessage
	if err := json.Unmarshal([]byte(wellFormed), &fields); err != nil {
		t.Fatal(err)
	}
	refused := 0
	try := func(body string, must bool) {
		t.Helper()
		for _, at := range []string{path, path + "/count_tokens"} {
			w := ask.Post(s, at, body)
			switch {
			case isRefusal(w, ""):
				refused++
			case w.Code != 200 || must:
				t.Errorf("%s %.300s: %d %.300s", at, body, w.Code, w.Body)
			}
		}
	}
	try(wellFormed, false)
	if refused > 0 {
		t.Fatal("a right request is refused")
	}
	for name := range fields {
		for _, x := range []string{`"\u0000"`, `{}`, `[]`, `[[]]`, `true`, `-1`, `1e400`, `1e18`, `0.5`, `"x"`, `[null]`, `[{}]`, `{"a":{}}`, `[[1,2],"a"]`, `{"type":"x"}`, `{"type":1}`, `""`, `[{"type":"text","text":3}]`,
			`[{"role":"user","content":[null]}]`, `[{"role":"user","content":{}}]`, `[{"role":"assistant","content":[{"type":"tool_use","id":3}]}]`, `[{"name":"f","input_schema":null}]`, `{"type":"tool"}`} {
			var b bytes.Buffer // json.Marshal would refuse what is no number
			for k, v := range fields {
				if k == name {
					v = json.RawMessage(x)
				}
				fmt.Fprintf(&b, ",%q:%s", k, v)
			}
			try("{"+b.String()[1:]+"}", false)
		}
	}
	for i := 1; i < len(wellFormed); i += 10 { // cut off
		try(wellFormed[:i], true)
	}
	for _, x := range []string{"", "null", "[]", `"a"`, "{", "}", wellFormed + "}", "\xff" + wellFormed, `{"a":` + strings.Repeat("[", 1000), "{}"} {
		try(x, true)
	}
	if refused < 300 {
		t.Errorf("%d requests were refused, want 300", refused)
	}
	t.Logf("%d requests were refused", refused)
}

// Of any bytes comes a count or a refusal, and an answer to what has a count.
func FuzzRequest(f *testing.F) {
	s := newServer(f, server.Config{})
	f.Add([]byte(wellFormed))
	f.Add([]byte(`{` + hello + `,"stream":true}`))
	f.Add([]byte(`{"max_tokens":1,"messages":[{"role":"user","content":"a"},{"role":"assistant","content":[{"type":"text","text":"<end_of_turn>"}]}],"output_format":{"type":"json_object"}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		counted := ask.Post(s, path+"/count_tokens", string(body))
		if counted.Code != 200 && !isRefusal(counted, "") {
			t.Fatalf("%q: %d %s", body, counted.Code, counted.Body)
		}
		if !bytes.Contains(body, []byte(`tokens":1,`)) {
			body = bytes.Replace(body, []byte("{"), []byte(`{"max_tokens":1,`), 1) // no long answers
		}
		if w := ask.Post(s, path, string(body)); w.Code != 200 && !isRefusal(w, "") {
			t.Fatalf("%q: %d %s", body, w.Code, w.Body)
		}
	})
}
