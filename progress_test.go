package systemgemma_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/systemgemma/systemgemma"
)

// Progress comes in events before the first token, of both prompts where there are two, and changes nothing.
func TestProgress(t *testing.T) {
	m := open(t, "", &systemgemma.Options{PrefillChunk: 32, PrefixMemory: -1})
	long := user(strings.Repeat("Tell me about ships. ", 20))
	system := "Talk like a pirate."
	for _, o := range []systemgemma.GenerateOptions{{MaxTokens: 5}, {MaxTokens: 5, PromptLogprobs: true}, {MaxTokens: 5, Guidance: &systemgemma.Guidance{Scale: 1.5, System: &system}}} {
		plain := collect(t, m, long, &systemgemma.ChatOptions{GenerateOptions: o})
		o.Progress = true
		var list []systemgemma.PromptProgress
		var ids []int32
		for e, err := range m.Chat(context.Background(), long, &systemgemma.ChatOptions{GenerateOptions: o}) {
			if err != nil {
				t.Fatal(err)
			}
			if e.Progress != nil {
				list = append(list, *e.Progress)
				if e.ID != -1 || e.Text != "" || e.Result != nil || ids != nil {
					t.Errorf("event %+v after %v", e, ids)
				}
			}
			if e.ID >= 0 {
				ids = append(ids, e.ID)
			}
		}
		n := len(list)
		if n < 4 || list[0].Done != list[0].Cached || list[n-1].Done != list[n-1].Total || !slices.IsSortedFunc(list, func(a, b systemgemma.PromptProgress) int { return a.Done - b.Done }) {
			t.Errorf("progress %+v", list)
		}
		if total := list[0].Total; total < len(plain.PromptIDs) || (o.Guidance == nil) != (total == len(plain.PromptIDs)) {
			t.Errorf("%d tokens in all, the prompt has %d", total, len(plain.PromptIDs))
		}
		if !slices.Equal(ids, plain.IDs) {
			t.Errorf("with progress %v, without %v", ids, plain.IDs)
		}
	}
	o := systemgemma.GenerateOptions{Progress: true, MaxTokens: 2}
	if _, err := m.GenerateN(context.Background(), systemgemma.Prompt{Text: "a"}, &o, 1); err == nil || !strings.Contains(err.Error(), "progress: want Generate or Chat") {
		t.Errorf("several answers with progress: %v", err)
	}
	if _, err := m.GenerateBeams(context.Background(), systemgemma.Prompt{Text: "a"}, &o, systemgemma.Beams{Beams: 2}); err == nil || !strings.Contains(err.Error(), "want no Progress") {
		t.Errorf("beams with progress: %v", err)
	}
}

// What one scope asked is not known in another one, whatever was asked; answers are the same.
func TestCacheScopes(t *testing.T) {
	m := open(t, "", nil)
	text := strings.Repeat("The sea is wide. ", 8)
	in := func(scope string) context.Context { return systemgemma.WithCacheScope(context.Background(), scope) }
	ask := func(ctx context.Context) *systemgemma.Result {
		t.Helper()
		var r *systemgemma.Result
		for e, err := range m.Generate(ctx, systemgemma.Prompt{Text: text}, &systemgemma.GenerateOptions{MaxTokens: 6}) {
			if err != nil {
				t.Fatal(err)
			}
			r = e.Result
		}
		return r
	}
	want := ask(in("alice"))
	if r := ask(in("alice")); r.CachedTokens != len(want.PromptIDs)-1 || !slices.Equal(r.IDs, want.IDs) {
		t.Errorf("again: %d tokens cached, %v, want %v", r.CachedTokens, r.IDs, want.IDs)
	}
	if _, err := m.Score(in("carol"), want.PromptIDs, 1); err != nil {
		t.Fatal(err)
	}
	if _, _, err := m.Embed(in("carol"), systemgemma.Prompt{Text: text}, nil); err != nil {
		t.Fatal(err)
	}
	for _, ctx := range []context.Context{in("bob"), context.Background()} {
		if r := ask(ctx); r.CachedTokens != 0 || !slices.Equal(r.IDs, want.IDs) {
			t.Errorf("in another scope: %d tokens cached, %v, want %v", r.CachedTokens, r.IDs, want.IDs)
		}
	}
}
