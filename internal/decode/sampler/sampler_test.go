package sampler

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/systemgemma/systemgemma/internal/testkit/sample"
)

func mustNew(t testing.TB, p Params) *Sampler {
	t.Helper()
	s, err := New(p)
	if err != nil {
		t.Fatalf("New(%+v): %v", p, err)
	}
	return s
}

func mustSample(t testing.TB, s *Sampler, logits []float32) (int32, float64) {
	t.Helper()
	id, logprob, err := s.Sample(logits)
	if err != nil {
		t.Fatalf("Sample: %v", err)
	}
	return id, logprob
}

func TestGreedyTakesFirstMaximum(t *testing.T) {
	for _, c := range []struct {
		logits []float32
		want   int32
	}{{[]float32{1, 3, 2, 3}, 1}, {[]float32{-5}, 0}, {[]float32{0, 0, 0}, 0}, {[]float32{-9, -8, -7}, 2}} {
		for _, p := range []Params{{}, {PresencePenalty: 1e-30}, {TopK: 1, Temperature: 1e-6}} {
			id, logprob := mustSample(t, mustNew(t, p), c.logits)
			if p.Temperature == 0 && id != c.want {
				t.Errorf("%+v: token of %v = %d, want %d", p, c.logits, id, c.want)
			}
			if want := float64(c.logits[id]) - LogSumExp(c.logits); logprob != want {
				t.Errorf("%+v: logprob of token %d of %v = %v, want %v", p, id, c.logits, logprob, want)
			}
		}
	}
}

// The logprob is the model's own, whatever the options do.
func TestLogprobIsOfTheModel(t *testing.T) {
	s := mustNew(t, Params{Temperature: 3, TopK: 2, RepetitionPenalty: 1.5, PresencePenalty: 1})
	s.Accept(1, 2)
	id, got := mustSample(t, s, []float32{0, 1, 2})
	if want := math.Log([]float64{0.09003057317038046, 0.24472847105479764, 0.6652409557748218}[id]); math.Abs(got-want) > 1e-14 {
		t.Errorf("logprob of token %d = %v, want %v", id, got, want)
	}
}

// Tokens are drawn as often as their probability says: chi-squared over 20,000 positions.
func TestDrawFollowsProbabilities(t *testing.T) {
	logits := []float32{2, -1, 0.5, 1, 0.5, -3}
	for _, c := range []struct {
		name string
		p    Params
		prob func(x float64) float64
	}{
		{"temperature 1", Params{Temperature: 1}, math.Exp},
		{"temperature 0.5", Params{Temperature: 0.5}, func(x float64) float64 { return math.Exp(2 * x) }},
		{"top_k 2", Params{Temperature: 1, TopK: 2}, func(x float64) float64 {
			if x < 1 {
				return 0
			}
			return math.Exp(x)
		}},
		{"min_p 0.2", Params{Temperature: 1, MinP: 0.2}, func(x float64) float64 {
			if x < 0.4 { // 2 + ln 0.2 = 0.39
				return 0
			}
			return math.Exp(x)
		}},
	} {
		const n = 20_000
		s := mustNew(t, c.p)
		counts, sum := make([]float64, len(logits)), 0.0
		for range n {
			id, _ := mustSample(t, s, logits)
			counts[id]++
			s.Accept(id)
		}
		for _, x := range logits {
			sum += c.prob(float64(x))
		}
		chi := 0.0
		for id, x := range logits {
			want := n * c.prob(float64(x)) / sum
			if want == 0 {
				if counts[id] > 0 {
					t.Errorf("%s: token %d was drawn, want never", c.name, id)
				}
				continue
			}
			chi += (counts[id] - want) * (counts[id] - want) / want
		}
		if chi > 30 { // 5 degrees of freedom at most: 1e-5
			t.Errorf("%s: drew %v, chi-squared %.1f, want below 30", c.name, counts, chi)
		}
	}
}

// The same seed gives the same tokens, another seed others; the tokens are part of the promise.
func TestSeedFixesTokens(t *testing.T) {
	run := func(rules Rules, seed uint64) (ids []int32) {
		s := mustNew(t, Params{Rules: rules, Temperature: 0.9, TopK: 50, TopP: 0.95, MinP: 0.01, RepetitionPenalty: 1.1, PenaltyWindow: 8, Seed: seed})
		s.Accept(5, 6, 7)
		for range 12 {
			id, _ := mustSample(t, s, someLogits(1000))
			s.Accept(id)
			ids = append(ids, id)
		}
		return ids
	}
	for rules, want := range map[Rules][]int32{
		"":           {858, 902, 172, 524, 739, 606, 770, 174, 420, 858, 739, 174},
		Llama:        {858, 902, 172, 524, 739, 606, 770, 174, 420, 858, 739, 174},
		Transformers: {858, 902, 172, 524, 739, 606, 770, 174, 420, 858, 606, 174},
	} {
		if diff := cmp.Diff(want, run(rules, 1)); diff != "" {
			t.Errorf("%q rules, seed 1 (-want +got):\n%s", rules, diff)
		}
	}
	if slices.Equal(run(Llama, 1), run(Llama, 2)) {
		t.Error("seeds 1 and 2 give the same tokens")
	}
}

// Sample is a function of what was accepted: it changes neither itself nor the logits.
func TestSampleHasNoEffect(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		logits, p, history := wide(drawLogits(t)), drawParams(t), drawHistory(t)
		s, err := New(p)
		if err != nil {
			t.Fatal(err)
		}
		before := slices.Clone(logits)
		for _, id := range history {
			s.Accept(id % int32(len(logits)))
			id1, lp1, err1 := s.Sample(logits)
			id2, lp2, err2 := s.Sample(logits)
			if banned := err1 != nil && strings.HasPrefix(err1.Error(), "no token is left"); id1 != id2 || lp1 != lp2 || (err1 != nil || err2 != nil) && !banned {
				t.Fatalf("second call: %d, %v, %v, want %d, %v, %v", id2, lp2, err2, id1, lp1, err1)
			}
			if !slices.Equal(logits, before) {
				t.Fatal("Sample changed the logits")
			}
		}
	})
}

func TestSampleRefusesLogits(t *testing.T) {
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	for _, c := range []struct {
		logits []float32
		want   string
	}{
		{nil, "no logits: want one for each token of the vocabulary"},
		{[]float32{1, nan, 2}, "logit of token 1 is NaN: want finite numbers; the model's weights are damaged, verify the file"},
		{[]float32{inf}, "logit of token 0 is +Inf: want finite"},
		{[]float32{0, 0, -inf, nan}, "logit of token 2 is -Inf: want finite"},
	} {
		for _, p := range []Params{{}, {Temperature: 1}} {
			if _, _, err := mustNew(t, p).Sample(c.logits); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Sample(%v) with %+v: error %v, want %q", c.logits, p, err, c.want)
			}
		}
	}
}

func TestSampleRefusesForeignHistory(t *testing.T) {
	for _, id := range []int32{3, math.MaxInt32, -1, math.MinInt32} {
		s := mustNew(t, Params{PresencePenalty: 1})
		s.Accept(0, id, 2)
		if _, _, err := s.Sample(make([]float32, 3)); err == nil || !strings.Contains(err.Error(), "want 0 to 2") {
			t.Errorf("after Accept(%d): error %v, want one that says 0 to 2", id, err)
		}
	}
}

func TestValidateNamesTheOption(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	for _, c := range []struct {
		p    Params
		want string
	}{
		{Params{Temperature: -0.1}, "temperature: want 0 (greedy) or 1e-6 to 100, found -0.1"},
		{Params{Temperature: 1e-7}, "temperature: want 0 (greedy) or 1e-6 to 100, found 1e-07"},
		{Params{Temperature: nan}, "temperature: want 0 (greedy) or 1e-6 to 100, found NaN"},
		{Params{Temperature: inf}, "temperature: want 0 (greedy) or 1e-6 to 100, found +Inf"},
		{Params{TopK: -1}, "top_k: want 0 (off) or more, found -1"},
		{Params{TopP: 1.5}, "top_p: want 0 (off) to 1, found 1.5"},
		{Params{TopP: nan}, "top_p: want 0 (off) to 1, found NaN"},
		{Params{MinP: -1}, "min_p: want 0 (off) to 1, found -1"},
		{Params{MinKeep: -2}, "min_keep: want 0 (meaning 1) or more, found -2"},
		{Params{RepetitionPenalty: -1}, "repetition_penalty: want 0 (off) or 0.01 to 100, found -1"},
		{Params{RepetitionPenalty: nan}, "repetition_penalty: want 0 (off) or 0.01 to 100, found NaN"},
		{Params{PresencePenalty: 101}, "presence_penalty: want -100 to 100, found 101"},
		{Params{FrequencyPenalty: nan}, "frequency_penalty: want -100 to 100, found NaN"},
		{Params{PenaltyWindow: -1}, "penalty_window: want 0 (all tokens) or more, found -1"},
	} {
		_, err := New(c.p)
		var option *OptionError
		if !errors.As(err, &option) || err.Error() != c.want {
			t.Errorf("New(%+v): error %v, want %q", c.p, err, c.want)
		}
	}
	for _, p := range []Params{{}, {Temperature: 1e-6}, {Temperature: 100, TopK: math.MaxInt, TopP: 1, MinP: 1, MinKeep: math.MaxInt, RepetitionPenalty: 0.01, PresencePenalty: -100, FrequencyPenalty: 100, PenaltyWindow: math.MaxInt}} {
		if err := p.Validate(); err != nil {
			t.Errorf("Validate(%+v) = %v, want nil", p, err)
		}
	}
}

func TestSampleAllocatesNothing(t *testing.T) {
	sample.Skip(t)
	logits := someLogits(3000)
	for _, c := range benchParams {
		s := mustNew(t, c.p)
		step := func() {
			id, _ := mustSample(t, s, logits)
			s.Accept(id)
		}
		for range 200 {
			step()
		}
		if n := testing.AllocsPerRun(200, step); n != 0 {
			t.Errorf("%s: %v allocations per token, want 0", c.name, n)
		}
	}
}

// Any options that pass, any finite logits and any history give a token of the vocabulary with a finite log-probability.
func FuzzSample(f *testing.F) {
	f.Add(0.0, 0, 0.0, 0.0, 0, 0.0, 0.0, 0.0, 0, uint64(0), []byte{1, 2, 3, 4}, uint16(1))
	f.Add(1e-6, 3, 0.9, 0.1, 2, 100.0, 100.0, -100.0, 3, uint64(1), []byte("\xff\xff\x7f\x7f\xff\xff\x7f\xff\x00\x00\x80\x00"), uint16(500))
	f.Fuzz(func(t *testing.T, temperature float64, topK int, topP, minP float64, minKeep int, repetition, presence, frequency float64, window int, seed uint64, data []byte, history uint16) {
		s, err := New(Params{Temperature: temperature, TopK: topK, TopP: topP, MinP: minP, MinKeep: minKeep, RepetitionPenalty: repetition, PresencePenalty: presence, FrequencyPenalty: frequency, PenaltyWindow: window, Seed: seed})
		if err != nil {
			t.Skip()
		}
		var logits []float32
		for ; len(data) >= 4; data = data[4:] {
			logits = append(logits, math.Float32frombits(uint32(data[0])|uint32(data[1])<<8|uint32(data[2])<<16|uint32(data[3])<<24))
		}
		for i := range int32(history) {
			s.Accept(i * i % int32(len(logits)+1))
		}
		id, logprob, err := s.Sample(logits)
		if err != nil {
			return
		}
		if id < 0 || int(id) >= len(logits) || logprob > 0 || math.IsNaN(logprob) || math.IsInf(logprob, 0) {
			t.Fatalf("Sample = %d, %v, want a token below %d and a finite logprob <= 0", id, logprob, len(logits))
		}
	})
}
