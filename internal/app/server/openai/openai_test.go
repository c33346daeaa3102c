package openai

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/systemgemma/systemgemma"
	"github.com/systemgemma/systemgemma/internal/app/server"
	"github.com/systemgemma/systemgemma/internal/app/server/access"
	"github.com/systemgemma/systemgemma/internal/app/server/hosted"
	"github.com/systemgemma/systemgemma/internal/app/server/pieces"
	"github.com/systemgemma/systemgemma/internal/app/server/talk"
	"github.com/systemgemma/systemgemma/internal/testkit/ask"
)

// No test leaves a goroutine behind.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// newServer serves Mini.
func newServer(t testing.TB, cfg server.Config) *server.Server {
	t.Helper()
	models, err := hosted.New(hosted.Options{Aliases: map[string]string{"gpt-4o": "mini"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = models.Close(context.Background()) })
	s := server.New(models, cfg)
	s.Add(New(s))
	return s
}

// events are those of a stream: each must be JSON, and the last [DONE], once.
func events[T any](t testing.TB, w *httptest.ResponseRecorder) (list []T) {
	t.Helper()
	all := ask.Events(t, w)
	for i, e := range all {
		if (e.Data == "[DONE]") != (i == len(all)-1) || e.Name != "" {
			t.Fatalf("want one [DONE], at the end, and no names: %s", w.Body)
		}
		if e.Data != "[DONE]" {
			list = append(list, ask.Data[T](t, e))
		}
	}
	return list
}

const hello = `"messages":[{"role":"system","content":"Talk like a pirate."},{"role":"user","content":"What is the capital of France?"}]`

func TestChat(t *testing.T) {
	s := newServer(t, server.Config{})
	w := ask.Post(s, "/v1/chat/completions", `{"model":"gpt-4o",`+hello+`,"user":"me","foo":1}`)
	x := ask.JSON[chatAnswer](t, w)
	c := x.Choices[0]
	if !strings.HasPrefix(x.ID, "chatcmpl-") || x.Object != "chat.completion" || x.Model != "gpt-4o" || x.Fingerprint == "" || len(x.Choices) != 1 {
		t.Errorf("%s", w.Body)
	}
	if c.Message.Role != "assistant" || *c.Message.Content == "" || *c.Finish != "stop" || c.Logprobs != nil || w.Header().Get("X-System-Mode") != "systemgemma2" {
		t.Errorf("%s %v", w.Body, w.Header())
	}
	if x.Usage.Prompt == 0 || x.Usage.Completion == 0 || x.Usage.Total != x.Usage.Prompt+x.Usage.Completion {
		t.Errorf("usage %+v", x.Usage)
	}
	if x.Extension.SystemMode != "systemgemma2" || strings.Join(x.Extension.Ignored, " ") != "user" {
		t.Errorf("extension %+v", x.Extension)
	}
	for _, want := range []string{`"refusal":null`, `"logprobs":null`, `"finish_reason":"stop"`} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s lacks %s", w.Body, want)
		}
	}
}

// A stream says the same as an answer at once: text, reason, log probabilities, usage.
func TestChatStreamEqualsWhole(t *testing.T) {
	s := newServer(t, server.Config{})
	for _, options := range []string{``, `,"n":3,"logprobs":true,"max_tokens":9`, `,"temperature":1,"seed":7,"n":3,"max_tokens":20`, `,"logprobs":true,"top_logprobs":3,"max_tokens":9`, `,"stop":["the"],"temperature":1.5,"seed":4`,
		`,"response_format":{"type":"json_schema","json_schema":{"name":"x","schema":{"type":"object","properties":{"a":{"type":"string","maxLength":5}},"required":["a"]}}}`} {
		whole := ask.JSON[chatAnswer](t, ask.Post(s, "/v1/chat/completions", `{`+hello+options+`}`))
		list := events[chatAnswer](t, ask.Post(s, "/v1/chat/completions", `{`+hello+options+`,"stream":true,"stream_options":{"include_usage":true}}`))
		last := list[len(list)-1]
		if len(last.Choices) != 0 || last.Usage == nil || last.Usage.Completion != whole.Usage.Completion || last.Usage.Prompt != whole.Usage.Prompt {
			t.Errorf("%s: usage %+v, want %+v", options, last.Usage, whole.Usage)
		}
		texts, reasons, logs := map[int]string{}, map[int]string{}, map[int][]pieces.Logprob{}
		first := map[int]bool{}
		for _, e := range list[:len(list)-1] {
			if len(e.Choices) != 1 || e.Object != "chat.completion.chunk" || e.ID != list[0].ID || e.Usage != nil {
				t.Fatalf("%s: %+v", options, e)
			}
			c := e.Choices[0]
			if (c.Delta.Role == "assistant") == first[c.Index] {
				t.Errorf("%s: want a role in the first delta of %d only", options, c.Index)
			}
			first[c.Index] = true
			if reasons[c.Index] != "" {
				t.Errorf("%s: something comes after the end of %d", options, c.Index)
			}
			if c.Delta.Content != nil {
				texts[c.Index] += *c.Delta.Content
			}
			if c.Finish != nil {
				reasons[c.Index] = *c.Finish
				if c.Delta.Content != nil {
					t.Errorf("%s: text beside the reason", options)
				}
			}
			if c.Logprobs != nil {
				logs[c.Index] = append(logs[c.Index], c.Logprobs.Content...)
			}
		}
		for _, c := range whole.Choices {
			if texts[c.Index] != *c.Message.Content || reasons[c.Index] != *c.Finish {
				t.Errorf("%s: %q %s, want %q %s", options, texts[c.Index], reasons[c.Index], *c.Message.Content, *c.Finish)
			}
			if c.Logprobs != nil && fmt.Sprint(logs[c.Index]) != fmt.Sprint(c.Logprobs.Content) || c.Logprobs == nil && logs[c.Index] != nil {
				t.Errorf("%s: log probabilities differ", options)
			}
		}
	}
}

func TestChatLogprobs(t *testing.T) {
	s := newServer(t, server.Config{})
	x := ask.JSON[chatAnswer](t, ask.Post(s, "/v1/chat/completions", `{`+hello+`,"logprobs":true,"top_logprobs":2}`))
	text := ""
	for _, l := range x.Choices[0].Logprobs.Content {
		text += l.Token
		if len(l.Top) != 2 || l.Top[0].Token != l.Token || l.Top[0].Logprob != l.Logprob || l.Top[1].Logprob > l.Logprob || l.Logprob > 0 {
			t.Errorf("%+v: greedy takes the best", l)
		}
		if string(toBytes(l.Bytes)) != l.Token {
			t.Errorf("bytes %v of %q", l.Bytes, l.Token)
		}
	}
	if text != *x.Choices[0].Message.Content {
		t.Errorf("tokens %q, text %q", text, *x.Choices[0].Message.Content)
	}
}

func toBytes(list []int) (b []byte) {
	for _, x := range list {
		b = append(b, byte(x))
	}
	return b
}

// What users of these clients run into.
func TestWhatClientsSend(t *testing.T) {
	s := newServer(t, server.Config{})
	for name, messages := range map[string]string{
		"two user messages":    `[{"role":"user","content":"a"},{"role":"user","content":"b"}]`,
		"system only":          `[{"role":"system","content":"Say hello."}]`,
		"developer":            `[{"role":"developer","content":"Be brief."},{"role":"user","content":"a"}]`,
		"null tool_call_id":    `[{"role":"user","content":"a","tool_call_id":null,"name":null,"tool_calls":null}]`,
		"parts":                `[{"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}]`,
		"prefill":              `[{"role":"user","content":"Count."},{"role":"assistant","content":"One, two,"}]`,
		"late system":          `[{"role":"user","content":"a"},{"role":"assistant","content":"b"},{"role":"system","content":"c"},{"role":"user","content":"d"}]`,
		"assistant's null":     `[{"role":"user","content":"a"},{"role":"assistant","content":null,"refusal":"no"},{"role":"user","content":"d"}]`,
		"call without content": `[{"role":"user","content":"a"},{"role":"assistant","content":null,"tool_calls":[{"id":"1","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"1","content":"x"}]`,
	} {
		if w := ask.Post(s, "/v1/chat/completions", `{"model":"mini","messages":`+messages+`,"max_tokens":4}`); w.Code != http.StatusOK {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
	for name, want := range map[string]string{"merge": "merge", "exchange": "exchange", "turn": "turn"} {
		w := ask.Post(s, "/v1/chat/completions", `{`+hello+`,"max_tokens":2,"system_mode":"`+name+`"}`)
		if w.Code != http.StatusOK || w.Header().Get("X-System-Mode") != want {
			t.Errorf("system_mode %s: %d %v", name, w.Code, w.Header())
		}
	}
	// A prefill's answer is what comes after it; another system prompt is the one of the field.
	a := ask.JSON[chatAnswer](t, ask.Post(s, "/v1/chat/completions", `{`+hello+`,"max_tokens":8}`))
	b := ask.JSON[chatAnswer](t, ask.Post(s, "/v1/chat/completions", `{"messages":[{"role":"system","content":"x"},{"role":"user","content":"What is the capital of France?"}],"system":"Talk like a pirate.","max_tokens":8}`))
	if *a.Choices[0].Message.Content != *b.Choices[0].Message.Content {
		t.Errorf("system: %q, want %q", *b.Choices[0].Message.Content, *a.Choices[0].Message.Content)
	}
	full := *a.Choices[0].Message.Content
	begin := full[:len(full)/2]
	for !strings.HasSuffix(begin, " ") && begin != "" {
		begin = begin[:len(begin)-1]
	}
	begin = strings.TrimSuffix(begin, " ")
	body, _ := json.Marshal(begin)
	p := ask.JSON[chatAnswer](t, ask.Post(s, "/v1/chat/completions", `{"messages":[{"role":"system","content":"Talk like a pirate."},{"role":"user","content":"What is the capital of France?"},{"role":"assistant","content":`+string(body)+`}],"max_tokens":3}`))
	if got := *p.Choices[0].Message.Content; begin != "" && !strings.HasPrefix(full, begin+got) {
		t.Errorf("prefill %q: %q, want what follows in %q", begin, got, full)
	}
	// prediction changes no text, and is counted.
	predict, _ := json.Marshal(full)
	x := ask.JSON[chatAnswer](t, ask.Post(s, "/v1/chat/completions", `{`+hello+`,"max_tokens":8,"prediction":{"type":"content","content":`+string(predict)+`}}`))
	if *x.Choices[0].Message.Content != full {
		t.Errorf("prediction: %q, want %q", *x.Choices[0].Message.Content, full)
	}
}

const weather = `"tools":[{"type":"function","function":{"name":"weather","description":"Tells the weather.","parameters":{"type":"object","properties":{"city":{"enum":["Bonn","Rome"]}},"required":["city"]}}}]`

func TestTools(t *testing.T) {
	s := newServer(t, server.Config{})
	for _, choice := range []string{`"required"`, `{"type":"function","function":{"name":"weather"}}`} {
		body := `{` + hello + `,` + weather + `,"tool_choice":` + choice + `,"max_tokens":100`
		x := ask.JSON[chatAnswer](t, ask.Post(s, "/v1/chat/completions", body+`}`))
		c := x.Choices[0]
		if *c.Finish != "tool_calls" || c.Message.Content != nil || len(c.Message.Calls) == 0 || c.Message.Calls[0].Function.Name != "weather" || c.Message.Calls[0].Type != "function" || c.Message.Calls[0].ID == "" {
			t.Fatalf("%s: %+v", choice, c.Message)
		}
		var args struct{ City string }
		if err := json.Unmarshal([]byte(c.Message.Calls[0].Function.Arguments), &args); err != nil || args.City != "Bonn" && args.City != "Rome" {
			t.Errorf("%s: arguments %s", choice, c.Message.Calls[0].Function.Arguments)
		}
		got := map[int]chatCall{}
		reason := ""
		for _, e := range events[chatAnswer](t, ask.Post(s, "/v1/chat/completions", body+`,"stream":true}`)) {
			d := e.Choices[0].Delta
			if d.Content != nil && *d.Content != "" {
				t.Errorf("a call is shown as text: %q", *d.Content)
			}
			for _, p := range d.Calls {
				c := got[*p.Index]
				if c.ID != "" && (p.ID != "" || p.Function.Name != "") {
					t.Error("want id and name in the first delta only")
				}
				c.ID, c.Function.Name, c.Function.Arguments = c.ID+p.ID, c.Function.Name+p.Function.Name, c.Function.Arguments+p.Function.Arguments
				got[*p.Index] = c
			}
			if f := e.Choices[0].Finish; f != nil {
				reason = *f
			}
		}
		if reason != "tool_calls" || len(got) != len(c.Message.Calls) || got[0].Function != c.Message.Calls[0].Function {
			t.Errorf("%s: streamed %+v (%s), want %+v", choice, got, reason, c.Message.Calls)
		}
	}
	// With auto a text stays a text.
	x := ask.JSON[chatAnswer](t, ask.Post(s, "/v1/chat/completions", `{`+hello+`,`+weather+`,"max_tokens":10}`))
	if x.Choices[0].Message.Content == nil || *x.Choices[0].Finish == "tool_calls" {
		t.Errorf("%+v", x.Choices[0].Message)
	}
	text := ""
	for _, e := range events[chatAnswer](t, ask.Post(s, "/v1/chat/completions", `{`+hello+`,`+weather+`,"max_tokens":10,"stream":true}`)) {
		if c := e.Choices[0].Delta.Content; c != nil {
			text += *c
		}
	}
	if text != *x.Choices[0].Message.Content {
		t.Errorf("streamed %q, want %q", text, *x.Choices[0].Message.Content)
	}
}

func TestModels(t *testing.T) {
	s := newServer(t, server.Config{})
	x := ask.JSON[struct{ Data []model }](t, ask.Get(s, "/v1/models"))
	if len(x.Data) != 2 || x.Data[0].ID != "mini" || x.Data[1].ID != "gpt-4o" || x.Data[0].Context == 0 || x.Data[0].Object != "model" || x.Data[0].Capabilities[1] != "tools" {
		t.Errorf("%+v", x)
	}
	if m := ask.JSON[model](t, ask.Get(s, "/v1/models/mini")); m.ID != "mini" || m.Parameters == 0 {
		t.Errorf("%+v", m)
	}
	if m := ask.JSON[model](t, ask.Get(s, "/v1/models/gpt-4o")); m.ID != "gpt-4o" {
		t.Errorf("%+v", m)
	}
	if w := ask.Get(s, "/v1/models/some/body"); w.Code != 404 || !strings.Contains(w.Body.String(), `"code":"model_not_found"`) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestEmbeddings(t *testing.T) {
	s := newServer(t, server.Config{})
	x := ask.JSON[struct {
		Data []struct {
			Index     int
			Embedding []float32
		}
		Usage embeddingUsage
	}](t, ask.Post(s, "/v1/embeddings", `{"input":["hello","a longer text"],"model":"mini"}`))
	if len(x.Data) != 2 || x.Data[1].Index != 1 || len(x.Data[0].Embedding) == 0 || x.Usage.Prompt == 0 {
		t.Fatalf("%+v", x)
	}
	y := ask.JSON[struct{ Data []struct{ Embedding string } }](t, ask.Post(s, "/v1/embeddings", `{"input":"hello","encoding_format":"base64"}`))
	if y.Data[0].Embedding != encode(x.Data[0].Embedding) {
		t.Error("base64 is not the same vector")
	}
	for body, want := range map[string]string{
		`{"input":[[100000000]]}`: "check_embedding_ctx_length=False", `{"input":[1,2]}`: "", `{"input":""}`: "input: want texts", `{"input":[]}`: "input: want", `{}`: "input: want", `{"input":3}`: "input: want",
		`{"input":[[]]}`: "none of them empty", `{"input":"a","dimensions":3}`: "dimensions: want", `{"input":"a","encoding_format":"int8"}`: "encoding_format: want", `{"input":[{}]}`: "input: want",
	} {
		w := ask.Post(s, "/v1/embeddings", body)
		if want == "" && w.Code != 200 || want != "" && (w.Code != 400 || !strings.Contains(w.Body.String(), want)) {
			t.Errorf("%s: %d %s, want %q", body, w.Code, w.Body, want)
		}
	}
}

// With return_progress a stream tells how far the prompt is before its first text, and is the same otherwise.
func TestProgress(t *testing.T) {
	s := newServer(t, server.Config{})
	long := strings.Repeat("The sea is wide. ", 60)
	for path, body := range map[string]string{
		"/v1/chat/completions": `{"messages":[{"role":"user","content":"` + long + `"}],"max_tokens":4,"stream":true`,
		"/v1/completions":      `{"prompt":["` + long + `","Hello ` + long + `"],"n":2,"temperature":1,"seed":4,"max_tokens":4,"stream":true`,
	} {
		type piece struct {
			Choices  []map[string]any
			Progress *pieces.Progress `json:"prompt_progress"`
		}
		list := events[piece](t, ask.Post(s, path, body+`,"return_progress":true}`))
		last := map[int]pieces.Progress{}
		texts := 0
		for _, e := range list {
			if p := e.Progress; p != nil {
				if before, ok := last[p.Index]; e.Choices == nil || len(e.Choices) > 0 || p.Processed < p.Cache || ok && p.Processed <= before.Processed {
					t.Errorf("%s: %+v after %+v", path, e, before)
				}
				last[p.Index] = *p
			} else {
				texts++
			}
		}
		want := 1
		if path == "/v1/completions" {
			want = 2
		}
		for index, p := range last {
			if p.Processed != p.Total || p.Total < 200 || index%2 != 0 {
				t.Errorf("%s: answer %d: %+v", path, index, p)
			}
		}
		if len(last) != want {
			t.Errorf("%s: progress of %d prompts, want %d", path, len(last), want)
		}
		if plain := events[piece](t, ask.Post(s, path, body+`}`)); len(plain) != texts {
			t.Errorf("%s: %d pieces without progress, %d beside it", path, len(plain), texts)
		}
	}
	x := ask.JSON[chatAnswer](t, ask.Post(s, "/v1/chat/completions", `{`+hello+`,"return_progress":true}`))
	if strings.Join(x.Extension.Ignored, " ") != "return_progress" {
		t.Errorf("without a stream: ignored %v", x.Extension.Ignored)
	}
}

// A beam search gives the library's answers as choices, the best first.
func TestBeams(t *testing.T) {
	s := newServer(t, server.Config{})
	lease, err := s.Models().Acquire(context.Background(), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer lease.Release()
	penalty := 2.0
	messages := []systemgemma.Message{{Role: "system", Content: "Talk like a pirate."}, {Role: "user", Content: "What is the capital of France?"}}
	rules := systemgemma.Sampling{Rules: systemgemma.RulesLlama}
	o := systemgemma.GenerateOptions{MaxTokens: 9, Sampling: &rules}
	beams := systemgemma.Beams{Beams: 4, Return: 3, LengthPenalty: &penalty, EarlyStopping: "never"}
	want, err := lease.Model.ChatBeams(context.Background(), messages, &systemgemma.ChatOptions{GenerateOptions: o}, beams)
	if err != nil {
		t.Fatal(err)
	}
	const search = `"num_beams":4,"length_penalty":2,"early_stopping":"never","max_tokens":9`
	x := ask.JSON[chatAnswer](t, ask.Post(s, "/v1/chat/completions", `{`+hello+`,`+search+`,"num_return_sequences":3,"logprobs":true}`))
	if len(x.Choices) != 3 || len(x.Extension.Scores) != 3 || x.Usage.Completion != len(want[0].IDs)+len(want[1].IDs)+len(want[2].IDs) || x.Usage.Prompt != len(want[0].PromptIDs) {
		t.Fatalf("%+v", x)
	}
	for i, c := range x.Choices {
		if c.Index != i || *c.Message.Content != want[i].Text || x.Extension.Scores[i] != want[i].Score || *c.Finish != finish(&want[i]) {
			t.Errorf("choice %d: %q, score %v; want %q, %v", i, *c.Message.Content, x.Extension.Scores[i], want[i].Text, want[i].Score)
		}
		for k, l := range c.Logprobs.Content {
			if l.Logprob != pieces.Clamp(want[i].Logprobs[k]) {
				t.Errorf("choice %d: log probabilities %+v, want %v", i, c.Logprobs.Content, want[i].Logprobs)
			}
		}
	}
	var ids [2][]int32
	body := `"prompt":[`
	for i, text := range []string{"The capital of France", "Once upon a time"} {
		if ids[i], err = lease.Model.Tokenize("<bos>"+text, true); err != nil {
			t.Fatal(err)
		}
		body += map[int]string{0: "", 1: ","}[i] + `"` + text + `"`
	}
	y := ask.JSON[completion](t, ask.Post(s, "/v1/completions", `{`+body+`],`+search+`,"n":2,"logprobs":0}`))
	if len(y.Choices) != 4 || len(y.Extension.Scores) != 4 {
		t.Fatalf("%+v", y)
	}
	for i := range ids {
		beams.Return = 2
		list, err := lease.Model.GenerateBeams(context.Background(), systemgemma.Prompt{IDs: ids[i]}, &o, beams)
		if err != nil {
			t.Fatal(err)
		}
		for k := range list {
			if c := y.Choices[2*i+k]; c.Text != list[k].Text || c.Index != 2*i+k || *c.Logprobs.Logprobs[0] != pieces.Clamp(list[k].Logprobs[0]) {
				t.Errorf("prompt %d, answer %d: %+v, want %q", i, k, c, list[k].Text)
			}
		}
	}
	for options, want := range map[string]string{
		`"num_beams":4,"stream":true`: "num_beams: want no stream", `"num_beams":9`: "num_beams: want a whole number from 1 to 8", `"num_beams":2,"n":3`: "n: want at most num_beams = 2",
		`"num_beams":2,"temperature":1`: "temperature: want none", `"num_beams":2,"do_sample":true`: "temperature: want none", `"length_penalty":2`: "length_penalty: want num_beams above 1",
		`"early_stopping":true`: "early_stopping: want num_beams", `"num_beams":2,"early_stopping":"later"`: `early_stopping: want true, false or "never"`,
		`"num_beams":2,"response_format":{"type":"json_object"}`: "want no response_format", `"num_beams":2,"mirostat":1`: "mirostat: want none", `"num_beams":2,"guidance_scale":2`: "want no guidance_scale",
		`"num_beams":0`: "num_beams: want", `"num_beams":"x"`: "num_beams: want", `"use_beam_search":true`: "use_beam_search: not supported; want num_beams",
	} {
		for path, body := range map[string]string{"/v1/chat/completions": hello, "/v1/completions": `"prompt":"a"`} {
			if w := ask.Post(s, path, `{`+body+`,`+options+`}`); w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), strings.ReplaceAll(want, `"`, `\"`)) {
				t.Errorf("%s %s: %d %s, want %s", path, options, w.Code, w.Body, want)
			}
		}
	}
	for path, body := range map[string]string{
		"/v1/chat/completions": hello + `,"num_beams":2,"logprobs":true,"top_logprobs":2`, "/v1/completions": `"prompt":"a","num_beams":2,"echo":true,"logprobs":0`, "/v1/responses": `"input":"a","num_beams":2`,
	} {
		if w := ask.Post(s, path, `{`+body+`}`); w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), "num_beams: ") {
			t.Errorf("%s %s: %d %s", path, body, w.Code, w.Body)
		}
	}
	if w := ask.Post(s, "/v1/chat/completions", `{`+hello+`,"num_beams":1,"length_penalty":1,"early_stopping":false,"max_tokens":3}`); w.Code != http.StatusOK {
		t.Errorf("one beam: %s", w.Body)
	}
}

// With several API keys each has a cache of its own, unless it is to be shared.
func TestKeysShareNoCache(t *testing.T) {
	for _, share := range []bool{false, true} {
		var keys access.Keys
		for _, name := range []string{"alice", "bob"} {
			if err := keys.Add(name, "secret-of-"+name); err != nil {
				t.Fatal(err)
			}
		}
		s := newServer(t, server.Config{Keys: &keys, ShareCache: share})
		cached := func(name string) (int, string) {
			t.Helper()
			w := ask.Do(s, http.MethodPost, "/v1/chat/completions", `{`+hello+`,"max_tokens":6}`, "Authorization", "Bearer secret-of-"+name)
			x := ask.JSON[chatAnswer](t, w)
			return x.Usage.PromptMore.Cached, *x.Choices[0].Message.Content
		}
		first, text := cached("alice")
		again, same := cached("alice")
		other, othersText := cached("bob")
		if first != 0 || again == 0 || share != (other > 0) || text != same || text != othersText {
			t.Errorf("share %t: alice had %d, then %d tokens cached, bob %d; %q, %q, %q", share, first, again, other, text, same, othersText)
		}
	}
}

// What led to each token is told for it, in a stream at the end; of one answer only.
func TestExplain(t *testing.T) {
	s := newServer(t, server.Config{})
	const options = `,"temperature":0.8,"top_k":5,"seed":3,"max_tokens":4,"explain":2`
	x := ask.JSON[chatAnswer](t, ask.Post(s, "/v1/chat/completions", `{`+hello+options+`}`))
	list := x.Extension.Explain
	if len(list) != x.Usage.Completion || len(list) == 0 {
		t.Fatalf("%d tokens explained, want %d", len(list), x.Usage.Completion)
	}
	for _, e := range list {
		first, last := e.Steps[0], e.Steps[len(e.Steps)-1]
		if first.Name != "logits" || len(first.Best) != 2 || first.Left < 1000 || last.Left > 5 || last.Chose == nil || *last.Chose != e.ID {
			t.Errorf("%+v", e)
		}
	}
	stream := events[chatAnswer](t, ask.Post(s, "/v1/chat/completions", `{`+hello+options+`,"stream":true}`))
	var told []talk.Explained
	for _, e := range stream {
		if e.Extension != nil {
			told = append(told, e.Extension.Explain...)
		}
	}
	if !reflect.DeepEqual(told, list) {
		t.Errorf("the stream tells %+v, want %+v", told, list)
	}
	for _, wrong := range []string{`,"explain":21`, `,"explain":1,"n":2`, `,"explain":1,"num_beams":2`} {
		if w := ask.Post(s, "/v1/chat/completions", `{`+hello+wrong+`}`); w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), "explain") {
			t.Errorf("%s: %d %s, want a 400 that names explain", wrong, w.Code, w.Body)
		}
	}
}
