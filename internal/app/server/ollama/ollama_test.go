package ollama

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/systemgemma/systemgemma"
	"github.com/systemgemma/systemgemma/internal/app/models"
	"github.com/systemgemma/systemgemma/internal/app/server"
	"github.com/systemgemma/systemgemma/internal/app/server/hosted"
	"github.com/systemgemma/systemgemma/internal/app/server/pieces"
	"github.com/systemgemma/systemgemma/internal/testkit/ask"
)

// No test leaves a goroutine behind.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// newServer serves Mini, and the models of a store if there is one.
func newServer(t testing.TB, store *models.Store, o Options) *server.Server {
	t.Helper()
	set, err := hosted.New(hosted.Options{Aliases: map[string]string{"gpt-4o": "mini"}, Store: store})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = set.Close(context.Background()) })
	s := server.New(set, server.Config{})
	s.Add(New(s, o))
	return s
}

// text is what an answer says.
func (x *answer) text() string {
	if x.Message != nil {
		return x.Message.Content
	}
	return *x.Response
}

// A stream says the same as an answer at once: text, reason, log probabilities, counts.
func TestStreamEqualsWhole(t *testing.T) {
	s := newServer(t, nil, Options{})
	const chat = `"messages":[{"role":"system","content":"Talk like a pirate."},{"role":"user","content":"What is the capital of France?"}]`
	for path, body := range map[string]string{
		"/api/chat": chat, "/api/generate": `"prompt":"What is the capital of France?","system":"Talk like a pirate."`,
	} {
		for _, options := range []string{
			``, `,"options":{"temperature":1,"seed":7,"num_predict":20}`, `,"logprobs":true,"top_logprobs":3,"options":{"num_predict":9}`, `,"options":{"stop":["the"],"temperature":1.5,"seed":4,"num_predict":0}`,
			`,"format":{"type":"object","properties":{"a":{"type":"string","maxLength":5}},"required":["a"]}`, `,"truncate":true,"options":{"num_ctx":4}`,
		} {
			whole := ask.JSON[answer](t, ask.Post(s, path, `{"model":"mini","stream":false,`+body+options+`}`))
			list := ask.Lines[answer](t, ask.Post(s, path, `{"model":"mini",`+body+options+`}`))
			text, logs := "", []pieces.Logprob(nil)
			for i, x := range list {
				text += x.text()
				logs = append(logs, x.Logprobs...)
				last := i == len(list)-1
				if x.Done != last || (x.Reason != "") != last || x.Model != "mini" || x.Created == "" || (x.Total > 0) != last {
					t.Errorf("%s %s: line %d is %+v", path, options, i, x)
				}
			}
			end := list[len(list)-1]
			if text != whole.text() || end.Reason != whole.Reason || end.Count != whole.Count || end.PromptCount != whole.PromptCount || fmt.Sprint(logs) != fmt.Sprint(whole.Logprobs) {
				t.Errorf("%s %s: %q %+v, want %q %+v", path, options, text, end, whole.text(), whole)
			}
			if strings.Contains(options, "logprobs") && (len(logs) != 9 || len(logs[0].Top) != 3) {
				t.Errorf("%s: %d log probabilities", path, len(logs))
			}
			if slices.Compare(end.Context, whole.Context) != 0 || (end.Context != nil) != (path == "/api/generate") {
				t.Errorf("%s %s: context %v, want %v", path, options, end.Context, whole.Context)
			}
			if whole.Count == 0 || whole.PromptCount == 0 || whole.Extension.SystemMode != "systemgemma2" {
				t.Errorf("%s %s: %+v", path, options, whole)
			}
		}
	}
}

// A context goes on with the conversation: the model sees what a chat would have shown it.
func TestContextGoesOn(t *testing.T) {
	s := newServer(t, nil, Options{})
	for _, limit := range []string{"", `,"options":{"num_predict":3}`} {
		one := ask.JSON[answer](t, ask.Post(s, "/api/generate", `{"model":"mini","stream":false,"prompt":"Hello"`+limit+`}`))
		context, _ := json.Marshal(one.Context)
		two := ask.JSON[answer](t, ask.Post(s, "/api/generate", fmt.Sprintf(`{"model":"mini","stream":false,"prompt":"And now?","context":%s}`, context)))
		said, _ := json.Marshal(one.text())
		chat := ask.JSON[answer](t, ask.Post(s, "/api/chat", fmt.Sprintf(`{"model":"mini","stream":false,"messages":[{"role":"user","content":"Hello"},{"role":"assistant","content":%s},{"role":"user","content":"And now?"}]}`, said)))
		if two.text() != chat.text() || two.PromptCount != chat.PromptCount {
			t.Errorf("%s: %q after %d tokens, want %q after %d", limit, two.text(), two.PromptCount, chat.text(), chat.PromptCount)
		}
	}
	raw := ask.JSON[answer](t, ask.Post(s, "/api/generate", `{"model":"mini","stream":false,"raw":true,"prompt":"<start_of_turn>user\nHello<end_of_turn>\n<start_of_turn>model\n"}`))
	plain := ask.JSON[answer](t, ask.Post(s, "/api/generate", `{"model":"mini","stream":false,"prompt":"Hello"}`))
	if raw.text() != plain.text() || raw.PromptCount != plain.PromptCount || raw.Context != nil {
		t.Errorf("raw: %+v, want as %+v", raw, plain)
	}
}

// Requests without a prompt open and close the model.
func TestLoadAndUnload(t *testing.T) {
	s := newServer(t, nil, Options{})
	for _, x := range []struct {
		path, body, reason string
		open               bool
	}{
		{"/api/generate", `{"model":"mini","keep_alive":0}`, "unload", false},
		{"/api/generate", `{"model":"mini"}`, "load", true},
		{"/api/chat", `{"model":"mini","messages":[],"keep_alive":"10m"}`, "load", true},
		{"/api/chat", `{"model":"mini","keep_alive":"0s"}`, "unload", false},
		{"/api/generate", `{"model":"mini","prompt":"","keep_alive":-1}`, "load", true},
		{"/api/generate", `{"model":"mini","prompt":"Hello","stream":false,"keep_alive":0}`, "stop", false},
	} {
		got := ask.JSON[answer](t, ask.Post(s, x.path, x.body))
		if !got.Done || got.Reason != x.reason {
			t.Errorf("%s: %+v, want %s", x.body, got, x.reason)
		}
		for end := time.Now().Add(20 * time.Second); (len(s.Models().Running()) > 0) != x.open; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%s: open is %v, want %v", x.body, !x.open, x.open)
			}
		}
		if x.open {
			got := ask.JSON[struct{ Models []listed }](t, ask.Do(s, "GET", "/api/ps", "")).Models[0]
			if got.Name != "mini:latest" || got.Context == 0 || got.VRAM == nil || got.Expires == nil || got.Size == 0 {
				t.Errorf("%s: ps %+v", x.body, got)
			}
			if years := time.Until(*got.Expires).Hours() / 24 / 365; (years > 100) != strings.Contains(x.body, "-1") {
				t.Errorf("%s: expires in %v years", x.body, years)
			}
		}
	}
}

func TestKeepAlive(t *testing.T) {
	s := newServer(t, nil, Options{})
	for value, ok := range map[string]bool{
		`"5m"`: true, `"-1m"`: true, `300`: true, `0.5`: true, `"300"`: true, `-1`: true, `"24h"`: true, `1e300`: true, `null`: true,
		`"x"`: false, `true`: false, `""`: false, `[]`: false, `{}`: false, `"NaN"`: false,
	} {
		w := ask.Post(s, "/api/generate", `{"model":"mini","keep_alive":`+value+`}`)
		if (w.Code == http.StatusOK) != ok || !ok && w.Code != http.StatusBadRequest {
			t.Errorf("%s: %d %s", value, w.Code, w.Body)
		}
	}
}

const weather = `"tools":[{"type":"function","function":{"name":"weather","description":"of a town","parameters":{"type":"object","properties":{"town":{"type":"string","maxLength":8}},"required":["town"]}}}]`

// Calls come in one line, as an object, with a name and an id; results of earlier ones are part of the prompt.
func TestTools(t *testing.T) {
	s := newServer(t, nil, Options{})
	body := `{"model":"mini","messages":[{"role":"user","content":"Weather in Bonn?"}],"tool_choice":"required",` + weather
	whole := ask.JSON[answer](t, ask.Post(s, "/api/chat", body+`,"stream":false}`))
	list := ask.Lines[answer](t, ask.Post(s, "/api/chat", body+`}`))
	if len(list) < 2 || len(whole.Message.Calls) == 0 || whole.text() != "" {
		t.Fatalf("%+v, %+v", whole.Message, list)
	}
	var args struct{ Town *string }
	c := whole.Message.Calls[0]
	if err := json.Unmarshal(c.Function.Arguments, &args); err != nil || args.Town == nil || c.Function.Name != "weather" || c.ID == "" {
		t.Errorf("%+v: %v", c, err)
	}
	calls := 0
	for _, x := range list {
		if x.text() != "" || len(x.Message.Calls) > 0 && x.Done {
			t.Errorf("%+v", x.Message)
		}
		for i, got := range x.Message.Calls {
			calls++
			if string(got.Function.Arguments) != string(whole.Message.Calls[i].Function.Arguments) {
				t.Errorf("streamed %s, want %s", got.Function.Arguments, whole.Message.Calls[i].Function.Arguments)
			}
		}
	}
	if calls != len(whole.Message.Calls) {
		t.Errorf("%d calls in the stream, want %d", calls, len(whole.Message.Calls))
	}
	// A conversation with a result, whose call has a null id as some clients send it.
	again := ask.JSON[answer](t, ask.Post(s, "/api/chat", `{"model":"mini","stream":false,"messages":[{"role":"user","content":"Weather in Bonn?"},
		{"role":"assistant","content":"","tool_calls":[{"id":null,"function":{"name":"weather","arguments":{"town":"Bonn"}}}]},{"role":"tool","tool_name":"weather","tool_call_id":null,"content":"rain"}],`+weather+`}`))
	if again.PromptCount <= whole.PromptCount {
		t.Errorf("%d tokens with the result, %d without", again.PromptCount, whole.PromptCount)
	}
}

func TestFormats(t *testing.T) {
	s := newServer(t, nil, Options{})
	for _, x := range []struct{ format, path string }{{`"json"`, "/api/chat"}, {`"json"`, "/api/generate"}, {`{"type":"object","properties":{"n":{"enum":[3]}},"required":["n"]}`, "/api/chat"}} {
		body := `"messages":[{"role":"user","content":"Hi"}]`
		if x.path == "/api/generate" {
			body = `"prompt":"Hi"`
		}
		got := ask.JSON[answer](t, ask.Post(s, x.path, `{"model":"mini","stream":false,"format":`+x.format+`,"options":{"num_predict":60},`+body+`}`))
		var object map[string]any
		if err := json.Unmarshal([]byte(got.text()), &object); err != nil || strings.HasPrefix(x.format, "{") && object["n"] != 3.0 {
			t.Errorf("%s: %q, %v", x.format, got.text(), err)
		}
		for i := range got.text() { // whitespace is bounded: one space, or a line end and indentation
			if strings.HasPrefix(got.text()[i:], "\n\n") {
				t.Errorf("%s: %q has an empty line", x.format, got.text())
			}
		}
	}
}

func TestEmbed(t *testing.T) {
	s := newServer(t, nil, Options{})
	many := ask.JSON[embeddingList](t, ask.Post(s, "/api/embed", `{"model":"mini","input":["Hello","Bye"]}`))
	one := ask.JSON[embeddingList](t, ask.Post(s, "/api/embed", `{"model":"mini","input":"Hello","truncate":false}`))
	old := ask.JSON[struct{ Embedding []float64 }](t, ask.Post(s, "/api/embeddings", `{"model":"mini","prompt":"Hello"}`)).Embedding
	if len(many.Vectors) != 2 || len(one.Vectors) != 1 || fmt.Sprint(many.Vectors[0]) != fmt.Sprint(one.Vectors[0]) || one.Tokens == 0 || one.Total == 0 {
		t.Fatalf("%+v, %+v", many, one)
	}
	norm, oldNorm := 0.0, 0.0
	for i, x := range one.Vectors[0] {
		norm += float64(x) * float64(x)
		oldNorm += old[i] * old[i]
	}
	if math.Abs(norm-1) > 1e-4 || math.Abs(oldNorm-1) < 1e-3 {
		t.Errorf("norms %v and %v", norm, oldNorm)
	}
	if x := ask.JSON[embeddingList](t, ask.Post(s, "/api/embed", `{"model":"mini","input":[]}`)); x.Vectors == nil || len(x.Vectors) != 0 {
		t.Errorf("%+v", x)
	}
	long := strings.Repeat("word ", 100_000)
	if w := ask.Post(s, "/api/embed", `{"model":"mini","input":"`+long+`"}`); w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), "context") {
		t.Errorf("too long: %d %.200s", w.Code, w.Body)
	}
	if x := ask.JSON[embeddingList](t, ask.Post(s, "/api/embed", `{"model":"mini","truncate":true,"input":"`+long+`"}`)); len(x.Vectors) != 1 || x.Extension == nil || len(x.Extension.Warnings) != 1 {
		t.Errorf("cut: %+v", x.Extension)
	}
}

// Listings have what clients look for, and nothing empty.
func TestListings(t *testing.T) {
	s := newServer(t, nil, Options{})
	tags := ask.JSON[struct{ Models []listed }](t, ask.Do(s, "GET", "/api/tags", "")).Models
	names := map[string]bool{}
	for _, m := range tags {
		names[m.Name] = true
		if m.Name != m.Model || m.Size == 0 || len(m.Digest) != 64 || m.Modified == nil || !slices.Contains(m.Capabilities, "tools") || !slices.Contains(m.Capabilities, "completion") {
			t.Errorf("%+v", m)
		}
		if d := m.Details; d.Format == "" || d.Family != "gemma2" || d.Size == "" || d.Size == "0" || d.Quantization == "" || d.Quantization == "unknown" || len(d.Families) != 1 {
			t.Errorf("details %+v", d)
		}
	}
	if !names["mini:latest"] || !names["gpt-4o:latest"] || len(names) != 2 {
		t.Errorf("%v", names)
	}
	if w := ask.Do(s, "HEAD", "/api/tags", ""); w.Code != http.StatusOK {
		t.Errorf("HEAD: %d", w.Code)
	}
	if v := ask.JSON[map[string]string](t, ask.Do(s, "GET", "/api/version", ""))["version"]; !atLeast(v, 0, 6, 5) {
		t.Errorf("version %q", v)
	}
	for _, body := range []string{`{"model":"mini"}`, `{"name":"mini:latest","verbose":true}`, `{"model":"gpt-4o"}`} {
		x := ask.JSON[shown](t, ask.Post(s, "/api/show", body))
		if !slices.Contains(x.Capabilities, "tools") || x.Info["general.architecture"] != "gemma2" || x.Info["gemma2.context_length"].(float64) == 0 || !strings.HasPrefix(x.Modelfile, "FROM ") ||
			x.Details.Family == "" || (len(x.Tensors) > 0) != strings.Contains(body, "verbose") {
			t.Errorf("%s: %+v", body, x)
		}
	}
	if got := ask.JSON[struct{ Models []listed }](t, ask.Do(s, "GET", "/api/ps", "")).Models; got == nil || len(got) != 0 {
		t.Errorf("ps %+v", got)
	}
}

func atLeast(v string, want ...int) bool {
	var x [3]int
	if n, err := fmt.Sscanf(v, "%d.%d.%d", &x[0], &x[1], &x[2]); n != 3 || err != nil {
		return false
	}
	return slices.Compare(x[:], want) >= 0
}

// What users of these clients run into.
func TestWhatClientsSend(t *testing.T) {
	s := newServer(t, nil, Options{})
	for what, body := range map[string]string{
		"two messages of the user": `{"model":"mini","stream":false,"messages":[{"role":"user","content":"a"},{"role":"user","content":"b"}]}`,
		"a system prompt alone":    `{"model":"mini","stream":false,"messages":[{"role":"system","content":"a"}]}`,
		"an alias":                 `{"model":"gpt-4o","stream":false,"messages":[{"role":"user","content":"a"}]}`,
		"a tag":                    `{"model":"mini:latest","stream":false,"messages":[{"role":"user","content":"a"}]}`,
		"options that are empty":   `{"model":"mini","stream":false,"messages":[{"role":"user","content":"a"}],"options":{},"format":"","template":"","tools":[]}`,
		"hints":                    `{"model":"mini","stream":false,"messages":[{"role":"user","content":"a","images":[]}],"think":false,"options":{"num_ctx":1000000,"num_gpu":1,"num_thread":8,"mirostat":0,"numa":false},"foo":1}`,
		"an answer to continue":    `{"model":"mini","stream":false,"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"Well,"}]}`,
	} {
		x := ask.JSON[answer](t, ask.Post(s, "/api/chat", body))
		if !x.Done || x.Count == 0 {
			t.Errorf("%s: %+v", what, x)
		}
		if what == "hints" {
			if got := strings.Join(x.Extension.Ignored, " "); !strings.Contains(got, "num_gpu") || !strings.Contains(got, "num_ctx") || !strings.Contains(got, "think") || len(x.Extension.Warnings) == 0 {
				t.Errorf("%s: %+v", what, x.Extension)
			}
		}
	}
	// Another num_ctx does not open the model again, and a request beside a chat does not push its prompt out.
	opened := s.Models().Running()[0].Opened
	long := `{"model":"mini","stream":false,"messages":[{"role":"user","content":"` + strings.Repeat("A long story. ", 20) + `"}],"options":{"num_predict":2,"num_ctx":%d}}`
	ask.JSON[answer](t, ask.Post(s, "/api/chat", fmt.Sprintf(long, 100)))
	ask.JSON[answer](t, ask.Post(s, "/api/chat", `{"model":"mini","stream":false,"messages":[{"role":"user","content":"Find a title."}],"options":{"num_predict":2}}`))
	x := ask.JSON[answer](t, ask.Post(s, "/api/chat", fmt.Sprintf(long, 200)))
	if x.Extension.CachedTokens < x.PromptCount/2 || !s.Models().Running()[0].Opened.Equal(opened) {
		t.Errorf("%d of %d tokens were known", x.Extension.CachedTokens, x.PromptCount)
	}
	// truncate: true leaves the oldest turns out, and says so; without it the request is refused.
	turns := strings.Repeat(`{"role":"user","content":"`+strings.Repeat("word ", 400)+`"},{"role":"assistant","content":"Yes."},`, 40)
	body := `{"model":"mini","stream":false,"messages":[` + turns + `{"role":"user","content":"Hi"}],"options":{"num_predict":2}`
	if x := ask.JSON[answer](t, ask.Post(s, "/api/chat", body+`,"truncate":true}`)); x.Extension.DroppedMessages == 0 {
		t.Errorf("%+v", x.Extension)
	}
	if w := ask.Post(s, "/api/chat", body+`}`); w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), "context") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// Every class of errors, in Ollama's form.
func TestErrors(t *testing.T) {
	s := newServer(t, nil, Options{})
	for _, x := range []struct {
		method, path, body string
		status             int
		want               string
	}{
		{"POST", "/api/chat", `{"model":"nothing","messages":[{"role":"user","content":"a"}]}`, 404, "not found"},
		{"POST", "/api/show", `{"model":"nothing"}`, 404, "not found"},
		{"POST", "/api/chat", `{"messages":[{"role":"user","content":"a"}]}`, 400, "model: want"},
		{"POST", "/api/chat", `{"model":"mini","messages":[{"role":"user","content":"a","images":["aGk="]}]}`, 400, "no images"},
		{"POST", "/api/generate", `{"model":"mini","prompt":"a","images":["aGk="]}`, 400, "no images"},
		{"POST", "/api/chat", `{"model":"mini","messages":[{"role":"user","content":"a"}],"think":true}`, 400, "does not support thinking"},
		{"POST", "/api/chat", `{"model":"mini","messages":[{"role":"user","content":"a"}],"think":"high"}`, 400, "does not support thinking"},
		{"POST", "/api/chat", `{"model":"mini","messages":[{"role":"robot","content":"a"}]}`, 400, "messages[0].role"},
		{"POST", "/api/chat", `{"model":"mini","messages":[{"role":"user","content":"a"}],"format":"xml"}`, 400, "format: want"},
		{"POST", "/api/chat", `{"model":"mini","messages":[{"role":"user","content":"a"}],"format":{"type":"nothing"}}`, 400, ""},
		{"POST", "/api/chat", `{"model":"mini","messages":[{"role":"user","content":"a"}],"options":{"temperature":-1}}`, 400, "options.temperature"},
		{"POST", "/api/chat", `{"model":"mini","messages":[{"role":"user","content":"a"}],"shift":true}`, 400, "shift"},
		{"POST", "/api/chat", `{"model":"mini","messages":[{"role":"user","content":"a"}],"top_logprobs":3}`, 400, "top_logprobs"},
		{"POST", "/api/chat", `{"model":"mini","messages":[{"role":"user","content":"a"}],"options":{"n":2}}`, 400, "options.n"},
		{"POST", "/api/generate", `{"model":"mini","prompt":"a","template":"{{ .Prompt }}"}`, 400, "template"},
		{"POST", "/api/generate", `{"model":"mini","prompt":"a","suffix":"b"}`, 400, "insert"},
		{"POST", "/api/generate", `{"model":"mini","prompt":"a","raw":true,"system":"b"}`, 400, "raw"},
		{"POST", "/api/generate", `{"model":"mini","prompt":"a","context":[999999999]}`, 400, "context"},
		{"POST", "/api/generate", `{"model":"mini","prompt":"a","context":[2],"truncate":true}`, 400, "truncate"},
		{"POST", "/api/embed", `{"model":"mini","input":[[1,2]]}`, 400, "input"},
		{"POST", "/api/embed", `{"model":"mini","input":["a",""]}`, 400, "input"},
		{"POST", "/api/embed", `{"model":"mini","input":"a","dimensions":3}`, 400, "dimensions"},
		{"POST", "/api/pull", `{"model":"2b"}`, 501, "folder"},
		{"POST", "/api/push", `{"model":"mini"}`, 400, "namespace"},
		{"POST", "/api/push", `{"model":"me/mini"}`, 501, "push"},
		{"POST", "/api/create", `{"model":"new","from":"mini","quantize":"q4_K_M"}`, 400, "q4_K_M"},
		{"POST", "/api/create", `{"model":"new","from":"mini","parameters":{"num_gpu":1}}`, 400, "num_gpu"},
		{"POST", "/api/create", `{"model":"new","from":"mini","template":"{{ .Nothing }}"}`, 400, "template"},
		{"POST", "/api/create", `{"model":"new"}`, 400, "from"},
		{"POST", "/api/create", `{"model":"new","from":"mini"}`, 501, "folder"},
		{"DELETE", "/api/delete", `{"model":"mini"}`, 400, "mini"},
		{"DELETE", "/api/delete", `{"model":"nothing"}`, 404, "not found"},
		{"POST", "/api/copy", `{"source":"mini"}`, 400, "destination"},
		{"POST", "/api/copy", `{"source":"nothing","destination":"x"}`, 404, "not found"},
		{"POST", "/api/blobs/sha256:xyz", ``, 400, "digest"},
		{"POST", "/api/nothing", `{}`, 404, "/api/nothing"},
		{"GET", "/api/chat", ``, 405, "takes POST"},
	} {
		w := ask.Do(s, x.method, x.path, x.body)
		var e struct{ Error string }
		if err := json.Unmarshal(w.Body.Bytes(), &e); err != nil || w.Code != x.status || !strings.Contains(e.Error, x.want) || e.Error == "" || w.Header().Get("Content-Type") != "application/json" {
			t.Errorf("%s %s: %d %s, want %d %q", x.path, x.body, w.Code, w.Body, x.status, x.want)
		}
	}
}

// Requests that are broken in every way are the client's mistake, and told as such.
func TestMalformed(t *testing.T) {
	s := newServer(t, nil, Options{})
	bodies := map[string][]string{
		"/api/chat":       {`{"model":"mini","messages":[{"role":"user","content":"a"}],"options":{"num_predict":1,"stop":["x"]},"keep_alive":"5m","stream":false,"num_predict":1}`},
		"/api/generate":   {`{"model":"mini","prompt":"a","system":"b","context":[2,3],"options":{"num_predict":1,"seed":3},"raw":false,"num_predict":1}`},
		"/api/embed":      {`{"model":"mini","input":["a","b"],"truncate":true,"options":{}}`},
		"/api/embeddings": {`{"model":"mini","prompt":"a","keep_alive":3}`},
		"/api/show":       {`{"model":"mini","verbose":true}`},
		"/api/copy":       {`{"source":"mini","destination":"other"}`},
		"/api/create":     {`{"model":"other","from":"mini","files":{"a.gguf":"sha256:00"},"stream":true}`},
		"/api/pull":       {`{"model":"2b","stream":false,"insecure":false}`},
	}
	n, refused := 0, 0
	check := func(path, body string) {
		t.Helper()
		n++
		w := ask.Post(s, path, body)
		if w.Code == http.StatusOK || w.Code == http.StatusNotImplemented && (path == "/api/pull" || path == "/api/create") {
			return // the mutation did no harm
		}
		refused++
		var e struct{ Error string }
		if w.Code < 400 || w.Code >= 500 || json.Unmarshal(w.Body.Bytes(), &e) != nil || e.Error == "" {
			t.Errorf("%s %.200s: %d %.200s", path, body, w.Code, w.Body)
		}
	}
	for path, list := range bodies {
		for _, body := range list {
			var fields map[string]json.RawMessage
			if err := json.Unmarshal([]byte(body), &fields); err != nil {
				t.Fatal(err)
			}
			for name := range fields {
				for _, wrong := range []string{`null`, `[]`, `{}`, `-1`, `"\u0000"`, `[[[]]]`, `[null]`, `{"":null}`, `1e999`, `true`} {
					was := fields[name]
					fields[name] = json.RawMessage(wrong)
					var parts []string
					for k, v := range fields {
						parts = append(parts, fmt.Sprintf("%q:%s", k, v))
					}
					fields[name] = was
					check(path, "{"+strings.Join(parts, ",")+"}")
				}
			}
			for i := 1; i < len(body); i += 1 + len(body)/12 {
				check(path, body[:i])
				check(path, body[:i]+"\xff"+body[i:])
			}
			check(path, strings.Repeat("[", 100))
			check(path, body+body)
		}
	}
	if n < 300 || refused < 200 {
		t.Errorf("%d requests, %d refused; want 300 and 200", n, refused)
	}
}

// A client who leaves frees what its request took.
func TestClientLeaves(t *testing.T) {
	s := newServer(t, nil, Options{})
	h := httptest.NewServer(s.Handler())
	defer h.Close()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, "POST", h.URL+"/api/generate", strings.NewReader(`{"model":"mini","prompt":"Hello","options":{"ignore_eos":true,"temperature":1,"num_predict":-1}}`))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = bufio.NewReader(resp.Body).ReadString('\n')
	cancel()
	_ = resp.Body.Close()
	for end := time.Now().Add(20 * time.Second); s.Now().Requests.Running > 0 || s.Models().Running()[0].Users > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the request goes on without its client")
		}
	}
	http.DefaultClient.CloseIdleConnections()
}

// Models of the store: uploads become models, copies share them, deletion removes them.
func TestStore(t *testing.T) {
	store := &models.Store{Home: t.TempDir()}
	s := newServer(t, store, Options{})
	file := miniFile(t)
	digest := fmt.Sprintf("sha256:%x", sha256.Sum256(file))
	if w := ask.Do(s, "HEAD", "/api/blobs/"+digest, ""); w.Code != http.StatusNotFound {
		t.Errorf("before: %d", w.Code)
	}
	if w := ask.Post(s, "/api/blobs/"+digest, "something else"); w.Code != http.StatusBadRequest {
		t.Errorf("another file: %d %s", w.Code, w.Body)
	}
	if w := ask.Post(s, "/api/blobs/"+digest, string(file)); w.Code != http.StatusCreated {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	if w := ask.Do(s, "HEAD", "/api/blobs/"+digest, ""); w.Code != http.StatusOK {
		t.Errorf("after: %d", w.Code)
	}
	create := `{"model":"mine","files":{"mini.gguf":"` + digest + `"}}`
	if list := ask.Lines[status](t, ask.Post(s, "/api/create", create)); len(list) != 1 || list[0].Status != "success" {
		t.Errorf("%+v", list)
	}
	if w := ask.Do(s, "HEAD", "/api/blobs/"+digest, ""); w.Code != http.StatusNotFound {
		t.Errorf("an upload that became a model stays: %d", w.Code)
	}
	ask.Post(s, "/api/blobs/"+digest, string(file))
	if w := ask.Post(s, "/api/create", create); w.Code != http.StatusOK {
		t.Errorf("in the place of the first one: %d %s", w.Code, w.Body)
	}
	for _, body := range []string{`{"source":"mine","destination":"yours"}`, `{"source":"mini","destination":"alias"}`} {
		if w := ask.Post(s, "/api/copy", body); w.Code != http.StatusOK {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	}
	if x := ask.JSON[map[string]string](t, ask.Post(s, "/api/create", `{"model":"me/third","from":"mine","stream":false}`)); x["status"] != "success" {
		t.Errorf("%v", x)
	}
	var names []string
	for _, m := range ask.JSON[struct{ Models []listed }](t, ask.Do(s, "GET", "/api/tags", "")).Models {
		names = append(names, m.Name)
		if stored := strings.Contains(m.Name, "/"); (m.Own != nil) != stored || stored && !strings.HasPrefix(m.Own.ID, strings.TrimSuffix(m.Name, ":latest")+":gguf-local-") {
			t.Errorf("%s can be removed by %+v", m.Name, m.Own)
		}
	}
	slices.Sort(names)
	if got := strings.Join(names, " "); got != "alias:latest gpt-4o:latest local/mine:latest local/yours:latest me/third:latest mini:latest" {
		t.Errorf("%s", got)
	}
	says := func(name string) string {
		x := ask.JSON[answer](t, ask.Post(s, "/api/generate", `{"model":"`+name+`","prompt":"Hello","stream":false}`))
		return x.text()
	}
	for name, as := range map[string]string{"yours": "mine", "third": "mine", "mine:latest": "mine", "alias": "mini"} {
		if got, want := says(name), says(as); got != want || got == "" {
			t.Errorf("%s says %q, want %q", name, got, want)
		}
	}
	for _, name := range []string{"alias", "yours", "mine:latest", "me/third"} {
		if w := ask.Do(s, "DELETE", "/api/delete", `{"model":"`+name+`"}`); w.Code != http.StatusOK {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
	if list := ask.JSON[struct{ Models []listed }](t, ask.Do(s, "GET", "/api/tags", "")).Models; len(list) != 2 {
		t.Errorf("%+v", list)
	}
	if w := ask.Post(s, "/api/create", `{"model":"x","files":{"a.gguf":"sha256:`+strings.Repeat("0", 64)+`"}}`); w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), "blob") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// miniFile is Mini as a file of its own.
func miniFile(t *testing.T) []byte {
	t.Helper()
	at := filepath.Join(t.TempDir(), "x.gguf")
	if _, err := systemgemma.Convert(context.Background(), systemgemma.Mini, &systemgemma.ConvertOptions{Output: at, Types: []string{"w8a8"}}); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(at)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Lines of a stream are written without encoding/json, one for each token, and equal what it writes.
func TestLinesAreJSON(t *testing.T) {
	s := newServer(t, nil, Options{})
	for path, body := range map[string]string{
		"/api/chat":     `{"model":"gpt-4o","messages":[{"role":"user","content":"Hi"}],"options":{"num_predict":30,"ignore_eos":true,"temperature":1.9,"seed":5}}`,
		"/api/generate": `{"model":"mini:latest","prompt":"Hi","options":{"num_predict":30,"ignore_eos":true,"temperature":1.9,"seed":6}}`,
	} {
		w := ask.Post(s, path, body)
		n := 0
		for line := range strings.Lines(w.Body.String()) {
			var x answer
			if err := json.Unmarshal([]byte(line), &x); err != nil {
				t.Fatalf("%q: %v", line, err)
			}
			want, err := server.Marshal(x)
			if err != nil {
				t.Fatal(err)
			}
			if n++; line != string(want)+"\n" {
				t.Errorf("%s:\n got %swant %s", path, line, want)
			}
			if at, err := time.Parse(time.RFC3339Nano, x.Created); err != nil || at.Location() != time.UTC {
				t.Errorf("created_at %q: %v", x.Created, err)
			}
		}
		if n < 10 {
			t.Errorf("%s: %d lines", path, n)
		}
	}
}
