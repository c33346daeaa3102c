package native

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/systemgemma/systemgemma/internal/app/server"
	"github.com/systemgemma/systemgemma/internal/app/server/hosted"
	"github.com/systemgemma/systemgemma/internal/testkit/ask"
)

// No test leaves a goroutine behind.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// newServer serves Mini.
func newServer(t testing.TB, o Options) *server.Server {
	t.Helper()
	set, err := hosted.New(hosted.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = set.Close(context.Background()) })
	s := server.New(set, server.Config{})
	s.Add(New(s, o))
	return s
}

func TestTokens(t *testing.T) {
	s := newServer(t, Options{})
	const text = "Hello <eos> w\u00f6rld \U0001F600"
	content, _ := json.Marshal(text)
	plain := ask.JSON[struct{ Tokens []int32 }](t, ask.Post(s, "/tokenize", fmt.Sprintf(`{"content":%s,"parse_special":false}`, content))).Tokens
	special := ask.JSON[struct{ Tokens []int32 }](t, ask.Post(s, "/tokenize", fmt.Sprintf(`{"content":%s}`, content))).Tokens
	begun := ask.JSON[struct{ Tokens []int32 }](t, ask.Post(s, "/tokenize", fmt.Sprintf(`{"content":%s,"add_special":true}`, content))).Tokens
	if len(special) >= len(plain) || len(begun) != len(special)+1 || !slices.Equal(begun[1:], special) {
		t.Errorf("%v, %v, %v", plain, special, begun)
	}
	vllm := ask.JSON[tokensVLLM](t, ask.Post(s, "/tokenize", fmt.Sprintf(`{"prompt":%s,"return_token_strs":true}`, content)))
	bare := ask.JSON[tokensVLLM](t, ask.Post(s, "/tokenize", fmt.Sprintf(`{"prompt":%s,"add_special_tokens":false}`, content)))
	if !slices.Equal(vllm.Tokens, begun) || !slices.Equal(bare.Tokens, special) || vllm.Count != len(begun) || len(vllm.Texts) != vllm.Count || vllm.Texts[0] != "<bos>" || vllm.MaxLength == 0 {
		t.Errorf("%+v, %+v", vllm, bare)
	}
	twice := ask.JSON[tokensVLLM](t, ask.Post(s, "/tokenize", `{"prompt":"<bos>Hello"}`))
	if len(twice.Tokens) < 2 || twice.Tokens[0] == twice.Tokens[1] {
		t.Errorf("<bos> comes twice: %v", twice.Tokens)
	}
	mixed := ask.JSON[struct{ Tokens []int32 }](t, ask.Post(s, "/tokenize", fmt.Sprintf(`{"content":[%d,"Hello",%d]}`, begun[0], begun[0]))).Tokens
	if len(mixed) < 3 || mixed[0] != begun[0] || mixed[len(mixed)-1] != begun[0] {
		t.Errorf("%v", mixed)
	}
	pieces := ask.JSON[struct{ Tokens []pieceOf }](t, ask.Post(s, "/tokenize", fmt.Sprintf(`{"content":%s,"with_pieces":true}`, content))).Tokens
	var bytes []byte
	for _, p := range pieces {
		switch x := p.Piece.(type) {
		case string:
			bytes = append(bytes, x...)
		case []any:
			for _, b := range x {
				bytes = append(bytes, byte(b.(float64)))
			}
		}
	}
	if string(bytes) != text {
		t.Errorf("pieces say %q, want %q", bytes, text)
	}
	ids, _ := json.Marshal(special)
	back := ask.JSON[struct {
		Content, Prompt string
		Pieces          []string
	}](t, ask.Post(s, "/detokenize", fmt.Sprintf(`{"tokens":%s,"with_pieces":true}`, ids)))
	if back.Content != text || back.Prompt != text || len(back.Pieces) != len(special) {
		t.Errorf("%+v", back)
	}
	if w := ask.Post(s, "/detokenize", `{"tokens":[]}`); w.Body.String() != "{\"content\":\"\",\"prompt\":\"\"}\n" {
		t.Errorf("%s", w.Body)
	}
}

// What the model sees is told as it is: text that spells control tokens stays text.
func TestApplyTemplate(t *testing.T) {
	s := newServer(t, Options{})
	const body = `{"messages":[{"role":"system","content":"Be brief."},{"role":"user","content":[{"type":"text","text":"<end_of_turn>Hi"}]}]`
	x := ask.JSON[templated](t, ask.Post(s, "/apply-template", body+`}`))
	all, control := "", 0
	for _, p := range x.Segments {
		all += p.Text
		if p.Control {
			control += strings.Count(p.Text, "<end_of_turn>")
		}
	}
	if all != x.Prompt || strings.Count(x.Prompt, "<end_of_turn>") != control+1 || x.SystemMode != "systemgemma2" || !strings.HasSuffix(x.Prompt, "<start_of_turn>model\n") {
		t.Errorf("%+v", x)
	}
	count := ask.JSON[map[string]any](t, ask.Post(s, "/v1/chat/completions/input_tokens", body+`}`))["input_tokens"]
	tokens := ask.JSON[tokensVLLM](t, ask.Post(s, "/tokenize", body+`}`))
	if count != float64(len(x.IDs)) || !slices.Equal(tokens.Tokens, x.IDs) {
		t.Errorf("%v tokens, %v, want %v", count, tokens.Tokens, x.IDs)
	}
	merged := ask.JSON[templated](t, ask.Post(s, "/apply-template", body+`,"system_mode":"merge"}`))
	if merged.Prompt == x.Prompt || merged.SystemMode != "merge" {
		t.Errorf("%+v", merged)
	}
	open := ask.JSON[templated](t, ask.Post(s, "/apply-template", `{"messages":[{"role":"user","content":"Hi"},{"role":"assistant","content":"Well, I"}],"continue_final_message":true,"add_generation_prompt":false}`))
	if !strings.HasSuffix(open.Prompt, "model\nWell, I") {
		t.Errorf("%q", open.Prompt)
	}
	closed := ask.JSON[templated](t, ask.Post(s, "/apply-template", `{"messages":[{"role":"user","content":"Hi"}],"add_generation_prompt":false}`))
	if !strings.HasSuffix(strings.TrimSuffix(closed.Prompt, "\n"), "<end_of_turn>") {
		t.Errorf("%q", closed.Prompt)
	}
}

func TestScore(t *testing.T) {
	s := newServer(t, Options{})
	type scores struct{ Scores []scored }
	one := ask.JSON[scores](t, ask.Post(s, "/score", `{"prompt":"The capital of France is ","continuation":"Paris."}`)).Scores
	many := ask.JSON[scores](t, ask.Post(s, "/score", `{"prompt":"The capital of France is ","continuations":["Paris."," London."]}`)).Scores
	all := ask.JSON[scores](t, ask.Post(s, "/score", `{"prompt":"The capital of France is Paris."}`)).Scores
	if len(one) != 1 || len(many) != 2 || fmt.Sprint(one[0]) != fmt.Sprint(many[0]) || many[0].Sum == many[1].Sum {
		t.Fatalf("%+v, %+v", one, many)
	}
	x := one[0]
	sum := 0.0
	for _, lp := range x.Logprobs {
		sum += lp
	}
	if len(x.Logprobs) != len(x.IDs)-x.From || len(x.Greedy) != len(x.Logprobs) || math.Abs(sum-x.Sum) > 1e-9 || x.Sum >= 0 {
		t.Errorf("%+v", x)
	}
	// The whole is its parts: the continuation's scores are the end of all scores.
	if a := all[0]; !slices.Equal(a.IDs, x.IDs) || a.From != 1 || fmt.Sprint(a.Logprobs[len(a.Logprobs)-len(x.Logprobs):]) != fmt.Sprint(x.Logprobs) {
		t.Errorf("%+v, want its end as %+v", a, x)
	}
	prompt, _ := json.Marshal(x.IDs[:x.From])
	rest, _ := json.Marshal(x.IDs[x.From:])
	ids := ask.JSON[scores](t, ask.Post(s, "/score", fmt.Sprintf(`{"prompt":%s,"continuation":%s}`, prompt, rest))).Scores[0]
	if fmt.Sprint(ids) != fmt.Sprint(x) {
		t.Errorf("by ids %+v, want %+v", ids, x)
	}
}

type ended struct {
	part
	Model     string         `json:"model"`
	Predicted int            `json:"tokens_predicted"`
	Evaluated int            `json:"tokens_evaluated"`
	Settings  map[string]any `json:"generation_settings"`
	Prompt    string         `json:"prompt"`
	StopType  string         `json:"stop_type"`
	StopWord  string         `json:"stopping_word"`
	Extension *extension     `json:"systemgemma"`
}

// A stream says the same as an answer at once.
func TestCompletionStreamEqualsWhole(t *testing.T) {
	s := newServer(t, Options{})
	for _, options := range []string{`,"n_predict":8`, `,"n_predict":12,"temperature":1.2,"seed":5,"return_tokens":true,"n_probs":2,"timings_per_token":true`, `,"n_predict":40,"stop":["e"]`,
		`,"n_predict":0`, `,"json_schema":{"type":"object","properties":{"a":{"enum":[1]}},"required":["a"]}`, `,"grammar":"root ::= \"yes\" | \"no\""`} {
		body := `{"prompt":"<start_of_turn>user\nHello<end_of_turn>\n<start_of_turn>model\n","cache_prompt":true` + options
		whole := ask.JSON[ended](t, ask.Post(s, "/completion", body+`}`))
		w := ask.Post(s, "/completions", body+`,"stream":true}`)
		if w.Code != http.StatusOK || w.Header().Get("Content-Type") != "text/event-stream" {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		text, tokens, probs := "", []int32(nil), 0
		var last ended
		for e := range strings.SplitSeq(strings.TrimSuffix(w.Body.String(), "\n\n"), "\n\n") {
			var x ended
			if err := json.Unmarshal([]byte(strings.TrimPrefix(e, "data: ")), &x); err != nil || last.Stop {
				t.Fatalf("%s: event %q: %v", options, e, err)
			}
			if strings.Contains(options, "per_token") != (x.Timings != nil) && !x.Stop {
				t.Errorf("%s: timings %v", options, x.Timings)
			}
			text, tokens, probs, last = text+x.Content, append(tokens, x.Tokens...), probs+len(x.Probs), x
		}
		if text != whole.Content || !last.Stop || !whole.Stop || last.StopType != whole.StopType || last.Predicted != whole.Predicted || !slices.Equal(tokens, whole.Tokens) && len(whole.Tokens) > 0 ||
			probs != len(whole.Probs) {
			t.Errorf("%s: %q %+v, want %q %+v", options, text, last, whole.Content, whole)
		}
		if whole.Evaluated == 0 || whole.Model != "mini" || !strings.HasPrefix(whole.Prompt, "<bos><start_of_turn>user") || whole.Timings == nil || whole.Settings["temperature"] == nil {
			t.Errorf("%s: %+v", options, whole)
		}
		want := map[string]string{`,"n_predict":8`: "limit", `,"n_predict":0`: "limit", `,"n_predict":40,"stop":["e"]`: "word"}[options]
		if want != "" && whole.StopType != want || want == "word" && (whole.StopWord != "e" || strings.Contains(whole.Content, "e")) {
			t.Errorf("%s: %+v", options, whole)
		}
		if strings.Contains(options, `"n_predict":0`) && (whole.Content != "" || whole.Predicted != 0) {
			t.Errorf("%s: %+v", options, whole)
		}
		if strings.Contains(options, "n_probs") && (len(whole.Probs) == 0 || len(whole.Probs[0].Top) != 2 || len(whole.Tokens) == 0) {
			t.Errorf("%s: %+v", options, whole)
		}
	}
	few := ask.Post(s, "/completion", `{"prompt":[2],"n_predict":2,"response_fields":["content","generation_settings/n_predict","nothing","content/x"]}`)
	if x := ask.JSON[map[string]any](t, few); len(x) != 2 || x["n_predict"] != 2.0 {
		t.Errorf("%s", few.Body)
	}
}

func TestState(t *testing.T) {
	s := newServer(t, Options{})
	if w := ask.Do(s, "GET", "/slots", ""); w.Body.String() != "[]\n" {
		t.Errorf("%s", w.Body)
	}
	props := ask.JSON[map[string]any](t, ask.Do(s, "GET", "/props", ""))
	if props["bos_token"] != "<bos>" || props["eos_token"] == "" || props["model_alias"] != "mini" || props["system_mode"] != "systemgemma2" || props["total_slots"] == nil {
		t.Errorf("%v", props)
	}
	if w := ask.Do(s, "GET", "/v1/health", ""); w.Code != http.StatusOK {
		t.Errorf("%d", w.Code)
	}
}

// Every class of errors, in OpenAI's form.
func TestErrors(t *testing.T) {
	s := newServer(t, Options{Adapters: t.TempDir()})
	for _, x := range []struct {
		method, path, body string
		status             int
		want               string
	}{
		{"POST", "/tokenize", `{}`, 400, "content"},
		{"POST", "/tokenize", `{"content":"a","prompt":"b"}`, 400, "exactly one"},
		{"POST", "/tokenize", `{"content":3}`, 400, "content"},
		{"POST", "/tokenize", `{"content":[true]}`, 400, "content"},
		{"POST", "/tokenize", `{"content":"a","model":"nothing"}`, 404, "nothing"},
		{"POST", "/detokenize", `{"tokens":[99999999]}`, 400, "tokens"},
		{"POST", "/detokenize", `{"tokens":[-1]}`, 400, "tokens"},
		{"POST", "/detokenize", `{}`, 400, "tokens"},
		{"POST", "/apply-template", `{"messages":[]}`, 400, "messages"},
		{"POST", "/apply-template", `{"messages":[{"role":"robot","content":"a"}]}`, 400, "messages[0].role"},
		{"POST", "/apply-template", `{"messages":[{"role":"user","content":[{"type":"image_url"}]}]}`, 400, "no images"},
		{"POST", "/apply-template", `{"messages":[{"role":"user","content":"a"}],"system_mode":"x"}`, 400, "x"},
		{"POST", "/apply-template", `{"messages":[{"role":"user","content":"a"}],"chat_template":"x"}`, 400, "chat_template"},
		{"POST", "/apply-template", `{"messages":[{"role":"user","content":"a"}],"continue_final_message":true}`, 400, "continue_final"},
		{"POST", "/apply-template", `{"messages":[{"role":"user","content":"a"}],"tools":[{}]}`, 400, "tools"},
		{"POST", "/score", `{"prompt":"a","continuation":""}`, 400, "at least one token"},
		{"POST", "/score", `{"prompt":""}`, 400, "at least one token"},
		{"POST", "/score", `{"prompt":"a","continuation":"b","continuations":["c"]}`, 400, "one name"},
		{"POST", "/score", `{"prompt":"a","continuations":[]}`, 400, "continuations"},
		{"POST", "/completion", `{}`, 400, "prompt"},
		{"POST", "/completion", `{"prompt":["a","b"]}`, 400, "one prompt"},
		{"POST", "/completion", `{"prompt":"a","n_probs":1000}`, 400, "n_probs"},
		{"POST", "/completion", `{"prompt":"a","temperature":-1}`, 400, "temperature"},
		{"POST", "/completion", `{"prompt":"a","grammar":"root ::= x"}`, 400, ""},
		{"POST", "/completion", `{"prompt":"a","post_sampling_probs":true}`, 400, "post_sampling_probs"},
		{"POST", "/completion", `{"prompt":"` + strings.Repeat("word ", 100_000) + `"}`, 400, "context"},
		{"POST", "/lora-adapters", `{}`, 400, "list"},
		{"POST", "/lora-adapters", `[{"id":0,"scale":1}]`, 400, "lora"},
		{"POST", "/lora-adapters", `[{"scale":1}]`, 400, "id"},
		{"POST", "/lora-adapters/load", `{"path":"../x"}`, 400, "path"},
		{"POST", "/lora-adapters/load", `{"path":"/etc"}`, 400, "path"},
		{"POST", "/lora-adapters/load", `{"path":""}`, 400, "path"},
		{"POST", "/lora-adapters/load", `{"path":"nothing"}`, 400, "path"},
		{"POST", "/slots/0?action=save", `{"filename":"x"}`, 501, "save"},
		{"POST", "/slots/0?action=dance", `{}`, 400, "dance"},
		{"GET", "/tokenize", ``, 405, "takes POST"},
		{"POST", "/props", `{}`, 405, "takes GET"},
	} {
		w := ask.Do(s, x.method, x.path, x.body)
		var e struct {
			Error struct{ Message, Type string }
		}
		if err := json.Unmarshal(w.Body.Bytes(), &e); err != nil || w.Code != x.status || !strings.Contains(e.Error.Message, x.want) || e.Error.Message == "" || e.Error.Type == "" {
			t.Errorf("%s %.100s: %d %s, want %d %q", x.path, x.body, w.Code, w.Body, x.status, x.want)
		}
	}
}

// Requests that are broken in every way are the client's mistake, and told as such.
func TestMalformed(t *testing.T) {
	s := newServer(t, Options{})
	n, refused := 0, 0
	check := func(path, body string) {
		t.Helper()
		n++
		w := ask.Post(s, path, body)
		if w.Code == http.StatusOK {
			return // the mutation did no harm
		}
		refused++
		var e struct{ Error struct{ Message string } }
		if w.Code < 400 || w.Code >= 500 || json.Unmarshal(w.Body.Bytes(), &e) != nil || e.Error.Message == "" {
			t.Errorf("%s %.200s: %d %.200s", path, body, w.Code, w.Body)
		}
	}
	for path, body := range map[string]string{
		"/tokenize":                         `{"content":"a","add_special":true,"parse_special":true,"with_pieces":true}`,
		"/detokenize":                       `{"tokens":[2,3],"with_pieces":true}`,
		"/apply-template":                   `{"messages":[{"role":"user","content":"a"}],"system_mode":"merge","add_generation_prompt":true}`,
		"/v1/chat/completions/input_tokens": `{"messages":[{"role":"user","content":"a"}],"temperature":0.5}`,
		"/score":                            `{"prompt":"a","continuations":["b"],"lora":[]}`,
		"/completion":                       `{"prompt":"a","n_predict":1,"n_probs":2,"stop":["x"],"stream":false,"response_fields":["content"],"return_tokens":true}`,
		"/lora-adapters/load":               `{"path":"x","scale":1}`,
	} {
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
	for _, body := range []string{``, `[`, `[{}]`, `[[]]`, `[null]`, `[{"id":0}]`, `[{"id":"x","scale":1}]`, "[\xff]", `[]]`, `[],"list":[]`, strings.Repeat("[", 100) + strings.Repeat("]", 100), `{"list":[]}`} {
		check("/lora-adapters", body)
	}
	if n < 300 || refused < 200 {
		t.Errorf("%d requests, %d refused; want 300 and 200", n, refused)
	}
}

// A client who leaves frees its slot.
func TestClientLeaves(t *testing.T) {
	s := newServer(t, Options{})
	h := httptest.NewServer(s.Handler())
	defer h.Close()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, "POST", h.URL+"/completion", strings.NewReader(`{"prompt":"Hello","stream":true,"ignore_eos":true,"temperature":1,"n_predict":-1}`))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = bufio.NewReader(resp.Body).ReadString('\n')
	if w := ask.Do(s, "GET", "/slots", ""); !strings.Contains(w.Body.String(), `"is_processing":true`) {
		t.Errorf("%s", w.Body)
	}
	cancel()
	_ = resp.Body.Close()
	for end := time.Now().Add(20 * time.Second); ask.Do(s, "GET", "/slots", "").Body.String() != "[]\n"; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the slot is not free without its client")
		}
	}
	http.DefaultClient.CloseIdleConnections()
}

// With return_progress a stream tells how far the prompt is; a beam search gives its answers as one object, or a list of them.
func TestCompletionProgressAndBeams(t *testing.T) {
	s := newServer(t, Options{})
	w := ask.Post(s, "/completion", `{"prompt":"`+strings.Repeat("The sea is wide. ", 60)+`","n_predict":3,"stream":true,"return_progress":true}`)
	var told []int
	for data := range strings.SplitSeq(strings.TrimSpace(w.Body.String()), "\n\n") {
		var x part
		if err := json.Unmarshal([]byte(strings.TrimPrefix(data, "data: ")), &x); err != nil {
			t.Fatalf("%q: %v", data, err)
		}
		if p := x.Progress; p != nil {
			told = append(told, p.Processed)
			if x.Content != "" || x.Stop || p.Cache != 0 || p.Total < 200 || p.TimeMS < 0 {
				t.Errorf("%s", data)
			}
		}
	}
	if n := len(told); n < 3 || told[0] != 0 || told[n-1] < 200 || !slices.IsSorted(told) {
		t.Errorf("told of %v tokens: %s", told, w.Body)
	}
	type answer struct {
		Content   string
		Index     int
		Extension struct{ Score float64 } `json:"systemgemma"`
	}
	var list []answer
	w = ask.Post(s, "/completion", `{"prompt":"The capital of France","n_predict":8,"num_beams":3,"n":3}`)
	if err := json.Unmarshal(w.Body.Bytes(), &list); err != nil || len(list) != 3 || list[1].Index != 1 || list[0].Content == list[1].Content {
		t.Fatalf("%v: %s", err, w.Body)
	}
	if list[0].Extension.Score < list[1].Extension.Score || list[1].Extension.Score < list[2].Extension.Score || list[0].Extension.Score == 0 {
		t.Errorf("not the best first: %+v", list)
	}
	var one answer
	w = ask.Post(s, "/completion", `{"prompt":"The capital of France","n_predict":8,"num_beams":3}`)
	if err := json.Unmarshal(w.Body.Bytes(), &one); err != nil || one != list[0] {
		t.Errorf("%v: %s, want %+v", err, w.Body, list[0])
	}
	for body, want := range map[string]string{
		`"n":2,"temperature":1`: "n: want 1, or num_beams", `"num_beams":2,"stream":true`: "want no stream", `"num_beams":2,"n_predict":0`: "max_tokens: want 1", `"num_beams":2,"n_probs":1`: "num_beams: want no log prob",
	} {
		if w := ask.Post(s, "/completion", `{"prompt":"a",`+body+`}`); w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s: %d %s, want %s", body, w.Code, w.Body, want)
		}
	}
}

// Pieces of a stream are written without encoding/json, one for each token, and equal what it writes.
func TestPiecesAreJSON(t *testing.T) {
	s := newServer(t, Options{})
	list := ask.Events(t, ask.Post(s, "/completion", `{"prompt":"Hi","n_predict":30,"ignore_eos":true,"temperature":1.9,"seed":5,"stream":true}`))
	for _, e := range list[:len(list)-1] { // the last one has more
		x := ask.Data[part](t, e)
		if want, err := server.Marshal(x); err != nil || e.Data != string(want) || x.Content == "" {
			t.Errorf("%v:\n got %s\nwant %s", err, e.Data, want)
		}
	}
	if len(list) < 10 {
		t.Errorf("%d pieces", len(list))
	}
}
