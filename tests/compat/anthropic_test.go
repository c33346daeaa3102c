package compat

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/anthropics/anthropic-sdk-go"
	"github.com/anthropics/anthropic-sdk-go/option"
)

func claude(s server, key string) *anthropic.Client {
	c := anthropic.NewClient(option.WithBaseURL(s.url), option.WithAPIKey(key), option.WithMaxRetries(0))
	return &c
}

func TestGoAnthropic(t *testing.T) {
	s := serve(t)
	c, ctx := claude(s, "none"), t.Context()
	request := anthropic.MessageNewParams{
		Model: "mini", MaxTokens: 48, Temperature: anthropic.Float(0), System: []anthropic.TextBlockParam{{Text: pirate}},
		Messages: []anthropic.MessageParam{anthropic.NewUserMessage(anthropic.NewTextBlock(question))},
	}
	// stream makes a message of a stream, by the client.
	stream := func(p anthropic.MessageNewParams) (sum anthropic.Message) {
		t.Helper()
		events := c.Messages.NewStreaming(ctx, p)
		for events.Next() {
			if err := sum.Accumulate(events.Current()); err != nil {
				t.Fatal(err)
			}
		}
		if err := events.Err(); err != nil {
			t.Fatal(err)
		}
		return sum
	}

	t.Run("message", func(t *testing.T) {
		r, err := c.Messages.New(ctx, request)
		if err != nil {
			t.Fatal(err)
		}
		if len(r.Content) != 1 || !strings.Contains(r.Content[0].Text, "Paris") || r.StopReason != anthropic.StopReasonEndTurn || r.Role != "assistant" || r.Usage.OutputTokens < 2 || r.Usage.InputTokens < 1 {
			t.Fatalf("found %s", r.RawJSON())
		}
		plain := request
		plain.System = nil
		if p, err := c.Messages.New(ctx, plain); err != nil || p.Content[0].Text == r.Content[0].Text {
			t.Errorf("the system prompt changed nothing: %v, %v", p, err)
		}
		sum := stream(request)
		if sum.Content[0].Text != r.Content[0].Text || sum.StopReason != r.StopReason || sum.Usage.OutputTokens != r.Usage.OutputTokens {
			t.Errorf("streamed: %+v, want %s", sum, r.RawJSON())
		}
		stop := request
		stop.StopSequences = []string{"Paris"}
		if r, err := c.Messages.New(ctx, stop); err != nil || r.StopReason != anthropic.StopReasonStopSequence || r.StopSequence != "Paris" {
			t.Errorf("found %v, %v", r, err)
		}
		n, err := c.Messages.CountTokens(ctx, anthropic.MessageCountTokensParams{Model: "mini", Messages: request.Messages, System: anthropic.MessageCountTokensParamsSystemUnion{OfTextBlockArray: request.System}})
		if err != nil || n.InputTokens != r.Usage.InputTokens+r.Usage.CacheReadInputTokens {
			t.Errorf("counted %v, %v, want %+v", n, err, r.Usage)
		}
	})
	t.Run("tools", func(t *testing.T) {
		with := request
		with.MaxTokens = 200
		with.Tools = []anthropic.ToolUnionParam{{OfTool: &anthropic.ToolParam{
			Name: "weather", Description: anthropic.String("The weather of a city."), InputSchema: anthropic.ToolInputSchemaParam{
				Required: []string{"city"}, Properties: map[string]any{"city": map[string]any{"type": "string", "enum": []string{"Paris", "Rome"}}},
			},
		}}}
		with.ToolChoice = anthropic.ToolChoiceUnionParam{OfAny: &anthropic.ToolChoiceAnyParam{DisableParallelToolUse: anthropic.Bool(true)}}
		r, err := c.Messages.New(ctx, with)
		if err != nil {
			t.Fatal(err)
		}
		call := r.Content[0]
		var args struct{ City string }
		if err := json.Unmarshal(call.Input, &args); err != nil || r.StopReason != anthropic.StopReasonToolUse || call.Type != "tool_use" || call.Name != "weather" || args.City != "Paris" && args.City != "Rome" {
			t.Fatalf("%v in %s", err, r.RawJSON())
		}
		sum := stream(with)
		if len(sum.Content) != 1 || sum.Content[0].Name != "weather" || string(sum.Content[0].Input) != string(call.Input) || sum.StopReason != anthropic.StopReasonToolUse {
			t.Errorf("streamed: %+v, want %s", sum, r.RawJSON())
		}
		with.Messages = append(with.Messages, r.ToParam(), anthropic.NewUserMessage(anthropic.NewToolResultBlock(call.ID, `{"sky": "blue"}`, false)))
		with.ToolChoice = anthropic.ToolChoiceUnionParam{OfNone: &anthropic.ToolChoiceNoneParam{}}
		if r, err := c.Messages.New(ctx, with); err != nil || r.StopReason == anthropic.StopReasonToolUse {
			t.Errorf("after the tool's answer: %v, %v", r, err)
		}
	})
	t.Run("errors", func(t *testing.T) {
		for _, x := range []struct {
			change func(*anthropic.MessageNewParams)
			code   int
			want   string
		}{
			{func(p *anthropic.MessageNewParams) { p.Model = "no-such-model" }, http.StatusNotFound, "not_found_error"},
			{func(p *anthropic.MessageNewParams) { p.Temperature = anthropic.Float(-3) }, http.StatusBadRequest, "temperature: want"},
			{func(p *anthropic.MessageNewParams) { p.Thinking = anthropic.ThinkingConfigParamOfEnabled(1024) }, http.StatusBadRequest, "does not support thinking"},
			{func(p *anthropic.MessageNewParams) {
				p.Messages = []anthropic.MessageParam{anthropic.NewUserMessage(anthropic.NewTextBlock(strings.Repeat("word ", 5000)))}
			}, http.StatusBadRequest, "prompt is too long"},
			{func(p *anthropic.MessageNewParams) {
				p.Messages = []anthropic.MessageParam{anthropic.NewUserMessage(anthropic.NewImageBlockBase64("image/png", "AAAA"))}
			}, http.StatusBadRequest, "Gemma 2 reads text only"},
		} {
			p := request
			x.change(&p)
			_, err := c.Messages.New(ctx, p)
			var e *anthropic.Error
			if !errors.As(err, &e) || e.StatusCode != x.code || !strings.Contains(e.RawJSON(), x.want) || e.RequestID == "" {
				t.Errorf("found %v, want an error with status %d, a request id and %q", err, x.code, x.want)
			}
		}
	})
	t.Run("cancel", func(t *testing.T) {
		long, cancel := context.WithCancel(ctx)
		with := request
		with.MaxTokens = 1500
		events := c.Messages.NewStreaming(long, with, option.WithJSONSet("ignore_eos", true))
		if !events.Next() {
			t.Fatal(events.Err())
		}
		cancel()
		for events.Next() {
		}
		for deadline := time.Now().Add(20 * time.Second); status(t, s).Requests.Running > 0; time.Sleep(10 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("the answer runs on though its client has left")
			}
		}
	})
	t.Run("keys", func(t *testing.T) {
		s := serve(t, "--api-key", "secret-of-the-test")
		if _, err := claude(s, "secret-of-the-test").Messages.New(ctx, request); err != nil {
			t.Error(err)
		}
		var e *anthropic.Error
		if _, err := claude(s, "another-secret").Messages.New(ctx, request); !errors.As(err, &e) || e.StatusCode != http.StatusUnauthorized {
			t.Errorf("found %v", err)
		}
	})
}
