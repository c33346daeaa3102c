package checkpoint

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// GenerationRules are the settings of a generation_config.json that are lists, in its own form, in which GGUF metadata keeps them too.
type GenerationRules struct {
	BadWords      [][]int32      `json:"bad_words_ids,omitempty"`
	SequenceBias  []SequenceBias `json:"sequence_bias,omitempty"`
	Suppress      []int32        `json:"suppress_tokens,omitempty"`
	BeginSuppress []int32        `json:"begin_suppress_tokens,omitempty"`
	ForcedBOS     *int32         `json:"forced_bos_token_id,omitempty"`
	ForcedEOS     idOrIDs        `json:"forced_eos_token_id,omitempty"`
	Decay         *Decay         `json:"exponential_decay_length_penalty,omitempty"`
	Stop          textOrTexts    `json:"stop_strings,omitempty"`
	// Left are settings, each with its value, that mean another way to generate and are left to whoever asks.
	Left []string `json:"left,omitempty"`
}

// SequenceBias is [[ids...], bias].
type SequenceBias struct {
	IDs  []int32
	Bias float64
}

// Decay is [start, factor].
type Decay struct {
	Start  int
	Factor float64
}

// idOrIDs and textOrTexts are one or a list.
type (
	idOrIDs     []int32
	textOrTexts []string
)

const rulesKey = "systemgemma.generation.rules"

// MarshalJSON writes a pair.
func (b SequenceBias) MarshalJSON() ([]byte, error) { return json.Marshal([]any{b.IDs, b.Bias}) }

// UnmarshalJSON reads a pair.
func (b *SequenceBias) UnmarshalJSON(data []byte) error { return pair(data, &b.IDs, &b.Bias) }

// MarshalJSON writes a pair.
func (d Decay) MarshalJSON() ([]byte, error) { return json.Marshal([]any{d.Start, d.Factor}) }

// UnmarshalJSON reads a pair.
func (d *Decay) UnmarshalJSON(data []byte) error { return pair(data, &d.Start, &d.Factor) }

func pair(data []byte, a, b any) error {
	var list []json.RawMessage
	if err := json.Unmarshal(data, &list); err != nil || len(list) != 2 {
		return fmt.Errorf("want a list of two, found %.40s", data)
	}
	return errors.Join(json.Unmarshal(list[0], a), json.Unmarshal(list[1], b))
}

// UnmarshalJSON reads one or a list.
func (l *idOrIDs) UnmarshalJSON(data []byte) error { return oneOrList(data, (*[]int32)(l)) }

// UnmarshalJSON reads one or a list.
func (l *textOrTexts) UnmarshalJSON(data []byte) error { return oneOrList(data, (*[]string)(l)) }

func oneOrList[T any](data []byte, list *[]T) error {
	var one T
	if json.Unmarshal(data, &one) == nil && string(data) != "null" {
		*list = []T{one}
		return nil
	}
	return json.Unmarshal(data, list)
}

// rules reads the lists of a generation_config.json. maxPositions is the model's, 0 if that is not known.
func (g *Generation) rules(o object, maxPositions int) error {
	r := &g.Rules
	for key, dst := range map[string]any{
		"bad_words_ids": &r.BadWords, "sequence_bias": &r.SequenceBias, "suppress_tokens": &r.Suppress, "begin_suppress_tokens": &r.BeginSuppress,
		"forced_bos_token_id": &r.ForcedBOS, "forced_eos_token_id": &r.ForcedEOS, "exponential_decay_length_penalty": &r.Decay, "stop_strings": &r.Stop,
	} {
		raw, ok := o[key]
		if !ok || string(raw) == "null" {
			continue
		}
		if err := json.Unmarshal(raw, dst); err != nil {
			return fmt.Errorf("%s: want token ids in transformers' form, found %.40s", key, raw)
		}
	}
	r.Left = left(o, maxPositions)
	return r.check()
}

// check refuses what no list can have; a sampler, which knows the vocabulary, refuses the rest.
func (r *GenerationRules) check() error {
	ids := slices.Concat(slices.Concat(r.BadWords...), r.Suppress, r.BeginSuppress, r.ForcedEOS)
	for _, b := range r.SequenceBias {
		ids = append(ids, b.IDs...)
	}
	if i := slices.IndexFunc(ids, func(id int32) bool { return id < 0 }); i >= 0 {
		return fmt.Errorf("rules about tokens: want ids from 0, found %d", ids[i])
	}
	if slices.Contains(r.Stop, "") {
		return errors.New("stop_strings: want texts, found an empty one")
	}
	return nil
}

// neutral are settings for other ways to generate, by the values that change nothing.
var neutral = map[string][]string{
	"num_beams": {"1"}, "num_beam_groups": {"1"}, "diversity_penalty": {"0"}, "num_return_sequences": {"1"}, "penalty_alpha": {"0"}, "dola_layers": nil,
	"constraints": nil, "force_words_ids": nil, "guidance_scale": {"1"}, "watermarking_config": nil, "prompt_lookup_num_tokens": nil, "token_healing": {"false"},
	"min_length": {"0"}, "max_length": {"20"}, "encoder_no_repeat_ngram_size": {"0"}, "low_memory": {"false"},
}

// left names the settings in o that are not neutral.
func left(o object, maxPositions int) (list []string) {
	for _, key := range slices.Sorted(maps.Keys(neutral)) {
		raw := strings.TrimSpace(string(o[key]))
		if raw == "" || raw == "null" || slices.Contains(neutral[key], raw) {
			continue
		}
		x, err := strconv.ParseFloat(raw, 64)
		switch {
		case err == nil && slices.Contains(neutral[key], strconv.FormatFloat(x, 'g', -1, 64)): // 1.0
		case err == nil && key == "max_length" && maxPositions > 0 && x >= float64(maxPositions):
		default:
			list = append(list, fmt.Sprintf("%s %.60s", key, raw))
		}
	}
	return list
}

// empty says whether there is no rule.
func (r *GenerationRules) empty() bool {
	return len(r.BadWords)+len(r.SequenceBias)+len(r.Suppress)+len(r.BeginSuppress)+len(r.ForcedEOS)+len(r.Stop)+len(r.Left) == 0 && r.ForcedBOS == nil && r.Decay == nil
}

// text is r as metadata keeps it.
func (r *GenerationRules) text() string {
	b, err := json.Marshal(r)
	if err != nil {
		return "{}" // NaN, which no JSON gave
	}
	return string(b)
}

// parse reads what text wrote.
func (r *GenerationRules) parse(text string) error {
	if err := json.Unmarshal([]byte(text), r); err != nil {
		return fmt.Errorf("%s: want JSON in the form of a generation_config.json, found %.40q", rulesKey, text)
	}
	return r.check()
}
