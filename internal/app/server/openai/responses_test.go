package openai

import (
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/systemgemma/systemgemma/internal/app/server"
	"github.com/systemgemma/systemgemma/internal/testkit/ask"
)

// A response is remembered and gone on with; its instructions are not inherited.
func TestResponses(t *testing.T) {
	s := newServer(t, server.Config{})
	first := ask.JSON[response](t, ask.Post(s, "/v1/responses", `{"model":"mini","instructions":"Talk like a pirate.","input":"What is the capital of France?","metadata":{"a":"b"}}`))
	if !strings.HasPrefix(first.ID, "resp_") || first.Status != "completed" || len(first.Output) != 1 || first.Output[0].Content[0].Type != "output_text" || first.Usage.Output == 0 || string(first.Metadata) != `{"a":"b"}` {
		t.Fatalf("%+v", first)
	}
	chat := ask.JSON[chatAnswer](t, ask.Post(s, "/v1/chat/completions", `{`+hello+`}`))
	said := first.Output[0].Content[0].Text
	if said != *chat.Choices[0].Message.Content {
		t.Errorf("%q, want the answer of a chat, %q", said, *chat.Choices[0].Message.Content)
	}
	second := ask.JSON[response](t, ask.Post(s, "/v1/responses", `{"input":[{"role":"user","content":[{"type":"input_text","text":"And of Italy?"}]}],"previous_response_id":"`+first.ID+`"}`))
	quoted, _ := json.Marshal(said)
	same := ask.JSON[chatAnswer](t, ask.Post(s, "/v1/chat/completions", `{"messages":[{"role":"user","content":"What is the capital of France?"},{"role":"assistant","content":`+string(quoted)+`},{"role":"user","content":"And of Italy?"}]}`))
	if got := second.Output[0].Content[0].Text; got != *same.Choices[0].Message.Content || *second.PreviousID != first.ID || second.Instructions != nil {
		t.Errorf("%q, want %q", got, *same.Choices[0].Message.Content)
	}
	if got := ask.JSON[response](t, ask.Get(s, "/v1/responses/"+first.ID)); got.Output[0].Content[0].Text != said {
		t.Errorf("%+v", got)
	}
	if w := ask.Do(s, "DELETE", "/v1/responses/"+first.ID, ""); w.Code != 200 || !strings.Contains(w.Body.String(), `"deleted":true`) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	for _, w := range []*httptest.ResponseRecorder{
		ask.Get(s, "/v1/responses/"+first.ID), ask.Do(s, "DELETE", "/v1/responses/"+first.ID, ""), ask.Post(s, "/v1/responses", `{"input":"a","previous_response_id":"`+first.ID+`"}`),
	} {
		if w.Code != 404 || !strings.Contains(w.Body.String(), "response_not_found") {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	}
	unstored := ask.JSON[response](t, ask.Post(s, "/v1/responses", `{"input":"a","store":false,"max_output_tokens":2}`))
	if w := ask.Get(s, "/v1/responses/"+unstored.ID); w.Code != 404 {
		t.Errorf("store false: %d", w.Code)
	}
	if unstored.Status != "incomplete" || unstored.IncompleteDetails.Reason != "max_output_tokens" || *unstored.MaxOutputTokens != 2 {
		t.Errorf("%+v", unstored)
	}
	count := ask.JSON[map[string]any](t, ask.Post(s, "/v1/responses/input_tokens", `{"input":"What is the capital of France?","instructions":"Talk like a pirate."}`))
	if count["input_tokens"] != float64(first.Usage.Input) {
		t.Errorf("%v, want %d", count, first.Usage.Input)
	}
}

// event is one of a stream of responses.
type event struct {
	Type     string
	Sequence int `json:"sequence_number"`
	Delta    string
	Response *response
	Item     *item
	Text     string
	Name     string
}

func readEvents(t *testing.T, w *httptest.ResponseRecorder) (list []event) {
	t.Helper()
	for _, x := range ask.Events(t, w) {
		e := ask.Data[event](t, x)
		if x.Name != e.Type || e.Sequence != len(list) {
			t.Fatalf("event %d: %+v", len(list), x)
		}
		list = append(list, e)
	}
	return list
}

func TestResponsesStream(t *testing.T) {
	s := newServer(t, server.Config{})
	const body = `{"input":"What is the capital of France?","instructions":"Talk like a pirate.","text":{"format":{"type":"text"}}`
	whole := ask.JSON[response](t, ask.Post(s, "/v1/responses", body+`}`))
	list := readEvents(t, ask.Post(s, "/v1/responses", body+`,"stream":true}`))
	text, kinds := "", ""
	for _, e := range list {
		text += e.Delta
		if e.Type != "response.output_text.delta" {
			kinds += strings.TrimPrefix(e.Type, "response.") + " "
		}
	}
	if want := whole.Output[0].Content[0].Text; text != want || list[len(list)-1].Response.Output[0].Content[0].Text != want {
		t.Errorf("%q, want %q", text, want)
	}
	if kinds != "created in_progress output_item.added content_part.added output_text.done content_part.done output_item.done completed " {
		t.Error(kinds)
	}
	list = readEvents(t, ask.Post(s, "/v1/responses", `{"input":"a","tools":[{"type":"function","name":"f","parameters":{"type":"object","properties":{"x":{"const":1}},"required":["x"]}}],"tool_choice":"required","parallel_tool_calls":false,"stream":true}`))
	kinds, text = "", ""
	for _, e := range list {
		kinds += strings.TrimPrefix(e.Type, "response.") + " "
		text += e.Delta
	}
	if kinds != "created in_progress output_item.added function_call_arguments.delta function_call_arguments.done output_item.done completed " || text != `{"x":1}` {
		t.Errorf("%s %s", kinds, text)
	}
	// The call's result goes on with it.
	last := list[len(list)-1].Response
	w := ask.Post(s, "/v1/responses", `{"previous_response_id":"`+last.ID+`","input":[{"type":"function_call_output","call_id":"`+last.Output[0].CallID+`","output":"42"}],"max_output_tokens":4}`)
	if w.Code != 200 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestStoreIsBounded(t *testing.T) {
	s := newStore()
	for i := range maxStored + 5 {
		s.add(string(rune('a'+i%26))+strings.Repeat("x", i), &stored{body: make([]byte, 10)})
	}
	if len(s.byID) != maxStored || len(s.order) != maxStored || s.bytes != 10*maxStored {
		t.Errorf("%d %d %d", len(s.byID), len(s.order), s.bytes)
	}
	s.add("big", &stored{key: "k", body: make([]byte, maxStoredBytes)})
	if len(s.byID) != 1 {
		t.Errorf("%d left beside a big one", len(s.byID))
	}
	if _, err := s.find("big", "other", ""); err == nil {
		t.Error("another key's response is shown")
	}
}
