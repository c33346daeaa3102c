package systemgemma_test

import (
	"context"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/systemgemma/systemgemma"
)

func TestEmbed(t *testing.T) {
	m := open(t, "", nil)
	ctx := context.Background()
	hidden := m.Info().Config.HiddenSize
	var states [][]float32
	ids, err := m.Tokenize("Snow is white.", false)
	if err != nil {
		t.Fatal(err)
	}
	ids = append([]int32{2}, ids...)
	if err := m.HiddenStates(ctx, ids, func(i int, s []float32) error {
		if i != len(states) {
			t.Errorf("position %d came as number %d", i, len(states))
		}
		states = append(states, slices.Clone(s))
		return nil
	}); err != nil || len(states) != len(ids) {
		t.Fatalf("%d states of %d tokens: %v", len(states), len(ids), err)
	}
	for _, c := range []struct {
		o    systemgemma.EmbedOptions
		norm float64 // 0: not fixed
	}{{systemgemma.EmbedOptions{}, 1}, {systemgemma.EmbedOptions{Pooling: systemgemma.PoolLast}, 1}, {systemgemma.EmbedOptions{Raw: true}, 0}, {systemgemma.EmbedOptions{Pooling: systemgemma.PoolLast, Raw: true}, 0}} {
		v, n, err := m.Embed(ctx, systemgemma.Prompt{Text: "Snow is white."}, &c.o)
		if err != nil || n != len(ids) || len(v) != hidden {
			t.Fatalf("%+v: %d numbers of %d tokens: %v", c.o, len(v), n, err)
		}
		square := 0.0
		for _, x := range v {
			square += float64(x) * float64(x)
		}
		if c.norm > 0 && math.Abs(square-1) > 1e-5 {
			t.Errorf("%+v: norm %v, want 1", c.o, math.Sqrt(square))
		}
		if c.o.Raw && c.o.Pooling == systemgemma.PoolLast && !slices.Equal(v, states[len(states)-1]) {
			t.Error("the last state differs from that of HiddenStates")
		}
		if c.o.Raw && c.o.Pooling == "" {
			sum := 0.0
			for _, s := range states {
				sum += float64(s[0])
			}
			if math.Abs(float64(v[0])-sum/float64(len(states))) > 1e-6 {
				t.Errorf("mean of the first numbers: %v, want %v", v[0], sum/float64(len(states)))
			}
		}
	}
	if _, _, err := m.Embed(ctx, systemgemma.Prompt{Text: "x"}, &systemgemma.EmbedOptions{Pooling: "max"}); err == nil {
		t.Error("pooling max: want an error")
	}
}

// A draft model changes no answer; one of another vocabulary is refused.
func TestDraft(t *testing.T) {
	plain, with := open(t, "", nil), open(t, "", &systemgemma.Options{Draft: systemgemma.Mini})
	for _, o := range []*systemgemma.ChatOptions{nil, {GenerateOptions: systemgemma.GenerateOptions{Sampling: &systemgemma.Sampling{Temperature: 1, Seed: 7}, MaxTokens: 60}}} {
		var r [2]*systemgemma.Result
		for i, m := range []*systemgemma.Model{plain, with} {
			for e, err := range m.Chat(context.Background(), user("Tell me a story."), o) {
				if err != nil {
					t.Fatal(err)
				}
				r[i] = e.Result
			}
		}
		if !slices.Equal(r[0].IDs, r[1].IDs) || !slices.Equal(r[0].Logprobs, r[1].Logprobs) || o == nil && r[1].AcceptedTokens == 0 && len(r[1].IDs) > 6 {
			t.Errorf("%+v: %q, with a draft %q, %d of %d guesses right", o, r[0].Text, r[1].Text, r[1].AcceptedTokens, r[1].DraftedTokens)
		}
	}
	if m, err := systemgemma.Open("testdata/none.gguf", &systemgemma.Options{Draft: "x"}); err == nil {
		t.Error("want an error")
		_ = m.Close()
	}
	if m, err := systemgemma.Open("", &systemgemma.Options{Draft: "testdata/none.gguf"}); err == nil {
		t.Error("a draft that is not there: want an error")
		_ = m.Close()
	}
	if m, err := systemgemma.Open("", &systemgemma.Options{Draft: "internal/gemma2/testdata/gguf/f32.gguf"}); err == nil || !strings.Contains(err.Error(), "want the same vocabulary") {
		t.Errorf("a draft with another vocabulary: %v", err)
		if err == nil {
			_ = m.Close()
		}
	}
}
