package peft

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/systemgemma/systemgemma/internal/arch"
	"github.com/systemgemma/systemgemma/internal/checkpoint"
	"github.com/systemgemma/systemgemma/internal/checkpoint/gguf"
	"github.com/systemgemma/systemgemma/internal/checkpoint/safetensors"
	"github.com/systemgemma/systemgemma/internal/compute/kernel"
)

// Names of the two modules that can share their weights: PEFT's, and the parameters'.
const (
	embedModule = "model.embed_tokens"
	headModule  = "lm_head"
	embedName   = "token_embd.weight"
	headName    = "output.weight"
)

// prefix begins every tensor of a PEFT folder.
const prefix = "base_model.model."

// part is what a tensor is to its module.
type part int

const (
	whole    part = iota // a replacement
	lowA                 // [rank][inputs]
	lowB                 // [outputs][rank]
	embedA               // [rank][vocabulary]
	embedB               // [hidden][rank]
	lengths              // DoRA's magnitudes
	baseCopy             // the base's own weights
)

// suffixes tell the parts. Longer ones come before those that they end in.
var suffixes = []struct {
	text string
	part part
}{
	{".lora_A.weight", lowA}, {".lora_B.weight", lowB}, {".lora_embedding_A", embedA}, {".lora_embedding_B", embedB},
	{".lora_magnitude_vector.weight", lengths}, {".lora_magnitude_vector", lengths}, {".base_layer.weight", baseCopy}, {".weight", whole},
}

var types = map[safetensors.DType]gguf.Type{safetensors.F32: gguf.F32, safetensors.F16: gguf.F16, safetensors.BF16: gguf.BF16}

// readPEFT gives each tensor to its module, and each module to its parameter.
func (a *Adapter) readPEFT(cfg *config, data []byte, c *arch.Config) error {
	f, err := safetensors.Parse(data)
	if err != nil {
		return fmt.Errorf("%s: %w", weightsFile, err)
	}
	a.Base, a.Notes = cfg.base, cfg.notes
	params := map[string]checkpoint.Parameter{}
	for _, p := range checkpoint.Parameters(c) {
		params[strings.TrimSuffix(p.HF, ".weight")] = p
	}
	parts := map[string]map[part]checkpoint.Tensor{}
	for _, t := range f.Tensors {
		module, p, err := place(t.Name)
		if err == nil {
			if _, ok := params[module]; !ok {
				err = unknown(module, c.NumLayers)
			}
		}
		if _, twice := parts[module][p]; err == nil && twice {
			err = errors.New("found twice, under two names")
		}
		typ, ok := types[t.DType]
		if err == nil && !ok {
			err = fmt.Errorf("want F32, F16 or BF16, found %s", t.DType)
		}
		if err != nil {
			return fmt.Errorf("tensor %.120s: %w", t.Name, err)
		}
		if parts[module] == nil {
			parts[module] = map[part]checkpoint.Tensor{}
		}
		parts[module][p] = checkpoint.Tensor{Name: t.Name, Type: typ, Shape: t.Shape, Data: t.Data}
	}
	for _, module := range slices.Sorted(maps.Keys(parts)) {
		if err := a.bind(cfg, module, params[module], parts[module]); err != nil {
			return err
		}
	}
	if err := a.tie(cfg); err != nil {
		return err
	}
	if err := a.complete(cfg, params); err != nil {
		return err
	}
	return a.finish()
}

// place splits a tensor's name.
func place(name string) (module string, p part, err error) {
	rest, ok := strings.CutPrefix(name, prefix)
	if !ok {
		return "", 0, fmt.Errorf("want a name that begins with %s", prefix)
	}
	for _, s := range suffixes {
		if module, ok := strings.CutSuffix(rest, s.text); ok {
			return module, s.part, nil
		}
	}
	return "", 0, errors.New("no part of a LoRA adapter that this version can apply; merge it with PEFT instead")
}

// unknown explains a module that the base model lacks.
func unknown(module string, layers int) error {
	var l int
	if n, _ := fmt.Sscanf(module, "model.layers.%d.", &l); n == 1 && l >= layers {
		return fmt.Errorf("layer %d, but the base model has %d (0 to %d); the adapter was made for another model", l, layers, layers-1)
	}
	return fmt.Errorf("module %.80s: no part of a Gemma 2 model with %d layers", module, layers)
}

// bind makes the module that changes parameter p.
func (a *Adapter) bind(cfg *config, module string, p checkpoint.Parameter, parts map[part]checkpoint.Tensor) error {
	m := &Module{Name: p.Name, Rows: 1, Cols: p.Shape[len(p.Shape)-1]}
	if len(p.Shape) == 2 {
		m.Rows = p.Shape[0]
	}
	t, replaced := parts[whole]
	if replaced && !cfg.saves(module) && !(module == headModule && cfg.tied && cfg.saves(embedModule)) {
		if module != embedModule && module != headModule {
			return fmt.Errorf("tensor %s: modules_to_save of %s does not name it", t.Name, configFile)
		}
		parts[baseCopy], replaced = t, false // PEFT stores a copy of the base's embedding beside some adapters
	}
	if t, ok := parts[baseCopy]; ok {
		if err := wantShape(t, p.Shape...); err != nil {
			return err
		}
		name := p.Name
		if name == headName && a.tied {
			name = embedName
		}
		a.copies[name] = t
		a.Notes = append(a.Notes, fmt.Sprintf("tensor %s: a copy of the base model's weights, compared with them and left out", t.Name))
	}
	delete(parts, baseCopy)
	delete(parts, whole)
	switch {
	case replaced && len(parts) > 0:
		return fmt.Errorf("tensor %s: want a replacement of %s, or LoRA, found both", t.Name, module)
	case replaced:
		if err := wantShape(t, p.Shape...); err != nil {
			return err
		}
		m.replacement = t
	case len(parts) == 0: // nothing but a copy of the base
		return nil
	case len(p.Shape) != 2:
		return fmt.Errorf("module %s: want no LoRA on a norm", module)
	default:
		if err := m.bindFactors(cfg, module, parts); err != nil {
			return err
		}
	}
	a.Modules[m.Name] = m
	return nil
}

// bindFactors takes the two factors, and DoRA's magnitudes.
func (m *Module) bindFactors(cfg *config, module string, parts map[part]checkpoint.Tensor) error {
	aPart, bPart, aName, bName := lowA, lowB, "lora_A.weight", "lora_B.weight"
	aShape, bShape := m.Cols, m.Rows
	if module == embedModule {
		aPart, bPart, aName, bName = embedA, embedB, "lora_embedding_A", "lora_embedding_B"
		aShape, bShape = m.Rows, m.Cols
	}
	low, okA := parts[aPart]
	high, okB := parts[bPart]
	if !okA || !okB {
		missing := aName
		if okA {
			missing = bName
		}
		return fmt.Errorf("tensor %s%s.%s: missing; get the adapter again", prefix, module, missing)
	}
	rank := cfg.rankOf(module)
	if len(low.Shape) == 2 && low.Shape[0] != rank {
		return fmt.Errorf("tensor %s: want rank %d (from %s), found %d", low.Name, rank, configFile, low.Shape[0])
	}
	if err := wantShape(low, rank, aShape); err != nil {
		return err
	}
	if err := wantShape(high, bShape, rank); err != nil {
		return err
	}
	delete(parts, aPart)
	delete(parts, bPart)
	m.Rank, m.Scale = rank, cfg.scaleOf(module)
	m.left, m.right = high, low
	if module == embedModule {
		m.left, m.right, m.leftTurned, m.rightTurned = low, high, true, true
	}
	if t, ok := parts[lengths]; ok != cfg.dora {
		if ok {
			return fmt.Errorf("tensor %s: want none, use_dora of %s is false", t.Name, configFile)
		}
		return fmt.Errorf("tensor %s%s.lora_magnitude_vector: missing, though use_dora is true; get the adapter again", prefix, module)
	} else if ok {
		if module == embedModule {
			return fmt.Errorf("tensor %s: DoRA of the embedding is not read; merge the adapter with PEFT instead", t.Name)
		}
		if err := wantShape(t, m.Rows); err != nil {
			return err
		}
		m.magnitude = make([]float32, m.Rows)
		if err := t.Row(m.magnitude, 0); err != nil {
			return err
		}
		if !finite(m.magnitude) {
			return notFinite(t.Name, 0)
		}
		delete(parts, lengths)
	}
	for _, t := range parts {
		return fmt.Errorf("tensor %s: no part of LoRA on %s", t.Name, module)
	}
	return nil
}

func wantShape(t checkpoint.Tensor, shape ...int) error {
	if slices.Equal(t.Shape, shape) {
		return nil
	}
	return fmt.Errorf("tensor %s: want %s for this base model, found %s; the adapter was made for another model", t.Name, dims(shape), dims(t.Shape))
}

func dims(shape []int) string {
	return strings.Trim(strings.ReplaceAll(fmt.Sprint(shape), " ", "x"), "[]")
}

// tie does what ensure_weight_tying asks: both sides of tied weights are replaced alike.
func (a *Adapter) tie(cfg *config) error {
	e, h := a.Modules[embedName], a.Modules[headName]
	switch {
	case !cfg.tied || !a.tied || e == nil && h == nil:
		return nil
	case e != nil && !e.Replaced() || h != nil && !h.Replaced():
		return errors.New(configFile + ": ensure_weight_tying: this version can't honour it with LoRA on embed_tokens or lm_head; merge the adapter with PEFT instead")
	case e == nil:
		a.Modules[embedName] = &Module{Name: embedName, Rows: h.Rows, Cols: h.Cols, replacement: h.replacement}
	case h == nil:
		a.Modules[headName] = &Module{Name: headName, Rows: e.Rows, Cols: e.Cols, replacement: e.replacement}
	case e.replacement.Type != h.replacement.Type || !bytes.Equal(e.replacement.Data, h.replacement.Data):
		return fmt.Errorf("tensor %s: want the same values as %s (ensure_weight_tying), found others", h.replacement.Name, e.replacement.Name)
	}
	return nil
}

// complete compares what config and tensors say that the adapter changes.
func (a *Adapter) complete(cfg *config, params map[string]checkpoint.Parameter) error {
	for _, module := range slices.Sorted(maps.Keys(params)) {
		p := params[module]
		m := a.Modules[p.Name]
		if cfg.saves(module) && (m == nil || !m.Replaced()) {
			return fmt.Errorf("tensor %s%s.weight: missing, though modules_to_save names it; get the adapter again", prefix, module)
		}
		wanted, known := cfg.targets(module)
		if len(p.Shape) != 2 || !known || m != nil && m.Replaced() {
			continue
		}
		if wanted && m == nil {
			return fmt.Errorf("tensor %s%s.lora_A.weight: missing, though target_modules names it; get the adapter again", prefix, module)
		}
		if !wanted && m != nil {
			return fmt.Errorf("tensor %s: target_modules of %s does not name it", m.right.Name, configFile)
		}
	}
	return nil
}

// finish refuses an adapter without modules, and one with weights that are no numbers.
func (a *Adapter) finish() error {
	if len(a.Modules) == 0 {
		return errors.New("want tensors that change the base model, found none")
	}
	for _, name := range slices.Sorted(maps.Keys(a.Modules)) {
		m := a.Modules[name]
		for _, t := range []checkpoint.Tensor{m.replacement, m.right, m.left} {
			if err := checkFinite(t); err != nil {
				return err
			}
		}
	}
	return nil
}

func checkFinite(t checkpoint.Tensor) error {
	if t.Data == nil {
		return nil
	}
	rows := 1
	if len(t.Shape) == 2 {
		rows = t.Shape[0]
	}
	v := make([]float32, t.Columns())
	for r := range rows {
		if err := t.Row(v, r); err != nil {
			return err
		}
		if !finite(v) {
			return notFinite(t.Name, r)
		}
	}
	return nil
}

func notFinite(name string, row int) error {
	return fmt.Errorf("tensor %s: want numbers, found NaN or infinity in row %d; the adapter is broken", name, row)
}

func finite(v []float32) bool {
	whole := len(v) &^ 15
	if !kernel.Finite(v[:whole]) {
		return false
	}
	for _, x := range v[whole:] {
		if x-x != 0 {
			return false
		}
	}
	return true
}
