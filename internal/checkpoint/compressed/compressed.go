// Package compressed owns the quantization_config of compressed-tensors, as vLLM and transformers read it: which of its schemes
// this program runs, how it describes its own, and what tensors hold such weights.
//
// One scheme is known: int8 weights, symmetric, with a scale per output channel, and activations rounded to int8 per token at run time
// (W8A8, format int-quantized). A matrix X.weight is then I8 [rows, columns] and X.weight_scale F32, F16 or BF16 [rows, 1].
//
// It must not know what a tensor is for, nor how a folder's files lie.
package compressed

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/systemgemma/systemgemma/internal/checkpoint/safetensors"
	"github.com/systemgemma/systemgemma/internal/compute/half"
)

const (
	// Method is the value of quant_method.
	Method = "compressed-tensors"
	// ScaleSuffix is what the name of a matrix' scales has more than that of its weights.
	ScaleSuffix = "_scale"

	format = "int-quantized"
	scheme = "this version runs int8 weights with a scale per output channel and int8 activations per token (W8A8, " + format + ")"
)

// arguments describe how weights or activations are rounded. Pointers tell an absent value, or null, from zero.
type arguments struct {
	NumBits        *int            `json:"num_bits"`
	Type           *string         `json:"type"`
	Symmetric      *bool           `json:"symmetric"`
	Strategy       *string         `json:"strategy"`
	GroupSize      *int            `json:"group_size"`
	BlockStructure json.RawMessage `json:"block_structure"`
	Dynamic        json.RawMessage `json:"dynamic"`
	ActOrder       json.RawMessage `json:"actorder"`
}

type group struct {
	Format            string          `json:"format"`
	Targets           []string        `json:"targets"`
	Weights           *arguments      `json:"weights"`
	InputActivations  *arguments      `json:"input_activations"`
	OutputActivations json.RawMessage `json:"output_activations"`
}

// maxGroups bounds the work of a hostile file; real ones have one to three.
const maxGroups = 64

// Check reports what of a quantization_config this program can't run. Keys that say how the file was made are left alone.
func Check(config []byte) error {
	var top map[string]json.RawMessage
	if err := json.Unmarshal(config, &top); err != nil {
		return err
	}
	for _, key := range slices.Sorted(keys(top)) {
		if err := checkKey(key, top[key]); err != nil {
			return err
		}
	}
	var groups map[string]*group
	if raw, ok := top["config_groups"]; ok {
		if err := json.Unmarshal(raw, &groups); err != nil {
			return fmt.Errorf("config_groups: want an object of groups: %w", err)
		}
	}
	if len(groups) == 0 || len(groups) > maxGroups {
		return fmt.Errorf("config_groups: want 1 to %d, found %d", maxGroups, len(groups))
	}
	for _, name := range slices.Sorted(keys(groups)) {
		if err := groups[name].check(); err != nil {
			return fmt.Errorf("config_groups.%.40s: %w; %s", name, err, scheme)
		}
	}
	return nil
}

func keys[V any](m map[string]V) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// checkKey refuses keys, and values of known ones, that would change results.
func checkKey(key string, raw json.RawMessage) error {
	text := string(raw)
	known := true
	switch key {
	case "quant_method", "config_groups", "ignore", "version", "global_compression_ratio", "run_compressed":
	case "format":
		known = text == `"`+format+`"` || text == "null"
	case "quantization_status":
		known = text == `"compressed"` || text == `"frozen"`
	case "kv_cache_scheme", "transform_config":
		known = empty(raw)
	case "sparsity_config":
		var s struct{ Format string }
		known = empty(raw) || json.Unmarshal(raw, &s) == nil && s.Format == "dense"
	default:
		known = empty(raw)
	}
	if !known {
		return fmt.Errorf("%.40s: found %.80s; %s", key, text, scheme)
	}
	return nil
}

func empty(raw json.RawMessage) bool {
	text := strings.Join(strings.Fields(string(raw)), "")
	return text == "null" || text == "{}" || text == "[]"
}

func (g *group) check() error {
	switch {
	case g == nil:
		return fmt.Errorf("want an object, found null")
	case g.Format != "" && g.Format != format:
		return fmt.Errorf("format: found %.40q", g.Format)
	case g.OutputActivations != nil && !empty(g.OutputActivations):
		return fmt.Errorf("output_activations: want none, found %.80s", g.OutputActivations)
	}
	if err := g.Weights.check("channel", "false"); err != nil {
		return fmt.Errorf("weights: %w", err)
	}
	if err := g.InputActivations.check("token", "true"); err != nil {
		return fmt.Errorf("input_activations: %w", err)
	}
	return nil
}

func (a *arguments) check(strategy, dynamic string) error {
	if a == nil {
		return fmt.Errorf("found none")
	}
	text := func(s *string) string {
		if s == nil {
			return "null"
		}
		return *s
	}
	found := string(a.Dynamic)
	if found == "" {
		found = "false"
	}
	switch {
	case a.NumBits == nil || *a.NumBits != 8:
		return fmt.Errorf("num_bits: want 8, found %s", number(a.NumBits))
	case text(a.Type) != "int":
		return fmt.Errorf("type: want int, found %.40s", text(a.Type))
	case a.Symmetric != nil && !*a.Symmetric:
		return fmt.Errorf("symmetric: want true, found false")
	case text(a.Strategy) != strategy:
		return fmt.Errorf("strategy: want %s, found %.40s", strategy, text(a.Strategy))
	case a.GroupSize != nil && *a.GroupSize != -1:
		return fmt.Errorf("group_size: want none, found %d", *a.GroupSize)
	case found != dynamic:
		return fmt.Errorf("dynamic: want %s, found %.40s", dynamic, found)
	case a.BlockStructure != nil && !empty(a.BlockStructure):
		return fmt.Errorf("block_structure: want none, found %.40s", a.BlockStructure)
	case a.ActOrder != nil && !empty(a.ActOrder) && string(a.ActOrder) != "false":
		return fmt.Errorf("actorder: want none, found %.40s", a.ActOrder)
	}
	return nil
}

func number(n *int) string {
	if n == nil {
		return "null"
	}
	return fmt.Sprint(*n)
}

// Config is the quantization_config of W8A8, with the modules that are left as they are.
func Config(ignore []string) map[string]any {
	arguments := func(dynamic bool, strategy string, observer any) map[string]any {
		return map[string]any{
			"num_bits": 8, "type": "int", "symmetric": true, "strategy": strategy, "dynamic": dynamic, "group_size": nil,
			"block_structure": nil, "actorder": nil, "observer": observer, "observer_kwargs": map[string]any{},
		}
	}
	return map[string]any{
		"quant_method": Method, "format": format, "quantization_status": "compressed", "ignore": ignore,
		"kv_cache_scheme": nil, "global_compression_ratio": nil,
		"config_groups": map[string]any{"group_0": map[string]any{
			"targets": []string{"Linear"}, "format": format, "output_activations": nil,
			"weights": arguments(false, "channel", "minmax"), "input_activations": arguments(true, "token", nil),
		}},
	}
}

// Scales decodes the scales of a matrix of int8 weights: one for each row, exact as float32.
func Scales(weight, scale safetensors.Tensor) ([]float32, error) {
	if weight.DType != safetensors.I8 || len(weight.Shape) != 2 {
		return nil, fmt.Errorf("tensor %.100s: want I8 with two dimensions, found %s %v", weight.Name, weight.DType, weight.Shape)
	}
	rows := weight.Shape[0]
	if !slices.Equal(scale.Shape, []int{rows, 1}) && !slices.Equal(scale.Shape, []int{rows}) {
		return nil, fmt.Errorf("tensor %.100s: want [%d 1] (a scale per row), found %v; %s", scale.Name, rows, scale.Shape, scheme)
	}
	list := make([]float32, rows)
	for r := range list {
		switch scale.DType {
		case safetensors.F32:
			list[r] = math.Float32frombits(binary.LittleEndian.Uint32(scale.Data[4*r:]))
		case safetensors.F16:
			list[r] = half.FromF16(binary.LittleEndian.Uint16(scale.Data[2*r:]))
		case safetensors.BF16:
			list[r] = half.FromBF16(binary.LittleEndian.Uint16(scale.Data[2*r:]))
		default:
			return nil, fmt.Errorf("tensor %.100s: want F32, F16 or BF16, found %s", scale.Name, scale.DType)
		}
		if !(list[r] >= 0 && list[r] <= math.MaxFloat32) {
			return nil, fmt.Errorf("tensor %.100s: row %d: want a number from 0, found %v", scale.Name, r, list[r])
		}
	}
	return list, nil
}
