package systemgemma_test

import (
	"context"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/systemgemma/systemgemma"
)

// n answers are those of single requests with the seeds that follow.
func TestGenerateNIsManyGenerates(t *testing.T) {
	m := open(t, "", nil)
	o := &systemgemma.ChatOptions{GenerateOptions: systemgemma.GenerateOptions{Sampling: &systemgemma.Sampling{Temperature: 1.2, Seed: 40}, MaxTokens: 12}}
	results, err := m.ChatN(context.Background(), user("Tell me a story."), o, 5)
	if err != nil {
		t.Fatal(err)
	}
	for i := range results {
		one := *o
		s := *o.Sampling
		s.Seed += uint64(i)
		one.Sampling = &s
		alone := collect(t, m, user("Tell me a story."), &one)
		if results[i].Seed != s.Seed || !slices.Equal(alone.IDs, results[i].IDs) || !slices.Equal(alone.Logprobs, results[i].Logprobs) {
			t.Errorf("answer %d: seed %d, %v, alone %d, %v", i, results[i].Seed, results[i].IDs, alone.Seed, alone.IDs)
		}
	}
	best := systemgemma.Best(results)
	for i := range results {
		if results[i].MeanLogprob() > results[best].MeanLogprob() {
			t.Errorf("answer %d is better than the best, %d", i, best)
		}
	}
	for n, want := range map[int]string{0: "n: want 1 to 128", 129: "n: want 1 to 128", 2: "want a temperature above 0 for 2 answers"} {
		if _, err := m.GenerateN(context.Background(), systemgemma.Prompt{Text: "a"}, nil, n); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("n = %d: error %v, want %q", n, err, want)
		}
	}
}

// Log probabilities of prompt and answer are those that Score gives, and the best tokens hold them.
func TestLogprobsEqualScore(t *testing.T) {
	m := open(t, "", nil)
	o := &systemgemma.ChatOptions{GenerateOptions: systemgemma.GenerateOptions{MaxTokens: 8, TopLogprobs: 3, PromptLogprobs: true, Explain: 2}}
	for range 2 { // the second time, the prompt is known
		r := collect(t, m, user("Tell me a story."), o)
		score, err := m.Score(context.Background(), slices.Concat(r.PromptIDs, r.IDs), 1)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(score.Logprobs, slices.Concat(r.PromptLogprobs, r.Logprobs)); diff != "" {
			t.Errorf("log probabilities (-score +generate):\n%s", diff)
		}
		if len(r.Top) != len(r.IDs) || len(r.PromptTop) != len(r.PromptIDs)-1 {
			t.Fatalf("best tokens of %d and %d, want %d and %d", len(r.Top), len(r.PromptTop), len(r.IDs), len(r.PromptIDs)-1)
		}
		for i, top := range r.Top {
			if want := (systemgemma.TokenLogprob{ID: r.IDs[i], Logprob: r.Logprobs[i]}); len(top) != 3 || top[0] != want {
				t.Errorf("best tokens of %d: %v, want %v first: it was chosen greedily", i, top, want)
			}
		}
	}
}

// Texts in options become tokens.
func TestTextsInOptions(t *testing.T) {
	m := open(t, "", nil)
	ask := func(s systemgemma.Sampling) string {
		t.Helper()
		o := systemgemma.GenerateOptions{Sampling: &s, MaxTokens: 20}
		return collect(t, m, user("What is the capital of France?"), &systemgemma.ChatOptions{GenerateOptions: o}).Text
	}
	if text := ask(systemgemma.Sampling{}); !strings.Contains(text, " Paris") {
		t.Fatalf("answer %q, want Paris in it", text)
	}
	never := math.Inf(-1)
	for name, s := range map[string]systemgemma.Sampling{
		"bad words":     {BadWords: []string{" Paris"}},
		"logit bias":    {LogitBias: []systemgemma.Bias{{Text: " Paris", Add: never}}},
		"sequence bias": {SequenceBias: []systemgemma.Bias{{Text: " is Paris", Add: never}}},
		"rules":         {BadWords: []string{" Paris"}, Rules: systemgemma.RulesTransformers},
	} {
		if text := ask(s); strings.Contains(text, "is Paris") {
			t.Errorf("%s: answer %q, want no Paris", name, text)
		}
	}
	for want, s := range map[string]systemgemma.Sampling{
		"bad words: want a text":                {BadWords: []string{""}},
		"logit bias: want text or ids":          {LogitBias: []systemgemma.Bias{{Text: "a", IDs: []int32{1}}}},
		"sequence bias: want UTF-8":             {SequenceBias: []systemgemma.Bias{{Text: "\xff"}}},
		"dry_breakers: want texts of 1 to 40":   {DRYMultiplier: 1, DRYBreakers: []string{""}},
		"dry_breakers: want dry_multiplier":     {DRYBreakers: []string{"a"}},
		"order: want all samplers that are on":  {Temperature: 1, TopK: 3, Order: []string{"temperature"}},
		"top_p: want no mirostat beside it":     {Temperature: 1, Mirostat: 1, TopP: 0.5},
		"dynatemp_range: want 0 (off) to 100":   {Temperature: 1, DynatempRange: -1},
		"bias: want -1000 to 1000 or -Inf":      {LogitBias: []systemgemma.Bias{{Text: "a", Add: 1e4}}},
		"forced_eos: want tokens 0 to":          {ForcedEOS: []int32{1 << 30}},
		"decay_start: want decay_factor beside": {DecayStart: 3},
	} {
		var last error
		for _, err := range m.Chat(context.Background(), user("x"), &systemgemma.ChatOptions{GenerateOptions: systemgemma.GenerateOptions{Sampling: &s, MaxTokens: 1}}) {
			last = err
		}
		if last == nil || !strings.Contains(last.Error(), want) {
			t.Errorf("error %v, want %q", last, want)
		}
	}
}

// The mark of an answer is found with its keys, also beside DRY with its default breakers.
func TestMarkedAnswerIsRecognised(t *testing.T) {
	m := open(t, "", nil)
	w := systemgemma.Watermark{Keys: []int64{3, 1, 4, 1, 5, 9}}
	o := &systemgemma.GenerateOptions{Sampling: &systemgemma.Sampling{Temperature: 4, Seed: 1, Watermark: &w, DRYMultiplier: 0.8}, MaxTokens: 200, IgnoreEOS: true}
	results, err := m.GenerateN(context.Background(), systemgemma.Prompt{Text: "Once"}, o, 1)
	if err != nil {
		t.Fatal(err)
	}
	e, err := systemgemma.DetectWatermark(w, results[0].IDs, nil)
	if err != nil || e.Deviations() < 5 {
		t.Errorf("evidence %v, %v: want at least 5 standard deviations", e.Deviations(), err)
	}
}

func TestModes(t *testing.T) {
	for _, mode := range systemgemma.Modes() {
		if found, err := systemgemma.FindMode(mode.Name); err != nil || cmp.Diff(mode, found) != "" || mode.Sampling.Validate() != nil || mode.System == "" {
			t.Errorf("mode %+v: found %+v, %v; options %v", mode, found, err, mode.Sampling.Validate())
		}
	}
	if _, err := systemgemma.FindMode("sober"); err == nil || err.Error() != `mode: want chat, factual, creative, found "sober"` {
		t.Errorf("error %v", err)
	}
}
