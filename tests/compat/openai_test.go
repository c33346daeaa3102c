package compat

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/responses"
)

func openAI(s server, key string) openai.Client {
	return openai.NewClient(option.WithBaseURL(s.url+"/v1/"), option.WithAPIKey(key), option.WithMaxRetries(0))
}

func ask(messages ...openai.ChatCompletionMessageParamUnion) openai.ChatCompletionNewParams {
	return openai.ChatCompletionNewParams{Model: "mini", Messages: messages, Temperature: openai.Float(0), MaxCompletionTokens: openai.Int(48)}
}

func TestGoOpenAI(t *testing.T) {
	s := serve(t)
	c, ctx := openAI(s, "none"), t.Context()
	request := ask(openai.SystemMessage(pirate), openai.UserMessage(question))

	t.Run("chat", func(t *testing.T) {
		r, err := c.Chat.Completions.New(ctx, request)
		if err != nil {
			t.Fatal(err)
		}
		x := r.Choices[0]
		if !strings.Contains(x.Message.Content, "Paris") || x.FinishReason != "stop" || x.Message.Role != "assistant" || r.Usage.CompletionTokens < 2 ||
			r.Usage.TotalTokens != r.Usage.PromptTokens+r.Usage.CompletionTokens {
			t.Errorf("found %s", r.RawJSON())
		}
		plain, err := c.Chat.Completions.New(ctx, ask(openai.UserMessage(question)))
		if err != nil {
			t.Fatal(err)
		}
		if plain.Choices[0].Message.Content == x.Message.Content {
			t.Errorf("the system prompt changed nothing: %q", x.Message.Content)
		}
	})
	t.Run("developer", func(t *testing.T) {
		r, err := c.Chat.Completions.New(ctx, ask(openai.DeveloperMessage(pirate), openai.UserMessage(question)))
		if err != nil || !strings.Contains(r.Choices[0].Message.Content, "Paris") {
			t.Errorf("found %v, %v", r, err)
		}
	})
	t.Run("stream", func(t *testing.T) {
		whole, err := c.Chat.Completions.New(ctx, request)
		if err != nil {
			t.Fatal(err)
		}
		with := request
		with.StreamOptions = openai.ChatCompletionStreamOptionsParam{IncludeUsage: openai.Bool(true)}
		stream := c.Chat.Completions.NewStreaming(ctx, with)
		var sum openai.ChatCompletionAccumulator
		pieces := 0
		for stream.Next() {
			if !sum.AddChunk(stream.Current()) {
				t.Error("a piece that does not fit")
			}
			pieces++
		}
		if err := stream.Err(); err != nil {
			t.Fatal(err)
		}
		if got, want := sum.Choices[0].Message.Content, whole.Choices[0].Message.Content; got != want || pieces < 4 {
			t.Errorf("%d pieces: %q, want %q", pieces, got, want)
		}
		if sum.Usage.TotalTokens != whole.Usage.TotalTokens {
			t.Errorf("usage %+v, want %+v", sum.Usage, whole.Usage)
		}
	})
	t.Run("logprobs", func(t *testing.T) {
		with := request
		with.Logprobs, with.TopLogprobs, with.N, with.Seed = openai.Bool(true), openai.Int(3), openai.Int(2), openai.Int(7)
		with.Temperature = openai.Float(1)
		r, err := c.Chat.Completions.New(ctx, with)
		if err != nil {
			t.Fatal(err)
		}
		if len(r.Choices) != 2 {
			t.Fatalf("%d choices, want 2", len(r.Choices))
		}
		for _, x := range r.Choices {
			text := ""
			for _, l := range x.Logprobs.Content {
				text += l.Token
				if l.Logprob > 0 || len(l.TopLogprobs) != 3 || l.TopLogprobs[0].Logprob < l.TopLogprobs[1].Logprob {
					t.Errorf("found %+v", l)
				}
			}
			if !strings.HasPrefix(text, x.Message.Content) {
				t.Errorf("tokens make %q, the message is %q", text, x.Message.Content)
			}
		}
	})
	t.Run("schema", func(t *testing.T) {
		with := request
		with.MaxCompletionTokens = openai.Int(200)
		with.ResponseFormat = openai.ChatCompletionNewParamsResponseFormatUnion{OfJSONSchema: &openai.ResponseFormatJSONSchemaParam{
			JSONSchema: openai.ResponseFormatJSONSchemaJSONSchemaParam{Name: "answer", Strict: openai.Bool(true), Schema: map[string]any{
				"type": "object", "additionalProperties": false, "required": []string{"city", "certain"},
				"properties": map[string]any{"city": map[string]any{"type": "string", "maxLength": 12}, "certain": map[string]any{"type": "boolean"}},
			}},
		}}
		r, err := c.Chat.Completions.New(ctx, with)
		if err != nil {
			t.Fatal(err)
		}
		var x struct {
			City    *string
			Certain *bool
		}
		if err := json.Unmarshal([]byte(r.Choices[0].Message.Content), &x); err != nil || x.City == nil || x.Certain == nil {
			t.Errorf("%v in %q", err, r.Choices[0].Message.Content)
		}
	})
	t.Run("tools", func(t *testing.T) {
		with := request
		with.MaxCompletionTokens = openai.Int(200)
		with.Tools = []openai.ChatCompletionToolUnionParam{openai.ChatCompletionFunctionTool(openai.FunctionDefinitionParam{
			Name: "weather", Description: openai.String("The weather of a city."), Parameters: openai.FunctionParameters{
				"type": "object", "required": []string{"city"}, "additionalProperties": false,
				"properties": map[string]any{"city": map[string]any{"type": "string", "enum": []string{"Paris", "Rome"}}},
			},
		})}
		with.ToolChoice = openai.ChatCompletionToolChoiceOptionUnionParam{OfAuto: openai.String("required")}
		r, err := c.Chat.Completions.New(ctx, with)
		if err != nil {
			t.Fatal(err)
		}
		x := r.Choices[0]
		if x.FinishReason != "tool_calls" || len(x.Message.ToolCalls) == 0 {
			t.Fatalf("found %s", r.RawJSON())
		}
		call := x.Message.ToolCalls[0]
		var args struct{ City string }
		if err := json.Unmarshal([]byte(call.Function.Arguments), &args); err != nil || call.Function.Name != "weather" || args.City != "Paris" && args.City != "Rome" || call.ID == "" {
			t.Errorf("%v in %s", err, r.RawJSON())
		}
		stream := c.Chat.Completions.NewStreaming(ctx, with)
		var sum openai.ChatCompletionAccumulator
		for stream.Next() {
			sum.AddChunk(stream.Current())
		}
		if err := stream.Err(); err != nil {
			t.Fatal(err)
		}
		if calls := sum.Choices[0].Message.ToolCalls; len(calls) == 0 || calls[0].Function.Arguments != call.Function.Arguments || calls[0].Function.Name != "weather" {
			t.Errorf("streamed: %+v, want %+v", calls, call)
		}
		with.Messages = append(with.Messages, x.Message.ToParam(), openai.ToolMessage(`{"sky": "blue"}`, call.ID))
		with.ToolChoice = openai.ChatCompletionToolChoiceOptionUnionParam{OfAuto: openai.String("none")}
		if r, err := c.Chat.Completions.New(ctx, with); err != nil || len(r.Choices[0].Message.ToolCalls) > 0 {
			t.Errorf("after the tool's answer: %v, %v", r, err)
		}
	})
	t.Run("embeddings", func(t *testing.T) {
		r, err := c.Embeddings.New(ctx, openai.EmbeddingNewParams{Model: "mini", Input: openai.EmbeddingNewParamsInputUnion{OfArrayOfStrings: []string{"a cat", "a cat", "the sea"}}})
		if err != nil {
			t.Fatal(err)
		}
		norm := 0.0
		for _, v := range r.Data[0].Embedding {
			norm += v * v
		}
		if len(r.Data) != 3 || math.Abs(norm-1) > 1e-3 || r.Data[0].Embedding[0] != r.Data[1].Embedding[0] || r.Data[0].Embedding[0] == r.Data[2].Embedding[0] {
			t.Errorf("%d vectors, norm %v", len(r.Data), norm)
		}
	})
	t.Run("models", func(t *testing.T) {
		list, err := c.Models.List(ctx)
		if err != nil || len(list.Data) == 0 {
			t.Fatalf("%v, %v", list, err)
		}
		if m, err := c.Models.Get(ctx, list.Data[0].ID); err != nil || m.ID != list.Data[0].ID {
			t.Errorf("%v, %v", m, err)
		}
	})
	t.Run("responses", func(t *testing.T) {
		first, err := c.Responses.New(ctx, responses.ResponseNewParams{Model: "mini", Temperature: openai.Float(0), Instructions: openai.String(pirate), Input: responses.ResponseNewParamsInputUnion{OfString: openai.String(question)}})
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(first.OutputText(), "Paris") || first.Status != "completed" {
			t.Errorf("found %s", first.RawJSON())
		}
		next, err := c.Responses.New(ctx, responses.ResponseNewParams{Model: "mini", PreviousResponseID: openai.String(first.ID), Input: responses.ResponseNewParamsInputUnion{OfString: openai.String("And of Italy?")}})
		if err != nil || next.OutputText() == "" {
			t.Errorf("%v, %v", next, err)
		}
		stream := c.Responses.NewStreaming(ctx, responses.ResponseNewParams{Model: "mini", Temperature: openai.Float(0), Instructions: openai.String(pirate), Input: responses.ResponseNewParamsInputUnion{OfString: openai.String(question)}})
		text, last := "", ""
		for stream.Next() {
			e := stream.Current()
			if e.Type == "response.output_text.delta" {
				text += e.Delta
			}
			last = e.Type
		}
		if stream.Err() != nil || text != first.OutputText() || last != "response.completed" {
			t.Errorf("%v: %q, want %q; last %s", stream.Err(), text, first.OutputText(), last)
		}
	})
	t.Run("errors", func(t *testing.T) {
		bad := request
		bad.Model = "no-such-model"
		wantError(t, c, bad, http.StatusNotFound)
		bad = request
		bad.Temperature = openai.Float(-3)
		wantError(t, c, bad, http.StatusBadRequest)
		bad = ask(openai.UserMessage(strings.Repeat("word ", 5000)))
		if e := wantError(t, c, bad, http.StatusBadRequest); e != nil && e.Code != "context_length_exceeded" {
			t.Errorf("code %q", e.Code)
		}
		picture := ask(openai.UserMessage([]openai.ChatCompletionContentPartUnionParam{openai.ImageContentPart(openai.ChatCompletionContentPartImageImageURLParam{URL: "http://x/y.png"})}))
		wantError(t, c, picture, http.StatusBadRequest)
	})
	t.Run("cancel", func(t *testing.T) {
		long, cancel := context.WithCancel(ctx)
		with := ask(openai.UserMessage("Tell me a long story."))
		with.MaxCompletionTokens = openai.Int(1500)
		stream := c.Chat.Completions.NewStreaming(long, with, option.WithJSONSet("ignore_eos", true))
		if !stream.Next() {
			t.Fatal(stream.Err())
		}
		cancel()
		for stream.Next() {
		}
		for deadline := time.Now().Add(20 * time.Second); status(t, s).Requests.Running > 0; time.Sleep(10 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("the answer runs on though its client has left")
			}
		}
	})
}

func wantError(t *testing.T, c openai.Client, p openai.ChatCompletionNewParams, code int) *openai.Error {
	t.Helper()
	_, err := c.Chat.Completions.New(t.Context(), p)
	var e *openai.Error
	if !errors.As(err, &e) || e.StatusCode != code || e.Message == "" {
		t.Errorf("found %v, want an error with status %d and a message", err, code)
	}
	return e
}

func TestGoKeys(t *testing.T) {
	s := serve(t, "--api-key", "secret-of-the-test")
	right := openAI(s, "secret-of-the-test")
	if _, err := right.Chat.Completions.New(t.Context(), ask(openai.UserMessage(question))); err != nil {
		t.Error(err)
	}
	wantError(t, openAI(s, "another-secret"), ask(openai.UserMessage(question)), http.StatusUnauthorized)
}
