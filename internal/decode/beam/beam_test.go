package beam

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/systemgemma/systemgemma/internal/decode/sampler"
)

// logitsOf is a small language: the logits after a beginning, the same whenever asked.
func logitsOf(seed uint64, ids []int32) []float32 {
	for _, id := range ids {
		seed = seed*6364136223846793005 + uint64(id) + 1
	}
	r := rand.New(rand.NewPCG(seed, 1))
	logits := make([]float32, 5)
	for i := range logits {
		logits[i] = float32(r.NormFloat64())
	}
	return logits
}

// search runs a search to its end, and counts its steps.
func search(t *testing.T, o Options, seed uint64) ([]Answer, int) {
	t.Helper()
	first, err := sampler.New(sampler.Params{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(o, []int32{0}, first)
	if err != nil {
		t.Fatal(err)
	}
	running := [][]int32{{}}
	for steps := 1; ; steps++ {
		for i, ids := range running {
			if err := s.Look(i, logitsOf(seed, ids)); err != nil {
				t.Fatal(err)
			}
		}
		from, tokens := s.Next()
		if len(from) == 0 {
			return s.Answers(o.Beams), steps
		}
		var next [][]int32
		for i, f := range from {
			next = append(next, append(slices.Clone(running[f]), tokens[i]))
		}
		running = next
	}
}

// all are all answers of at most n tokens, the likeliest first.
func all(t *testing.T, seed uint64, n int) []Answer {
	t.Helper()
	var list []Answer
	var grow func(ids []int32, score float64)
	grow = func(ids []int32, score float64) {
		logits := logitsOf(seed, ids)
		total := sampler.LogSumExp(logits)
		for id, x := range logits {
			longer, sum := append(slices.Clip(ids), int32(id)), score+float64(x)-total
			if id == 1 || len(longer) == n {
				list = append(list, Answer{IDs: longer, Score: sum})
			} else {
				grow(longer, sum)
			}
		}
	}
	grow(nil, 0)
	slices.SortFunc(list, func(a, b Answer) int { return cmp.Compare(b.Score, a.Score) })
	return list
}

// With as many beams as there can be beginnings, a search that never ends early finds the likeliest answers of all.
func TestWideSearchFindsTheBest(t *testing.T) {
	for seed := range uint64(50) {
		got, _ := search(t, Options{Beams: 64, Stopping: Never, MaxTokens: 4, EOS: map[int32]bool{1: true}}, seed)
		want := all(t, seed, 4)
		for i := range 10 {
			if !got[i].Whole || !slices.Equal(got[i].IDs, want[i].IDs) {
				t.Fatalf("language %d, answer %d: %+v, want %+v", seed, i, got[i], want[i])
			}
		}
	}
}

// The ways to stop end in this order, and none gives a worse best answer than one that ends before it.
func TestStopping(t *testing.T) {
	later := 0
	for seed := range uint64(200) {
		var best [2]float64
		var steps [2]int
		for i, s := range []Stopping{Early, Never} {
			answers, n := search(t, Options{Beams: 3, Stopping: s, MaxTokens: 12, EOS: map[int32]bool{1: true}}, seed)
			best[i], steps[i] = answers[0].Score, n
		}
		if steps[0] > steps[1] || best[0] > best[1] {
			t.Errorf("language %d: early %d steps, %v; never %d steps, %v", seed, steps[0], best[0], steps[1], best[1])
		}
		if steps[0] < steps[1] {
			later++
		}
	}
	if later == 0 {
		t.Error("never ends as early as early in 200 languages")
	}
}
