package anthropic

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/systemgemma/systemgemma/internal/app/server"
	"github.com/systemgemma/systemgemma/internal/app/server/access"
	"github.com/systemgemma/systemgemma/internal/app/server/hosted"
	"github.com/systemgemma/systemgemma/internal/app/server/openai"
	"github.com/systemgemma/systemgemma/internal/testkit/ask"
)

// No test leaves a goroutine behind.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// newServer serves Mini, by OpenAI's dialect too, to compare with.
func newServer(t testing.TB, cfg server.Config) *server.Server {
	t.Helper()
	set, err := hosted.New(hosted.Options{Aliases: map[string]string{"claude": "mini"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = set.Close(context.Background()) })
	s := server.New(set, cfg)
	s.Add(openai.New(s))
	s.Add(New(s))
	return s
}

const (
	path  = "/v1/messages"
	hello = `"model":"claude","max_tokens":48,"system":"Talk like a pirate.","messages":[{"role":"user","content":"What is the capital of France?"}]`
	tool  = `"tools":[{"name":"weather","description":"Tells the weather.","input_schema":{"type":"object","properties":{"city":{"enum":["Bonn","Rome"]}},"required":["city"]}}]`
)

// openAI is what OpenAI's dialect answers to a chat, which has the same prompt.
func openAI(t *testing.T, s *server.Server, body string) (text string, prompt, completion int) {
	t.Helper()
	x := ask.JSON[struct {
		Choices []struct{ Message struct{ Content string } }
		Usage   struct {
			Prompt     int `json:"prompt_tokens"`
			Completion int `json:"completion_tokens"`
		}
	}](t, ask.Post(s, "/v1/chat/completions", body))
	return x.Choices[0].Message.Content, x.Usage.Prompt, x.Usage.Completion
}

func TestMessage(t *testing.T) {
	s := newServer(t, server.Config{})
	w := ask.Post(s, path, `{`+hello+`,"metadata":{"user_id":"me"},"foo":1}`)
	x := ask.JSON[message](t, w)
	text, prompt, completion := openAI(t, s, `{"max_tokens":48,"messages":[{"role":"system","content":"Talk like a pirate."},{"role":"user","content":"What is the capital of France?"}]}`)
	if !strings.HasPrefix(x.ID, "msg_") || x.Type != "message" || x.Role != "assistant" || x.Model != "claude" || *x.StopReason != "end_turn" || x.StopSequence != nil {
		t.Errorf("%s", w.Body)
	}
	if len(x.Content) != 1 || x.Content[0].Type != "text" || *x.Content[0].Text != text || text == "" {
		t.Errorf("%s, want the answer of a chat, %q", w.Body, text)
	}
	if x.Usage.Input+x.Usage.Cached != prompt || x.Usage.Output != completion || x.Usage.Input == 0 {
		t.Errorf("usage %+v, want %d and %d", x.Usage, prompt, completion)
	}
	if x.Extension.SystemMode != "systemgemma2" || w.Header().Get("X-System-Mode") != "systemgemma2" || strings.Join(x.Extension.Ignored, " ") != "metadata" {
		t.Errorf("%+v %v", x.Extension, w.Header())
	}
	if id := w.Header().Get("Request-Id"); id == "" || id != w.Header().Get("X-Request-Id") {
		t.Errorf("request id %q", id)
	}
	if !strings.Contains(w.Body.String(), `"stop_sequence":null`) || !strings.Contains(w.Body.String(), `"cache_creation_input_tokens":0`) {
		t.Errorf("%s", w.Body)
	}
	if n := ask.JSON[map[string]int](t, ask.Post(s, path+"/count_tokens", `{`+strings.Replace(hello, `"max_tokens":48,`, "", 1)+`}`)); len(n) != 1 || n["input_tokens"] != prompt {
		t.Errorf("%v, want %d", n, prompt)
	}
}

// Forms that say the same get the same answer.
func TestForms(t *testing.T) {
	s := newServer(t, server.Config{})
	want := *ask.JSON[message](t, ask.Post(s, path, `{`+hello+`}`)).Content[0].Text
	for name, body := range map[string]string{
		"system of blocks": `"system":[{"type":"text","text":"Talk like "},{"type":"text","text":"a pirate.","cache_control":{"type":"ephemeral"}}],"messages":[{"role":"user","content":"What is the capital of France?"}]`,
		"user of blocks":   `"system":"Talk like a pirate.","messages":[{"role":"user","content":[{"type":"text","text":"What is the capital"},{"type":"text","text":" of France?","citations":null}]}]`,
		"nothing asked":    `"system":"Talk like a pirate.","messages":[{"role":"user","content":"What is the capital of France?"}],"thinking":{"type":"disabled"},"mcp_servers":[],"tool_choice":null,"logprobs":false,"container":null`,
		"tools not chosen": `"system":"Talk like a pirate.","messages":[{"role":"user","content":"What is the capital of France?"}],` + tool + `,"tool_choice":{"type":"none"}`,
		"an empty system":  `"system":"","messages":[{"role":"user","content":"What is the capital of France?"}]`,
	} {
		x := ask.JSON[message](t, ask.Post(s, path, `{"max_tokens":48,`+body+`}`))
		if same := *x.Content[0].Text == want; same == (name == "an empty system") {
			t.Errorf("%s: %q, want %q", name, *x.Content[0].Text, want)
		}
		if name == "system of blocks" && strings.Join(x.Extension.Ignored, " ") != "cache_control" {
			t.Errorf("ignored %q", x.Extension.Ignored)
		}
	}
	// A trailing turn of the assistant is continued.
	begin, rest := want[:len(want)/2], want[len(want)/2:]
	if i := strings.IndexByte(rest, ' '); i >= 0 {
		begin, rest = want[:len(want)/2+i], rest[i:]
	}
	quoted, _ := json.Marshal(begin)
	x := ask.JSON[message](t, ask.Post(s, path, `{"max_tokens":3,"system":"Talk like a pirate.","messages":[{"role":"user","content":"What is the capital of France?"},{"role":"assistant","content":`+string(quoted)+`}]}`))
	if len(x.Content) > 0 && !strings.HasPrefix(rest, *x.Content[0].Text) {
		t.Errorf("after %q: %q, want %q", begin, *x.Content[0].Text, rest)
	}
	// System modes, and options of all names.
	if w := ask.Post(s, path, `{`+hello+`,"system_mode":"merge","repeat_penalty":1.1,"top_k":5,"top_p":0.9,"temperature":1,"seed":3}`); w.Code != 200 || w.Header().Get("X-System-Mode") != "merge" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestEndings(t *testing.T) {
	s := newServer(t, server.Config{})
	text := *ask.JSON[message](t, ask.Post(s, path, `{`+hello+`}`)).Content[0].Text
	x := ask.JSON[message](t, ask.Post(s, path, `{`+strings.Replace(hello, "48", "2", 1)+`}`))
	if *x.StopReason != "max_tokens" || x.Usage.Output != 2 || !strings.HasPrefix(text, *x.Content[0].Text) {
		t.Errorf("%+v", x)
	}
	before, _, _ := strings.Cut(text, "Paris")
	x = ask.JSON[message](t, ask.Post(s, path, `{`+hello+`,"stop_sequences":["nowhere","Paris"]}`))
	if *x.StopReason != "stop_sequence" || x.StopSequence == nil || *x.StopSequence != "Paris" || *x.Content[0].Text != before || before == text {
		t.Errorf("%+v", x)
	}
	// Nothing said is no block.
	first, _ := json.Marshal(text[:1])
	x = ask.JSON[message](t, ask.Post(s, path, `{`+hello+`,"stop_sequences":[`+string(first)+`]}`))
	if len(x.Content) != 0 || *x.StopReason != "stop_sequence" {
		t.Errorf("%+v", x)
	}
	w := ask.Post(s, path, `{`+hello+`,"stream":true,"stop_sequences":[`+string(first)+`]}`)
	if kinds := kindsOf(ask.Events(t, w)); kinds != "message_start message_delta message_stop" {
		t.Error(kinds)
	}
	x = ask.JSON[message](t, ask.Post(s, path, `{`+strings.Replace(hello, "48", "200", 1)+`,"output_config":{"effort":"low","format":{"type":"json_schema","schema":{"type":"object","properties":{"a":{"type":"string","maxLength":5}},"required":["a"],"additionalProperties":false}}}}`))
	var form struct{ A *string }
	if err := json.Unmarshal([]byte(*x.Content[0].Text), &form); err != nil || form.A == nil || strings.Join(x.Extension.Ignored, " ") != "effort" {
		t.Errorf("%v, %+v", err, x)
	}
}

// kindsOf are the names of events, a run of the same once.
func kindsOf(list []ask.Event) string {
	var kinds []string
	for _, e := range list {
		if len(kinds) == 0 || kinds[len(kinds)-1] != e.Name {
			kinds = append(kinds, e.Name)
		}
	}
	return strings.Join(kinds, " ")
}

// event is one of a stream.
type event struct {
	Type    string
	Index   *int
	Message *message
	Block   *block `json:"content_block"`
	Delta   struct {
		Type, Text   string
		Partial      string  `json:"partial_json"`
		StopReason   string  `json:"stop_reason"`
		StopSequence *string `json:"stop_sequence"`
	}
	Usage     *usage
	Extension map[string]any `json:"systemgemma"`
}

// assemble makes the message of a stream as clients do, and checks that its events come in order.
func assemble(t *testing.T, list []ask.Event) *message {
	t.Helper()
	var x *message
	open := -1
	input := ""
	for i, raw := range list {
		e := ask.Data[event](t, raw)
		if e.Type != raw.Name || (e.Type == "message_start") != (i == 0) || (e.Type == "message_stop") != (i == len(list)-1) {
			t.Fatalf("event %d: %s %s", i, raw.Name, raw.Data)
		}
		if strings.HasPrefix(e.Type, "content_block_") && (e.Index == nil || (e.Type == "content_block_start") != (open < 0) || open >= 0 && *e.Index != open) {
			t.Fatalf("event %d: %s, block %d is open", i, raw.Data, open)
		}
		switch e.Type {
		case "message_start":
			if x = e.Message; x.StopReason != nil || len(x.Content) != 0 || !strings.Contains(raw.Data, `"content":[]`) || x.Usage.Input == 0 {
				t.Fatalf("%s", raw.Data)
			}
		case "content_block_start":
			if open = *e.Index; open != len(x.Content) {
				t.Fatalf("block %d comes after %d", open, len(x.Content))
			}
			x.Content = append(x.Content, *e.Block)
		case "content_block_delta":
			b := &x.Content[open]
			switch {
			case e.Delta.Type == "text_delta" && b.Type == "text":
				*b.Text += e.Delta.Text
			case e.Delta.Type == "input_json_delta" && b.Type == "tool_use":
				input += e.Delta.Partial
			default:
				t.Fatalf("%s in a block of %s", raw.Data, b.Type)
			}
		case "content_block_stop":
			if x.Content[open].Type == "tool_use" {
				x.Content[open].Input, input = json.RawMessage(input), ""
			}
			open = -1
		case "message_delta":
			if open >= 0 || e.Extension["system_mode"] == nil {
				t.Fatalf("%s", raw.Data)
			}
			x.StopReason, x.StopSequence, x.Usage = &e.Delta.StopReason, e.Delta.StopSequence, *e.Usage
		case "message_stop", "ping":
		default:
			t.Fatalf("unknown event %s", raw.Name)
		}
	}
	return x
}

// A stream says the same as an answer at once: blocks, reasons, usage.
func TestStreamEqualsWhole(t *testing.T) {
	s := newServer(t, server.Config{})
	const text = "message_start content_block_start content_block_delta content_block_stop message_delta message_stop"
	for options, kinds := range map[string]string{
		``: text, `,"temperature":1,"seed":7,"top_k":40`: text, `,"stop_sequences":["Paris"]`: text, `,` + tool: text,
		`,` + tool + `,"tool_choice":{"type":"any","disable_parallel_tool_use":true}`: text,
		`,` + tool + `,"tool_choice":{"type":"tool","name":"weather"}`:                text,
	} {
		whole := ask.JSON[message](t, ask.Post(s, path, `{`+hello+options+`}`))
		list := ask.Events(t, ask.Post(s, path, `{`+hello+options+`,"stream":true}`))
		if got := kindsOf(list); got != kinds {
			t.Errorf("%s: %s", options, got)
		}
		x := assemble(t, list)
		for _, m := range []*message{x, &whole} { // ids are new each time
			for i := range m.Content {
				if m.Content[i].Type == "tool_use" && !strings.HasPrefix(m.Content[i].ID, "toolu_") {
					t.Errorf("%s: id %q", options, m.Content[i].ID)
				}
				m.Content[i].ID = ""
			}
			m.ID, m.Extension, m.Usage.Input, m.Usage.Cached = "", nil, m.Usage.Input+m.Usage.Cached, 0
		}
		got, _ := json.Marshal(x)
		want, _ := json.Marshal(whole)
		if string(got) != string(want) {
			t.Errorf("%s:\n%s, want\n%s", options, got, want)
		}
		if called := strings.Contains(options, "tool_choice"); called != (whole.Content[0].Type == "tool_use") || called != (*whole.StopReason == "tool_use") {
			t.Errorf("%s: %s", options, want)
		}
	}
}

func TestTools(t *testing.T) {
	s := newServer(t, server.Config{})
	x := ask.JSON[message](t, ask.Post(s, path, `{`+hello+`,`+tool+`,"tool_choice":{"type":"any"}}`))
	call := x.Content[0]
	var input struct{ City string }
	if err := json.Unmarshal(call.Input, &input); err != nil || call.Name != "weather" || input.City != "Bonn" && input.City != "Rome" {
		t.Fatalf("%+v, %v", x, err)
	}
	// The conversation goes on: what the model sees is what OpenAI's dialect makes of it.
	said, _ := json.Marshal(x.Content)
	body := `"max_tokens":5,` + tool + `,"system":"Be brief.","messages":[{"role":"user","content":"Rain?"},{"role":"assistant","content":` + string(said) + `},{"role":"user","content":[` +
		`{"type":"tool_result","tool_use_id":"` + call.ID + `","content":[{"type":"text","text":"12 C"}]},{"type":"tool_result","tool_use_id":"` + call.ID + `","is_error":true,"content":"no"},{"type":"text","text":"Well?"}]}]`
	count := ask.JSON[map[string]int](t, ask.Post(s, path+"/count_tokens", `{`+body+`}`))["input_tokens"]
	arguments, _ := json.Marshal(string(call.Input))
	_, prompt, _ := openAI(t, s, `{"max_tokens":5,"tools":[{"type":"function","function":{"name":"weather","description":"Tells the weather.","parameters":{"type":"object","properties":{"city":{"enum":["Bonn","Rome"]}},"required":["city"]}}}],`+
		`"messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"Rain?"},{"role":"assistant","content":null,"tool_calls":[{"id":"1","function":{"name":"weather","arguments":`+string(arguments)+`}}]},`+
		`{"role":"tool","tool_call_id":"1","content":"12 C"},{"role":"tool","tool_call_id":"1","content":"error: no"},{"role":"user","content":"Well?"}]}`)
	if count != prompt || count == 0 {
		t.Errorf("%d tokens, want %d", count, prompt)
	}
	if w := ask.Post(s, path, `{`+body+`}`); w.Code != 200 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// Keys come as Anthropic's clients send them, and as others do.
func TestKeys(t *testing.T) {
	keys := &access.Keys{}
	if err := keys.Add("me", "correct-horse"); err != nil {
		t.Fatal(err)
	}
	s := newServer(t, server.Config{Keys: keys})
	for _, x := range []struct {
		header, value string
		status        int
	}{{"X-Api-Key", "correct-horse", 200}, {"Authorization", "Bearer correct-horse", 200}, {"X-Api-Key", "wrong-horse", 401}, {"X-Other", "correct-horse", 401}} {
		for _, at := range []string{path, path + "/count_tokens"} {
			w := ask.Do(s, "POST", at, `{`+hello+`}`, x.header, x.value, "Anthropic-Version", "2023-06-01")
			if w.Code != x.status || x.status == 401 && !isRefusal(w, "authentication_error") {
				t.Errorf("%s %s: %d %s", at, x.header, w.Code, w.Body)
			}
		}
	}
}

// A client that leaves amid an answer frees its place. Mini may be done before it has left: then it is tried again.
func TestClientLeaves(t *testing.T) {
	s := newServer(t, server.Config{})
	web := httptest.NewServer(s.Handler())
	defer web.Close()
	for try := 0; s.Models().Meter().Cancelled.Load() == 0; try++ {
		if try == 50 {
			t.Fatal("no answer was cancelled")
		}
		resp, err := web.Client().Post(web.URL+path, "application/json", strings.NewReader(`{"messages":[{"role":"user","content":"a"}],"ignore_eos":true,"max_tokens":100000,"stream":true}`))
		if err != nil {
			t.Fatal(err)
		}
		if line, err := bufio.NewReader(resp.Body).ReadString('\n'); resp.StatusCode != http.StatusOK || err != nil || line != "event: message_start\n" {
			t.Fatalf("%d %q %v", resp.StatusCode, line, err)
		}
		_ = resp.Body.Close()
		for end := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
			x := s.Now()
			if x.Requests.Running == 0 && x.Models[0].Requests == 0 && x.Models[0].Running == 0 {
				break
			}
			if time.Now().After(end) {
				t.Fatalf("goes on without its client: %+v", x)
			}
		}
	}
}

// Pings come while the prompt is computed, after message_start; an error after them is an event.
func TestPings(t *testing.T) {
	s := newServer(t, server.Config{Ping: time.Nanosecond})
	pings := 0
	for try := 0; pings == 0; try++ { // Mini may be faster than a ping
		if try == 200 {
			t.Fatal("no pings")
		}
		w := ask.Post(s, path, `{`+hello+`,"stream":true}`)
		list := ask.Events(t, w)
		for list[len(list)-1].Name == "ping" { // one may come between the end and the closing of the stream
			list = list[:len(list)-1]
		}
		assemble(t, list)
		pings = strings.Count(w.Body.String(), "event: ping\ndata: {\"type\":\"ping\"}\n\n")
	}
}

// Pieces of a text are written without encoding/json, one for each token, and equal what it writes.
func TestPiecesAreJSON(t *testing.T) {
	s := newServer(t, server.Config{})
	n := 0
	for _, e := range ask.Events(t, ask.Post(s, "/v1/messages", `{"max_tokens":30,"ignore_eos":true,"temperature":1,"stream":true,"messages":[{"role":"user","content":"Hi"}]}`)) {
		if e.Name != "content_block_delta" {
			continue
		}
		x := ask.Data[struct {
			Delta struct {
				Text string `json:"text"`
				Type string `json:"type"`
			} `json:"delta"`
			Index int    `json:"index"`
			Type  string `json:"type"`
		}](t, e)
		if want, err := server.Marshal(x); err != nil || e.Data != string(want) || x.Delta.Type != "text_delta" || x.Delta.Text == "" {
			t.Errorf("%v:\n got %s\nwant %s", err, e.Data, want)
		}
		n++
	}
	if n < 10 {
		t.Errorf("%d pieces", n)
	}
}
