package sampler

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/systemgemma/systemgemma/internal/decode/watermark"
	"pgregory.net/rapid"
)

// generate samples and accepts n tokens.
func generate(t testing.TB, p Params, logits []float32, n int) (ids []int32) {
	t.Helper()
	s := mustNew(t, p)
	s.Accept(0)
	for range n {
		id, _ := mustSample(t, s, logits)
		s.Accept(id)
		ids = append(ids, id)
	}
	return ids
}

// alone are tokens that are breakers by themselves.
func alone(ids ...int32) (b *Breakers) {
	for _, id := range ids {
		if b == nil {
			b = &Breakers{}
		}
		b.Add(id, nil)
	}
	return b
}

// XTC drops the best tokens as often as it says.
func TestXTCStrikesByItsProbability(t *testing.T) {
	logits := []float32{5, 4.9, 0, -20}
	n, dropped := 4000, 0
	for _, id := range generate(t, Params{Temperature: 1e-6, XTCProbability: 0.3, XTCThreshold: 0.2}, logits, n) {
		if id == 1 {
			dropped++
		} else if id != 0 {
			t.Fatalf("token %d was drawn, want 0 or 1", id)
		}
	}
	if share := float64(dropped) / float64(n); math.Abs(share-0.3) > 0.04 { // over five standard deviations
		t.Errorf("the best token was dropped %.3f of the time, want 0.3", share)
	}
}

// Both versions of mirostat bring the mean surprise near tau; version 2 to it.
func TestMirostatHoldsSurprise(t *testing.T) {
	logits := someLogits(2000)
	for version := 1; version <= 2; version++ {
		for _, tau := range []float64{2, 3} {
			s := mustNew(t, Params{Temperature: 1, Mirostat: version, MirostatTau: tau})
			s.Accept(0)
			sum := 0.0
			const n = 1500
			for range n {
				id, _ := mustSample(t, s, logits)
				before := s.mirostat.mu
				s.Accept(id)
				sum += tau - (s.mirostat.mu-before)/0.1 // what it took for the surprise
			}
			if mean := sum / n; math.Abs(mean-tau) > 0.15 {
				t.Errorf("version %d: mean surprise %.3f bits, want %v", version, mean, tau)
			}
		}
	}
}

// A token that was not drawn does not move mu.
func TestMirostatIgnoresOthersTokens(t *testing.T) {
	s := mustNew(t, Params{Temperature: 1, Mirostat: 2})
	id, _ := mustSample(t, s, []float32{1, 2, 3})
	s.Accept((id + 1) % 3)
	if s.mirostat.mu != 10 {
		t.Errorf("mu = %v, want 10 as at the beginning", s.mirostat.mu)
	}
}

// Marked answers are recognised with their keys and not with others, and the mark begins with the answer.
func TestWatermarkIsFound(t *testing.T) {
	logits := make([]float32, 500)
	w := watermark.Config{Keys: []int64{5, 6, 7, 8, 9}, NgramLen: 3}
	ids := generate(t, Params{Temperature: 1, Seed: 9, Watermark: &w}, logits, 400)
	e, err := watermark.Detect(w, ids, nil)
	if err != nil {
		t.Fatal(err)
	}
	if d := e.Deviations(); d < 6 || math.Abs(e.Mean-watermark.Expected(len(logits))) > 0.05 {
		t.Errorf("marked: mean %.4f, %.1f standard deviations, want over 6, and nearly the mean %.4f", e.Mean, d, watermark.Expected(len(logits)))
	}
	w.Keys = []int64{1, 2, 3, 4, 10}
	if e, err = watermark.Detect(w, ids, nil); err != nil || math.Abs(e.Deviations()) > 4 {
		t.Errorf("other keys: %.1f standard deviations (%v), want within 4", e.Deviations(), err)
	}
}

func TestRulesAboutTokens(t *testing.T) {
	logits := []float32{0, 5, 4, 3, 2, 1}
	inf := math.Inf(-1)
	for _, c := range []struct {
		name string
		p    Params
		want []int32
	}{
		{"plain", Params{}, []int32{1, 1, 1, 1}},
		{"min tokens", Params{EOS: []int32{1}, MinTokens: 2}, []int32{2, 2, 1, 1}},
		{"begin suppress", Params{BeginSuppress: []int32{1, 2}}, []int32{3, 1, 1, 1}},
		{"suppress", Params{Suppress: []int32{1}}, []int32{2, 2, 2, 2}},
		{"no repeat", Params{NoRepeatNgram: 1}, []int32{1, 2, 3, 4}},
		{"no repeat of two", Params{NoRepeatNgram: 2}, []int32{1, 1, 2, 1}},
		{"bias", Params{Biases: []Bias{{[]int32{5}, 10}, {[]int32{5, 5}, inf}}}, []int32{5, 1, 5, 1}},
		{"bad words", Params{BadWords: [][]int32{{1, 1}}}, []int32{1, 2, 1, 2}},
		{"a bad word that is an end token", Params{BadWords: [][]int32{{1}}, EOS: []int32{1}}, []int32{1, 1, 1, 1}},
		{"forced eos", Params{ForcedEOS: []int32{4}, MaxTokens: 3}, []int32{1, 1, 4, 1}},
		{"forced bos", Params{ForcedBOS: 3}, []int32{3, 1, 1, 1}},
		{"forced bos, begin suppress", Params{ForcedBOS: 3, BeginSuppress: []int32{1, 3}}, []int32{3, 2, 1, 1}},
		{"decay", Params{EOS: []int32{2}, DecayFactor: 1.2, DecayStart: 1}, []int32{1, 1, 1, 2}},
	} {
		if got := generate(t, c.p, logits, 4); !slices.Equal(got, c.want) {
			t.Errorf("%s: tokens %v, want %v", c.name, got, c.want)
		}
	}
}

func TestNoTokenIsLeft(t *testing.T) {
	s := mustNew(t, Params{Suppress: []int32{0, 1}, BeginSuppress: []int32{2}})
	if _, _, err := s.Sample(make([]float32, 3)); err == nil || err.Error() != "no token is left: together, suppress, begin_suppress ban all of the vocabulary" {
		t.Errorf("error %v", err)
	}
}

func TestTokensOfOptionsMustExist(t *testing.T) {
	for _, p := range []Params{
		{Suppress: []int32{3}}, {BeginSuppress: []int32{-1}}, {Biases: []Bias{{[]int32{0, 3}, 1}}}, {BadWords: [][]int32{{3}}}, {ForcedBOS: 3},
		{ForcedEOS: []int32{3}, MaxTokens: 2}, {EOS: []int32{3}, MinTokens: 1},
	} {
		if _, _, err := mustNew(t, p).Sample(make([]float32, 3)); err == nil || !strings.Contains(err.Error(), "want tokens 0 to 2") {
			t.Errorf("%+v: error %v, want one that says tokens 0 to 2", p, err)
		}
	}
}

// ban is a Processor.
type ban struct {
	t    *testing.T
	want [][]int32 // histories
	to   float32
}

func (b *ban) Process(tokens []int32, scores []float32) {
	if !slices.Equal(tokens, b.want[0]) {
		b.t.Errorf("tokens %v, want %v", tokens, b.want[0])
	}
	b.want = b.want[1:]
	scores[0] = b.to
}

func TestProcessor(t *testing.T) {
	b := &ban{t, [][]int32{{7}, {7, 1}}, float32(math.Inf(-1))}
	s := mustNew(t, Params{Processors: []Processor{b}})
	s.Accept(7)
	logits := make([]float32, 8)
	for range 2 {
		if id, _ := mustSample(t, s, logits); id != 1 {
			t.Errorf("token %d, want 1: 0 is banned", id)
		}
		s.Accept(1)
	}
	b.want, b.to = [][]int32{{7, 1, 1}}, float32(math.NaN())
	if _, _, err := s.Sample(logits); err == nil || !strings.Contains(err.Error(), "gave token 0 the score NaN") {
		t.Errorf("error %v, want one that names the score", err)
	}
}

// The order of the samplers counts, and only those that are named run.
func TestOrder(t *testing.T) {
	logits := []float32{2, 1, 0, -1}
	left := func(order ...string) (n int) {
		s := mustNew(t, Params{Temperature: 4, TopP: 0.7, Order: order, Explain: 4})
		mustSample(t, s, logits)
		s.Accept(0)
		return s.Taken().Steps[2].Left
	}
	if first, last := left("top_p", "temperature"), left("temperature", "top_p"); first != 2 || last != 3 {
		t.Errorf("top_p before and after the temperature leaves %d and %d, want 2 and 3", first, last)
	}
	for _, c := range []struct {
		p    Params
		want string
	}{
		{Params{Temperature: 1, TopK: 3, Order: []string{"temperature"}}, "order: want all samplers that are on, found no top_k"},
		{Params{Order: []string{"top_q"}}, "order: want penalties, dry,"},
		{Params{Order: []string{"top_k", "top_k"}}, "order: want each sampler once, found top_k again"},
		{Params{Rules: "ollama"}, `sampler_rules: want llama or transformers, found "ollama"`},
		{Params{Temperature: 1, Mirostat: 2, TypicalP: 0.5}, "typical_p: want no mirostat beside it"},
		{Params{Temperature: 1, Mirostat: 3}, "mirostat: want 0 (off), 1 or 2, found 3"},
		{Params{Mirostat: 1}, "mirostat: want a temperature above 0"},
		{Params{DynatempRange: 1}, "dynatemp_range: want a temperature above 0"},
		{Params{Watermark: &watermark.Config{Keys: []int64{1}}}, "watermark: want a temperature above 0"},
		{Params{Temperature: 1, Watermark: &watermark.Config{}}, "watermark: keys: want 1 to 100"},
		{Params{XTCThreshold: 0.1}, "xtc_threshold: want xtc_probability beside it"},
		{Params{DRYBase: 2}, "dry_base, dry_allowed_length, dry_window, dry_breakers: want dry_multiplier"},
		{Params{ForcedEOS: []int32{1}}, "forced_eos: want max_tokens"},
		{Params{DecayStart: 1}, "decay_start: want decay_factor"},
		{Params{Biases: []Bias{{nil, 1}}}, "bias: want at least one token"},
		{Params{Biases: []Bias{{[]int32{1}, math.NaN()}}}, "bias: want -1000 to 1000"},
		{Params{BadWords: [][]int32{{}}}, "bad_words: want at least one token"},
		{Params{EtaCutoff: 1}, "eta_cutoff: want 0 (off) to less than 1, found 1"},
		{Params{TopLogprobs: 1001}, "top_logprobs: want 0 (none) to 1000, found 1001"},
	} {
		if _, err := New(c.p); err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("New(%+v): error %v, want %q", c.p, err, c.want)
		}
	}
}

// Details come in the order of the tokens, however many were sampled in between, and agree with the logprobs.
func TestDetails(t *testing.T) {
	s := mustNew(t, Params{Temperature: 1, TopK: 2, Seed: 3, TopLogprobs: 2, Explain: 1})
	logits := []float32{1, 3, 2}
	var want []int32
	for range 5 {
		id, _ := mustSample(t, s, logits)
		mustSample(t, s, logits)
		s.Accept(id)
		want = append(want, id)
	}
	for _, id := range want {
		d := s.Taken()
		if last := d.Steps[len(d.Steps)-1]; len(d.Steps) != 3 || last.Name != "draw" || *last.Chose != id || last.Left != 2 {
			t.Fatalf("steps %+v, want logits, top_k and the draw of token %d", d.Steps, id)
		}
		if len(d.Top) != 2 || d.Top[0] != (Logprob{1, 3 - LogSumExp(logits)}) || d.Top[1] != (Logprob{2, 2 - LogSumExp(logits)}) {
			t.Fatalf("top %+v", d.Top)
		}
	}
	if d := s.Taken(); d.Top != nil || d.Steps != nil {
		t.Errorf("details %+v of no token", d)
	}
}

// TopLogprobs equals sorting all.
func TestTopLogprobs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		logits, n := drawLogits(t), rapid.IntRange(1, 70).Draw(t, "n")
		var c candidates
		c.reset(logits)
		slices.SortFunc(c.list, func(a, b candidate) int {
			if a.better(b) {
				return -1
			}
			return 1
		})
		got := TopLogprobs(logits, n)
		if len(got) != min(n, len(logits)) {
			t.Fatalf("%d tokens, want %d", len(got), min(n, len(logits)))
		}
		for i, x := range got {
			if x.ID != c.list[i].id {
				t.Fatalf("rank %d is token %d, want %d", i, x.ID, c.list[i].id)
			}
		}
	})
}
