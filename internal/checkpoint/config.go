package checkpoint

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/systemgemma/systemgemma/internal/arch"
)

const supported = "this version runs gemma2 (Gemma2ForCausalLM)"

// object is a JSON object whose keys are matched exactly (encoding/json would take "Hidden_Size" for a field too).
type object map[string]json.RawMessage

// field decodes the value of key into dst, and leaves dst alone when the key is absent. A null is refused like any other
// value of a wrong type, unless optional says that it means absent.
func (o object) field(key string, dst any, optional bool) error {
	raw, ok := o[key]
	if !ok || optional && string(raw) == "null" {
		return nil
	}
	if string(raw) == "null" {
		return fmt.Errorf("%s: want %s, found null", key, kindOf(dst))
	}
	if err := json.Unmarshal(raw, dst); err != nil {
		return fmt.Errorf("%s: want %s, found %.40s", key, kindOf(dst), raw)
	}
	return nil
}

func kindOf(dst any) string {
	switch dst.(type) {
	case *int, *int32:
		return "a whole number"
	case *float32, *float64:
		return "a number"
	case *string:
		return "a string"
	case *bool:
		return "true or false"
	case *object:
		return "an object"
	case *[]string:
		return "a list of strings"
	}
	return strings.TrimPrefix(fmt.Sprintf("%T", dst), "*")
}

// parseConfig reads a config.json, of 2024 or newer, into c.Config and returns its end ids. Absent keys have the defaults of
// the reference (Gemma2Config of transformers); keys that would change results and are not supported are refused.
func (c *Checkpoint) parseConfig(data []byte) ([]int32, error) {
	var o object
	if err := json.Unmarshal(data, &o); err != nil {
		return nil, err
	}
	if err := o.checkArchitecture(); err != nil {
		return nil, err
	}
	if err := errors.Join(o.checkUnsupported(), c.quantization(o)); err != nil {
		return nil, err
	}
	cfg := arch.Defaults()
	for _, f := range []struct {
		key string
		dst any
	}{
		{"vocab_size", &cfg.VocabSize}, {"hidden_size", &cfg.HiddenSize}, {"intermediate_size", &cfg.IntermediateSize},
		{"num_hidden_layers", &cfg.NumLayers}, {"num_attention_heads", &cfg.NumHeads}, {"num_key_value_heads", &cfg.NumKVHeads},
		{"head_dim", &cfg.HeadDim}, {"query_pre_attn_scalar", &cfg.QueryPreAttnScalar}, {"sliding_window", &cfg.SlidingWindow},
		{"rms_norm_eps", &cfg.RMSNormEps}, {"max_position_embeddings", &cfg.MaxPositions}, {"tie_word_embeddings", &cfg.TieEmbeddings},
	} {
		if err := o.field(f.key, f.dst, false); err != nil {
			return nil, err
		}
	}
	var err error
	if cfg.AttnSoftcap, err = o.softcap("attn_logit_softcapping", cfg.AttnSoftcap); err != nil {
		return nil, err
	}
	if cfg.FinalSoftcap, err = o.softcap("final_logit_softcapping", cfg.FinalSoftcap); err != nil {
		return nil, err
	}
	if err := o.rope(&cfg); err != nil {
		return nil, err
	}
	if err := o.layerTypes(&cfg); err != nil {
		return nil, err
	}
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	c.Config, c.HasConfig = cfg, true
	c.Metadata = o.metadata()
	return o.ids("eos_token_id")
}

func (o object) checkArchitecture() error {
	var model string
	var classes []string
	if err := errors.Join(o.field("model_type", &model, true), o.field("architectures", &classes, true)); err != nil {
		return err
	}
	if model == "gemma2" || model == "" && len(classes) == 1 && classes[0] == "Gemma2ForCausalLM" {
		return nil
	}
	return fmt.Errorf("%s, found model_type %.40q, architectures %.100q", supported, model, classes)
}

// checkUnsupported refuses keys that would change results. "sliding_window_size" is a copy in files of 2024.
func (o object) checkUnsupported() error {
	if raw, ok := o["rope_scaling"]; ok && string(raw) != "null" {
		return fmt.Errorf("rope_scaling: want none, found %.100s; %s", raw, supported)
	}
	for _, key := range []string{"attention_bias", "use_bidirectional_attention"} {
		var on bool
		if err := o.field(key, &on, true); err != nil {
			return err
		}
		if on {
			return fmt.Errorf("%s: want false, found true", key)
		}
	}
	activation := "gelu_pytorch_tanh" // hidden_act is ignored, as the reference does
	if err := o.field("hidden_activation", &activation, true); err != nil {
		return err
	}
	if activation != "gelu_pytorch_tanh" {
		return fmt.Errorf("hidden_activation: want gelu_pytorch_tanh, found %.40q", activation)
	}
	return nil
}

// softcap reads a cap: absent is the default, null is off. 0 would divide by zero.
func (o object) softcap(key string, absent float32) (float32, error) {
	limit := absent
	if string(o[key]) == "null" {
		return 0, nil
	}
	if err := o.field(key, &limit, false); err != nil {
		return 0, err
	}
	if limit == 0 {
		return 0, fmt.Errorf("%s: want a positive number, or null for none, found 0", key)
	}
	return limit, nil
}

// rope reads rope_theta, which newer files have inside rope_parameters.
func (o object) rope(cfg *arch.Config) error {
	if err := o.field("rope_theta", &cfg.RopeTheta, true); err != nil {
		return err
	}
	var p object
	if err := o.field("rope_parameters", &p, true); err != nil {
		return err
	}
	for key := range p {
		kind := "default"
		switch key {
		case "rope_theta":
			if err := p.field(key, &cfg.RopeTheta, false); err != nil {
				return fmt.Errorf("rope_parameters: %w", err)
			}
		case "rope_type", "type":
			if err := p.field(key, &kind, true); err != nil || kind != "default" {
				return fmt.Errorf(`rope_parameters: %s: want "default", found %.40s`, key, p[key])
			}
		default:
			return fmt.Errorf("rope_parameters: want rope_theta and rope_type only, found %.40q", key)
		}
	}
	return nil
}

// maxLayers bounds what a layer count may allocate before arch.Config.Validate has seen it; it is that limit too.
const maxLayers = 1 << 10

// layerTypes fills cfg.Global. Without layer_types, layers alternate.
func (o object) layerTypes(cfg *arch.Config) error {
	var types []string
	if err := o.field("layer_types", &types, true); err != nil {
		return err
	}
	if types == nil {
		if 0 < cfg.NumLayers && cfg.NumLayers <= maxLayers {
			cfg.AlternateLayers()
		}
		return nil
	}
	cfg.Global = make([]bool, len(types))
	for l, s := range types {
		switch s {
		case "full_attention":
			cfg.Global[l] = true
		case "sliding_attention":
		default:
			return fmt.Errorf("layer_types[%d]: want sliding_attention or full_attention, found %.40q", l, s)
		}
	}
	return nil
}

// ids reads a token id or a list of them; null and absent are none.
func (o object) ids(key string) ([]int32, error) {
	raw, ok := o[key]
	if !ok || string(raw) == "null" {
		return nil, nil
	}
	var one int32
	if json.Unmarshal(raw, &one) == nil {
		return []int32{one}, nil
	}
	var list []int32
	if err := json.Unmarshal(raw, &list); err != nil {
		return nil, fmt.Errorf("%s: want a token id or a list of them, found %.40s", key, raw)
	}
	return list, nil
}

// metadata picks what a person may want to know and no other field says.
func (o object) metadata() map[string]string {
	m := map[string]string{}
	for _, key := range []string{"_name_or_path", "dtype", "torch_dtype", "transformers_version"} {
		var s string
		if o.field(key, &s, true) == nil && s != "" { // of another type: nothing depends on it
			m[key] = s
		}
	}
	return m
}

// ParseConfig reads the hyperparameters of a config.json, and refuses what no checkpoint with it could run.
func ParseConfig(data []byte) (arch.Config, error) {
	var c Checkpoint
	if _, err := c.parseConfig(data); err != nil {
		return arch.Config{}, fmt.Errorf("config.json: %w", err)
	}
	return c.Config, nil
}
