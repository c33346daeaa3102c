package checkpoint

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/systemgemma/systemgemma/internal/arch"
	"github.com/systemgemma/systemgemma/internal/testkit/golden"
	"github.com/systemgemma/systemgemma/internal/text/tokenizer"
)

// wantConfig reads a golden config.json a second way: generic JSON, every default written out here.
func wantConfig(t *testing.T, dir string) arch.Config {
	t.Helper()
	var o map[string]any
	if err := json.Unmarshal(golden.Read(t, filepath.Join(dir, "config.json")), &o); err != nil {
		t.Fatal(err)
	}
	number := func(o map[string]any, key string, absent float64) float64 {
		v, ok := o[key]
		if !ok {
			return absent
		}
		x, _ := v.(float64) // null is 0: off
		return x
	}
	n := func(key string, absent int) int { return int(number(o, key, float64(absent))) }
	c := arch.Config{
		VocabSize: n("vocab_size", 0), HiddenSize: n("hidden_size", 0), IntermediateSize: n("intermediate_size", 0),
		NumLayers: n("num_hidden_layers", 0), NumHeads: n("num_attention_heads", 0), NumKVHeads: n("num_key_value_heads", 0),
		HeadDim: n("head_dim", 256), QueryPreAttnScalar: number(o, "query_pre_attn_scalar", 256),
		AttnSoftcap: float32(number(o, "attn_logit_softcapping", 50)), FinalSoftcap: float32(number(o, "final_logit_softcapping", 30)),
		SlidingWindow: n("sliding_window", 4096), RopeTheta: number(o, "rope_theta", 10000),
		RMSNormEps: float32(number(o, "rms_norm_eps", 1e-6)), MaxPositions: n("max_position_embeddings", 8192),
	}
	if p, ok := o["rope_parameters"].(map[string]any); ok {
		c.RopeTheta = number(p, "rope_theta", 10000)
	}
	types, _ := o["layer_types"].([]any)
	for l := range c.NumLayers {
		global := l%2 == 1
		if types != nil {
			global = types[l] == "full_attention"
		}
		c.Global = append(c.Global, global)
	}
	name := filepath.Base(dir) // whether a head of its own is there: what the set's README says of these two
	c.TieEmbeddings = !strings.HasPrefix(name, "untied-head") && !strings.HasPrefix(name, "tied-config-own-head")
	return c
}

func TestGoldenModels(t *testing.T) {
	root := golden.Dir(t, "models")
	folders, err := filepath.Glob(filepath.Join(root, "*", "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range folders {
		dir := filepath.Dir(path)
		t.Run(filepath.Base(dir), func(t *testing.T) {
			c, err := Open(dir)
			if err != nil {
				t.Fatal(err)
			}
			defer close(t, c)
			if diff := cmp.Diff(wantConfig(t, dir), c.Config); diff != "" {
				t.Errorf("config (-want +got):\n%s", diff)
			}
			if c.Format != HuggingFace || c.NormPlusOne || !c.HasConfig || c.Vocab != nil {
				t.Errorf("format %s, norms +1 %v, config %v, vocab %v", c.Format, c.NormPlusOne, c.HasConfig, c.Vocab)
			}
			if want := wantEOS(t, dir, c.Config.VocabSize); !cmp.Equal(want, c.EOS) {
				t.Errorf("EOS = %v, want %v", c.EOS, want)
			}
			checkTensors(t, c)
		})
	}
	golden.Count(t, len(folders))
}

// wantEOS unites the ids of both JSON files, which are 1 and 107 in this set, in some order.
func wantEOS(t *testing.T, dir string, vocab int) (ids []int32) {
	t.Helper()
	text := ""
	for _, name := range []string{"config.json", "generation_config.json"} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if _, after, ok := bytes.Cut(b, []byte(`"eos_token_id":`)); ok {
			value, _, _ := bytes.Cut(after, []byte(`"`))
			text += string(value)
		}
	}
	for _, id := range []int32{1, 107} {
		for _, field := range strings.FieldsFunc(text, func(r rune) bool { return r < '0' || r > '9' }) {
			if field == fmt.Sprint(id) && int(id) < vocab {
				ids = append(ids, id)
				break
			}
		}
	}
	return ids
}

// checkTensors demands exactly the tensors of the config, each with rows of finite numbers that are not all zero.
func checkTensors(t *testing.T, c *Checkpoint) {
	t.Helper()
	want := ownSpecs(&c.Config)
	if len(c.Tensors) != len(want) {
		t.Errorf("%d tensors, want %d", len(c.Tensors), len(want))
	}
	for _, s := range want {
		x, ok := c.Tensor(s.name)
		if !ok || x.Name != s.name || !cmp.Equal(x.Shape, s.shape) {
			t.Errorf("tensor %s: found %v, shape %v, want %v", s.name, ok, x.Shape, s.shape)
			continue
		}
		rows, sum := 1, 0.0
		if len(x.Shape) == 2 {
			rows = x.Shape[0]
		}
		row := make([]float32, x.Columns())
		for r := range rows {
			if err := x.Row(row, r); err != nil {
				t.Fatal(err)
			}
			for _, v := range row {
				sum += math.Abs(float64(v))
			}
		}
		if math.IsNaN(sum) || math.IsInf(sum, 0) || sum == 0 {
			t.Errorf("tensor %s: absolute sum %v", s.name, sum)
		}
	}
}

func close(t testing.TB, c *Checkpoint) {
	t.Helper()
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

// Each file of one type holds the same model, so that the matrices of all agree up to the rounding of their types.
func TestGoldenGGUF(t *testing.T) {
	dir := golden.Dir(t, "gguf")
	n := 0
	var exact *Checkpoint
	for _, name := range []string{"f32", "f16", "bf16", "q8_0", "q4_0", "q4_1", "q5_0", "q5_1"} {
		path := filepath.Join(dir, name+".gguf")
		if _, err := os.Stat(path); os.IsNotExist(err) && os.Getenv("SYSTEMGEMMA_GOLDEN") == "" {
			continue // the sample has q8_0 only
		}
		n++
		c, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer close(t, c)
		want := arch.Config{
			VocabSize: 512, HiddenSize: 64, IntermediateSize: 96, NumLayers: 2, NumHeads: 4, NumKVHeads: 2, HeadDim: 16,
			QueryPreAttnScalar: 16, AttnSoftcap: 50, FinalSoftcap: 30, SlidingWindow: 8, Global: []bool{false, true},
			RopeTheta: 10000, RMSNormEps: 1e-6, MaxPositions: 256, TieEmbeddings: true,
		}
		if diff := cmp.Diff(want, c.Config); diff != "" {
			t.Errorf("%s: config (-want +got):\n%s", name, diff)
		}
		if c.Format != GGUF || !c.NormPlusOne || !cmp.Equal(c.EOS, []int32{1, 107}) || !strings.Contains(c.ChatTemplate, "<start_of_turn>") {
			t.Errorf("%s: format %s, norms +1 %v, EOS %v, template %q", name, c.Format, c.NormPlusOne, c.EOS, c.ChatTemplate)
		}
		if err := c.Runnable(); err != nil {
			t.Error(err)
		}
		if _, err := tokenizer.New(c.Vocab); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		checkTensors(t, c)
		if name == "f32" {
			exact = c
		} else if exact != nil {
			checkClose(t, name, exact, c)
		}
	}
	golden.Count(t, n)
}

// checkClose compares each weight with the F32 file's: half a step of the type for the largest value of the row, a whole one where
// the extreme of the other sign is cut off (Q4_0, Q5_0), and in blocks as much as a scale and a minimum in half precision add.
func checkClose(t *testing.T, name string, exact, c *Checkpoint) {
	t.Helper()
	const half = 1.0 / 2048
	step := map[string]float64{
		"f16": half, "bf16": 1.0 / 256, "q8_0": 1.0/254 + half, "q4_0": 1.0/8 + half, "q4_1": 1.0/15 + 3*half, "q5_0": 1.0/16 + half, "q5_1": 1.0/31 + 3*half,
	}[name]
	for key, x := range c.Tensors {
		e := exact.Tensors[key]
		a, b := make([]float32, x.Columns()), make([]float32, x.Columns())
		for r := range x.Shape[0] {
			if len(x.Shape) == 1 && r > 0 {
				break
			}
			if err := e.Row(a, r); err != nil {
				t.Fatal(err)
			}
			if err := x.Row(b, r); err != nil {
				t.Fatal(err)
			}
			largest := 0.0
			for _, v := range a {
				largest = max(largest, math.Abs(float64(v)))
			}
			for k := range a {
				if math.Abs(float64(a[k])-float64(b[k])) > largest*step {
					t.Fatalf("%s: %s[%d][%d] = %v, f32 has %v", name, key, r, k, b[k], a[k])
				}
			}
		}
	}
}

// The same vocabulary comes out of SentencePiece and of GGUF; only GGUF names the end of a turn.
func TestGoldenSmallVocab(t *testing.T) {
	dir := filepath.Join(golden.Dir(t, "tokenizer"), "small")
	want, err := tokenizer.ParseModel(golden.Read(t, filepath.Join(dir, "small.model")))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"small.model", "small.gguf"} {
		c, err := OpenText(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		got := *c.Vocab
		if name == "small.gguf" {
			if got.EndOfTurn != 107 {
				t.Errorf("%s: end of turn %d, want 107", name, got.EndOfTurn)
			}
			got.EndOfTurn = want.EndOfTurn
		}
		if diff := cmp.Diff(*want, got); diff != "" {
			t.Errorf("%s (-small.model +got):\n%s", name, diff)
		}
		if !cmp.Equal(c.EOS, []int32{1, 107}) || c.HasConfig || c.Tensors != nil {
			t.Errorf("%s: EOS %v, config %v, %d tensors", name, c.EOS, c.HasConfig, len(c.Tensors))
		}
		close(t, c)
		if _, err := Open(filepath.Join(dir, name)); err == nil {
			t.Errorf("%s: opened as a model", name)
		}
	}
	golden.Count(t, 2)
}

// Every malformed file of either level is refused by the time a model would be made of it, and never by a panic.
func TestGoldenMalformed(t *testing.T) {
	dir := filepath.Join(golden.Dir(t, "gguf"), "malformed")
	var cases []struct{ Name, Kind, Level, Expect, Why string }
	if err := json.Unmarshal(golden.Read(t, filepath.Join(dir, "index.json")), &cases); err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, c := range cases {
		if c.Kind != "gguf" {
			continue
		}
		n++
		model, err := OpenBytes(c.Name, golden.Read(t, filepath.Join(dir, c.Name)))
		if c.Expect == "accept" && err != nil || c.Expect == "error" && err == nil {
			t.Errorf("%s (%s): err = %v, want %s", c.Name, c.Why, err, c.Expect)
		}
		if err == nil {
			checkTensors(t, model)
		}
		t.Logf("%s: %v", c.Name, err)
	}
	golden.Count(t, n)
}
