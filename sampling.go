package systemgemma

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"unicode/utf8"

	"github.com/systemgemma/systemgemma/internal/decode/breakers"
	"github.com/systemgemma/systemgemma/internal/decode/sampler"
	"github.com/systemgemma/systemgemma/internal/decode/watermark"
	"github.com/systemgemma/systemgemma/internal/text/tokenizer"
)

// Sampling says how tokens are chosen. Its zero value is greedy: always the most likely token. Biases and bans come first,
// then the samplers in an order that Rules and Order decide, then the watermark and the draw.
type Sampling struct {
	// Rules decide details in which systems differ, and the default order. Empty means RulesLlama.
	Rules SamplingRules `json:",omitzero"`
	// Order names the samplers in the order in which they run, instead of the rules' own; it must name every one that is on.
	// SamplerNames lists them.
	Order []string `json:",omitzero"`

	// Temperature divides the logits. 0 is greedy: what only drops tokens, and Seed, then changes nothing. Otherwise 1e-6 to 100.
	Temperature float64
	// DynatempRange is how far the temperature may go below Temperature where the model is sure, and above where it is not.
	// 0 is off. DynatempExponent bends the way between; 0 means 1.
	DynatempRange    float64 `json:",omitzero"`
	DynatempExponent float64 `json:",omitzero"`
	// TopK keeps the k best tokens (RulesTransformers: and all that equal the k-th). 0 is off.
	TopK int
	// TopP keeps the fewest best tokens whose probabilities sum to at least this. 0 and 1 are off.
	TopP float64
	// MinP keeps tokens whose probability is at least this times the largest one. 0 is off; at most 1.
	MinP float64
	// TypicalP keeps the tokens whose surprise is nearest the expected one, until their probabilities sum to this. 0 and 1 are off.
	TypicalP float64 `json:",omitzero"`
	// EpsilonCutoff keeps tokens of at least this probability; EtaCutoff of less, where many are possible. 0 is off.
	EpsilonCutoff float64 `json:",omitzero"`
	EtaCutoff     float64 `json:",omitzero"`
	// TopH keeps the best tokens whose entropy stays within this share of that of the 100 best. 0 is off; at most 1.
	TopH float64 `json:",omitzero"`
	// TopNSigma keeps logits within this many standard deviations of the best. 0 is off.
	TopNSigma float64 `json:",omitzero"`
	// XTCProbability is how often, of the tokens with at least the probability XTCThreshold, only the least likely stays. 0 is off.
	XTCProbability float64 `json:",omitzero"`
	XTCThreshold   float64 `json:",omitzero"`
	// MinKeep is the least number of tokens that these leave. 0 means 1.
	MinKeep int
	// Mirostat, 1 or 2, keeps the surprise of the tokens near MirostatTau bits (0 means 5), in place of what drops tokens.
	// MirostatEta is how fast it adapts (0 means 0.1). 0 is off.
	Mirostat    int     `json:",omitzero"`
	MirostatTau float64 `json:",omitzero"`
	MirostatEta float64 `json:",omitzero"`

	// RepetitionPenalty divides positive logits and multiplies others, once for each token of the window. 0 and 1 are off.
	RepetitionPenalty float64
	// PresencePenalty is subtracted from the logit of each token of the window. 0 is off; -100 to 100.
	PresencePenalty float64
	// FrequencyPenalty times the token's count in the window is subtracted from its logit. 0 is off; -100 to 100.
	FrequencyPenalty float64
	// PenaltyWindow is how many tokens, prompt and answer, the penalties look back. 0 means all.
	PenaltyWindow int
	// EncoderRepetitionPenalty above 1 makes the prompt's tokens likelier, below 1 less likely. 0 and 1 are off.
	EncoderRepetitionPenalty float64 `json:",omitzero"`
	// NoRepeatNgram bans tokens that would repeat this many tokens in a row of prompt or answer. 0 is off.
	NoRepeatNgram int `json:",omitzero"`
	// DRYMultiplier times DRYBase^(n - DRYAllowedLength) is subtracted from the logit of a token that would go on with a repetition
	// of n tokens. 0 is off. DRYBase 0 means 1.75, DRYAllowedLength 0 means 2, DRYWindow 0 looks back over all tokens.
	DRYMultiplier    float64 `json:",omitzero"`
	DRYBase          float64 `json:",omitzero"`
	DRYAllowedLength int     `json:",omitzero"`
	DRYWindow        int     `json:",omitzero"`
	// DRYBreakers are texts that a repetition does not reach past, in whatever tokens they come: at most 64, of at most 40 bytes each. nil
	// means line end, colon, quote and asterisk, an empty list none.
	DRYBreakers []string `json:",omitzero"`

	// LogitBias is added to the logit of every token of each text or list.
	LogitBias []Bias `json:",omitzero"`
	// SequenceBias is added to the logit of the last token of each text or list, whenever the ones before it have just come.
	SequenceBias []Bias `json:",omitzero"`
	// BadWords never come, as these tokens. A word amid a sentence begins with a space: " word".
	BadWords []string `json:",omitzero"`
	// BadWordIDs are the same as lists of tokens: the last one never comes after the others.
	BadWordIDs [][]int32 `json:",omitzero"`
	// Suppress are tokens that never come, BeginSuppress those that an answer does not begin with.
	Suppress      []int32 `json:",omitzero"`
	BeginSuppress []int32 `json:",omitzero"`
	// ForcedBOS follows a prompt of one token. ForcedEOS are the only tokens that may be the last one that MaxTokens allows.
	ForcedBOS int32   `json:",omitzero"`
	ForcedEOS []int32 `json:",omitzero"`
	// DecayFactor above 1 makes end tokens likelier with every token after the first DecayStart. 0 and 1 are off.
	DecayFactor float64 `json:",omitzero"`
	DecayStart  int     `json:",omitzero"`
	// Processors are rules of your own about logits, after all of these.
	Processors []LogitsProcessor `json:"-"`

	// Watermark marks the answer, so that DetectWatermark recognises it. It needs a temperature above 0. nil is off.
	Watermark *Watermark `json:",omitzero"`

	// Seed chooses the random numbers: the same seed gives the same answer on every machine. 0 draws a seed, which
	// Result.Seed tells.
	Seed uint64
}

// SamplingRules name a set of details in which systems differ.
type SamplingRules = sampler.Rules

const (
	// RulesLlama is as llama.cpp does: exactly TopK tokens, the temperature after what drops tokens.
	RulesLlama = sampler.Llama
	// RulesTransformers is as Hugging Face transformers does: equals of the TopK-th stay, the temperature first.
	RulesTransformers = sampler.Transformers
)

// LogitsProcessor is a rule of your own. It changes logits, one for each token of the vocabulary, knowing the tokens so far, prompt
// and answer; -Inf bans a token. It is called by the engine and must not block, depend on nothing else, and keep neither slice.
type LogitsProcessor = sampler.Processor

// Watermark says how answers are marked: SynthID-Text. Who looks for the mark needs the same one; its Keys are the secret.
type Watermark = watermark.Config

// WatermarkEvidence is what tokens say about whether they were marked.
type WatermarkEvidence = watermark.Evidence

// DetectWatermark looks for a mark in the tokens of an answer, without those of its prompt; it ends at the first of the end
// tokens. Means of marked text lie above 0.5; below some 200 tokens nothing can be said.
func DetectWatermark(w Watermark, ids, end []int32) (*WatermarkEvidence, error) {
	return watermark.Detect(w, ids, end)
}

// Bias makes a text or tokens likelier or less likely.
type Bias struct {
	IDs  []int32 // or
	Text string  // as it stands in the answer: amid a sentence it begins with a space
	Add  float64 // to the logit, -1000 to 1000; -Inf bans
}

// SamplerNames are the names that Sampling.Order may have, in the order of RulesLlama.
func SamplerNames() []string { return slices.Clone(sampler.SamplerNames) }

// dryBreakers are llama.cpp's.
var dryBreakers = []string{"\n", ":", "\"", "*"}

// Validate reports the first option that is out of range or that another one contradicts: what was expected and what was found.
func (s Sampling) Validate() error {
	p, err := s.params(&Text{})
	if err != nil {
		return err
	}
	if len(p.ForcedEOS) > 0 {
		p.MaxTokens = 1 // an answer always has some limit
	}
	return p.Validate()
}

// params are the options as the sampler wants them. Without a tokenizer, texts are only checked.
func (s *Sampling) params(t *Text) (sampler.Params, error) {
	p := sampler.Params{
		Rules: s.Rules, Order: s.Order, Temperature: s.Temperature, DynatempRange: s.DynatempRange, DynatempExponent: s.DynatempExponent,
		TopK: s.TopK, TopP: s.TopP, MinP: s.MinP, TypicalP: s.TypicalP, EpsilonCutoff: s.EpsilonCutoff, EtaCutoff: s.EtaCutoff, TopH: s.TopH,
		TopNSigma: s.TopNSigma, XTCProbability: s.XTCProbability, XTCThreshold: s.XTCThreshold, MinKeep: s.MinKeep,
		Mirostat: s.Mirostat, MirostatTau: s.MirostatTau, MirostatEta: s.MirostatEta,
		RepetitionPenalty: s.RepetitionPenalty, PresencePenalty: s.PresencePenalty, FrequencyPenalty: s.FrequencyPenalty, PenaltyWindow: s.PenaltyWindow,
		EncoderRepetitionPenalty: s.EncoderRepetitionPenalty, NoRepeatNgram: s.NoRepeatNgram,
		DRYMultiplier: s.DRYMultiplier, DRYBase: s.DRYBase, DRYAllowedLength: s.DRYAllowedLength, DRYWindow: s.DRYWindow,
		Suppress: s.Suppress, BeginSuppress: s.BeginSuppress, ForcedBOS: s.ForcedBOS, ForcedEOS: s.ForcedEOS,
		DecayFactor: s.DecayFactor, DecayStart: s.DecayStart, Processors: s.Processors, Watermark: s.Watermark, Seed: s.Seed,
	}
	e := encoder{tok: t.tok}
	for _, b := range s.LogitBias {
		for _, id := range e.tokens("logit bias", b.IDs, b.Text) {
			p.Biases = append(p.Biases, sampler.Bias{IDs: []int32{id}, Add: b.Add})
		}
	}
	for _, b := range s.SequenceBias {
		p.Biases = append(p.Biases, sampler.Bias{IDs: e.tokens("sequence bias", b.IDs, b.Text), Add: b.Add})
	}
	for _, text := range s.BadWords {
		p.BadWords = append(p.BadWords, e.tokens("bad words", nil, text))
	}
	p.BadWords = append(p.BadWords, s.BadWordIDs...)
	if s.DRYMultiplier == 0 && len(s.DRYBreakers) > 0 {
		return p, &sampler.OptionError{Option: "dry_breakers", Want: "dry_multiplier beside them", Found: "none"}
	}
	if s.DRYMultiplier != 0 {
		var err error
		if p.DRYBreakers, err = t.dryBreakers(s.DRYBreakers); err != nil {
			return p, cmp.Or(e.err, err)
		}
	}
	return p, e.err
}

// encoder turns texts in options into tokens. err is the first error.
type encoder struct {
	tok *tokenizer.Tokenizer // nil: texts are only checked
	err error
}

func (e *encoder) fail(option, format string, args ...any) {
	e.err = cmp.Or(e.err, fmt.Errorf(option+": "+format, args...))
}

// tokens are those of a text, or ids.
func (e *encoder) tokens(option string, ids []int32, text string) []int32 {
	switch {
	case text != "" && len(ids) > 0:
		e.fail(option, "want text or ids, found both: %q, %v", text, ids)
	case text == "" && len(ids) == 0:
		e.fail(option, "want a text or ids, found none")
	case len(ids) > 0:
		return ids
	case !utf8.ValidString(text):
		e.fail(option, "want UTF-8, found %q", text)
	case e.tok != nil:
		return e.tok.AppendText(nil, text)
	}
	return []int32{0}
}

// dryBreakers are texts as sequences of tokens. Without a tokenizer they are only checked.
func (t *Text) dryBreakers(texts []string) (*sampler.Breakers, error) {
	if texts == nil {
		texts = dryBreakers
	}
	if t.tok == nil || len(texts) == 0 {
		return nil, breakers.Check(texts)
	}
	v := breakers.Vocabulary{Size: t.tok.Size(), Text: t.tok.Text, Encode: func(text string) []int32 { return t.tok.AppendText(nil, text) }}
	return t.breakers.Find(&v, texts)
}

// withSeed returns s with a seed drawn when it has none.
func (s Sampling) withSeed() Sampling {
	for s.Seed == 0 {
		s.Seed = rand.Uint64() >> 1 // fits into every JSON reader's int64
	}
	return s
}

// newSampler makes the sampler of one answer, of a prompt of n tokens.
func (m *Model) newSampler(s Sampling, o *GenerateOptions, n int) (*sampler.Sampler, error) {
	if m.tok == nil && (len(s.BadWords) > 0 || s.DRYMultiplier != 0 && s.DRYBreakers == nil || len(s.DRYBreakers) > 0) {
		return nil, fmt.Errorf("bad words, dry_breakers: %w: texts need one; an empty list of breakers needs none", ErrNoTokenizer)
	}
	p, err := s.params(m.Text)
	if err != nil {
		return nil, err
	}
	for _, b := range slices.Concat(s.LogitBias, s.SequenceBias) {
		if b.Text != "" && m.tok == nil {
			return nil, fmt.Errorf("bias: %w: texts need one", ErrNoTokenizer)
		}
	}
	for id := range m.stopIDs {
		p.EOS = append(p.EOS, id)
	}
	p.EOS = append(p.EOS, o.StopIDs...)
	slices.Sort(p.EOS)
	if o.Guidance != nil {
		p.Guided, p.GuidanceScale = true, o.Guidance.Scale
	}
	if p.MinTokens = o.MinTokens; p.MinTokens > 0 && len(p.EOS) == 0 {
		return nil, fmt.Errorf("min tokens: the model's files name no end tokens")
	}
	room := max(1, m.ContextLength()-n)
	p.MaxTokens = min(room, cmp.Or(o.MaxTokens, math.MaxInt))
	p.TopLogprobs, p.Explain = o.TopLogprobs, o.Explain
	return sampler.New(p)
}
