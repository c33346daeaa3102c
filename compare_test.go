package systemgemma_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/systemgemma/systemgemma"
)

func TestCompare(t *testing.T) {
	small := filepath.Join(t.TempDir(), "w4.gguf")
	if _, err := systemgemma.Convert(context.Background(), systemgemma.Mini, &systemgemma.ConvertOptions{Output: small, Types: []string{"w4"}}); err != nil {
		t.Fatal(err)
	}
	same, err := systemgemma.Compare(context.Background(), systemgemma.Mini, systemgemma.Mini, nil)
	if err != nil || same.All.KL != 0 || same.All.Top1 != 1 || same.All.PerplexityA != same.All.PerplexityB || same.Tensors[0].Error != 0 {
		t.Errorf("a model with itself: want no distance, found %+v, %v", same.All, err)
	}
	steps := 0
	q, err := systemgemma.Compare(context.Background(), systemgemma.Mini, small, &systemgemma.CompareOptions{Progress: func(done, total int) { steps++ }})
	if err != nil || !(q.All.KL > 0.001) || !(q.All.Top1 < 1) || q.BytesB >= q.BytesA || len(q.Tensors) != 43 || steps != 6+6+1 {
		t.Errorf("4 bits: want a distance and 13 steps, found %+v and %d, %v", q.All, steps, err)
	}
	if q.All.Positions != q.Plain.Positions+q.Turns.Positions || q.Tokens <= q.All.Positions {
		t.Errorf("positions: found %d, %d and %d of %d tokens", q.All.Positions, q.Plain.Positions, q.Turns.Positions, q.Tokens)
	}
	talk := &systemgemma.CompareOptions{Conversations: [][]systemgemma.Message{{{Role: "user", Content: "Hi"}, {Role: "assistant", Content: "Hello!"}}}}
	if q, err = systemgemma.Compare(context.Background(), systemgemma.Mini, small, talk); err != nil || q.Plain.Positions != 0 || q.Turns.Positions < 2 || q.Turns.Positions > 10 {
		t.Errorf("a conversation: want the answer's positions only, found %+v, %v", q, err)
	}
}

func TestCompareRefuses(t *testing.T) {
	for what, o := range map[string]*systemgemma.CompareOptions{
		"white space":      {Text: " \n"},
		"at most":          {Text: strings.Repeat("x", systemgemma.MaxCompareText+1)},
		"found both":       {Text: "x", Conversations: [][]systemgemma.Message{{}}},
		"assistant":        {Conversations: [][]systemgemma.Message{{{Role: "user", Content: "Hi"}}}},
		"preset":           {PresetB: "fast"},
		"threads: want 0 ": {Threads: -1},
	} {
		if _, err := systemgemma.Compare(context.Background(), systemgemma.Mini, systemgemma.Mini, o); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("want an error about %q, found %v", what, err)
		}
	}
	other := filepath.FromSlash("internal/checkpoint/testdata/none.gguf")
	if _, err := systemgemma.Compare(context.Background(), systemgemma.Mini, other, nil); err == nil {
		t.Error("a missing file: want an error, found none")
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := systemgemma.Compare(ctx, systemgemma.Mini, systemgemma.Mini, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("want %v, found %v", context.Canceled, err)
	}
}
