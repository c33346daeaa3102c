package compat

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/ollama/ollama/api"
)

func TestGoOllama(t *testing.T) {
	s := serve(t)
	base, err := url.Parse(s.url)
	if err != nil {
		t.Fatal(err)
	}
	c, ctx := api.NewClient(base, http.DefaultClient), t.Context()
	no, options := false, map[string]any{"temperature": 0, "num_predict": 48}
	messages := []api.Message{{Role: "system", Content: pirate}, {Role: "user", Content: question}}
	chat := func(t *testing.T, r *api.ChatRequest) (text string, last api.ChatResponse, pieces int) {
		t.Helper()
		err := c.Chat(ctx, r, func(p api.ChatResponse) error {
			text += p.Message.Content
			if last = p; p.Message.Content != "" {
				pieces++
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return text, last, pieces
	}
	t.Run("chat", func(t *testing.T) {
		whole, _, _ := chat(t, &api.ChatRequest{Model: "mini", Messages: messages, Options: options, Stream: &no})
		text, last, pieces := chat(t, &api.ChatRequest{Model: "mini:latest", Messages: messages, Options: options})
		if text != whole || !strings.Contains(text, "Paris") || pieces < 3 || !last.Done || last.DoneReason != "stop" || last.EvalCount < 2 || last.EvalDuration <= 0 {
			t.Errorf("%d pieces: %q, want %q; last %+v", pieces, text, whole, last)
		}
	})
	t.Run("generate", func(t *testing.T) {
		text, done := "", false
		err := c.Generate(ctx, &api.GenerateRequest{Model: "mini", System: pirate, Prompt: question, Options: options}, func(p api.GenerateResponse) error {
			text += p.Response
			done = p.Done
			return nil
		})
		if err != nil || !done || !strings.Contains(text, "Paris") {
			t.Errorf("%q, %v", text, err)
		}
	})
	t.Run("format", func(t *testing.T) {
		text, _, _ := chat(t, &api.ChatRequest{Model: "mini", Messages: messages, Options: map[string]any{"temperature": 0, "num_predict": 200},
			Format: json.RawMessage(`{"type": "object", "properties": {"city": {"type": "string", "maxLength": 10}}, "required": ["city"], "additionalProperties": false}`)})
		var x struct{ City *string }
		if err := json.Unmarshal([]byte(text), &x); err != nil || x.City == nil {
			t.Errorf("%v in %q", err, text)
		}
	})
	t.Run("tools", func(t *testing.T) {
		properties := api.NewToolPropertiesMap()
		properties.Set("city", api.ToolProperty{Type: api.PropertyType{"string"}})
		tool := api.Tool{Type: "function", Function: api.ToolFunction{Name: "weather", Description: "The weather of a city.",
			Parameters: api.ToolFunctionParameters{Type: "object", Required: []string{"city"}, Properties: properties}}}
		_, last, _ := chat(t, &api.ChatRequest{Model: "mini", Messages: messages, Options: options, Tools: api.Tools{tool}})
		if !last.Done {
			t.Errorf("found %+v", last)
		}
	})
	t.Run("models", func(t *testing.T) {
		list, err := c.List(ctx)
		if err != nil || len(list.Models) == 0 || list.Models[0].Details.Family == "" {
			t.Fatalf("%+v, %v", list, err)
		}
		show, err := c.Show(ctx, &api.ShowRequest{Model: "mini"})
		if err != nil || len(show.Capabilities) < 2 || len(show.ModelInfo) == 0 {
			t.Errorf("%+v, %v", show, err)
		}
		if ps, err := c.ListRunning(ctx); err != nil || len(ps.Models) != 1 {
			t.Errorf("%+v, %v", ps, err)
		}
		// Programs ask for 0.6.5 at least.
		if v, err := c.Version(ctx); err != nil || !regexp.MustCompile(`^(0\.[1-9][0-9]+|[1-9][0-9]*\.[0-9]+)\.[0-9]+$`).MatchString(v) {
			t.Errorf("%q, %v", v, err)
		}
	})
	t.Run("embed", func(t *testing.T) {
		r, err := c.Embed(ctx, &api.EmbedRequest{Model: "mini", Input: []string{"a", "b"}})
		if err != nil || len(r.Embeddings) != 2 || len(r.Embeddings[0]) == 0 {
			t.Errorf("%+v, %v", r, err)
		}
	})
	t.Run("errors", func(t *testing.T) {
		err := c.Chat(ctx, &api.ChatRequest{Model: "no-such-model", Messages: messages}, func(api.ChatResponse) error { return nil })
		var status api.StatusError
		if !errors.As(err, &status) || status.StatusCode != http.StatusNotFound {
			t.Errorf("found %v", err)
		}
	})
}
