package peft

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"slices"
	"strings"
)

// config is what an adapter_config.json says that changes a result.
type config struct {
	rank    int
	alpha   float64
	rslora  bool
	dora    bool
	ranks   []pattern // rank_pattern and alpha_pattern: the first key that matches counts
	alphas  []pattern
	target  matcher
	exclude matcher
	layers  []int // layers_to_transform; nil: all
	within  []*regexp.Regexp
	save    []string // modules_to_save
	tied    bool     // ensure_weight_tying
	base    string
	notes   []string
}

// pattern is one entry of rank_pattern or alpha_pattern.
type pattern struct {
	re    *regexp.Regexp
	value float64
}

// harmless are keys that say how an adapter was made, or where, and change nothing of what it computes.
var harmless = []string{
	"auto_mapping", "revision", "inference_mode", "lora_dropout", "loftq_config", "eva_config", "corda_config", "lora_ga_config",
	"megatron_core", "peft_version", "qalora_group_size",
}

// plainInit are the values of init_lora_weights that leave the base model as it is. Others (pissa, olora, loftq, corda, lora_ga)
// train against a changed base, which the file does not hold.
var plainInit = []string{"true", "false", "null", `"gaussian"`, `"eva"`, `"orthogonal"`}

// parseConfig reads an adapter_config.json. A key that it does not know, or can't honour, is refused unless its value says
// "nothing": null, false, or empty.
func parseConfig(data []byte) (*config, error) {
	list, err := fields(data)
	if err != nil {
		return nil, err
	}
	c := &config{rank: 8, alpha: 8} // the defaults of LoraConfig
	kind, pattern := "", []string(nil)
	known := map[string]any{
		"peft_type": &kind, "r": &c.rank, "lora_alpha": &c.alpha, "use_rslora": &c.rslora, "use_dora": &c.dora,
		"ensure_weight_tying": &c.tied, "base_model_name_or_path": &c.base, "modules_to_save": &c.save,
	}
	for _, f := range list {
		if f.key == "peft_type" { // first, since another method has other keys
			if err := json.Unmarshal(f.value, &kind); err != nil || !strings.EqualFold(kind, "LORA") {
				return nil, fmt.Errorf("peft_type: want LORA, found %.40s; other PEFT methods are not read", f.value)
			}
		}
	}
	if kind == "" {
		return nil, errors.New("peft_type: missing; want LORA")
	}
	for _, f := range list {
		if err := c.set(f, known, &pattern); err != nil {
			return nil, fmt.Errorf("%.60s: %w", f.key, err)
		}
	}
	if c.rank < 1 || c.rank > maxRank {
		return nil, fmt.Errorf("r: want 1 to %d, found %d", maxRank, c.rank)
	}
	if err := c.compileWithin(pattern); err != nil {
		return nil, fmt.Errorf("layers_pattern: %w", err)
	}
	return c, nil
}

// maxRank bounds every rank. Ranks in use are 1 to 1024.
const maxRank = 1 << 14

// set takes one key.
func (c *config) set(f field, known map[string]any, within *[]string) (err error) {
	if dst, ok := known[f.key]; ok {
		if err := json.Unmarshal(f.value, dst); err != nil {
			return fmt.Errorf("want %s, found %.40s", strings.TrimPrefix(fmt.Sprintf("%T", dst), "*"), f.value)
		}
		return nil
	}
	switch f.key {
	case "rank_pattern":
		c.ranks, err = patterns(f.value)
		for _, p := range c.ranks {
			if err == nil && (p.value != math.Trunc(p.value) || p.value < 1 || p.value > maxRank) {
				err = fmt.Errorf("want ranks of 1 to %d, found %g", maxRank, p.value)
			}
		}
	case "alpha_pattern":
		c.alphas, err = patterns(f.value)
	case "target_modules":
		c.target, err = c.matcher(f)
	case "exclude_modules":
		c.exclude, err = c.matcher(f)
	case "layers_to_transform":
		c.layers, err = oneOrMore[int](f.value)
	case "layers_pattern":
		*within, err = oneOrMore[string](f.value)
	case "bias":
		if s := string(f.value); s != `"none"` && s != `"all"` && s != `"lora_only"` {
			err = fmt.Errorf("want none, all or lora_only (Gemma 2 has no biases), found %.40s", s)
		}
	case "task_type":
		if s := string(f.value); s != `"CAUSAL_LM"` && s != "null" {
			err = fmt.Errorf("want CAUSAL_LM, found %.40s", s)
		}
	case "init_lora_weights":
		if !slices.Contains(plainInit, string(f.value)) {
			err = fmt.Errorf("want an adapter of the unchanged base model, found %.40s; save it converted (PEFT: path_initial_model_for_weight_conversion), or merge it with PEFT", f.value)
		}
	default:
		if !slices.Contains(harmless, f.key) && !slices.Contains([]string{"null", "false", "{}", "[]"}, string(f.value)) {
			err = fmt.Errorf("this version can't honour it; want null, found %.60s; merge the adapter with PEFT instead", f.value)
		}
	}
	return err
}

// field is one key of a JSON object.
type field struct {
	key   string
	value json.RawMessage // without blanks
}

// fields reads a JSON object in the order of the file, which decides between patterns. A key that is there twice is refused.
func fields(data []byte) (list []field, err error) {
	d := json.NewDecoder(bytes.NewReader(data))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, errors.New("want a JSON object")
	}
	seen := map[string]bool{}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return nil, err
		}
		f := field{key: t.(string)}
		if seen[f.key] {
			return nil, fmt.Errorf("%.60s: found twice", f.key)
		}
		seen[f.key] = true
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			return nil, fmt.Errorf("%.60s: %w", f.key, err)
		}
		var b bytes.Buffer
		if err := json.Compact(&b, raw); err != nil {
			return nil, fmt.Errorf("%.60s: %w", f.key, err)
		}
		f.value = b.Bytes()
		list = append(list, f)
	}
	if _, err := d.Token(); err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("want nothing after the JSON object, found more")
	}
	return list, nil
}

// oneOrMore reads a T, an array of T, or null.
func oneOrMore[T any](data json.RawMessage) (list []T, err error) {
	if len(data) > 0 && data[0] != '[' && string(data) != "null" {
		data = slices.Concat([]byte{'['}, data, []byte{']'})
	}
	if err := json.Unmarshal(data, &list); err != nil {
		return nil, fmt.Errorf("want %T or one of its elements, found %.40s", list, data)
	}
	return list, nil
}

// patterns reads rank_pattern or alpha_pattern. A key K is the regular expression (.*\.)?(K)$ of the module's whole name.
func patterns(data json.RawMessage) (list []pattern, err error) {
	if string(data) == "null" {
		return nil, nil
	}
	entries, err := fields(data)
	if err != nil {
		return nil, err
	}
	for _, f := range entries {
		p := pattern{}
		if p.re, err = regexp.Compile(`^(?:.*\.)?(?:` + f.key + `)$`); err != nil {
			return nil, fmt.Errorf("%.60q: this regular expression can't be read: %w", f.key, err)
		}
		if err := json.Unmarshal(f.value, &p.value); err != nil {
			return nil, fmt.Errorf("%.60q: want a number, found %.40s", f.key, f.value)
		}
		list = append(list, p)
	}
	return list, nil
}

// lookUp is the value of the first pattern that matches module.
func lookUp(list []pattern, module string, otherwise float64) float64 {
	for _, p := range list {
		if p.re.MatchString(module) {
			return p.value
		}
	}
	return otherwise
}

// rankOf and scaleOf are what holds for a module.
func (c *config) rankOf(module string) int {
	return int(lookUp(c.ranks, module, float64(c.rank)))
}

func (c *config) scaleOf(module string) float32 {
	r, alpha := float64(c.rankOf(module)), lookUp(c.alphas, module, c.alpha)
	if c.rslora {
		return float32(alpha / math.Sqrt(r))
	}
	return float32(alpha / r)
}
