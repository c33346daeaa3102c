package chat

import (
	"context"
	"iter"
	"strings"
	"testing"
	"time"

	"github.com/systemgemma/systemgemma"
)

// slow is a model that reads its prompts for some seconds, by its own account.
type slow struct{ fake }

func (f *slow) Chat(ctx context.Context, m []systemgemma.Message, o *systemgemma.ChatOptions) iter.Seq2[systemgemma.Event, error] {
	answer := f.fake.Chat(ctx, m, o)
	return func(yield func(systemgemma.Event, error) bool) {
		for i := range 3 {
			p := &systemgemma.PromptProgress{Total: 200, Done: 100 * i, Took: time.Duration(2*i) * time.Second}
			if !yield(systemgemma.Event{ID: -1, Progress: p}, nil) {
				return
			}
		}
		for e, err := range answer {
			if !yield(e, err) {
				return
			}
		}
	}
}

// The hint tells how far a long prompt is, until there is text, and says nothing of short ones.
func TestScreenTellsProgress(t *testing.T) {
	s := newStage(t, &fake{})
	s.m.running = &running{cancel: func() {}, events: make(chan eventMsg, 1), gone: make(chan struct{})}
	s.m.hint = hintBusy
	for _, x := range []struct {
		event eventMsg
		hint  string
	}{
		{eventMsg{progress: &systemgemma.PromptProgress{Total: 200, Done: 100, Took: 900 * time.Millisecond}}, hintBusy},
		{eventMsg{progress: &systemgemma.PromptProgress{Total: 200, Done: 150, Took: time.Second}}, "reading the prompt: 150 of 200 tokens; " + hintBusy},
		{eventMsg{text: "Arr"}, hintBusy},
	} {
		s.m.event(x.event)
		if s.m.hint != x.hint {
			t.Errorf("after %+v the hint is %q, want %q", x.event, s.m.hint, x.hint)
		}
	}
}

// A chat asks for progress, and what tells it is no part of the answer.
func TestProgressIsNoText(t *testing.T) {
	f := &slow{fake{answers: []string{"Arr, Paris it be"}}}
	if r := say(t, New(f, Config{}), "hi"); r.Err != nil || len(f.options) != 1 || !f.options[0].Progress {
		t.Errorf("reply %+v, options %+v", r, f.options)
	}
	f = &slow{fake{answers: []string{"Arr, Paris it be"}}}
	var out, status strings.Builder
	if err := Plain(t.Context(), New(f, Config{}), Streams{In: strings.NewReader("hi\n"), Out: &out, Err: &out, Status: &status}); err != nil {
		t.Fatal(err)
	}
	if out.String() != "Arr, Paris it be\n" || status.String() != "" { // less than a second passed
		t.Errorf("output %q, status %q", out.String(), status.String())
	}
}
