package cli

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/systemgemma/systemgemma"
)

// events is an answer of one token and a last event.
func events(text string, r *systemgemma.Result, err error) iter.Seq2[systemgemma.Event, error] {
	return func(yield func(systemgemma.Event, error) bool) {
		if yield(systemgemma.Event{Text: text, ID: 5}, nil) {
			yield(systemgemma.Event{ID: -1, Result: r}, err)
		}
	}
}

// A stopped answer is written as far as it came, and is a failure still.
func TestJSONOfAStoppedAnswer(t *testing.T) {
	r := &systemgemma.Result{
		Text: "a\u2028<b>", IDs: []int32{5}, PromptIDs: []int32{2, 3}, FinishReason: systemgemma.FinishCancel, Seed: 9, CachedTokens: 1,
		Warnings: []string{"w2"}, TTFT: time.Second, Prefill: 2 * time.Second, Decode: 3 * time.Second,
	}
	p := newProcess("")
	a := answer{command: &runCmd{JSON: true}, hasText: true, load: 4 * time.Second, warnings: []string{"w1"}}
	if err := a.run(&p.Env, events("a", r, context.Canceled)); !errors.Is(err, context.Canceled) {
		t.Errorf("error = %v, want %v", err, context.Canceled)
	}
	want := map[string]any{
		"text": "a\u2028<b>", "ids": []any{5.0}, "prompt_ids": []any{2.0, 3.0}, "finish_reason": "cancel", "stop": nil,
		"counts":  map[string]any{"prompt_tokens": 2.0, "cached_tokens": 1.0, "completion_tokens": 1.0},
		"seconds": map[string]any{"load": 4.0, "ttft": 1.0, "prefill": 2.0, "decode": 3.0}, "seed": 9.0, "warnings": []any{"w1", "w2"}, "cut": false,
	}
	var got map[string]any
	if err := json.Unmarshal([]byte(p.out.String()), &got); err != nil || !strings.Contains(p.out.String(), "<b>") {
		t.Fatalf("%v: %s", err, p.out.String())
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("object (-want +got):\n%s", diff)
	}
}

func TestJSONWithoutTokenizerHasNoText(t *testing.T) {
	p := newProcess("")
	a := answer{command: &runCmd{JSON: true}}
	if err := a.run(&p.Env, events("", &systemgemma.Result{}, nil)); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(p.out.String(), `{"text":null,"ids":[],"prompt_ids":[],`) || !strings.Contains(p.out.String(), `"warnings":[]`) {
		t.Errorf("object = %s, want no text and empty lists", p.out.String())
	}
}

func TestFailedAnswers(t *testing.T) {
	fault := errors.New("fault")
	p := newProcess("")
	a := answer{command: &runCmd{}}
	if err := a.run(&p.Env, events("half", nil, fault)); !errors.Is(err, fault) || p.out.String() != "half\n" {
		t.Errorf("error = %v, stdout %q; want %v and a whole line", err, p.out.String(), fault)
	}
}

func TestWarningsOfAnAnswer(t *testing.T) {
	p := newProcess("")
	a := answer{command: &runCmd{}, warnings: []string{"w1"}}
	if err := a.run(&p.Env, events("text\n", &systemgemma.Result{Warnings: []string{"w2"}}, nil)); err != nil {
		t.Fatal(err)
	}
	if p.out.String() != "text\n" || p.err.String() != "warning: w1\nwarning: w2\n" {
		t.Errorf("stdout %q, stderr %q; want the text as it is, and both warnings", p.out.String(), p.err.String())
	}
}
