package systemgemma_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/systemgemma/systemgemma"
)

// A conversation that is too long is refused, or loses its oldest turns where that was asked for, and says so.
func TestContextPolicy(t *testing.T) {
	m := open(t, "", &systemgemma.Options{ContextLength: 200})
	list := []systemgemma.Message{{Role: "system", Content: "Talk like a pirate."}}
	for i := range 20 {
		list = append(list, systemgemma.Message{Role: "user", Content: fmt.Sprintf("What is %d + 3?", i)}, systemgemma.Message{Role: "assistant", Content: "A number."})
	}
	list = append(list, systemgemma.Message{Role: "user", Content: "What is the capital of France?"})
	ask := func(o *systemgemma.ChatOptions) (last systemgemma.Event, err error) {
		for last, err = range m.Chat(context.Background(), list, o) {
		}
		return last, err
	}
	if _, err := ask(nil); !errors.Is(err, systemgemma.ErrContextLength) {
		t.Errorf("without a policy: %v, want ErrContextLength", err)
	}
	last, err := ask(&systemgemma.ChatOptions{Context: systemgemma.ContextDropOldest})
	if err != nil {
		t.Fatal(err)
	}
	r := last.Result
	if r.DroppedMessages == 0 || r.DroppedMessages%2 != 0 || len(r.Warnings) != 1 || !strings.Contains(r.Warnings[0], fmt.Sprintf("%d oldest messages", r.DroppedMessages)) {
		t.Errorf("%d messages dropped, warnings %q", r.DroppedMessages, r.Warnings)
	}
	kept := append([]systemgemma.Message{list[0]}, list[1+r.DroppedMessages:]...)
	want, err := m.Render(kept, systemgemma.RenderOptions{GenerationPrompt: true})
	if err != nil || fmt.Sprint(want.IDs) != fmt.Sprint(r.PromptIDs) {
		t.Errorf("prompt %v, want %v: %v", r.PromptIDs, want.IDs, err)
	}
	if n := len(r.PromptIDs); n > 200-200/8 || n < 100 {
		t.Errorf("prompt of %d tokens, want nearly as many as 175", n)
	}
	list = []systemgemma.Message{list[0], {Role: "user", Content: strings.Repeat("word ", 400)}}
	if _, err := ask(&systemgemma.ChatOptions{Context: systemgemma.ContextDropOldest}); !errors.Is(err, systemgemma.ErrContextLength) {
		t.Errorf("one turn that is too long: %v, want ErrContextLength", err)
	}
	if _, err := ask(&systemgemma.ChatOptions{Context: "shift"}); err == nil || !strings.Contains(err.Error(), "drop-oldest-turns") {
		t.Errorf("policy shift: %v", err)
	}
}
