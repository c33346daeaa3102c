package checkpoint

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/systemgemma/systemgemma/internal/checkpoint/gguf"
	"github.com/systemgemma/systemgemma/internal/checkpoint/safetensors"
	"github.com/systemgemma/systemgemma/internal/text/tokenizer"
)

// tinyJSON is tinyConfig as a config.json of today.
const tinyJSON = `{"model_type": "gemma2", "architectures": ["Gemma2ForCausalLM"], "vocab_size": 19, "hidden_size": 10,
 "intermediate_size": 7, "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 6,
 "query_pre_attn_scalar": 0.3333333333333333, "attn_logit_softcapping": null, "final_logit_softcapping": 30.0, "sliding_window": 5,
 "layer_types": ["full_attention", "sliding_attention"], "rope_parameters": {"rope_type": "default", "rope_theta": 10000.1},
 "rms_norm_eps": 1e-05, "max_position_embeddings": 77, "tie_word_embeddings": true, "hidden_act": "gelu", "dtype": "float32"}`

// tinyTensors is a tensor for each parameter of tinyConfig, filled with its number.
func tinyTensors() []safetensors.Tensor {
	cfg := tinyConfig()
	var list []safetensors.Tensor
	for i, s := range specs(&cfg) {
		list = append(list, tensorHF(s.hf, byte(i), s.shape...))
	}
	return list
}

func tensorHF(name string, fill byte, shape ...int) safetensors.Tensor {
	n := 2
	for _, d := range shape {
		n *= d
	}
	return safetensors.Tensor{Name: name, DType: safetensors.BF16, Shape: shape, Data: bytes.Repeat([]byte{fill}, n)}
}

func shard(t testing.TB, tensors ...safetensors.Tensor) string {
	t.Helper()
	var b bytes.Buffer
	if err := safetensors.Write(&b, tensors, map[string]string{"format": "pt"}); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// folder writes files and returns their folder.
func folder(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// tinyFolder is a whole checkpoint; changes replace or, with "", remove files.
func tinyFolder(t testing.TB, changes map[string]string) string {
	t.Helper()
	files := map[string]string{"config.json": tinyJSON, singleFile: shard(t, tinyTensors()...)}
	maps.Copy(files, changes)
	maps.DeleteFunc(files, func(_, text string) bool { return text == "" })
	return folder(t, files)
}

func TestOpenFolder(t *testing.T) {
	dir := tinyFolder(t, map[string]string{
		"generation_config.json": `{"eos_token_id": [2, 1], "do_sample": true, "temperature": 0.9, "top_k": 64, "top_p": null, "max_new_tokens": 100}`,
		"tokenizer_config.json":  `{"chat_template": "from config", "added_tokens_decoder": {"0": {"content": "<pad>"}}}`,
		"other.safetensors":      "expected values of a test, not weights",
	})
	c, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer close(t, c)
	want := Generation{DoSample: ptr(true), Temperature: ptr[float32](0.9), TopK: ptr(64), MaxNewTokens: ptr(100)}
	if diff := cmp.Diff(tinyConfig(), c.Config) + cmp.Diff(want, c.Generation) + cmp.Diff([]int32{1, 2}, c.EOS) + cmp.Diff("from config", c.ChatTemplate) +
		cmp.Diff(map[string]string{"dtype": "float32"}, c.Metadata); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for i, s := range specs(&c.Config) {
		x, ok := c.Tensor(s.name)
		if !ok || x.Data[0] != byte(i) || !cmp.Equal(x.Shape, s.shape) {
			t.Errorf("%s (%s): found %v, filled with %v, shape %v, want %d, %v", s.name, s.hf, ok, x.Data[:1], x.Shape, i, s.shape)
		}
	}
}

func TestOpenFolderRefuses(t *testing.T) {
	model := readFileOf(t, filepath.Join("testdata", "tokenizer", "small", "small.model"))
	all := tinyTensors()
	with := func(extra ...safetensors.Tensor) string { return shard(t, append(slices.Clone(all), extra...)...) }
	config := func(old, new string) string { return strings.Replace(tinyJSON, old, new, 1) }
	reshaped := slices.Clone(all)
	reshaped[2] = tensorHF(all[2].Name, 0, 10, 12)
	for name, c := range map[string]struct {
		changes map[string]string
		want    string
	}{
		"no config":            {map[string]string{"config.json": ""}, "config.json: missing"},
		"no weights":           {map[string]string{singleFile: ""}, "model.safetensors: missing"},
		"empty weights":        {map[string]string{singleFile: "\x00"}, "model.safetensors: want 8 bytes"},
		"missing tensor":       {map[string]string{singleFile: shard(t, all[1:]...)}, "model.embed_tokens.weight: missing"},
		"unknown tensor":       {map[string]string{singleFile: with(tensorHF("score.weight", 0, 2, 10))}, "tensor score.weight: no part of"},
		"a layer too many":     {map[string]string{singleFile: with(tensorHF("model.layers.2.mlp.up_proj.weight", 0, 7, 10))}, "with 2 layers"},
		"bias":                 {map[string]string{singleFile: with(tensorHF("model.layers.0.self_attn.q_proj.bias", 0, 12))}, "q_proj.bias"},
		"shape":                {map[string]string{singleFile: shard(t, reshaped...)}, "q_proj.weight: want 12x10 (from its config), found 10x12; convert"},
		"quantised":            {map[string]string{singleFile: with(safetensors.Tensor{Name: "x", DType: "I8", Shape: []int{0}})}, "want F32, F16 or BF16, found I8"},
		"no head":              {map[string]string{"config.json": config(`"tie_word_embeddings": true`, `"tie_word_embeddings": false`)}, "lm_head.weight: missing, though tie_word_embeddings is false"},
		"other architecture":   {map[string]string{"config.json": config("gemma2", "llama")}, `this version runs gemma2 (Gemma2ForCausalLM), found model_type "llama"`},
		"no architecture":      {map[string]string{"config.json": "{}"}, "this version runs gemma2"},
		"config null":          {map[string]string{"config.json": "null"}, "this version runs gemma2"},
		"config cut":           {map[string]string{"config.json": tinyJSON[:99]}, "config.json: unexpected end"},
		"config huge":          {map[string]string{"config.json": tinyJSON + strings.Repeat(" ", maxConfig)}, "want at most 262144 bytes"},
		"bad generation":       {map[string]string{"generation_config.json": `{"top_k": "many"}`}, `generation_config.json: top_k: want a whole number, found "many"`},
		"negative temperature": {map[string]string{"generation_config.json": `{"temperature": -1}`}, "temperature: want a number from 0"},
		"end id below 0":       {map[string]string{"generation_config.json": `{"eos_token_id": -7}`}, "want ids from 0, found -7"},
		"bad end id":           {map[string]string{"generation_config.json": `{"eos_token_id": "x"}`}, "want a token id or a list"},
		"bad template":         {map[string]string{"tokenizer_config.json": `{"chat_template": 7}`}, "chat_template: want a string or a list"},
		"no default template":  {map[string]string{"tokenizer_config.json": `{"chat_template": [{"name": "rag", "template": "x"}]}`}, `want one named "default", found 1 others`},
		"bad tokenizer":        {map[string]string{"tokenizer.json": `{"model": 1}`}, "tokenizer.json"},
		"tokenizer.json first": {map[string]string{"tokenizer.json": `{"model": 1}`, "tokenizer.model": string(model)}, "tokenizer.json"},
		"gzip bomb":            {map[string]string{"tokenizer.json.gz": bomb(t)}, "unpack: want at most"},
		"cut gzip":             {map[string]string{"tokenizer.json.gz": bomb(t)[:20]}, "unpack: unexpected EOF"},
	} {
		_, err := Open(tinyFolder(t, c.changes))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: err = %v, want one with %q", name, err, c.want)
		}
	}
}

// bomb is 8 MB of blanks, packed.
func bomb(t testing.TB) string {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write(bytes.Repeat([]byte(" "), 8<<20)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestOpenShards(t *testing.T) {
	all := tinyTensors()
	index := func(change func(m map[string]string)) string {
		m := map[string]string{}
		for i, x := range all {
			m[x.Name] = fmt.Sprintf("model-%d.safetensors", i%2+1)
		}
		change(m)
		b, err := json.Marshal(map[string]any{"metadata": map[string]int{"total_size": 1}, "weight_map": m})
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	var parts [2][]safetensors.Tensor
	for i, x := range all {
		parts[i%2] = append(parts[i%2], x)
	}
	first := all[0].Name
	for name, c := range map[string]struct {
		change func(m map[string]string)
		files  map[string]string
		want   string // "": opens
	}{
		"whole":          {func(map[string]string) {}, nil, ""},
		"shard missing":  {func(map[string]string) {}, map[string]string{"model-2.safetensors": ""}, "model-2.safetensors: missing; get this file too"},
		"in no shard":    {func(m map[string]string) { m["x"] = "model-1.safetensors" }, nil, "model-1.safetensors: tensor x: missing, though the index lists it"},
		"in other shard": {func(m map[string]string) { m[first] = "model-2.safetensors" }, nil, `want it in "model-2.safetensors" (from the index)`},
		"not listed":     {func(m map[string]string) { delete(m, first) }, nil, "embed_tokens.weight: want it in \"\""},
		"path":           {func(m map[string]string) { m[first] = "../model-1.safetensors" }, nil, "want the name of a .safetensors file in this folder"},
		"absolute":       {func(m map[string]string) { m[first] = "/etc/x.safetensors" }, nil, "want the name of a .safetensors file in this folder"},
		"other kind":     {func(m map[string]string) { m[first] = "config.json" }, nil, "want the name of a .safetensors file in this folder"},
		"none":           {func(m map[string]string) { clear(m) }, nil, "want the tensors' files, found none"},
	} {
		files := map[string]string{indexFile: index(c.change), singleFile: "", "model-1.safetensors": shard(t, parts[0]...), "model-2.safetensors": shard(t, parts[1]...)}
		maps.Copy(files, c.files)
		got, err := Open(tinyFolder(t, files))
		if c.want == "" {
			if err != nil || len(got.Tensors) != len(all) {
				t.Errorf("%s: err = %v", name, err)
				continue
			}
			close(t, got)
		} else if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: err = %v, want one with %q", name, err, c.want)
		}
	}
}

// A missing shard can be told from other faults: a download goes on with it.
func TestMissingShardIsErrNotExist(t *testing.T) {
	if _, err := Open(tinyFolder(t, map[string]string{singleFile: ""})); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("err = %v, want fs.ErrNotExist", err)
	}
}

func TestHeads(t *testing.T) {
	cfg := tinyConfig()
	all := tinyTensors()
	same, own := tensorHF("lm_head.weight", all[0].Data[0], cfg.VocabSize, cfg.HiddenSize), tensorHF("lm_head.weight", 99, cfg.VocabSize, cfg.HiddenSize)
	other := same // the same bytes as another type are other numbers
	other.DType = safetensors.F16
	freq := tensorHF("model.layers.0.self_attn.rotary_emb.inv_freq", 1, 3)
	for name, c := range map[string]struct {
		config  string
		extra   safetensors.Tensor
		tied    bool
		tensors int
		note    string
	}{
		"tied, own head":    {"true", own, false, len(all) + 1, ""},
		"untied, own head":  {"false", own, false, len(all) + 1, ""},
		"tied, same head":   {"true", same, true, len(all), "lm_head.weight: left out"},
		"untied, same head": {"false", same, true, len(all), "lm_head.weight: left out"},
		"same bytes, F16":   {"true", other, false, len(all) + 1, ""},
		"harmless extra":    {"true", freq, true, len(all), "inv_freq: left out"},
	} {
		c2, err := Open(tinyFolder(t, map[string]string{
			"config.json": strings.Replace(tinyJSON, `"tie_word_embeddings": true`, `"tie_word_embeddings": `+c.config, 1),
			singleFile:    shard(t, append(slices.Clone(all), c.extra)...),
		}))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if c2.Config.TieEmbeddings != c.tied || len(c2.Tensors) != c.tensors || !strings.Contains(strings.Join(c2.Notes, "\n"), c.note) {
			t.Errorf("%s: tied %v, %d tensors, notes %q, want %v, %d, %q", name, c2.Config.TieEmbeddings, len(c2.Tensors), c2.Notes, c.tied, c.tensors, c.note)
		}
		close(t, c2)
	}
}

// An id past the embedding would lead out of the logits.
func TestEndIDsStayInsideTheVocabulary(t *testing.T) {
	c, err := Open(tinyFolder(t, map[string]string{"generation_config.json": `{"eos_token_id": [1, 19, 18, 107]}`}))
	if err != nil {
		t.Fatal(err)
	}
	defer close(t, c)
	if !cmp.Equal(c.EOS, []int32{1, 18}) || len(c.Notes) != 2 {
		t.Errorf("EOS = %v, notes %q", c.EOS, c.Notes)
	}
}

func TestOpenText(t *testing.T) {
	model := readFileOf(t, filepath.Join("testdata", "tokenizer", "small", "small.model"))
	template := map[string]string{
		"jinja file first": "{{ jinja }}",
		"named":            "{{ default }}",
	}
	for name, files := range map[string]map[string]string{
		"jinja file first": {"tokenizer.model": string(model), "chat_template.jinja": "{{ jinja }}", "tokenizer_config.json": `{"chat_template": "no"}`},
		"named":            {"tokenizer.model": string(model), "tokenizer_config.json": `{"chat_template": [{"name": "rag", "template": "no"}, {"name": "default", "template": "{{ default }}"}]}`},
		"no template":      {"tokenizer.model": string(model), "tokenizer_config.json": `{"chat_template": null}`, "generation_config.json": `{"eos_token_id": 5}`},
	} {
		dir := folder(t, files)
		c, err := OpenText(dir)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if c.ChatTemplate != template[name] || len(c.Vocab.Pieces) != 1200 || c.Tensors != nil {
			t.Errorf("%s: template %q, %d pieces, %d tensors", name, c.ChatTemplate, len(c.Vocab.Pieces), len(c.Tensors))
		}
		if _, err := Open(dir); err == nil {
			t.Errorf("%s: opened as a model", name)
		}
		close(t, c)
	}
	if _, err := OpenText(tinyFolder(t, nil)); err == nil || !strings.Contains(err.Error(), "found none of them") {
		t.Errorf("folder without a tokenizer: err = %v", err)
	}
	own, err := OpenText(writeTiny(t))
	if err != nil {
		t.Fatal(err)
	}
	defer close(t, own)
	if own.SystemMode != "merge" || own.Vocab.Control != tokenizer.ControlByType || own.Matrices != nil {
		t.Errorf("own file: mode %q, vocab %v, %d matrices", own.SystemMode, own.Vocab, len(own.Matrices))
	}
}

func TestOpenRefusesOtherFiles(t *testing.T) {
	dir := tinyFolder(t, map[string]string{"readme.txt": "hello there"})
	for path, want := range map[string]string{
		filepath.Join(dir, "readme.txt"): `found a file that begins with "hello th"`,
		filepath.Join(dir, singleFile):   "want the folder that holds this file",
		filepath.Join(dir, "none"):       "none",
	} {
		if _, err := Open(path); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: err = %v, want one with %q", path, err, want)
		}
	}
}

// A folder of int8 weights opens when its config says so and each has its scales, and not otherwise.
func TestInt8Folder(t *testing.T) {
	one := func(t safetensors.Tensor, n int) safetensors.Tensor { t.Data = bytes.Repeat(t.Data, n); return t }
	weight := one(safetensors.Tensor{Name: "w", DType: safetensors.I8, Shape: []int{2, 3}, Data: []byte{0x80}}, 6)
	scale := Tensor{Name: "w_scale", Type: gguf.F16, Shape: []int{2, 1}, Data: []byte{0, 0x3c, 0, 0x40}}
	source := map[string]Tensor{"w": {Name: "w"}, "w_scale": scale}
	if err := joinScales(source, map[string]safetensors.Tensor{"w": weight}); err != nil {
		t.Fatal(err)
	}
	w, row := source["w"], make([]float32, 3)
	if err := w.Row(row, 1); err != nil || row[2] != -256 || len(source) != 1 {
		t.Errorf("row %v, %v, %d tensors", row, err, len(source))
	}
	if err := (&Checkpoint{Tensors: source}).Runnable(); err != nil {
		t.Error(err)
	}
	for want, c := range map[string]map[string]Tensor{
		"w_scale: missing": {"w": {}},
		"w is not I8":      {"w": {}, "w_scale": scale, "x": {}},
	} {
		ints := map[string]safetensors.Tensor{"w": weight}
		if len(c) == 3 {
			ints = nil
		}
		if err := joinScales(c, ints); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want an error with %q", err, want)
		}
	}
	for want, config := range map[string]string{
		"quant_method":  `{"model_type":"gemma2","quantization_config":{"quant_method":"gptq","bits":4}}`,
		"an object":     `{"model_type":"gemma2","quantization_config":[]}`,
		"a string":      `{"model_type":"gemma2","quantization_config":{"quant_method":1}}`,
		"config_groups": `{"model_type":"gemma2","quantization_config":{"quant_method":"compressed-tensors"}}`,
	} {
		if _, err := (&Checkpoint{}).parseConfig([]byte(config)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want an error with %q", config, err, want)
		}
	}
}
