package peft

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/systemgemma/systemgemma/internal/arch"
	"github.com/systemgemma/systemgemma/internal/checkpoint"
	"github.com/systemgemma/systemgemma/internal/checkpoint/gguf"
)

// alphaKey is the one number of a GGUF adapter: its scale is alpha/rank; 0 means a scale of 1, as llama.cpp takes it.
const alphaKey = "adapter.lora.alpha"

// readGGUF reads an adapter as llama.cpp's convert_lora_to_gguf writes it.
func (a *Adapter) readGGUF(data []byte, c *arch.Config) error {
	f, err := gguf.Parse(data)
	if err != nil {
		return err
	}
	for key, want := range map[string]string{"general.type": "adapter", "general.architecture": "gemma2", "adapter.type": "lora"} {
		if err := wantText(f, key, want); err != nil {
			return err
		}
	}
	for _, v := range f.Metadata {
		if strings.HasPrefix(v.Key, "adapter.") && v.Key != "adapter.type" && v.Key != alphaKey {
			return fmt.Errorf("metadata %.80s: this version can't honour it", v.Key)
		}
	}
	v, ok := f.Lookup(alphaKey)
	if !ok {
		return fmt.Errorf("metadata %s: missing; convert the adapter again", alphaKey)
	}
	alpha, err := v.Float()
	if err != nil {
		return err
	}
	if math.IsNaN(alpha) || math.IsInf(alpha, 0) {
		return fmt.Errorf("metadata %s: want a number, found %g", alphaKey, alpha)
	}
	a.Base, _ = text(f, "general.base_model.0.name")
	pairs := map[string]*[2]checkpoint.Tensor{} // by parameter
	for _, t := range f.Tensors {
		name, side, err := side(t.Name)
		if err != nil {
			return fmt.Errorf("tensor %.120s: %w", t.Name, err)
		}
		if pairs[name] == nil {
			pairs[name] = &[2]checkpoint.Tensor{}
		}
		pairs[name][side] = checkpoint.Tensor{Name: t.Name, Type: t.Type, Shape: t.Shape, Data: t.Data}
	}
	for _, p := range checkpoint.Parameters(c) {
		if pair := pairs[p.Name]; pair != nil {
			if err := a.bindPair(p, pair, alpha); err != nil {
				return err
			}
			delete(pairs, p.Name)
		}
	}
	for name := range pairs {
		return fmt.Errorf("tensor %.120s.lora_a: no part of a Gemma 2 model with %d layers; the adapter was made for another model", name, c.NumLayers)
	}
	return a.finish()
}

func text(f *gguf.File, key string) (string, bool) {
	v, ok := f.Lookup(key)
	if !ok {
		return "", false
	}
	s, err := v.Text()
	return s, err == nil
}

func wantText(f *gguf.File, key, want string) error {
	if found, ok := text(f, key); !ok || found != want {
		return fmt.Errorf("metadata %s: want %s, found %.40q; a LoRA adapter of Gemma 2 is wanted here", key, want, found)
	}
	return nil
}

// side splits a tensor's name.
func side(name string) (parameter string, side int, err error) {
	if p, ok := strings.CutSuffix(name, ".lora_a"); ok {
		return p, 0, nil
	}
	if p, ok := strings.CutSuffix(name, ".lora_b"); ok {
		return p, 1, nil
	}
	return "", 0, errors.New("want a name that ends in .lora_a or .lora_b; this version can't apply it")
}

// bindPair makes the module of one parameter. The embedding's first factor is stored [vocabulary][rank], its second [hidden][rank].
func (a *Adapter) bindPair(p checkpoint.Parameter, pair *[2]checkpoint.Tensor, alpha float64) error {
	for i, t := range pair {
		if t.Data == nil {
			return fmt.Errorf("tensor %s.lora_%c: missing; get the adapter again", p.Name, 'a'+i)
		}
		if len(t.Shape) != 2 || len(p.Shape) != 2 {
			return fmt.Errorf("tensor %s: want a matrix for a matrix, found %s for %s", t.Name, dims(t.Shape), dims(p.Shape))
		}
	}
	m := &Module{Name: p.Name, Rows: p.Shape[0], Cols: p.Shape[1], Rank: pair[1].Shape[1], Scale: 1}
	if m.Rank < 1 || m.Rank > maxRank {
		return fmt.Errorf("tensor %s: want a rank of 1 to %d, found %d", pair[1].Name, maxRank, m.Rank)
	}
	if alpha != 0 {
		m.Scale = float32(alpha / float64(m.Rank))
	}
	m.left, m.right = pair[1], pair[0]
	shapes := [2][]int{{m.Rank, m.Cols}, {m.Rows, m.Rank}}
	if p.Name == embedName {
		m.left, m.right, m.rightTurned = pair[0], pair[1], true
		shapes = [2][]int{{m.Rows, m.Rank}, {m.Cols, m.Rank}}
	}
	for i, t := range pair {
		if !slices.Equal(t.Shape, shapes[i]) {
			return wantShape(t, shapes[i]...)
		}
	}
	a.Modules[m.Name] = m
	return nil
}
