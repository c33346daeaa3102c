package sampler

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/systemgemma/systemgemma/internal/testkit/golden"
	"github.com/systemgemma/systemgemma/internal/testkit/sample"
)

type goldenCase struct {
	Logits             string
	Processor, Sampler string
	Params             struct {
		Order       []string
		TypicalP    float64 `json:"typical_p"`
		Epsilon     float64 `json:"epsilon_cutoff"`
		Eta         float64 `json:"eta_cutoff"`
		TopH        float64 `json:"top_h"`
		Temperature float64
		TopK        int     `json:"top_k"`
		TopP        float64 `json:"top_p"`
		MinP        float64 `json:"min_p"`
		MinKeep     int     `json:"min_keep"`           // llama.cpp
		MinTokens   int     `json:"min_tokens_to_keep"` // transformers
		Repetition  float64 `json:"repetition_penalty"`
		Ignore      int     `json:"prompt_ignore_length"`

		Encoder    float64              `json:"encoder_repetition_penalty"`
		EncoderIDs []int32              `json:"encoder_input_ids"`
		NoRepeat   int                  `json:"no_repeat_ngram_size"`
		Prompt     int                  `json:"prompt_length"`
		MinNew     int                  `json:"min_new_tokens"`
		MinLength  int                  `json:"min_length"`
		MaxLength  int                  `json:"max_length"`
		EOS        []int32              `json:"eos_token_ids"`
		BadWords   [][]int32            `json:"bad_words_ids"`
		Biases     [][2]json.RawMessage `json:"sequence_bias"` // ids, bias
		Start      int
		Factor     float64
		Suppress   []int32 `json:"suppress_tokens"`
		Begin      []int32 `json:"begin_suppress_tokens"`
		BeginIndex int     `json:"begin_index"`
		ForcedBOS  int32   `json:"forced_bos_token_id"`
		ForcedEOS  []int32 `json:"forced_eos_token_id"`

		TopNSigma        float64 `json:"top_n_sigma"`
		XTC              float64 `json:"xtc_probability"`
		XTCThreshold     float64 `json:"xtc_threshold"`
		DynatempRange    float64 `json:"dynatemp_range"`
		DynatempExponent float64 `json:"dynatemp_exponent"`
		DRYMultiplier    float64 `json:"dry_multiplier"`
		DRYBase          float64 `json:"dry_base"`
		DRYAllowed       int     `json:"dry_allowed_length"`
		DRYLastN         int     `json:"dry_penalty_last_n"`
		Breakers         []int32 `json:"breaker_ids"`
		Mu, Tau          float64
		MirostatEta      float64 `json:"eta"`
		NVocab           int     `json:"n_vocab"`
		RepeatLastN      int     `json:"repeat_last_n"`
		Repeat           float64 `json:"repeat_penalty"`
		Frequency        float64 `json:"frequency_penalty"`
		Presence         float64 `json:"presence_penalty"`
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

	TemperatureUsed float64 `json:"temperature_used"`
	Selected        int32
	SelectedProb    float64 `json:"selected_probability"`
	MuAfter         float64 `json:"mu_after"`
	K               float64
}

func (c goldenCase) name() string {
	b, _ := json.Marshal(c.Params) // a struct of numbers: can't fail
	set := slices.DeleteFunc(strings.Split(string(b), ","), func(s string) bool { return strings.HasSuffix(s, ":0") || strings.HasSuffix(s, ":null") })
	return c.Logits + "/" + c.Processor + c.Sampler + strings.Join(set, ",")
}

// TestGoldenTransformers compares every step, and chains, with transformers' logits processors: all cases there are.
func TestGoldenTransformers(t *testing.T) {
	sample.Skip(t)
	dir := golden.Dir(t, "sampling")
	logits := readLogits(t, dir)
	counts := map[string]int{}
	for c := range golden.Lines[goldenCase](t, filepath.Join(dir, "processors.jsonl.gz")) {
		p, prompt, history := c.transformers(t)
		s := newSampler(t, p, prompt, history)
		if c.Processor == "top_p" && p.TopP == 0 { // off to Params, as few tokens as may be to the references
			s.steps = []step{{"top_p", topP{0, max(1, p.MinKeep)}}}
		}
		got := s.apply(logits[c.Logits])
		c.compareKept(t, logits[c.Logits], got)
		c.compareScores(t, got)
		counts[c.Processor]++
	}
	if len(counts) != 21 {
		t.Errorf("cases of %d processors, want 21", len(counts))
	}
	t.Logf("cases: %v", counts)
	golden.Count(t, total(counts))
}

// transformers are a case's options, its prompt's length, and its tokens.
func (c goldenCase) transformers(t *testing.T) (out Params, prompt int, history []int32) {
	p := c.Params
	out = Params{
		Rules: Transformers, Temperature: 1, TopK: p.TopK, TopP: p.TopP, MinP: p.MinP, MinKeep: p.MinTokens, TypicalP: p.TypicalP, EpsilonCutoff: p.Epsilon,
		EtaCutoff: p.Eta, TopH: p.TopH, RepetitionPenalty: p.Repetition, EncoderRepetitionPenalty: p.Encoder, NoRepeatNgram: p.NoRepeat,
		EOS: p.EOS, MinTokens: p.MinNew, BadWords: p.BadWords, DecayFactor: p.Factor, DecayStart: p.Start, Suppress: p.Suppress, BeginSuppress: p.Begin,
		ForcedBOS: p.ForcedBOS, ForcedEOS: p.ForcedEOS,
	}
	history, prompt = c.InputIDs, p.Prompt
	if p.Temperature != 0 {
		out.Temperature = p.Temperature
	}
	switch c.Processor {
	case "repetition_penalty":
		history = history[p.Ignore:]
	case "encoder_repetition_penalty":
		prompt = len(p.EncoderIDs)
		if !slices.Equal(history[:prompt], p.EncoderIDs) {
			t.Fatalf("%s: the prompt is not the beginning of the tokens", c.name())
		}
	case "min_length": // the tokens of the prompt count
		out.MinTokens = p.MinLength
	case "forced_eos_token_id":
		out.MaxTokens = p.MaxLength
	case "begin_suppress_tokens":
		prompt = p.BeginIndex
	case "sequence_bias":
		for _, x := range p.Biases {
			var b Bias
			var add number
			if err := errors.Join(json.Unmarshal(x[0], &b.IDs), json.Unmarshal(x[1], &add)); err != nil {
				t.Fatal(err)
			}
			b.Add = float64(add)
			out.Biases = append(out.Biases, b)
		}
	}
	return out, prompt, history
}

// TestGoldenLlama compares with llama.cpp's samplers: all cases there are.
func TestGoldenLlama(t *testing.T) {
	dir := golden.Dir(t, "sampling")
	logits := readLogits(t, dir)
	counts := map[string]int{}
	for c := range golden.Lines[goldenCase](t, filepath.Join(dir, "llama.jsonl.gz")) {
		l := logits[c.Logits]
		switch c.Sampler {
		case "dynatemp":
			c.compareDynamic(t, l)
		case "mirostat_v1":
			c.compareZipf(t, l)
		case "mirostat_v2", "mirostat_v2_update":
			c.compareMirostat(t, l)
		case "penalties", "dry":
			c.comparePenalties(t, l, newSampler(t, c.llama(), 0, c.History).apply(l))
		default:
			s := newSampler(t, c.llama(), 0, nil)
			if c.Sampler == "top_p" && c.Params.TopP == 0 {
				s.steps = []step{{"top_p", topP{0, max(1, c.Params.MinKeep)}}}
			}
			c.compareKept(t, l, s.apply(l))
		}
		counts[c.Sampler]++
	}
	if len(counts) != 12 {
		t.Errorf("cases of %d samplers, want 12", len(counts))
	}
	t.Logf("cases: %v", counts)
	golden.Count(t, total(counts))
}

// llama are a case's options. Where llama.cpp has another value for off, that is translated.
func (c goldenCase) llama() Params {
	p := c.Params
	out := Params{
		Rules: Llama, Temperature: 1, TopK: max(0, p.TopK), TopP: p.TopP, MinP: p.MinP, TypicalP: p.TypicalP, TopNSigma: max(0, p.TopNSigma), MinKeep: p.MinKeep,
		XTCProbability: p.XTC, XTCThreshold: p.XTCThreshold, RepetitionPenalty: p.Repeat, FrequencyPenalty: p.Frequency, PresencePenalty: p.Presence,
		PenaltyWindow: p.RepeatLastN, DRYMultiplier: p.DRYMultiplier, DRYBase: p.DRYBase, DRYAllowedLength: p.DRYAllowed, DRYWindow: max(0, p.DRYLastN), DRYBreakers: alone(p.Breakers...),
	}
	if c.Sampler == "penalties" && p.RepeatLastN == 0 || c.Sampler == "dry" && (p.DRYLastN == 0 || p.DRYMultiplier == 0) {
		return Params{}
	}
	return out
}

func (c goldenCase) compareDynamic(t *testing.T, logits []float32) {
	t.Helper()
	p := c.Params
	exponent := p.DynatempExponent
	if p.DynatempRange == 0 {
		exponent = 0 // without a range New refuses one
	}
	s := newSampler(t, Params{Temperature: p.Temperature, DynatempRange: p.DynatempRange, DynatempExponent: exponent}, 0, nil)
	s.cand.reset(logits)
	got := p.Temperature
	if len(s.steps) == 1 {
		if d, ok := s.steps[0].processor.(dynamic); ok {
			got = d.temperature(&s.cand)
		}
	}
	if math.Abs(got-c.TemperatureUsed) > 1e-5*c.TemperatureUsed {
		t.Errorf("%s: temperature %v, want %v", c.name(), got, c.TemperatureUsed)
	}
}

func (c goldenCase) compareZipf(t *testing.T, logits []float32) {
	t.Helper()
	m := &mirostat{version: 1, mu: c.Params.Mu}
	var l candidates
	l.reset(logits)
	l.keepTop(func(rank int, x candidate) bool { return rank < zipfTokens && x.possible() })
	k := m.zipf(l.list, c.Params.NVocab)
	if got := max(1, math.Floor(k)); got != c.K {
		t.Errorf("%s: k = %v, want %v", c.name(), k, c.K)
	}
	l.reset(logits)
	m.truncate(&l, c.Params.NVocab)
	if want := min(int(c.K), len(logits)); len(l.list) != want {
		t.Errorf("%s: kept %d, want %d", c.name(), len(l.list), want)
	}
}

func (c goldenCase) compareMirostat(t *testing.T, logits []float32) {
	t.Helper()
	p := c.Params
	m := &mirostat{version: 2, mu: p.Mu, tau: p.Tau, eta: p.MirostatEta}
	var l candidates
	l.reset(logits)
	m.truncate(&l, len(logits))
	if c.Sampler == "mirostat_v2" {
		c.compareKept(t, logits, l.list)
		return
	}
	if got := m.after(&l, c.Selected); math.Abs(got-c.MuAfter) > 1e-5 {
		t.Errorf("%s: mu after token %d is %v, want %v", c.name(), c.Selected, got, c.MuAfter)
	}
}

// newSampler has accepted history, of which the first tokens, as many as prompt says, are the prompt.
func newSampler(t testing.TB, p Params, prompt int, history []int32) *Sampler {
	t.Helper()
	s := mustNew(t, p)
	s.Accept(history...)
	s.history.prompt = prompt
	return s
}

// apply returns what the steps leave, without candidates that can't be chosen.
func (s *Sampler) apply(logits []float32) []candidate {
	s.cand.reset(logits)
	for _, x := range s.steps {
		x.apply(&s.cand)
	}
	return slices.DeleteFunc(slices.Clone(s.cand.list), func(x candidate) bool { return !x.possible() })
}

func (c goldenCase) compareKept(t *testing.T, logits []float32, got []candidate) {
	t.Helper()
	var want []int32
	for id, x := range logits {
		kept := slices.Contains(c.Kept, int32(id)) || c.Kept == nil && !slices.Contains(c.Dropped, int32(id))
		revived := strings.HasPrefix(c.Processor, "forced")
		if kept && (revived || !math.IsInf(float64(x), -1)) { // llama.cpp's samplers that do nothing count these as kept
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
