package chat

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"

	"github.com/systemgemma/systemgemma"
)

// Samplers are the options of sampling beyond the usual ones. A nil field leaves it to the model.
type Samplers struct {
	SamplerRules     *string  `json:"sampler_rules,omitempty" placeholder:"NAME" group:"Sampling" help:"llama (the default) or transformers: whose details the samplers have, and whose order."`
	Samplers         []string `json:"samplers,omitempty" placeholder:"NAME" group:"Sampling" help:"Run the samplers in this order: penalties, dry, top_n_sigma, top_k, typical_p, top_p, min_p, xtc, epsilon_cutoff, eta_cutoff, top_h, temperature. All that are on must be named."`
	DynatempRange    *float64 `json:"dynatemp_range,omitempty" placeholder:"R" group:"Sampling" help:"Let the temperature go down by R where the model is sure, and up by R where it is not. 0 is off."`
	DynatempExponent *float64 `json:"dynatemp_exponent,omitempty" placeholder:"X" group:"Sampling" help:"Bend the way between these temperatures. 1 is straight."`
	TypicalP         *float64 `json:"typical_p,omitempty" placeholder:"P" group:"Sampling" help:"Sample from the tokens whose surprise is nearest the expected one, up to the probability P. 1 is off."`
	EpsilonCutoff    *float64 `json:"epsilon_cutoff,omitempty" placeholder:"P" group:"Sampling" help:"Sample from tokens of at least the probability P. 0 is off."`
	EtaCutoff        *float64 `json:"eta_cutoff,omitempty" placeholder:"P" group:"Sampling" help:"The same, with less than P where many tokens are possible. 0 is off."`
	TopH             *float64 `json:"top_h,omitempty" placeholder:"H" group:"Sampling" help:"Sample from the best tokens that have the share H of the entropy. 0 is off."`
	TopNSigma        *float64 `json:"top_n_sigma,omitempty" placeholder:"N" group:"Sampling" help:"Sample from logits within N standard deviations of the best. 0 is off."`
	XTCProbability   *float64 `json:"xtc_probability,omitempty" placeholder:"P" group:"Sampling" help:"With the probability P, drop all likely tokens but the least likely of them. 0 is off."`
	XTCThreshold     *float64 `json:"xtc_threshold,omitempty" placeholder:"P" group:"Sampling" help:"Which tokens count as likely there. Above 0.5 nothing is dropped."`
	MinKeep          *int     `json:"min_keep,omitempty" placeholder:"N" group:"Sampling" help:"Let the samplers that drop tokens leave at least N."`
	Mirostat         *int     `json:"mirostat,omitempty" placeholder:"1|2" group:"Sampling" help:"Keep the surprise of the tokens even, in place of the samplers that drop tokens. 0 is off."`
	MirostatTau      *float64 `json:"mirostat_tau,omitempty" placeholder:"BITS" group:"Sampling" help:"The surprise that mirostat aims at. 0 is 5."`
	MirostatEta      *float64 `json:"mirostat_eta,omitempty" placeholder:"X" group:"Sampling" help:"How fast mirostat adapts. 0 is 0.1."`
	EncoderPenalty   *float64 `json:"encoder_repetition_penalty,omitempty" name:"encoder-repetition-penalty" placeholder:"R" group:"Sampling" help:"Multiply the logits of the prompt's tokens by R. 1 is off."`
	NoRepeatNgram    *int     `json:"no_repeat_ngram_size,omitempty" name:"no-repeat-ngram-size" placeholder:"N" group:"Sampling" help:"Never repeat N tokens in a row. 0 is off."`
	DRYMultiplier    *float64 `json:"dry_multiplier,omitempty" name:"dry-multiplier" placeholder:"X" group:"Sampling" help:"Punish tokens that go on with a repetition of n tokens by X * BASE^(n - LENGTH). 0 is off."`
	DRYBase          *float64 `json:"dry_base,omitempty" name:"dry-base" placeholder:"BASE" group:"Sampling" help:"The base there. 0 is 1.75."`
	DRYAllowedLength *int     `json:"dry_allowed_length,omitempty" name:"dry-allowed-length" placeholder:"LENGTH" group:"Sampling" help:"The shortest repetition punished. 0 is 2."`
	DRYWindow        *int     `json:"dry_window,omitempty" name:"dry-window" placeholder:"N" group:"Sampling" help:"Let it see the last N tokens. 0 is all."`
	DRYBreakers      []string `json:"dry_breakers,omitempty" name:"dry-breakers" sep:"none" placeholder:"TEXT" group:"Sampling" help:"A text that repetitions end at, instead of line end, colon, quote and asterisk; \"\\n\" in quotes is a line end. May be given several times."`
	LogitBias        []string `json:"logit_bias,omitempty" sep:"none" placeholder:"TOKEN=X" group:"Sampling" help:"Add X to the logit of a token: an id, or a text, of which each token counts. A text of digits wants double quotes; never instead of X bans. May be given several times."`
	SequenceBias     []string `json:"sequence_bias,omitempty" sep:"none" placeholder:"TEXT=X" group:"Sampling" help:"Add X to the logit of the last token of TEXT after the others have come. May be given several times."`
	BadWords         []string `json:"bad_words,omitempty" sep:"none" placeholder:"TEXT" group:"Sampling" help:"Never say TEXT, in these tokens: amid a sentence it begins with a space. May be given several times."`
	Suppress         []int32  `json:"suppress,omitempty" placeholder:"ID" group:"Sampling" help:"Never choose these tokens."`
	BeginSuppress    []int32  `json:"begin_suppress,omitempty" placeholder:"ID" group:"Sampling" help:"Do not begin with these tokens."`
	ForcedBOS        *int32   `json:"forced_bos,omitempty" name:"forced-bos" placeholder:"ID" group:"Sampling" help:"The token that follows a prompt of one token."`
	ForcedEOS        []int32  `json:"forced_eos,omitempty" name:"forced-eos" placeholder:"ID" group:"Sampling" help:"The tokens of which one must be the last that --max-tokens allows."`
	DecayFactor      *float64 `json:"decay_factor,omitempty" placeholder:"F" group:"Sampling" help:"Make the end likelier with each token, growing by the factor F. 1 is off."`
	DecayStart       *int     `json:"decay_start,omitempty" placeholder:"N" group:"Sampling" help:"Let that begin after N tokens."`
	WatermarkKeys    []int64  `json:"watermark_keys,omitempty" placeholder:"KEY" group:"Sampling" help:"Mark the answer (SynthID) with these secret numbers; systemgemma watermark finds the mark."`
	WatermarkNgram   *int     `json:"watermark_ngram,omitempty" placeholder:"N" group:"Sampling" help:"Let the mark depend on N tokens in a row. 0 is 5."`
}

// add puts what o says otherwise into s. The error is of a text that can't be read.
func (o *Samplers) add(s *systemgemma.Sampling) error {
	if o.SamplerRules != nil {
		s.Rules = systemgemma.SamplingRules(*o.SamplerRules)
	}
	if o.Samplers != nil {
		s.Order = o.Samplers
	}
	for _, f := range []struct{ to, from *float64 }{
		{&s.DynatempRange, o.DynatempRange}, {&s.DynatempExponent, o.DynatempExponent}, {&s.TypicalP, o.TypicalP}, {&s.EpsilonCutoff, o.EpsilonCutoff},
		{&s.EtaCutoff, o.EtaCutoff}, {&s.TopH, o.TopH}, {&s.TopNSigma, o.TopNSigma}, {&s.XTCProbability, o.XTCProbability}, {&s.XTCThreshold, o.XTCThreshold},
		{&s.MirostatTau, o.MirostatTau}, {&s.MirostatEta, o.MirostatEta}, {&s.EncoderRepetitionPenalty, o.EncoderPenalty},
		{&s.DRYMultiplier, o.DRYMultiplier}, {&s.DRYBase, o.DRYBase}, {&s.DecayFactor, o.DecayFactor},
	} {
		override(f.to, f.from)
	}
	for _, f := range []struct{ to, from *int }{
		{&s.MinKeep, o.MinKeep}, {&s.Mirostat, o.Mirostat}, {&s.NoRepeatNgram, o.NoRepeatNgram}, {&s.DRYAllowedLength, o.DRYAllowedLength},
		{&s.DRYWindow, o.DRYWindow}, {&s.DecayStart, o.DecayStart},
	} {
		override(f.to, f.from)
	}
	override(&s.ForcedBOS, o.ForcedBOS)
	for _, f := range []struct {
		to   *[]int32
		from []int32
	}{{&s.Suppress, o.Suppress}, {&s.BeginSuppress, o.BeginSuppress}, {&s.ForcedEOS, o.ForcedEOS}} {
		if f.from != nil {
			*f.to = f.from
		}
	}
	if o.WatermarkKeys != nil {
		s.Watermark = &systemgemma.Watermark{Keys: o.WatermarkKeys}
		override(&s.Watermark.NgramLen, o.WatermarkNgram)
	} else if o.WatermarkNgram != nil {
		return fmt.Errorf("watermark-ngram: want watermark-keys beside it")
	}
	return o.addTexts(s)
}

func (o *Samplers) addTexts(s *systemgemma.Sampling) (err error) {
	for _, text := range o.DRYBreakers {
		if text, err = unquote(text); err != nil {
			return fmt.Errorf("dry-breakers: %w", err)
		}
		s.DRYBreakers = append(s.DRYBreakers, text)
	}
	for _, text := range o.BadWords {
		if text, err = unquote(text); err != nil {
			return fmt.Errorf("bad-words: %w", err)
		}
		s.BadWords = append(s.BadWords, text)
	}
	for _, text := range o.LogitBias {
		b, err := parseBias(text)
		if err != nil {
			return fmt.Errorf("logit-bias: %w", err)
		}
		s.LogitBias = append(s.LogitBias, b)
	}
	for _, text := range o.SequenceBias {
		b, err := parseBias(text)
		if err != nil {
			return fmt.Errorf("sequence-bias: %w", err)
		}
		s.SequenceBias = append(s.SequenceBias, b)
	}
	return nil
}

// unquote reads a text that may stand in double quotes, with Go's escapes.
func unquote(text string) (string, error) {
	if len(text) < 2 || text[0] != '"' {
		return text, nil
	}
	s, err := strconv.Unquote(text)
	if err != nil {
		return "", fmt.Errorf(`want a closing quote, and escapes as in "\n", found %s`, text)
	}
	return s, nil
}

// idsOf are ids between commas.
var idsOf = regexp.MustCompile(`^[0-9]+(,[0-9]+)*$`)

// parseBias reads TEXT=X or ID,...=X.
func parseBias(text string) (b systemgemma.Bias, err error) {
	i := strings.LastIndexByte(text, '=')
	if i <= 0 {
		return b, fmt.Errorf("want TOKEN=NUMBER, found %q", text)
	}
	name, value := text[:i], text[i+1:]
	if b.Add, err = strconv.ParseFloat(value, 64); value == "never" {
		b.Add, err = math.Inf(-1), nil
	}
	if err != nil {
		return b, fmt.Errorf("want a number or never after =, found %q", text)
	}
	if !idsOf.MatchString(name) {
		b.Text, err = unquote(name)
		return b, err
	}
	for _, f := range strings.Split(name, ",") {
		id, err := strconv.ParseInt(f, 10, 32)
		if err != nil {
			return b, fmt.Errorf("want ids up to %d, found %q", math.MaxInt32, f)
		}
		b.IDs = append(b.IDs, int32(id))
	}
	return b, nil
}

// unused names the options that change nothing at temperature 0.
func (o *Samplers) unused() []string {
	var names []string
	for _, x := range []struct {
		name string
		used bool
	}{
		{"typical-p", o.TypicalP != nil}, {"epsilon-cutoff", o.EpsilonCutoff != nil}, {"eta-cutoff", o.EtaCutoff != nil}, {"top-h", o.TopH != nil},
		{"top-n-sigma", o.TopNSigma != nil}, {"xtc-probability", o.XTCProbability != nil}, {"min-keep", o.MinKeep != nil},
	} {
		if x.used {
			names = append(names, x.name)
		}
	}
	return names
}
