package checkpoint

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/systemgemma/systemgemma/internal/arch"
	"github.com/systemgemma/systemgemma/internal/testkit/golden"
	"github.com/systemgemma/systemgemma/internal/testkit/memory"
)

// edit replaces the first old in tinyJSON, which must be there.
func edit(t testing.TB, old, new string) []byte {
	t.Helper()
	if !strings.Contains(tinyJSON, old) {
		t.Fatalf("tinyJSON has no %q", old)
	}
	return []byte(strings.Replace(tinyJSON, old, new, 1))
}

func TestParseConfig(t *testing.T) {
	for name, c := range map[string]struct {
		data []byte
		want func(*arch.Config)
		eos  []int32
	}{
		"new style":  {[]byte(tinyJSON), func(*arch.Config) {}, nil},
		"old rope":   {edit(t, `"rope_parameters": {"rope_type": "default", "rope_theta": 10000.1}`, `"rope_theta": 500`), func(c *arch.Config) { c.RopeTheta = 500 }, nil},
		"both ropes": {edit(t, `"rope_parameters"`, `"rope_theta": 500, "rope_parameters"`), func(*arch.Config) {}, nil},
		"null rope":  {edit(t, `{"rope_type": "default", "rope_theta": 10000.1}`, `null`), func(c *arch.Config) { c.RopeTheta = 10000 }, nil},
		"no layer types": {edit(t, `"layer_types": ["full_attention", "sliding_attention"]`, `"layer_types": null`),
			func(c *arch.Config) { c.Global = []bool{false, true} }, nil},
		"caps":          {edit(t, `"attn_logit_softcapping": null`, `"attn_logit_softcapping": 7.5`), func(c *arch.Config) { c.AttnSoftcap = 7.5 }, nil},
		"absent cap":    {edit(t, `"attn_logit_softcapping": null, `, ``), func(c *arch.Config) { c.AttnSoftcap = 50 }, nil},
		"absent head":   {edit(t, `"head_dim": 6,`, ``), func(c *arch.Config) { c.HeadDim = 256 }, nil},
		"absent scalar": {edit(t, `"query_pre_attn_scalar": 0.3333333333333333, `, ``), func(c *arch.Config) { c.QueryPreAttnScalar = 256 }, nil},
		"absent window": {edit(t, `"sliding_window": 5,`, ``), func(c *arch.Config) { c.SlidingWindow = 4096 }, nil},
		"class only":    {edit(t, `"model_type": "gemma2", `, ``), func(*arch.Config) {}, nil},
		"one end id":    {edit(t, `"dtype"`, `"eos_token_id": 1, "dtype"`), func(*arch.Config) {}, []int32{1}},
		"end ids":       {edit(t, `"dtype"`, `"eos_token_id": [1, 107], "dtype"`), func(*arch.Config) {}, []int32{1, 107}},
		"harmless": {edit(t, `"dtype"`, `"rope_scaling": null, "attention_bias": false, "hidden_activation": null, "sliding_window_size": 5, "Head_Dim": 8, "dtype"`),
			func(*arch.Config) {}, nil},
	} {
		want := tinyConfig()
		c.want(&want)
		var got Checkpoint
		eos, err := got.parseConfig(c.data)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if diff := cmp.Diff(want, got.Config) + cmp.Diff(c.eos, eos); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestParseConfigRefuses(t *testing.T) {
	for _, c := range []struct{ old, new, want string }{
		{`"vocab_size": 19`, `"vocab_size": "19"`, `vocab_size: want a whole number, found "19"`},
		{`"vocab_size": 19`, `"vocab_size": 19.5`, `vocab_size: want a whole number, found 19.5`},
		{`"vocab_size": 19`, `"vocab_size": 1e30`, `vocab_size: want a whole number, found 1e30`},
		{`"vocab_size": 19`, `"vocab_size": null`, `vocab_size: want a whole number, found null`},
		{`"vocab_size": 19`, `"vocab_size": 0`, `vocab_size: want 1 to`},
		{`"num_hidden_layers": 2`, `"num_hidden_layers": 3`, `layer_types: want one for each of 3 layers, found 2`},
		{`"num_hidden_layers": 2`, `"num_hidden_layers": 9000000000000000000`, `num_hidden_layers: want 1 to 1024`},
		{`"num_hidden_layers": 2, `, `"num_hidden_layers": 9000000000000000000, "layer_types": null, `, `num_hidden_layers: want 1 to 1024`},
		{`"sliding_attention"`, `"chunked_attention"`, `layer_types[1]: want sliding_attention or full_attention, found "chunked_attention"`},
		{`["full_attention", "sliding_attention"]`, `"full_attention"`, `layer_types: want a list of strings`},
		{`"rope_type": "default"`, `"rope_type": "linear", "factor": 2`, `rope_parameters: `},
		{`"rope_theta": 10000.1`, `"rope_theta": null`, `rope_parameters: rope_theta: want a number, found null`},
		{`"rope_theta": 10000.1`, `"rope_theta": 0`, `rope_theta: want a number of at least 1`},
		{`{"rope_type": "default", "rope_theta": 10000.1}`, `7`, `rope_parameters: want an object, found 7`},
		{`"dtype"`, `"rope_scaling": {"type": "linear"}, "dtype"`, `rope_scaling: want none`},
		{`"dtype"`, `"quantization_config": {"quant_method": "gptq"}, "dtype"`, `quantization_config: want none or quant_method compressed-tensors, found {"quant_method": "gptq"}`},
		{`"dtype"`, `"attention_bias": true, "dtype"`, `attention_bias: want false`},
		{`"dtype"`, `"use_bidirectional_attention": true, "dtype"`, `use_bidirectional_attention: want false`},
		{`"dtype"`, `"hidden_activation": "gelu", "dtype"`, `hidden_activation: want gelu_pytorch_tanh, found "gelu"`},
		{`30.0`, `0`, `final_logit_softcapping: want a positive number, or null for none`},
		{`30.0`, `-1`, `final_logit_softcapping: want a positive number`},
		{`1e-05`, `1e-80`, `rms_norm_eps: want a positive number`},
		{`"tie_word_embeddings": true`, `"tie_word_embeddings": 1`, `tie_word_embeddings: want true or false, found 1`},
		{`"model_type": "gemma2"`, `"model_type": "gemma3"`, `found model_type "gemma3"`},
		{`"model_type": "gemma2", "architectures": ["Gemma2ForCausalLM"]`, `"architectures": ["Gemma2Model"]`, `architectures ["Gemma2Model"]`},
		{`"dtype"`, `"eos_token_id": 1.5, "dtype"`, `eos_token_id: want a token id or a list`},
	} {
		data := edit(t, c.old, c.new)
		if strings.HasPrefix(c.new, `"num_hidden_layers": 9000000000000000000, `) {
			data = []byte(strings.Replace(string(data), `"layer_types": ["full`, `"x": ["full`, 1))
		}
		if _, err := new(Checkpoint).parseConfig(data); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: err = %v, want one with %q", c.new, err, c.want)
		}
	}
}

// Any bytes give a config or an error: no panic, and no more memory than 64 bytes per byte of input plus 8 MiB.
func FuzzParseConfig(f *testing.F) {
	f.Add([]byte(tinyJSON))
	paths, err := filepath.Glob("testdata/models/*/*config.json")
	if err != nil || len(paths) == 0 {
		f.Fatalf("%d seeds, err = %v", len(paths), err)
	}
	for _, path := range paths {
		f.Add(golden.Read(f, path))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var c Checkpoint
		used := memory.Allocated(func() {
			if _, err := c.parseConfig(data); err == nil {
				if err := c.Config.Validate(); err != nil {
					t.Errorf("accepted, but: %v", err)
				}
				specs(&c.Config)
			}
			_, _ = c.parseGeneration(data) // any error is right, a panic is not
			_, _ = parseIndex(data)
		})
		if limit := uint64(64*len(data) + 8<<20); used > limit {
			t.Fatalf("parsing %d bytes allocated %d bytes, limit %d", len(data), used, limit)
		}
	})
}
