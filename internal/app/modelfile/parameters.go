package modelfile

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/systemgemma/systemgemma"
)

// Parameters are what PARAMETER lines say, and the params layer of a registry's model, as far as it can be honoured. nil leaves it
// to the model.
type Parameters struct {
	Temperature      *float64 `json:"temperature,omitempty"`
	TopK             *int     `json:"top_k,omitempty"` // 0 or less is off
	TopP             *float64 `json:"top_p,omitempty"`
	MinP             *float64 `json:"min_p,omitempty"`
	TypicalP         *float64 `json:"typical_p,omitempty"`
	RepeatPenalty    *float64 `json:"repeat_penalty,omitempty"`
	RepeatLastN      *int     `json:"repeat_last_n,omitempty"` // 0: no penalties; -1: all tokens
	PresencePenalty  *float64 `json:"presence_penalty,omitempty"`
	FrequencyPenalty *float64 `json:"frequency_penalty,omitempty"`
	Mirostat         *int     `json:"mirostat,omitempty"`
	MirostatTau      *float64 `json:"mirostat_tau,omitempty"`
	MirostatEta      *float64 `json:"mirostat_eta,omitempty"`
	Seed             *int64   `json:"seed,omitempty"`
	NumPredict       *int     `json:"num_predict,omitempty"` // -1: no limit
	NumCtx           *int     `json:"num_ctx,omitempty"`     // tokens of prompt and answer
	Stop             []string `json:"stop,omitempty"`
}

// unsupported are parameters of Ollama that have no place here, with the reason.
var unsupported = map[string]string{
	"num_gpu": "layers are not split over devices", "main_gpu": "layers are not split over devices", "low_vram": "there is no video memory",
	"num_batch": "run has no such option; answers don't depend on it", "num_thread": "give run --threads", "num_keep": "give the context policy with the request",
	"use_mmap": "files are always mapped", "use_mlock": "memory is not locked", "numa": "not known here", "f16_kv": "give run --kv-type f16",
	"vocab_only": "not known here", "logits_all": "give run --prompt-logprobs", "tfs_z": "tail-free sampling is not known here",
	"penalize_newline": "not known here", "repeat_last": "not known here",
}

// fields are pointers to all fields by name.
func (p *Parameters) fields() map[string]any {
	return map[string]any{
		"temperature": &p.Temperature, "top_k": &p.TopK, "top_p": &p.TopP, "min_p": &p.MinP, "typical_p": &p.TypicalP,
		"repeat_penalty": &p.RepeatPenalty, "repeat_last_n": &p.RepeatLastN, "presence_penalty": &p.PresencePenalty,
		"frequency_penalty": &p.FrequencyPenalty, "mirostat": &p.Mirostat, "mirostat_tau": &p.MirostatTau, "mirostat_eta": &p.MirostatEta,
		"seed": &p.Seed, "num_predict": &p.NumPredict, "num_ctx": &p.NumCtx, "stop": &p.Stop,
	}
}

// maxStops bounds the stop texts.
const maxStops = 1000

// Set takes one parameter by its text. stop may be set several times; of others the last counts, as in Ollama.
func (p *Parameters) Set(name, value string) error {
	field, ok := p.fields()[name]
	if !ok {
		if why, known := unsupported[name]; known {
			return fmt.Errorf("%s can't be honoured here (%s); remove the line", name, why)
		}
		return fmt.Errorf("%.60q is not known; want one of %s", name, strings.Join(slices.Sorted(maps.Keys(p.fields())), ", "))
	}
	was := *p
	switch f := field.(type) {
	case **float64:
		x, err := strconv.ParseFloat(value, 64)
		if err != nil || math.IsInf(x, 0) || math.IsNaN(x) {
			return fmt.Errorf("%s: want a number, found %.60q", name, value)
		}
		*f = &x
	case **int:
		x, err := strconv.ParseInt(value, 10, 32)
		if err != nil {
			return fmt.Errorf("%s: want a whole number, found %.60q", name, value)
		}
		n := int(x)
		*f = &n
	case **int64:
		x, err := strconv.ParseInt(value, 10, 64)
		if err != nil {
			return fmt.Errorf("%s: want a whole number, found %.60q", name, value)
		}
		*f = &x
	case *[]string:
		if value == "" || len(*f) >= maxStops {
			return fmt.Errorf("%s: want a text, at most %d times", name, maxStops)
		}
		*f = append(*f, value)
	}
	if err := p.check(); err != nil {
		*p = was
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// check reports a value out of range.
func (p *Parameters) check() error {
	switch {
	case p.NumCtx != nil && (*p.NumCtx < 1 || *p.NumCtx > 1<<24):
		return fmt.Errorf("want 1 or more tokens, found %d", *p.NumCtx)
	case p.NumPredict != nil && (*p.NumPredict < -1 || *p.NumPredict == 0):
		return fmt.Errorf("want 1 or more tokens, or -1 for no limit, found %d", *p.NumPredict)
	case p.RepeatLastN != nil && *p.RepeatLastN < -1:
		return fmt.Errorf("want 0 (off), -1 (all) or more, found %d", *p.RepeatLastN)
	case p.Seed != nil && *p.Seed < 0:
		return fmt.Errorf("want 0 (drawn) or more, found %d", *p.Seed)
	}
	s := p.Sampling(systemgemma.Sampling{Temperature: 1})
	return s.Validate()
}

// Sampling is a model's own sampling with what the parameters say otherwise.
func (p *Parameters) Sampling(s systemgemma.Sampling) systemgemma.Sampling {
	for _, x := range []struct{ to, from *float64 }{
		{&s.Temperature, p.Temperature}, {&s.TopP, p.TopP}, {&s.MinP, p.MinP}, {&s.TypicalP, p.TypicalP}, {&s.RepetitionPenalty, p.RepeatPenalty},
		{&s.PresencePenalty, p.PresencePenalty}, {&s.FrequencyPenalty, p.FrequencyPenalty}, {&s.MirostatTau, p.MirostatTau}, {&s.MirostatEta, p.MirostatEta},
	} {
		if x.from != nil {
			*x.to = *x.from
		}
	}
	if p.TopK != nil {
		s.TopK = max(*p.TopK, 0)
	}
	if p.Mirostat != nil {
		s.Mirostat = *p.Mirostat
	}
	if p.Seed != nil {
		s.Seed = uint64(*p.Seed)
	}
	switch n := p.RepeatLastN; {
	case n == nil:
	case *n == 0:
		s.RepetitionPenalty, s.PresencePenalty, s.FrequencyPenalty = 0, 0, 0
	default:
		s.PenaltyWindow = max(*n, 0)
	}
	return s
}

// MaxTokens is the longest answer, 0 for no limit.
func (p *Parameters) MaxTokens() int {
	if p.NumPredict == nil {
		return 0
	}
	return max(*p.NumPredict, 0)
}

// ContextLength is how many tokens prompt and answer may have together, 0 for what the model was trained for.
func (p *Parameters) ContextLength() int {
	if p.NumCtx == nil {
		return 0
	}
	return *p.NumCtx
}

// List are the parameters that are set, name and value, by name.
func (p *Parameters) List() (list [][2]string) {
	fields := p.fields()
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		switch f := fields[name].(type) {
		case **float64:
			if *f != nil {
				list = append(list, [2]string{name, strconv.FormatFloat(**f, 'g', -1, 64)})
			}
		case **int:
			if *f != nil {
				list = append(list, [2]string{name, strconv.Itoa(**f)})
			}
		case **int64:
			if *f != nil {
				list = append(list, [2]string{name, strconv.FormatInt(**f, 10)})
			}
		case *[]string:
			for _, s := range *f {
				list = append(list, [2]string{name, s})
			}
		}
	}
	return list
}

// IsZero tells whether nothing is set.
func (p *Parameters) IsZero() bool { return len(p.List()) == 0 }

// FromLayer reads the params layer of a registry's model: a JSON object. ignored names what can't be honoured here: its publisher can't
// be asked to remove it, so its user is told.
func FromLayer(text string) (p Parameters, ignored []string, err error) {
	d := json.NewDecoder(bytes.NewReader([]byte(text)))
	d.UseNumber()
	var values map[string]any
	if err := d.Decode(&values); err != nil {
		return p, nil, fmt.Errorf("params layer: want a JSON object: %w", err)
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		list, many := values[name].([]any)
		if !many {
			list = []any{values[name]}
		}
		for _, v := range list {
			var s string
			switch v := v.(type) {
			case string:
				s = v
			case json.Number:
				s = v.String()
			case bool:
				s = strconv.FormatBool(v)
			default:
				return p, nil, fmt.Errorf("params layer: %.60q: want a text, a number or a list of them", name)
			}
			if _, known := p.fields()[name]; !known {
				ignored = append(ignored, name)
				break
			}
			if err := p.Set(name, s); err != nil {
				return p, nil, fmt.Errorf("params layer: %w", err)
			}
		}
	}
	return p, ignored, nil
}
