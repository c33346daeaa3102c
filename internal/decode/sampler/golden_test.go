package sampler

import (
	"encoding/binary"
	"encoding/json"
	"math"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/systemgemma/systemgemma/internal/testkit/golden"
)

// TestGoldenTransformers compares each step, and the whole chain, with transformers' logits processors.
func TestGoldenTransformers(t *testing.T) {
	dir := golden.Dir(t, "sampling")
	logits := readLogits(t, dir)
	counts := map[string]int{}
	for c := range golden.Lines[goldenCase](t, filepath.Join(dir, "processors.jsonl.gz")) {
		steps := transformersSteps(t, c)
		if steps == nil {
			continue // a processor that this package does not have
		}
		counts[c.Processor]++
		got := apply(logits[c.Logits], steps)
		c.compareKept(t, logits[c.Logits], got)
		c.compareScores(t, got)
	}
	for _, name := range []string{"temperature", "top_k", "top_p", "min_p", "repetition_penalty", "chain"} {
		if counts[name] == 0 {
			t.Errorf("no case of %s", name)
		}
	}
	t.Logf("cases: %v", counts)
	golden.Count(t, total(counts))
}

// TestGoldenLlama compares with llama.cpp's samplers where it and transformers agree: all of top_p, min_p, the three
// penalties, and top_k but for ties at its border, which transformers keeps.
func TestGoldenLlama(t *testing.T) {
	dir := golden.Dir(t, "sampling")
	logits := readLogits(t, dir)
	counts := map[string]int{}
	for c := range golden.Lines[goldenCase](t, filepath.Join(dir, "llama.jsonl.gz")) {
		steps := llamaSteps(t, c)
		if steps == nil {
			continue
		}
		got := apply(logits[c.Logits], steps)
		switch {
		case c.Sampler == "top_k" && c.Ties:
			if len(got) <= c.NKept {
				t.Errorf("%s: kept %d, want more than llama.cpp's %d: equals of the last stay", c.name(), len(got), c.NKept)
			}
		case c.Sampler == "penalties":
			c.comparePenalties(t, logits[c.Logits], got)
		default:
			c.compareKept(t, logits[c.Logits], got)
		}
		counts[c.Sampler]++
	}
	for _, name := range []string{"top_k", "top_p", "min_p", "penalties"} {
		if counts[name] == 0 {
			t.Errorf("no case of %s", name)
		}
	}
	t.Logf("cases: %v", counts)
	golden.Count(t, total(counts))
}

type goldenCase struct {
	Logits             string
	Processor, Sampler string
	Params             struct {
		Order       []string
		Temperature float64
		TopK        int     `json:"top_k"`
		TopP        float64 `json:"top_p"`
		MinP        float64 `json:"min_p"`
		MinKeep     int     `json:"min_keep"`           // llama.cpp
		MinTokens   int     `json:"min_tokens_to_keep"` // transformers
		Repetition  float64 `json:"repetition_penalty"`
		Ignore      int     `json:"prompt_ignore_length"`

		RepeatLastN int     `json:"repeat_last_n"`
		Repeat      float64 `json:"repeat_penalty"`
		Frequency   float64 `json:"frequency_penalty"`
		Presence    float64 `json:"presence_penalty"`
	}
	InputIDs []int32 `json:"input_ids"`
	History  []int32

	NKept    int         `json:"n_kept"`
	Kept     []int32     // or Dropped
	Dropped  []int32     //
	Ties     bool        `json:"ties_at_border"`
	Changed  [][2]number // id, score
	TopProbs [][2]number `json:"top_probs"`
	NChanged int         `json:"n_changed"`
}

func (c goldenCase) name() string {
	b, _ := json.Marshal(c.Params) // a struct of numbers: can't fail
	return c.Logits + "/" + c.Processor + c.Sampler + string(b)
}

// transformersSteps makes a case's steps as New would, or nil if they are not all here.
func transformersSteps(t *testing.T, c goldenCase) []processor {
	p, minKeep := c.Params, max(1, c.Params.MinTokens)
	switch c.Processor {
	case "temperature":
		return newSteps(t, Params{Temperature: p.Temperature})
	case "top_k":
		return newSteps(t, Params{Temperature: 1, TopK: p.TopK})
	case "top_p":
		return topPSteps(t, p.TopP, minKeep)
	case "min_p":
		return newSteps(t, Params{Temperature: 1, MinP: p.MinP, MinKeep: minKeep})
	case "repetition_penalty":
		return newSteps(t, Params{RepetitionPenalty: p.Repetition}, c.InputIDs[p.Ignore:]...)
	case "chain":
		if !slices.Equal(p.Order, []string{"repetition_penalty", "temperature", "top_k", "top_p", "min_p"}) {
			return nil
		}
		return newSteps(t, Params{
			Temperature: p.Temperature, TopK: p.TopK, TopP: p.TopP, MinP: p.MinP, RepetitionPenalty: p.Repetition,
		}, c.InputIDs...)
	}
	return nil
}

func llamaSteps(t *testing.T, c goldenCase) []processor {
	p := c.Params
	switch c.Sampler {
	case "top_k":
		return newSteps(t, Params{Temperature: 1, TopK: max(0, p.TopK)}) // negative is off to llama.cpp, an error to Params
	case "top_p":
		return topPSteps(t, p.TopP, p.MinKeep)
	case "min_p":
		return newSteps(t, Params{Temperature: 1, MinP: p.MinP, MinKeep: p.MinKeep})
	case "penalties":
		if p.RepeatLastN == 0 {
			return []processor{} // off to llama.cpp; to Params 0 means all
		}
		return newSteps(t, Params{RepetitionPenalty: p.Repeat, FrequencyPenalty: p.Frequency, PresencePenalty: p.Presence, PenaltyWindow: p.RepeatLastN}, c.History...)
	}
	return nil
}

// topPSteps makes 0 by hand: to Params it means off, to the references as few tokens as may be.
func topPSteps(t *testing.T, p float64, minKeep int) []processor {
	if p == 0 {
		return []processor{topP{0, minKeep}}
	}
	return newSteps(t, Params{Temperature: 1, TopP: p, MinKeep: minKeep})
}

func newSteps(t *testing.T, p Params, history ...int32) []processor {
	t.Helper()
	s, err := New(p)
	if err != nil {
		t.Fatalf("New(%+v): %v", p, err)
	}
	s.Accept(history...)
	return append([]processor{}, s.steps...)
}

// apply returns what the steps leave, without candidates of score -Inf.
func apply(logits []float32, steps []processor) []candidate {
	var c candidates
	c.reset(logits)
	for _, s := range steps {
		s.apply(&c)
	}
	return slices.DeleteFunc(slices.Clone(c.list), func(x candidate) bool { return math.IsInf(float64(x.score), -1) })
}

func (c goldenCase) compareKept(t *testing.T, logits []float32, got []candidate) {
	t.Helper()
	var want []int32
	for id, x := range logits {
		kept := slices.Contains(c.Kept, int32(id)) || c.Kept == nil && !slices.Contains(c.Dropped, int32(id))
		if kept && !math.IsInf(float64(x), -1) { // llama.cpp's samplers that do nothing count these as kept
			want = append(want, int32(id))
		}
	}
	if len(got) != len(want) || len(want) > c.NKept {
		t.Errorf("%s: kept %d tokens, want %d (n_kept %d)", c.name(), len(got), len(want), c.NKept)
		return
	}
	key := func(id int32) float32 { return float32(id) }
	if c.Ties { // which of equals stays is arbitrary: compare their scores
		key = func(id int32) float32 { return logits[id] }
	}
	var gotKeys, wantKeys []float32
	for i := range got {
		gotKeys, wantKeys = append(gotKeys, key(got[i].id)), append(wantKeys, key(want[i]))
	}
	slices.Sort(gotKeys)
	slices.Sort(wantKeys)
	if diff := cmp.Diff(wantKeys, gotKeys); diff != "" {
		t.Errorf("%s: kept (-want +got):\n%s", c.name(), diff)
	}
}

// compareScores compares changed scores and the largest probabilities: 1e-5 relative and absolute, the reference's float32.
func (c goldenCase) compareScores(t *testing.T, got []candidate) {
	t.Helper()
	list := candidates{list: got}
	top := list.best().score
	mass := list.mass(top)
	scores, probs := map[int32]float64{}, []float64{}
	for _, x := range got {
		scores[x.id] = float64(x.score)
		probs = append(probs, weight(x.score, top)/mass)
	}
	if !c.Ties {
		for _, x := range c.Changed {
			if g, w := scores[int32(x[0])], float64(x[1]); math.Abs(g-w) > 1e-5*math.Abs(w) {
				t.Errorf("%s: token %v has score %v, want %v", c.name(), x[0], g, w)
			}
		}
	}
	slices.Sort(probs)
	slices.Reverse(probs)
	for i, x := range c.TopProbs {
		if math.Abs(probs[i]-float64(x[1])) > 1e-5 {
			t.Errorf("%s: probability of rank %d is %v, want %v", c.name(), i, probs[i], x[1])
		}
	}
}

func (c goldenCase) comparePenalties(t *testing.T, logits []float32, got []candidate) {
	t.Helper()
	want := slices.Clone(logits)
	for _, x := range c.Changed {
		want[int32(x[0])] = float32(x[1])
	}
	changed := 0
	for _, x := range got {
		if w := want[x.id]; math.Abs(float64(x.score-w)) > 1e-5*math.Abs(float64(w)) {
			t.Errorf("%s: token %d has score %v, want %v", c.name(), x.id, x.score, w)
		}
		if x.score != logits[x.id] {
			changed++
		}
	}
	if len(c.Changed) != c.NChanged || changed > c.NChanged {
		t.Errorf("%s: %d scores changed, want %d", c.name(), changed, c.NChanged)
	}
}

// number is a float64 that may be written as the string "inf" or "-inf".
type number float64

func (n *number) UnmarshalJSON(b []byte) error {
	switch string(b) {
	case `"inf"`:
		*n = number(math.Inf(1))
	case `"-inf"`:
		*n = number(math.Inf(-1))
	default:
		return json.Unmarshal(b, (*float64)(n))
	}
	return nil
}

// readLogits reads logits.safetensors: eight bytes of header length, a JSON header, float32 data.
func readLogits(t *testing.T, dir string) map[string][]float32 {
	t.Helper()
	b := golden.Read(t, filepath.Join(dir, "logits.safetensors"))
	n := binary.LittleEndian.Uint64(b)
	var header map[string]struct {
		Offsets [2]int `json:"data_offsets"`
	}
	if err := json.Unmarshal(b[8:8+n], &header); err != nil {
		t.Fatal(err)
	}
	all := map[string][]float32{}
	for name, h := range header {
		for data := b[8+n:][h.Offsets[0]:h.Offsets[1]]; len(data) > 0; data = data[4:] {
			all[name] = append(all[name], math.Float32frombits(binary.LittleEndian.Uint32(data)))
		}
	}
	return all
}

func total(counts map[string]int) (n int) {
	for _, c := range counts {
		n += c
	}
	return n
}
