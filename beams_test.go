package systemgemma_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/systemgemma/systemgemma"
	"github.com/systemgemma/systemgemma/internal/testkit/golden"
)

type beamCase struct {
	Params struct {
		Beams         int             `json:"num_beams"`
		Return        int             `json:"num_return_sequences"`
		LengthPenalty *float64        `json:"length_penalty"`
		Early         json.RawMessage `json:"early_stopping"`
		MaxTokens     int             `json:"max_new_tokens"`
		MinTokens     int             `json:"min_new_tokens"`
		EOS           json.RawMessage `json:"eos_token_id"`
		Repetition    float64         `json:"repetition_penalty"`
		NoRepeat      int             `json:"no_repeat_ngram_size"`
		Suppress      []int32         `json:"suppress_tokens"`
		BadWords      [][]int32       `json:"bad_words_ids"`
		ForcedEOS     int32           `json:"forced_eos_token_id"`
	}
	InputIDs   []int32   `json:"input_ids"`
	Sequences  [][]int32 `json:"sequences"`
	Scores     []float64 `json:"sequence_scores"`
	LogitsLast []float64 `json:"logits_last"`
}

// options are those of transformers in our form.
func (c *beamCase) options(t testing.TB) (*systemgemma.GenerateOptions, systemgemma.Beams) {
	t.Helper()
	p := &c.Params
	o := &systemgemma.GenerateOptions{IgnoreEOS: true, MaxTokens: p.MaxTokens, MinTokens: p.MinTokens, Sampling: &systemgemma.Sampling{
		Rules: systemgemma.RulesTransformers, RepetitionPenalty: p.Repetition, NoRepeatNgram: p.NoRepeat, Suppress: p.Suppress, BadWordIDs: p.BadWords,
	}}
	if p.ForcedEOS != 0 {
		o.Sampling.ForcedEOS = []int32{p.ForcedEOS}
	}
	var one int32
	if json.Unmarshal(p.EOS, &one) == nil {
		o.StopIDs = []int32{one}
	} else if err := json.Unmarshal(p.EOS, &o.StopIDs); err != nil {
		t.Fatal(err)
	}
	return o, systemgemma.Beams{Beams: p.Beams, Return: p.Return, LengthPenalty: p.LengthPenalty, EarlyStopping: strings.Trim(string(p.Early), `"`)}
}

// Every search finds the answers of transformers, in their order and with their scores.
func TestGoldenBeams(t *testing.T) {
	dir := golden.Dir(t, "sampling")
	m := open(t, filepath.Join(dir, "beam-model"), &systemgemma.Options{Threads: 1})
	n := 0
	for c := range golden.Lines[beamCase](t, filepath.Join(dir, "beam.jsonl")) {
		n++
		o, b := c.options(t)
		prompt := systemgemma.Prompt{IDs: c.InputIDs}
		var results []systemgemma.Result
		if b.Beams == 1 {
			results = []systemgemma.Result{*generated(t, m, prompt, o)}
		} else {
			var err error
			if results, err = m.GenerateBeams(context.Background(), prompt, o, b); err != nil {
				t.Fatalf("case %d: %v", n, err)
			}
		}
		if len(results) != len(c.Sequences) {
			t.Fatalf("case %d: %d answers, want %d", n, len(results), len(c.Sequences))
		}
		for i, r := range results {
			want := c.Sequences[i][len(c.InputIDs):]
			if len(r.IDs) > len(want) || !slices.Equal(r.IDs, want[:len(r.IDs)]) || slices.ContainsFunc(want[len(r.IDs):], func(id int32) bool { return id != 0 }) {
				t.Errorf("case %d, answer %d: %v, want %v\n%+v", n, i, r.IDs, want, c.Params)
				continue
			}
			if c.Scores != nil && math.Abs(r.Score-c.Scores[i]) > 1e-4 {
				t.Errorf("case %d, answer %d: score %v, want %v", n, i, r.Score, c.Scores[i])
			}
			if ended := slices.Contains(o.StopIDs, r.IDs[len(r.IDs)-1]); ended != (r.FinishReason == systemgemma.FinishStop) {
				t.Errorf("case %d, answer %d: finish reason %s after token %d", n, i, r.FinishReason, r.IDs[len(r.IDs)-1])
			}
		}
	}
	golden.Count(t, n)
}

// generated is a whole answer without a chat template.
func generated(t testing.TB, m *systemgemma.Model, p systemgemma.Prompt, o *systemgemma.GenerateOptions) *systemgemma.Result {
	t.Helper()
	var r *systemgemma.Result
	for e, err := range m.Generate(context.Background(), p, o) {
		if err != nil {
			t.Fatal(err)
		}
		r = e.Result
	}
	return r
}

// The best of many beams is likelier than the greedy answer, and its log probabilities are those that Score gives.
func TestBeamsFindLikelierAnswers(t *testing.T) {
	m := open(t, "", nil)
	ctx := context.Background()
	zero := 0.0
	o := &systemgemma.ChatOptions{GenerateOptions: systemgemma.GenerateOptions{MaxTokens: 12}}
	greedy := collect(t, m, user("Tell me a story."), o)
	results, err := m.ChatBeams(ctx, user("Tell me a story."), o, systemgemma.Beams{Beams: 6, Return: 3, LengthPenalty: &zero})
	if err != nil || len(results) != 3 {
		t.Fatalf("%d answers, %v", len(results), err)
	}
	sum := func(list []float64) (s float64) {
		for _, x := range list {
			s += x
		}
		return s
	}
	if sum(results[0].Logprobs) < sum(greedy.Logprobs) {
		t.Errorf("best answer has the log probability %v, the greedy one %v", sum(results[0].Logprobs), sum(greedy.Logprobs))
	}
	for i, r := range results {
		score, err := m.Score(ctx, slices.Concat(r.PromptIDs, r.IDs), len(r.PromptIDs))
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(score.Logprobs, r.Logprobs) || math.Abs(r.Score-sum(r.Logprobs)) > 1e-5 {
			t.Errorf("answer %d: log probabilities %v, want %v; score %v", i, r.Logprobs, score.Logprobs, r.Score)
		}
		if i > 0 && r.Score > results[i-1].Score {
			t.Errorf("answer %d is better than the one before", i)
		}
	}
}

// Stop texts, criteria and the time end a search too.
func TestBeamsEnd(t *testing.T) {
	m := open(t, "", nil)
	ask := func(o systemgemma.GenerateOptions) []systemgemma.Result {
		t.Helper()
		results, err := m.ChatBeams(context.Background(), user("What is the capital of France?"), &systemgemma.ChatOptions{GenerateOptions: o}, systemgemma.Beams{Beams: 3, Return: 3})
		if err != nil {
			t.Fatal(err)
		}
		return results
	}
	for i, r := range ask(systemgemma.GenerateOptions{Stop: []string{"Paris"}, MaxTokens: 20}) {
		if r.Stop == "Paris" && (strings.Contains(r.Text, "Paris") || r.FinishReason != systemgemma.FinishStop) || i == 0 && r.Stop == "" {
			t.Errorf("answer %d: %q, stop %q, %s", i, r.Text, r.Stop, r.FinishReason)
		}
	}
	for _, r := range ask(systemgemma.GenerateOptions{Stopping: []systemgemma.StoppingCriterion{after(3)}, MaxTokens: 20}) {
		if len(r.IDs) > 3 || r.FinishReason != systemgemma.FinishStop {
			t.Errorf("%d tokens, %s: want at most 3", len(r.IDs), r.FinishReason)
		}
	}
	late := ask(systemgemma.GenerateOptions{MaxTime: time.Nanosecond})
	for _, r := range late {
		if r.FinishReason != systemgemma.FinishLength || !strings.Contains(strings.Join(r.Warnings, " "), "ended after") {
			t.Errorf("%s, warnings %q", r.FinishReason, r.Warnings)
		}
	}
}

// after is a criterion that is met after some tokens.
type after int

func (n after) Met(_, answer []int32, _ []byte) bool { return len(answer) >= int(n) }

// What a search can't honour is refused by name.
func TestBeamsRefuse(t *testing.T) {
	m := open(t, "", nil)
	for want, x := range map[string]struct {
		o systemgemma.GenerateOptions
		b systemgemma.Beams
	}{
		"beams: want 1 to 64, found 65":               {b: systemgemma.Beams{Beams: 65}},
		"answers: want 1 to 2":                        {b: systemgemma.Beams{Beams: 2, Return: 3}},
		"answers: want 1 to 0":                        {},
		"early stopping: want false, true or never":   {b: systemgemma.Beams{Beams: 2, EarlyStopping: "soon"}},
		"want no Format beside them":                  {b: systemgemma.Beams{Beams: 2}, o: systemgemma.GenerateOptions{Format: &systemgemma.Format{JSONObject: true}}},
		"want no temperature above 0 beside them":     {b: systemgemma.Beams{Beams: 2}, o: systemgemma.GenerateOptions{Sampling: &systemgemma.Sampling{Temperature: 1}}},
		"max tokens: want 0 (no limit) or more":       {b: systemgemma.Beams{Beams: 2}, o: systemgemma.GenerateOptions{MaxTokens: -1}},
		"stop ids: want ids below 4096":               {b: systemgemma.Beams{Beams: 2}, o: systemgemma.GenerateOptions{StopIDs: []int32{4096}}},
		"length penalty: want -100 to 100, found NaN": {b: systemgemma.Beams{Beams: 2, LengthPenalty: new(math.NaN())}},
	} {
		_, err := m.GenerateBeams(context.Background(), systemgemma.Prompt{Text: "a"}, &x.o, x.b)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

// A cancelled search gives what there was.
func TestCancelledSearch(t *testing.T) {
	m := open(t, "", nil)
	ctx, cancel := context.WithCancel(context.Background())
	o := &systemgemma.GenerateOptions{IgnoreEOS: true, Stopping: []systemgemma.StoppingCriterion{stopping(func(answer []int32) {
		if len(answer) == 5 {
			cancel()
		}
	})}}
	results, err := m.GenerateBeams(ctx, systemgemma.Prompt{Text: "a"}, o, systemgemma.Beams{Beams: 2})
	if !errors.Is(err, context.Canceled) || len(results) != 1 || results[0].FinishReason != systemgemma.FinishCancel || len(results[0].IDs) < 4 {
		t.Errorf("%v, %+v", err, results)
	}
}

// stopping is never met, but knows the answer.
type stopping func(answer []int32)

func (f stopping) Met(_, answer []int32, _ []byte) bool {
	f(answer)
	return false
}

// guided is the token that guidance chooses after two prompts, as transformers' formula has it, and how far the next one is.
func guided(t testing.TB, m *systemgemma.Model, prompt, other []int32, scale float64) (best int32, margin float64) {
	t.Helper()
	last := func(ids []int32) (lp []float64) {
		err := m.Logits(context.Background(), ids, func(row int, logits []float32) error {
			if row == len(ids)-1 {
				sum := 0.0
				for _, x := range logits {
					sum += math.Exp(float64(x))
				}
				for _, x := range logits {
					lp = append(lp, float64(x)-math.Log(sum))
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return lp
	}
	l, u := last(prompt), last(other)
	score := func(i int) float64 { return scale*(l[i]-u[i]) + u[i] }
	for i := range l {
		if score(i) > score(int(best)) {
			best = int32(i)
		}
	}
	margin = math.Inf(1)
	for i := range l {
		if i != int(best) {
			margin = min(margin, score(int(best))-score(i))
		}
	}
	return best, margin
}

// Guidance follows the formula token by token, alone and beside other answers, with both prompts known before and not.
func TestGuidance(t *testing.T) {
	m := open(t, "", nil)
	pirate := "Talk like a pirate."
	messages := append([]systemgemma.Message{{Role: "system", Content: pirate}}, user("What is the capital of France?")...)
	none := ""
	plain := collect(t, m, messages, nil)
	for _, scale := range []float64{0, 1, 1.5, 3} {
		o := &systemgemma.ChatOptions{GenerateOptions: systemgemma.GenerateOptions{Guidance: &systemgemma.Guidance{Scale: scale, System: &none}, MaxTokens: 12}}
		r := collect(t, m, messages, o)
		again := collect(t, m, messages, o)
		if !slices.Equal(r.IDs, again.IDs) || !slices.Equal(r.Logprobs, again.Logprobs) {
			t.Errorf("scale %v: %v, then %v", scale, r.IDs, again.IDs)
		}
		other, err := m.Render(user("What is the capital of France?"), systemgemma.RenderOptions{GenerationPrompt: true})
		if err != nil {
			t.Fatal(err)
		}
		a, b := r.PromptIDs, other.IDs
		for i, id := range r.IDs {
			if want, margin := guided(t, m, a, b, scale); id != want && margin > 1e-4 {
				t.Errorf("scale %v: token %d is %d, want %d", scale, i, id, want)
			}
			a, b = append(slices.Clip(a), id), append(slices.Clip(b), id)
		}
		if scale == 1 && !strings.HasPrefix(plain.Text, r.Text) {
			t.Errorf("scale 1: %q, without guidance %q", r.Text, plain.Text)
		}
	}
}

// Guidance goes together with sampling and with a format, and its contradictions are refused.
func TestGuidanceWithOthers(t *testing.T) {
	m := open(t, "", nil)
	o := &systemgemma.ChatOptions{GenerateOptions: systemgemma.GenerateOptions{
		Guidance: &systemgemma.Guidance{Scale: 2}, MaxTokens: 30, Sampling: &systemgemma.Sampling{Temperature: 1, Seed: 3}, Format: &systemgemma.Format{Regex: "[a-z]{3,8}"}, Explain: 1,
	}}
	r := collect(t, m, user("A word?"), o)
	if len(r.Text) < 3 || len(r.Text) > 8 || r.Cut {
		t.Errorf("answer %q, cut %v", r.Text, r.Cut)
	}
	for want, o := range map[string]systemgemma.GenerateOptions{
		"guidance_scale: want -100 to 100": {Guidance: &systemgemma.Guidance{Scale: 101}},
		"found both":                       {Guidance: &systemgemma.Guidance{System: new("a"), Negative: systemgemma.Prompt{Text: "b"}}},
		"heal: want no guidance":           {Guidance: &systemgemma.Guidance{}, Heal: true},
		"lookup, prediction: want no":      {Guidance: &systemgemma.Guidance{}, Lookup: true},
		"are not guessed":                  {Guidance: &systemgemma.Guidance{}, Prediction: "abc"},
	} {
		messages := append(user("a"), systemgemma.Message{Role: "assistant", Content: "b c"})
		for _, err := range m.Chat(context.Background(), messages, &systemgemma.ChatOptions{GenerateOptions: o}) {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("error %v, want %q", err, want)
			}
		}
	}
}

// A prompt cut within a word goes on with it, and the text begins after what was there.
func TestHeal(t *testing.T) {
	m := open(t, "", nil)
	messages := append(user("What is the capital of France?"), systemgemma.Message{Role: "assistant", Content: "The capital of Fran"})
	o := &systemgemma.ChatOptions{GenerateOptions: systemgemma.GenerateOptions{MaxTokens: 20, Heal: true}}
	r := collect(t, m, messages, o)
	whole, err := m.Render(messages, systemgemma.RenderOptions{ContinueFinal: true})
	if err != nil {
		t.Fatal(err)
	}
	taken := whole.IDs[len(r.PromptIDs):]
	text, err := m.Detokenize(taken)
	if err != nil || r.Healed == "" || text != r.Healed || !strings.HasSuffix("The capital of Fran", r.Healed) {
		t.Errorf("healed %q; %d tokens less, %q, %v", r.Healed, len(taken), text, err)
	}
	if !strings.HasPrefix(r.Text, "ce") {
		t.Errorf("text %q, want it to go on with ce", r.Text)
	}
	spelled, err := m.Detokenize(r.IDs)
	if err != nil || !strings.HasPrefix(spelled, r.Healed+r.Text) {
		t.Errorf("tokens spell %q, want %q first, %v", spelled, r.Healed+r.Text, err)
	}
	for _, err := range m.Chat(context.Background(), user("a"), o) {
		if err == nil || !strings.Contains(err.Error(), "heal: want a last message of the assistant") {
			t.Errorf("error %v", err)
		}
	}
	raw := generated(t, m, systemgemma.Prompt{Text: "The capital of Fran"}, &systemgemma.GenerateOptions{MaxTokens: 20, Heal: true})
	if !strings.HasPrefix("The capital of Fran"+raw.Text, "The capital of Fran") || raw.Healed == "" {
		t.Errorf("raw: healed %q, text %q", raw.Healed, raw.Text)
	}
}

// Tokens, the time and criteria of one's own end an answer.
func TestOtherEnds(t *testing.T) {
	m := open(t, "", nil)
	ask := func(o systemgemma.GenerateOptions) *systemgemma.Result {
		t.Helper()
		return collect(t, m, user("What is the capital of France?"), &systemgemma.ChatOptions{GenerateOptions: o})
	}
	plain := ask(systemgemma.GenerateOptions{})
	at := 3
	r := ask(systemgemma.GenerateOptions{StopIDs: plain.IDs[at : at+1]})
	if n := slices.Index(plain.IDs, plain.IDs[at]) + 1; len(r.IDs) != n || r.FinishReason != systemgemma.FinishStop || !strings.HasPrefix(plain.Text, r.Text) {
		t.Errorf("stop id: %v, %s, %q; want %d tokens", r.IDs, r.FinishReason, r.Text, n)
	}
	if r = ask(systemgemma.GenerateOptions{Stopping: []systemgemma.StoppingCriterion{after(100), after(2)}}); len(r.IDs) != 2 || r.FinishReason != systemgemma.FinishStop {
		t.Errorf("criterion: %d tokens, %s", len(r.IDs), r.FinishReason)
	}
	if r = ask(systemgemma.GenerateOptions{MaxTime: time.Nanosecond}); len(r.IDs) != 0 || r.FinishReason != systemgemma.FinishLength || len(r.Warnings) != 1 {
		t.Errorf("time: %d tokens, %s, %q", len(r.IDs), r.FinishReason, r.Warnings)
	}
	if r = ask(systemgemma.GenerateOptions{MaxTime: time.Hour}); r.Text != plain.Text || r.Warnings != nil {
		t.Errorf("an hour: %q, %q", r.Text, r.Warnings)
	}
	if _, err := m.GenerateN(context.Background(), systemgemma.Prompt{Text: "a"}, &systemgemma.GenerateOptions{MaxTime: -1}, 1); err == nil || !strings.Contains(fmt.Sprint(err), "max time") {
		t.Errorf("error %v", err)
	}
}
