package sampler

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// An OptionError names an option whose value can't be honoured.
type OptionError struct {
	Option string // as written in requests, for example "top_p"
	Want   string // what would do
	Found  any    // the value given
}

// Error is "option: want ..., found ...".
func (e *OptionError) Error() string {
	return fmt.Sprintf("%s: want %s, found %v", e.Option, e.Want, e.Found)
}

// minTemperature keeps score/temperature finite for every score up to 3.4e32; candidate.change takes care of those above.
const minTemperature = 1e-6

// limits are the options with a range. off are values outside it that mean something of their own.
func (p *Params) limits() []struct {
	name      string
	value     float64
	low, high float64
	off       float64
	want      string
} {
	n := func(i int) float64 { return float64(i) }
	inf := math.Inf(1)
	return []struct {
		name      string
		value     float64
		low, high float64
		off       float64
		want      string
	}{
		{"temperature", p.Temperature, minTemperature, 100, 0, "0 (greedy) or 1e-6 to 100"},
		{"dynatemp_range", p.DynatempRange, 0, 100, 0, "0 (off) to 100"},
		{"dynatemp_exponent", p.DynatempExponent, 0, 10, 0, "0 (meaning 1) to 10"},
		{"top_k", n(p.TopK), 0, inf, 0, "0 (off) or more"},
		{"top_p", p.TopP, 0, 1, 0, "0 (off) to 1"},
		{"min_p", p.MinP, 0, 1, 0, "0 (off) to 1"},
		{"typical_p", p.TypicalP, 0, 1, 0, "0 (off) to 1"},
		{"epsilon_cutoff", p.EpsilonCutoff, 0, below1, 0, "0 (off) to less than 1"},
		{"eta_cutoff", p.EtaCutoff, 0, below1, 0, "0 (off) to less than 1"},
		{"top_h", p.TopH, 0, 1, 0, "0 (off) to 1"},
		{"top_n_sigma", p.TopNSigma, 0, 1000, 0, "0 (off) to 1000"},
		{"xtc_probability", p.XTCProbability, 0, 1, 0, "0 (off) to 1"},
		{"xtc_threshold", p.XTCThreshold, 0, 1, 0, "0 to 1"},
		{"min_keep", n(p.MinKeep), 0, inf, 0, "0 (meaning 1) or more"},
		{"mirostat", n(p.Mirostat), 0, 2, 0, "0 (off), 1 or 2"},
		{"mirostat_tau", p.MirostatTau, 0, 100, 0, "0 (meaning 5) to 100"},
		{"mirostat_eta", p.MirostatEta, 0, 1, 0, "0 (meaning 0.1) to 1"},
		{"repetition_penalty", p.RepetitionPenalty, 0.01, 100, 0, "0 (off) or 0.01 to 100"},
		{"presence_penalty", p.PresencePenalty, -100, 100, 0, "-100 to 100"},
		{"frequency_penalty", p.FrequencyPenalty, -100, 100, 0, "-100 to 100"},
		{"penalty_window", n(p.PenaltyWindow), 0, inf, 0, "0 (all tokens) or more"},
		{"encoder_repetition_penalty", p.EncoderRepetitionPenalty, 0.01, 100, 0, "0 (off) or 0.01 to 100"},
		{"no_repeat_ngram_size", n(p.NoRepeatNgram), 0, inf, 0, "0 (off) or more"},
		{"dry_multiplier", p.DRYMultiplier, 0, 100, 0, "0 (off) to 100"},
		{"dry_base", p.DRYBase, 1, 100, 0, "0 (meaning 1.75) or 1 to 100"},
		{"dry_allowed_length", n(p.DRYAllowedLength), 0, inf, 0, "0 (meaning 2) or more"},
		{"dry_window", n(p.DRYWindow), 0, inf, 0, "0 (all tokens) or more"},
		{"guidance_scale", p.GuidanceScale, -100, 100, 0, "-100 to 100"},
		{"min_tokens", n(p.MinTokens), 0, inf, 0, "0 (off) or more"},
		{"max_tokens", n(p.MaxTokens), 0, inf, 0, "0 (no limit) or more"},
		{"decay_factor", p.DecayFactor, 0.01, 100, 0, "0 (off) or 0.01 to 100"},
		{"decay_start", n(p.DecayStart), 0, inf, 0, "0 or more"},
		{"top_logprobs", n(p.TopLogprobs), 0, maxTold, 0, "0 (none) to 1000"},
		{"explain", n(p.Explain), 0, maxTold, 0, "0 (off) to 1000"},
	}
}

const (
	below1  = 1 - 0x1p-53
	maxTold = 1000
)

// Validate returns an *OptionError for the first option that is out of range, NaN included, or that another one contradicts.
func (p Params) Validate() error {
	if p.Rules != "" && p.Rules != Llama && p.Rules != Transformers {
		return &OptionError{"sampler_rules", "llama or transformers", fmt.Sprintf("%q", p.Rules)}
	}
	for _, o := range p.limits() {
		if o.value != o.off && !(o.low <= o.value && o.value <= o.high) { // false for NaN
			found := any(o.value)
			if o.value == math.Trunc(o.value) {
				found = int64(o.value)
			}
			if math.IsInf(o.value, 0) {
				found = o.value
			}
			return &OptionError{o.name, o.want, found}
		}
	}
	if err := p.validateTokens(); err != nil {
		return err
	}
	if err := p.validateTogether(); err != nil {
		return err
	}
	return p.validateOrder()
}

// validateTokens checks lists of tokens. Whether they are in the vocabulary, Sample finds out.
func (p *Params) validateTokens() error {
	for _, b := range p.Biases {
		if len(b.IDs) == 0 {
			return &OptionError{"bias", "at least one token", "none"}
		}
		if math.IsNaN(b.Add) || b.Add > 1000 || b.Add < -1000 && !math.IsInf(b.Add, -1) {
			return &OptionError{"bias", "-1000 to 1000 or -Inf (never)", b.Add}
		}
	}
	for _, w := range p.BadWords {
		if len(w) == 0 {
			return &OptionError{"bad_words", "at least one token", "none"}
		}
	}
	if i := slices.Index(p.Processors, nil); i >= 0 {
		return &OptionError{"processors", "no nil", "one"}
	}
	if p.Watermark != nil {
		if err := p.Watermark.Validate(); err != nil {
			return fmt.Errorf("watermark: %w", err)
		}
	}
	return nil
}

// worst is the highest of all tokens in options, or a negative one, and the option that it stands in.
func (p *Params) worst() (option string, id int32) {
	see := func(name string, ids []int32) {
		for _, x := range ids {
			if uint32(x) > uint32(id) {
				option, id = name, x
			}
		}
	}
	for _, b := range p.Biases {
		see("bias", b.IDs)
	}
	for _, w := range p.BadWords {
		see("bad_words", w)
	}
	see("suppress", p.Suppress)
	see("begin_suppress", p.BeginSuppress)
	see("forced_bos", []int32{p.ForcedBOS})
	see("forced_eos", p.ForcedEOS)
	if p.MinTokens > 0 || on(p.DecayFactor) {
		see("eos", p.EOS)
	}
	return option, id
}

// validateTogether refuses options that others make meaningless.
func (p *Params) validateTogether() error {
	greedy := p.Temperature == 0
	needs := "a temperature above 0 beside it"
	switch {
	case greedy && p.DynatempRange != 0:
		return &OptionError{"dynatemp_range", needs, "temperature 0"}
	case greedy && p.Mirostat != 0:
		return &OptionError{"mirostat", needs, "temperature 0"}
	case greedy && p.Watermark != nil:
		return &OptionError{"watermark", needs, "temperature 0"}
	case p.DynatempExponent != 0 && p.DynatempRange == 0:
		return &OptionError{"dynatemp_exponent", "dynatemp_range beside it", "none"}
	case (p.MirostatTau != 0 || p.MirostatEta != 0) && p.Mirostat == 0:
		return &OptionError{"mirostat_tau, mirostat_eta", "mirostat 1 or 2 beside them", "none"}
	case p.GuidanceScale != 0 && !p.Guided:
		return &OptionError{"guidance_scale", "another prompt beside it", "none"}
	case p.Mirostat != 0 && p.Watermark != nil:
		return &OptionError{"watermark", "no mirostat beside it", "both"}
	case p.XTCThreshold != 0 && p.XTCProbability == 0:
		return &OptionError{"xtc_threshold", "xtc_probability beside it", "none"}
	case p.DRYMultiplier == 0 && (p.DRYBase != 0 || p.DRYAllowedLength != 0 || p.DRYWindow != 0 || p.DRYBreakers != nil):
		return &OptionError{"dry_base, dry_allowed_length, dry_window, dry_breakers", "dry_multiplier beside them", "none"}
	case len(p.ForcedEOS) > 0 && p.MaxTokens == 0:
		return &OptionError{"forced_eos", "max_tokens beside it", "none"}
	case p.DecayStart != 0 && !on(p.DecayFactor):
		return &OptionError{"decay_start", "decay_factor beside it", "none"}
	}
	if p.Mirostat != 0 {
		for _, name := range p.samplersOn() {
			if !slices.Contains([]string{"penalties", "dry", "temperature"}, name) {
				return &OptionError{name, "no mirostat beside it, which decides by itself what is dropped", "both"}
			}
		}
	}
	return nil
}

// validateOrder checks that Order knows all that is on.
func (p *Params) validateOrder() error {
	for i, name := range p.Order {
		if !slices.Contains(SamplerNames, name) {
			return &OptionError{"order", strings.Join(SamplerNames, ", "), fmt.Sprintf("%.40q", name)}
		}
		if slices.Contains(p.Order[:i], name) {
			return &OptionError{"order", "each sampler once", name + " again"}
		}
	}
	if p.Order == nil {
		return nil
	}
	for _, name := range p.samplersOn() {
		if !slices.Contains(p.Order, name) {
			return &OptionError{"order", "all samplers that are on", "no " + name}
		}
	}
	return nil
}

// on says whether a factor does anything.
func on(factor float64) bool { return factor != 0 && factor != 1 }
