package peft

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/systemgemma/systemgemma/internal/arch"
	"github.com/systemgemma/systemgemma/internal/checkpoint/safetensors"
)

// tiny is a base model of two layers for adapters made here.
func tiny() *arch.Config {
	c := arch.Defaults()
	c.VocabSize, c.HiddenSize, c.IntermediateSize, c.NumLayers, c.NumHeads, c.NumKVHeads, c.HeadDim = 10, 12, 20, 2, 2, 1, 4
	c.TieEmbeddings = true
	c.AlternateLayers()
	return &c
}

// adapter is a PEFT folder to be written.
type adapter struct {
	config  map[string]any
	tensors map[string][]int // name without base_model.model. and shape
	data    map[string][]float32
}

func plain(module string, rank, in, out int) *adapter {
	return &adapter{
		config:  map[string]any{"peft_type": "LORA", "r": rank, "lora_alpha": 8, "target_modules": []string{module}},
		tensors: map[string][]int{module + ".lora_A.weight": {rank, in}, module + ".lora_B.weight": {out, rank}},
	}
}

const q0 = "model.layers.0.self_attn.q_proj"

// write makes the folder; values are random but the same each time.
func (a *adapter) write(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	text, err := json.Marshal(a.config)
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, 2))
	var list []safetensors.Tensor
	a.data = map[string][]float32{}
	for _, name := range slices.Sorted(maps.Keys(a.tensors)) {
		n := 1
		for _, d := range a.tensors[name] {
			n *= d
		}
		v := make([]float32, n)
		var data []byte
		for i := range v {
			v[i] = float32(random.NormFloat64())
			data = binary.LittleEndian.AppendUint32(data, math.Float32bits(v[i]))
		}
		a.data[name] = v
		list = append(list, safetensors.Tensor{Name: prefix + name, DType: safetensors.F32, Shape: a.tensors[name], Data: data})
	}
	f, err := os.Create(filepath.Join(dir, weightsFile))
	if err != nil {
		t.Fatal(err)
	}
	if err := safetensors.Write(f, list, nil); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, configFile), text, 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

func (a *adapter) open(t testing.TB) *Adapter {
	t.Helper()
	x, err := Open(a.write(t), tiny())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = x.Close() })
	return x
}

// An embedding's change is scale·(B·A) turned: one row is a token.
func TestEmbeddingIsTurned(t *testing.T) {
	a := &adapter{
		config:  map[string]any{"peft_type": "LORA", "r": 2, "lora_alpha": 3, "target_modules": []string{"embed_tokens"}},
		tensors: map[string][]int{"model.embed_tokens.lora_embedding_A": {2, 10}, "model.embed_tokens.lora_embedding_B": {12, 2}},
	}
	x := a.open(t)
	if !x.Unties() {
		t.Error("LoRA on one side of tied weights: want a head of its own")
	}
	m := merger(t, Use{x, 0.5})
	if !m.Unties() || !m.Touches(embedName) || m.Touches(headName) {
		t.Errorf("unties %v, touches embedding %v, head %v", m.Unties(), m.Touches(embedName), m.Touches(headName))
	}
	low, high := a.data["model.embed_tokens.lora_embedding_A"], a.data["model.embed_tokens.lora_embedding_B"]
	for token := range 10 {
		row := make([]float32, 12)
		if err := m.Row(embedName, token, row); err != nil {
			t.Fatal(err)
		}
		for h, v := range row {
			want := 0.0
			for k := range 2 {
				want += 0.5 * 1.5 * float64(high[2*h+k]) * float64(low[10*k+token])
			}
			if math.Abs(float64(v)-want) > 1e-6 {
				t.Fatalf("token %d, element %d: %g, want %g", token, h, v, want)
			}
		}
	}
}

// Scales are strengths: 0 leaves the base, 1 gives what the adapter alone makes, others lie on the line between, DoRA too.
func TestScaleIsAStrength(t *testing.T) {
	a := plain(q0, 2, 12, 8)
	a.config["use_dora"] = true
	a.tensors[q0+".lora_magnitude_vector"] = []int{8}
	x := a.open(t)
	row := func(scale float32) []float32 {
		v := []float32{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}
		if err := merger(t, Use{x, scale}).Row("blk.0.attn_q.weight", 3, v); err != nil {
			t.Fatal(err)
		}
		return v
	}
	off, half, on := row(0), row(0.5), row(1)
	if !slices.Equal(off, []float32{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}) {
		t.Errorf("scale 0: %v", off)
	}
	if got, want := math.Sqrt(sumSquares(on)), math.Abs(float64(a.data[q0+".lora_magnitude_vector"][3])); math.Abs(got-want) > 1e-6*want {
		t.Errorf("length of a merged row %g, want %g", got, want)
	}
	for k := range half {
		if want := (off[k] + on[k]) / 2; math.Abs(float64(half[k]-want)) > 1e-5 {
			t.Errorf("element %d at half strength: %g, want %g", k, half[k], want)
		}
	}
}

func TestChangesAreRelative(t *testing.T) {
	a := plain(q0, 2, 12, 8)
	m := merger(t, Use{a.open(t), 1})
	var delta, all float64
	for r := range 8 {
		base := []float32{1, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 3}
		row := slices.Clone(base)
		if err := m.Row("blk.0.attn_q.weight", r, row); err != nil {
			t.Fatal(err)
		}
		for k := range row {
			delta += math.Pow(float64(row[k])-float64(base[k]), 2)
			all += math.Pow(float64(base[k]), 2)
		}
	}
	want := math.Sqrt(delta / all)
	if c := m.Changes(); len(c) != 1 || c[0].Name != "blk.0.attn_q.weight" || math.Abs(c[0].Relative-want) > 1e-12*want {
		t.Errorf("changes %v, want %g", c, want)
	}
	if err := m.Row("blk.0.attn_q.weight", 8, make([]float32, 12)); err == nil {
		t.Error("row out of range: want an error")
	}
}

// A replaced norm is stored as w; a base that stores 1+w gets 1+w.
func TestNormsFollowTheBase(t *testing.T) {
	a := plain(q0, 2, 12, 8)
	a.config["modules_to_save"] = []string{"model.norm"}
	a.tensors["model.norm.weight"] = []int{12}
	x := a.open(t)
	for _, plusOne := range []bool{false, true} {
		m, err := NewMerger([]Use{{x, 1}}, plusOne)
		if err != nil {
			t.Fatal(err)
		}
		row := make([]float32, 12)
		if err := m.Row("output_norm.weight", 0, row); err != nil {
			t.Fatal(err)
		}
		for k, w := range a.data["model.norm.weight"] {
			if plusOne {
				w++
			}
			if row[k] != w {
				t.Fatalf("plus one %v: element %d is %g, want %g", plusOne, k, row[k], w)
			}
		}
	}
}

// What each config or tensor is refused for must be named.
func TestRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*adapter)
		want   string
	}{
		"key":            {func(a *adapter) { a.config["use_qalora"] = true }, "use_qalora: this version can't honour it; want null, found true"},
		"later key":      {func(a *adapter) { a.config["hyper_lora"] = 3 }, "hyper_lora: this version can't honour it"},
		"tokens":         {func(a *adapter) { a.config["trainable_token_indices"] = []int{1} }, "trainable_token_indices: "},
		"pissa":          {func(a *adapter) { a.config["init_lora_weights"] = "pissa" }, "init_lora_weights: want an adapter of the unchanged base"},
		"task":           {func(a *adapter) { a.config["task_type"] = "SEQ_CLS" }, "task_type: want CAUSAL_LM"},
		"rank":           {func(a *adapter) { a.config["r"] = 0 }, "r: want 1 to 16384, found 0"},
		"type":           {func(a *adapter) { a.config["r"] = "four" }, `r: want int, found "four"`},
		"bad pattern":    {func(a *adapter) { a.config["alpha_pattern"] = map[string]any{"(?<!x)q": 1} }, "alpha_pattern: "},
		"no method":      {func(a *adapter) { delete(a.config, "peft_type") }, "peft_type: missing"},
		"not targeted":   {func(a *adapter) { a.config["target_modules"] = []string{"k_proj"} }, "model.layers.0.self_attn.k_proj.lora_A.weight: missing, though target_modules names it"},
		"excluded":       {func(a *adapter) { a.config["exclude_modules"] = []string{"q_proj"} }, "q_proj.lora_A.weight: target_modules of adapter_config.json does not name it"},
		"not saved":      {func(a *adapter) { a.tensors["model.norm.weight"] = []int{12} }, "model.norm.weight: modules_to_save of adapter_config.json does not name it"},
		"saved, missing": {func(a *adapter) { a.config["modules_to_save"] = []string{"lm_head"} }, "lm_head.weight: missing, though modules_to_save names it"},
		"magnitudes":     {func(a *adapter) { a.config["use_dora"] = true }, "q_proj.lora_magnitude_vector: missing, though use_dora is true"},
		"no DoRA":        {func(a *adapter) { a.tensors[q0+".lora_magnitude_vector"] = []int{8} }, "lora_magnitude_vector: want none, use_dora of adapter_config.json is false"},
		"bias tensor":    {func(a *adapter) { a.tensors[q0+".bias"] = []int{8} }, "q_proj.bias: no part of a LoRA adapter"},
		"turned factors": {func(a *adapter) { a.tensors[q0+".lora_embedding_A"] = []int{2, 12} }, "lora_embedding_A: no part of LoRA on " + q0},
		"tied LoRA":      {func(a *adapter) { a.config["ensure_weight_tying"] = true; a.addHead() }, "ensure_weight_tying: this version can't honour it"},
	} {
		t.Run(name, func(t *testing.T) {
			a := plain(q0, 2, 12, 8)
			c.change(a)
			x, err := Open(a.write(t), tiny())
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want an error with %q", err, c.want)
			}
			if x != nil {
				_ = x.Close()
			}
		})
	}
}

func (a *adapter) addHead() {
	a.config["target_modules"] = []string{q0, "lm_head"}
	a.tensors["lm_head.lora_A.weight"], a.tensors["lm_head.lora_B.weight"] = []int{2, 12}, []int{10, 2}
}

// The first pattern that matches counts, in the order of the file; a key matches the end of a name.
func TestPatterns(t *testing.T) {
	c, err := parseConfig([]byte(`{"peft_type":"LORA","r":4,"lora_alpha":8,"rank_pattern":{"layers.1.mlp.up_proj":2,"up_proj":3,".*mlp.*":5},"alpha_pattern":{"^model.layers.0.mlp.down_proj":1}}`))
	if err != nil {
		t.Fatal(err)
	}
	for module, want := range map[string]struct {
		rank  int
		scale float32
	}{
		"model.layers.1.mlp.up_proj": {2, 4}, "model.layers.0.mlp.up_proj": {3, 8.0 / 3}, "model.layers.0.mlp.down_proj": {5, 0.2},
		"model.layers.11.mlp.up_proj": {3, 8.0 / 3}, "model.layers.0.self_attn.q_proj": {4, 2},
	} {
		if r, s := c.rankOf(module), c.scaleOf(module); r != want.rank || s != want.scale {
			t.Errorf("%s: rank %d, scale %g, want %d and %g", module, r, s, want.rank, want.scale)
		}
	}
}

// PEFT puts a copy of the base's embedding beside an adapter of it: another base is noticed.
func TestCopyOfTheBaseIsCompared(t *testing.T) {
	a := plain(q0, 2, 12, 8)
	a.addHead()
	a.tensors["lm_head.base_layer.weight"] = []int{10, 12}
	x := a.open(t)
	m := merger(t, Use{x, 1})
	same := slices.Clone(a.data["lm_head.base_layer.weight"][12:24])
	if err := m.Row(embedName, 1, same); err != nil || len(x.Notes) != 1 {
		t.Errorf("the base's own row: %v, notes %q", err, x.Notes)
	}
	err := m.Row(embedName, 2, same)
	if err == nil || !strings.Contains(err.Error(), "lm_head.base_layer.weight: want the base model's weights, found others (row 2") {
		t.Errorf("another row: %v", err)
	}
}

func TestPickleIsNotRead(t *testing.T) {
	dir := t.TempDir()
	for file, text := range map[string]string{configFile: `{"peft_type":"LORA"}`, pickleFile: "x"} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Open(dir, tiny()); err == nil || !strings.Contains(err.Error(), "safe_serialization=True") {
		t.Errorf("pickle: %v", err)
	}
	if _, err := Open(t.TempDir(), tiny()); err == nil || !strings.Contains(err.Error(), "want a PEFT folder") {
		t.Errorf("empty folder: %v", err)
	}
}

func TestNamesAreInOrderOfLayers(t *testing.T) {
	names := []string{"blk.10.a", "output.weight", "blk.2.b", "blk.2.a"}
	slices.SortFunc(names, compareNames)
	if got := fmt.Sprint(names); got != "[output.weight blk.2.a blk.2.b blk.10.a]" {
		t.Error(got)
	}
}
