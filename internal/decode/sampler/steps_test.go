package sampler

import (
	"cmp"
	"math"
	"slices"
	"testing"

	"github.com/systemgemma/systemgemma/internal/decode/watermark"
	"pgregory.net/rapid"
)

// drawLogits draws few distinct values, so that there are ties, and some extremes.
func drawLogits(t *rapid.T) []float32 {
	value := rapid.OneOf(rapid.SampledFrom([]float32{0, 1, -1, 5, -40, -math.MaxFloat32, math.MaxFloat32}), rapid.Float32Range(-30, 30))
	return rapid.SliceOfN(value, 1, 60).Draw(t, "logits")
}

// wide repeats logits until there are 60, which all options of drawParams fit.
func wide(logits []float32) []float32 {
	for len(logits) < 60 {
		logits = append(logits, logits...)
	}
	return logits[:60]
}

func drawHistory(t *rapid.T) []int32 {
	return rapid.SliceOfN(rapid.Int32Range(0, 59), 1, 30).Draw(t, "history")
}

// drawParams draws options that pass Validate, each on or off.
func drawParams(t *rapid.T) Params {
	maybe := func(name string, low, high float64) float64 {
		if rapid.Bool().Draw(t, name+" on") {
			return rapid.Float64Range(low, high).Draw(t, name)
		}
		return 0
	}
	ids := func(name string) []int32 { return rapid.SliceOfN(rapid.Int32Range(0, 59), 0, 3).Draw(t, name) }
	p := Params{
		Rules:             rapid.SampledFrom([]Rules{"", Llama, Transformers}).Draw(t, "rules"),
		Temperature:       rapid.SampledFrom([]float64{0, 1e-6, 0.7, 1, 100}).Draw(t, "temperature"),
		MinKeep:           rapid.IntRange(0, 5).Draw(t, "min_keep"),
		RepetitionPenalty: rapid.SampledFrom([]float64{0, 0.01, 1, 1.3, 100}).Draw(t, "repetition_penalty"),
		PresencePenalty:   maybe("presence_penalty", -100, 100),
		FrequencyPenalty:  maybe("frequency_penalty", -100, 100),
		PenaltyWindow:     rapid.IntRange(0, 10).Draw(t, "penalty_window"),
		Seed:              rapid.Uint64().Draw(t, "seed"),

		EncoderRepetitionPenalty: maybe("encoder_repetition_penalty", 0.01, 100),
		NoRepeatNgram:            rapid.SampledFrom([]int{0, 2, 3}).Draw(t, "no_repeat_ngram_size"),
		BadWords:                 [][]int32{{1, 2}, {3}},
		Biases:                   []Bias{{[]int32{1, 2, 3}, maybe("bias", -1000, 1000)}, {[]int32{5}, math.Inf(-1)}},
		Suppress:                 ids("suppress"),
		BeginSuppress:            ids("begin_suppress"),
		EOS:                      []int32{1, 7},
		MinTokens:                rapid.IntRange(0, 10).Draw(t, "min_tokens"),
		DecayFactor:              maybe("decay_factor", 0.01, 100),
	}
	if rapid.Bool().Draw(t, "dry") {
		p.DRYMultiplier, p.DRYBase, p.DRYAllowedLength = maybe("dry_multiplier", 0, 99)+0.1, 1+maybe("dry_base", 0, 99), rapid.IntRange(1, 3).Draw(t, "dry_allowed_length")
		p.DRYBreakers, p.DRYWindow = alone(ids("dry_breakers")...), rapid.IntRange(0, 20).Draw(t, "dry_window")
	}
	if p.Temperature == 0 {
		return p
	}
	p.DynatempRange = maybe("dynatemp_range", 0, 100)
	if rapid.IntRange(0, 3).Draw(t, "mirostat on") == 0 {
		p.Mirostat, p.MirostatTau, p.MirostatEta = rapid.IntRange(1, 2).Draw(t, "mirostat"), maybe("mirostat_tau", 0, 100), maybe("mirostat_eta", 0, 1)
		return p
	}
	p.TopK = rapid.IntRange(0, 70).Draw(t, "top_k")
	p.TopP, p.MinP, p.TypicalP, p.TopH = maybe("top_p", 0, 1), maybe("min_p", 0, 1), maybe("typical_p", 0, 1), maybe("top_h", 0, 1)
	p.EpsilonCutoff, p.EtaCutoff, p.TopNSigma = maybe("epsilon_cutoff", 0, 0.9), maybe("eta_cutoff", 0, 0.9), maybe("top_n_sigma", 0, 3)
	if rapid.Bool().Draw(t, "xtc") {
		p.XTCProbability, p.XTCThreshold = maybe("xtc_probability", 0, 0.9)+0.1, maybe("xtc_threshold", 0, 1)
	}
	if rapid.Bool().Draw(t, "watermark") {
		p.Watermark = &watermark.Config{Keys: []int64{3, 4}, TableSize: 100, ContextHistory: 4}
	}
	if rapid.Bool().Draw(t, "order") {
		p.Order = rapid.Permutation(SamplerNames).Draw(t, "order of samplers")
	}
	return p
}

// keepTop equals sorting everything and cutting, however far it must go and whatever ties there are.
func TestKeepTopEqualsSort(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		logits := drawLogits(t)
		for i := range logits {
			if rapid.IntRange(0, 9).Draw(t, "masked") == 0 {
				logits[i] = float32(math.Inf(-1))
			}
		}
		n := rapid.IntRange(0, len(logits)+2).Draw(t, "n")
		var c candidates
		c.reset(logits)
		want := slices.Clone(c.list)
		slices.SortFunc(want, func(a, b candidate) int { return cmp.Or(cmp.Compare(b.score, a.score), cmp.Compare(a.id, b.id)) })
		want = want[:min(max(n, 1), len(want))]
		asked := 0
		more := func(rank int, x candidate) bool {
			if rank != asked || rank < len(want) && x != want[rank] {
				t.Fatalf("asked about %v of rank %d, want rank %d of %v", x, rank, asked, want)
			}
			asked++
			return rank < n
		}
		c.keepTop(more)
		if !slices.Equal(c.list, want) {
			t.Fatalf("kept %v, want %v", c.list, want)
		}
		asked = 0
		c.keepTop(more) // now sorted
		if !slices.Equal(c.list, want) {
			t.Fatalf("kept %v of a sorted list, want %v", c.list, want)
		}
	})
}

// Whatever the options, every step leaves a candidate that can be chosen, or the rules about tokens have banned all, and no
// score is +Inf or NaN.
func TestStepsLeaveACandidate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		logits, p := wide(drawLogits(t)), drawParams(t)
		s, err := New(p)
		if err != nil {
			t.Fatal(err)
		}
		for _, id := range drawHistory(t) {
			s.Accept(id % int32(len(logits)))
		}
		s.history.begin()
		s.cand.reset(logits)
		for i, step := range s.steps {
			step.apply(&s.cand)
			if !s.cand.best().possible() {
				if i <= s.lastRule {
					return
				}
				t.Fatalf("%s left nothing", step.name)
			}
			for j, x := range s.cand.list {
				if math.IsInf(float64(x.score), 1) || x.score != x.score {
					t.Fatalf("%s gave token %d the score %v", step.name, x.id, x.score)
				}
				if s.cand.whole && x.id != int32(j) || s.cand.sorted && j > 0 && s.cand.list[j-1].score < x.score {
					t.Fatalf("after %s the list is not in its order: %v", step.name, s.cand.list)
				}
			}
		}
	})
}

// The window's counts equal those of the last tokens counted afresh.
func TestPenaltyWindow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		window, history := rapid.IntRange(0, 12).Draw(t, "window"), drawHistory(t)
		s := newPenalties(Params{PresencePenalty: 1, PenaltyWindow: window})
		for i, id := range history {
			s.accept(id)
			tail := history[:i+1]
			if window > 0 {
				tail = tail[max(0, len(tail)-window):]
			}
			want := map[int32]int32{}
			for _, id := range tail {
				want[id]++
			}
			if len(want) != len(s.counts) {
				t.Fatalf("after %v: counts %v, want %v", history[:i+1], s.counts, want)
			}
			for id, n := range want {
				if s.counts[id] != n {
					t.Fatalf("after %v: counts %v, want %v", history[:i+1], s.counts, want)
				}
			}
		}
	})
}

// A masked token (-Inf) stays masked through every step and is never drawn.
func TestMaskedTokenIsNeverDrawn(t *testing.T) {
	masked := float32(math.Inf(-1))
	logits := []float32{masked, 1, masked, 0, masked}
	s := mustNew(t, Params{Temperature: 50, MinP: 0.001, MinKeep: 4, TopK: 4, RepetitionPenalty: 0.5, FrequencyPenalty: -10})
	s.Accept(0, 2, 4)
	for i := range uint64(500) {
		s.cand.reset(logits)
		for _, step := range s.steps {
			step.apply(&s.cand)
		}
		if id := s.cand.draw(uniform(1, i)); id != 1 && id != 3 {
			t.Fatalf("drew token %d, want 1 or 3", id)
		}
	}
	if id := s.cand.draw(1 - 0x1p-53); id != 3 { // the largest number that uniform gives
		t.Fatalf("drew token %d with the largest number, want the last, 3", id)
	}
}
