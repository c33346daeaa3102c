package sampler

import (
	"cmp"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// drawLogits draws few distinct values, so that there are ties, and some extremes.
func drawLogits(t *rapid.T) []float32 {
	value := rapid.OneOf(rapid.SampledFrom([]float32{0, 1, -1, 5, -40, -math.MaxFloat32, math.MaxFloat32}), rapid.Float32Range(-30, 30))
	return rapid.SliceOfN(value, 1, 60).Draw(t, "logits")
}

func drawHistory(t *rapid.T) []int32 {
	return rapid.SliceOfN(rapid.Int32Range(0, 59), 1, 30).Draw(t, "history")
}

func drawParams(t *rapid.T) Params {
	return Params{
		Temperature:       rapid.SampledFrom([]float64{0, 1e-6, 0.7, 1, 100}).Draw(t, "temperature"),
		TopK:              rapid.IntRange(0, 70).Draw(t, "top_k"),
		TopP:              rapid.Float64Range(0, 1).Draw(t, "top_p"),
		MinP:              rapid.Float64Range(0, 1).Draw(t, "min_p"),
		MinKeep:           rapid.IntRange(0, 5).Draw(t, "min_keep"),
		RepetitionPenalty: rapid.SampledFrom([]float64{0, 0.01, 1, 1.3, 100}).Draw(t, "repetition_penalty"),
		PresencePenalty:   rapid.Float64Range(-100, 100).Draw(t, "presence_penalty"),
		FrequencyPenalty:  rapid.Float64Range(-100, 100).Draw(t, "frequency_penalty"),
		PenaltyWindow:     rapid.IntRange(0, 10).Draw(t, "penalty_window"),
		Seed:              rapid.Uint64().Draw(t, "seed"),
	}
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

// Whatever the options, at least one candidate of finite score is left, and no score is +Inf or NaN.
func TestStepsLeaveACandidate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		logits, p := drawLogits(t), drawParams(t)
		s, err := New(p)
		if err != nil {
			t.Fatal(err)
		}
		for _, id := range drawHistory(t) {
			s.Accept(id % int32(len(logits)))
		}
		s.cand.reset(logits)
		for _, step := range s.steps {
			step.apply(&s.cand)
			if len(s.cand.list) == 0 {
				t.Fatalf("%T left nothing", step)
			}
			for _, x := range s.cand.list {
				if math.IsInf(float64(x.score), 0) || x.score != x.score {
					t.Fatalf("%T gave token %d the score %v", step, x.id, x.score)
				}
			}
		}
		if p.Temperature != 0 && p.TopK > 0 && len(s.cand.list) > p.TopK {
			last := slices.MinFunc(s.cand.list, func(a, b candidate) int { return cmp.Compare(a.score, b.score) })
			if equals := slices.IndexFunc(s.cand.list, func(x candidate) bool { return x.score == last.score }); equals >= p.TopK {
				t.Fatalf("top_k %d kept %v", p.TopK, s.cand.list)
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
