package checkpoint

import (
	"encoding/json"
	"fmt"
	"math"

	"github.com/systemgemma/systemgemma/internal/checkpoint/gguf"
)

// Generation holds the sampling defaults that a source comes with. nil: the source does not say.
type Generation struct {
	DoSample                                   *bool // false: greedy, whatever the rest says
	Temperature, TopP, MinP, RepetitionPenalty *float32
	TopK, MaxNewTokens                         *int

	TypicalP, EpsilonCutoff, EtaCutoff, TopH, EncoderRepetitionPenalty *float32
	MaxTime                                                            *float32 // seconds
	NoRepeatNgram, MinNewTokens                                        *int

	Rules GenerationRules
}

// setting is one field of Generation, under its name in generation_config.json and in GGUF metadata.
type setting struct {
	hf, gguf string
	b        **bool
	f        **float32
	n        **int
}

func (g *Generation) settings() []setting {
	return []setting{
		{hf: "do_sample", gguf: "systemgemma.generation.do_sample", b: &g.DoSample},
		{hf: "temperature", gguf: "general.sampling.temp", f: &g.Temperature},
		{hf: "top_k", gguf: "general.sampling.top_k", n: &g.TopK},
		{hf: "top_p", gguf: "general.sampling.top_p", f: &g.TopP},
		{hf: "min_p", gguf: "general.sampling.min_p", f: &g.MinP},
		{hf: "repetition_penalty", gguf: "general.sampling.penalty_repeat", f: &g.RepetitionPenalty},
		{hf: "typical_p", gguf: "systemgemma.generation.typical_p", f: &g.TypicalP},
		{hf: "epsilon_cutoff", gguf: "systemgemma.generation.epsilon_cutoff", f: &g.EpsilonCutoff},
		{hf: "eta_cutoff", gguf: "systemgemma.generation.eta_cutoff", f: &g.EtaCutoff},
		{hf: "top_h", gguf: "systemgemma.generation.top_h", f: &g.TopH},
		{hf: "encoder_repetition_penalty", gguf: "systemgemma.generation.encoder_repetition_penalty", f: &g.EncoderRepetitionPenalty},
		{hf: "no_repeat_ngram_size", gguf: "systemgemma.generation.no_repeat_ngram_size", n: &g.NoRepeatNgram},
		{hf: "min_new_tokens", gguf: "systemgemma.generation.min_new_tokens", n: &g.MinNewTokens},
		{hf: "max_time", gguf: "systemgemma.generation.max_time", f: &g.MaxTime},
		{hf: "max_new_tokens", gguf: "systemgemma.generation.max_new_tokens", n: &g.MaxNewTokens},
	}
}

// parseGeneration reads a generation_config.json into c.Generation and returns its end ids.
func (c *Checkpoint) parseGeneration(data []byte) ([]int32, error) {
	var o object
	if err := json.Unmarshal(data, &o); err != nil {
		return nil, err
	}
	for _, s := range c.Generation.settings() {
		if raw, ok := o[s.hf]; !ok || string(raw) == "null" {
			continue
		}
		var err error
		switch {
		case s.b != nil:
			*s.b = new(bool)
			err = o.field(s.hf, *s.b, false)
		case s.f != nil:
			*s.f = new(float32)
			err = o.field(s.hf, *s.f, false)
		default:
			*s.n = new(int)
			err = o.field(s.hf, *s.n, false)
		}
		if err == nil {
			err = s.check(s.hf)
		}
		if err != nil {
			return nil, err
		}
	}
	if err := c.Generation.rules(o, c.Config.MaxPositions); err != nil {
		return nil, err
	}
	return o.ids("eos_token_id")
}

// readGeneration reads the same from GGUF metadata.
func (c *Checkpoint) readGeneration(f *gguf.File) error {
	for _, s := range c.Generation.settings() {
		v, ok := f.Lookup(s.gguf)
		if !ok {
			continue
		}
		var err error
		switch {
		case s.b != nil:
			*s.b = new(bool)
			**s.b, err = v.Bool()
		case s.f != nil:
			*s.f = new(float32)
			var x float64
			x, err = v.Float()
			**s.f = float32(x)
		default:
			*s.n = new(int)
			**s.n, err = v.Int()
		}
		if err == nil {
			err = s.check(s.gguf)
		}
		if err != nil {
			return err
		}
	}
	v, ok := f.Lookup(rulesKey)
	if !ok {
		return nil
	}
	text, err := v.Text()
	if err != nil {
		return fmt.Errorf("%s: %w", rulesKey, err)
	}
	return c.Generation.Rules.parse(text)
}

// check refuses numbers that no setting can have; a sampler knows the rest.
func (s setting) check(key string) error {
	switch {
	case s.f != nil && !(**s.f >= 0 && **s.f <= math.MaxFloat32):
		return fmt.Errorf("%s: want a number from 0, found %v", key, **s.f)
	case s.n != nil && (**s.n < 0 || **s.n > math.MaxInt32):
		return fmt.Errorf("%s: want 0 to %d, found %d", key, math.MaxInt32, **s.n)
	}
	return nil
}

// entries is g as GGUF metadata.
func (g Generation) entries() (list []gguf.Entry) {
	for _, s := range g.settings() {
		switch {
		case s.b != nil && *s.b != nil:
			list = append(list, gguf.Entry{Key: s.gguf, Value: **s.b})
		case s.f != nil && *s.f != nil:
			list = append(list, gguf.Entry{Key: s.gguf, Value: **s.f})
		case s.n != nil && *s.n != nil:
			list = append(list, gguf.Entry{Key: s.gguf, Value: int32(**s.n)})
		}
	}
	if !g.Rules.empty() {
		list = append(list, gguf.Entry{Key: rulesKey, Value: g.Rules.text()})
	}
	return list
}
