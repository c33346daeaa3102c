package sampler

import (
	"slices"

	"github.com/systemgemma/systemgemma/internal/compute/portable"
)

// SamplerNames are the samplers that Params.Order orders, in the order of Llama rules.
var SamplerNames = []string{
	"penalties", "dry", "top_n_sigma", "top_k", "typical_p", "top_p", "min_p", "xtc", "epsilon_cutoff", "eta_cutoff", "top_h", "temperature",
}

// transformersOrder is that of Transformers rules, which run penalties amid the rules about tokens, before the bans.
var transformersOrder = []string{
	"temperature", "top_h", "top_k", "top_p", "min_p", "typical_p", "epsilon_cutoff", "eta_cutoff", "top_n_sigma", "xtc",
}

// A step is one named change between logits and draw.
type step struct {
	name string
	processor
}

// steps makes what p asks for, in order. All rules about tokens come first: they find token i at list[i].
func (p *Params) steps(h *history) []step {
	samplers := p.samplers(h)
	order := p.Order
	early := []string{}
	switch {
	case order != nil:
	case p.Rules == Transformers:
		early, order = []string{"penalties", "dry"}, transformersOrder
	default:
		order = SamplerNames
	}
	var list []step
	add := func(names []string) {
		for _, name := range names {
			if x := samplers[name]; x != nil {
				list = append(list, step{name, x})
			}
		}
	}
	list = append(list, p.rulesBefore(h)...)
	add(early)
	list = append(list, p.rulesAfter(h)...)
	add(order)
	if p.Watermark != nil {
		list = append(list, step{"watermark", newMarking(*p.Watermark, h)})
	}
	return list
}

// samplers are those that are on, by name. At temperature 0 only such that change scores are.
func (p *Params) samplers(h *history) map[string]processor {
	m := map[string]processor{}
	if on(p.RepetitionPenalty) || p.PresencePenalty != 0 || p.FrequencyPenalty != 0 {
		m["penalties"] = newPenalties(*p)
	}
	if p.DRYMultiplier != 0 {
		m["dry"] = newDRY(p, h)
	}
	if p.Temperature == 0 {
		return m
	}
	keep := max(1, p.MinKeep)
	ties := p.Rules == Transformers
	for _, x := range []struct {
		name string
		on   bool
		step processor
	}{
		{"top_n_sigma", p.TopNSigma > 0, topNSigma(p.TopNSigma)},
		{"top_k", p.TopK > 0, topK{p.TopK, ties}},
		{"typical_p", inside(p.TypicalP), &typical{p: p.TypicalP, minKeep: keep, ties: ties}},
		{"top_p", inside(p.TopP), topP{p.TopP, keep}},
		{"min_p", p.MinP > 0, minP{portable.Log(p.MinP), keep}},
		{"xtc", p.XTCProbability > 0 && p.XTCThreshold <= 0.5, &xtc{p.XTCProbability, p.XTCThreshold, keep, h}},
		{"epsilon_cutoff", p.EpsilonCutoff > 0, cutoff{p.EpsilonCutoff, false, keep}},
		{"eta_cutoff", p.EtaCutoff > 0, cutoff{p.EtaCutoff, true, keep}},
		{"top_h", p.TopH > 0, topH(p.TopH)},
		{"temperature", p.Temperature != 1 && p.DynatempRange == 0, temperature(p.Temperature)},
	} {
		if x.on {
			m[x.name] = x.step
		}
	}
	if p.DynatempRange > 0 {
		exponent := p.DynatempExponent
		if exponent == 0 {
			exponent = 1
		}
		m["temperature"] = dynamic{max(0, p.Temperature-p.DynatempRange), p.Temperature + p.DynatempRange, exponent}
	}
	return m
}

func inside(p float64) bool { return p > 0 && p < 1 }

// samplersOn are the names of the samplers that p turns on, in the order of SamplerNames.
func (p *Params) samplersOn() []string {
	m := p.samplers(&history{})
	return slices.DeleteFunc(slices.Clone(SamplerNames), func(name string) bool { return m[name] == nil })
}

// rulesBefore and rulesAfter are the rules about tokens, of which Transformers rules run penalties between.
func (p *Params) rulesBefore(h *history) []step {
	var list []step
	if p.Guided {
		list = append(list, step{"guidance", &guidance{scale: p.GuidanceScale}})
	}
	if len(p.Biases) > 0 {
		list = append(list, step{"bias", newBiases(p.Biases, h)})
	}
	if on(p.EncoderRepetitionPenalty) {
		h.keep = true
		list = append(list, step{"encoder_repetition_penalty", &encoderPenalty{penalty: p.EncoderRepetitionPenalty, history: h}})
	}
	return list
}

func (p *Params) rulesAfter(h *history) []step {
	var list []step
	if p.NoRepeatNgram > 0 {
		h.keep = true
		list = append(list, step{"no_repeat_ngram_size", noRepeat{p.NoRepeatNgram, h}})
	}
	if len(p.BadWords) > 0 {
		list = append(list, step{"bad_words", newBadWords(p.BadWords, p.EOS, h)})
	}
	if p.MinTokens > 0 {
		list = append(list, step{"min_tokens", minTokens{p.MinTokens, p.EOS, h}})
	}
	if p.ForcedBOS != 0 {
		list = append(list, step{"forced_bos", forced{[]int32{p.ForcedBOS}, func() bool { return h.accepted == 1 }}})
	}
	if len(p.ForcedEOS) > 0 {
		last := p.MaxTokens - 1
		list = append(list, step{"forced_eos", forced{p.ForcedEOS, func() bool { return h.generated() == last }}})
	}
	if on(p.DecayFactor) {
		list = append(list, step{"decay_factor", lengthDecay{p.DecayStart, p.DecayFactor, p.EOS, h}})
	}
	if len(p.Suppress) > 0 {
		list = append(list, step{"suppress", suppress{p.Suppress, nil}})
	}
	if len(p.BeginSuppress) > 0 {
		begin := func() bool { return h.generated() == 0 }
		if p.ForcedBOS != 0 {
			begin = func() bool { return h.accepted == 2 && h.generated() == 1 || h.accepted > 1 && h.generated() == 0 }
		}
		list = append(list, step{"begin_suppress", suppress{p.BeginSuppress, begin}})
	}
	for _, f := range p.Processors {
		h.keep = true
		list = append(list, step{"processor", &custom{f: f, history: h}})
	}
	return list
}
