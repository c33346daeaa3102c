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
	return nil
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
	return list
}
