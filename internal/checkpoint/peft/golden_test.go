package peft

import (
	"encoding/binary"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/systemgemma/systemgemma/internal/checkpoint"
	"github.com/systemgemma/systemgemma/internal/checkpoint/safetensors"
	"github.com/systemgemma/systemgemma/internal/testkit/golden"
)

// base opens the model that the adapters are for.
func base(t testing.TB) (dir string, ck *checkpoint.Checkpoint) {
	t.Helper()
	dir = golden.Dir(t, "lora")
	ck, err := checkpoint.Open(filepath.Join(dir, "base"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := ck.Close(); err != nil {
			t.Error(err)
		}
	})
	return dir, ck
}

func open(t testing.TB, path string, ck *checkpoint.Checkpoint) *Adapter {
	t.Helper()
	a, err := Open(path, &ck.Config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
	return a
}

// merged is a parameter of ck with uses merged into it.
func merged(t *testing.T, ck *checkpoint.Checkpoint, m *Merger, name string) [][]float32 {
	t.Helper()
	source := name
	if _, ok := ck.Tensor(name); !ok {
		source = embedName
	}
	x, _ := ck.Tensor(source)
	var rows [][]float32
	for r := range x.Shape[0] {
		row := make([]float32, x.Columns())
		if err := x.Row(row, r); err != nil {
			t.Fatal(err)
		}
		if err := m.Row(name, r, row); err != nil {
			t.Fatal(err)
		}
		rows = append(rows, row)
	}
	return rows
}

func merger(t testing.TB, uses ...Use) *Merger {
	t.Helper()
	m, err := NewMerger(uses, false)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// Every merged tensor that the reference gives, to float32 rounding: its own two ways to compute are 1.2e-7 apart.
func TestGoldenMergedTensors(t *testing.T) {
	dir, ck := base(t)
	names := map[string]string{}
	for _, p := range checkpoint.Parameters(&ck.Config) {
		names[p.HF] = p.Name
	}
	files, err := filepath.Glob(filepath.Join(dir, "*", "adapter_config.json"))
	if err != nil {
		t.Fatal(err)
	}
	cases := 0
	for _, file := range files {
		folder := filepath.Dir(file)
		if strings.HasPrefix(filepath.Base(folder), "refuse-") {
			continue
		}
		m := merger(t, Use{open(t, folder, ck), 1})
		f, err := safetensors.Parse(golden.Read(t, filepath.Join(folder, "expected.safetensors")))
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range f.Tensors {
			hf, ok := strings.CutPrefix(want.Name, "merged.")
			if !ok {
				continue
			}
			worst := 0.0
			for i, v := range slices.Concat(merged(t, ck, m, names[hf])...) {
				w := math.Float32frombits(binary.LittleEndian.Uint32(want.Data[4*i:]))
				worst = max(worst, math.Abs(float64(v)-float64(w)))
			}
			if !(worst <= 3e-7) {
				t.Errorf("%s, %s: largest difference %g", filepath.Base(folder), hf, worst)
			}
			cases++
		}
	}
	golden.Count(t, cases)
}

// What each error of a refused adapter must name.
var refusals = map[string]string{
	"refuse-unknown-module":     `tensor base_model\.model\.model\.layers\.1\.self_attn\.z_proj\.lora_A\.weight: module .*z_proj: no part of a Gemma 2 model`,
	"refuse-layer-out-of-range": `tensor .*layers\.7\..*: layer 7, but the base model has 2`,
	"refuse-shape":              `tensor .*q_proj\.lora_A\.weight: want 4x48 for this base model, found 4x47`,
	"refuse-missing-b":          `tensor .*q_proj\.lora_B\.weight: missing`,
	"refuse-rank-differs":       `tensor .*lora_A\.weight: want rank 5 \(from adapter_config\.json\), found 4`,
	"refuse-not-lora":           `adapter_config\.json: peft_type: want LORA, found "LOHA"`,
	"refuse-layer-replication":  `adapter_config\.json: layer_replication: .*want null, found \[\[0,2\],\[1,2\]\]`,
	"refuse-nan":                `tensor .*: want numbers, found NaN`,
}

func TestGoldenRefusals(t *testing.T) {
	dir, ck := base(t)
	var index struct {
		Refuse map[string]string `json:"refuse"`
	}
	if err := json.Unmarshal(golden.Read(t, filepath.Join(dir, "index.json")), &index); err != nil {
		t.Fatal(err)
	}
	cases := 0
	for name := range index.Refuse {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil && os.Getenv("SYSTEMGEMMA_GOLDEN") == "" {
			continue // not in the sample
		}
		_, err := Open(filepath.Join(dir, name), &ck.Config)
		if err == nil || refusals[name] == "" || !regexp.MustCompile(refusals[name]).MatchString(err.Error()) {
			t.Errorf("%s: %v, want an error like %q", name, err, refusals[name])
		}
		cases++
	}
	golden.Count(t, cases)
}

// A GGUF adapter is the PEFT folder that it was made of.
func TestGoldenGGUFAdapters(t *testing.T) {
	dir, ck := base(t)
	files, err := filepath.Glob(filepath.Join(dir, "*.gguf"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		got, want := open(t, file, ck), open(t, strings.TrimSuffix(file, ".gguf"), ck)
		if len(got.Modules) != len(want.Modules) {
			t.Errorf("%s: %d modules, want %d", file, len(got.Modules), len(want.Modules))
		}
		mg, mw := merger(t, Use{got, 0.7}), merger(t, Use{want, 0.7})
		for _, name := range mw.Names() {
			if !slices.EqualFunc(merged(t, ck, mg, name), merged(t, ck, mw, name), slices.Equal[[]float32]) {
				t.Errorf("%s: %s differs", file, name)
			}
		}
	}
	golden.Count(t, len(files))
}
