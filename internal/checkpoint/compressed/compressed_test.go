package compressed

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/systemgemma/systemgemma/internal/checkpoint/safetensors"
	"github.com/systemgemma/systemgemma/internal/testkit/golden"
)

// config is ours as JSON, with one string replaced.
func config(t testing.TB, old, new string) []byte {
	t.Helper()
	b, err := json.Marshal(Config([]string{"lm_head"}))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(b, []byte(old)) {
		t.Fatalf("%s holds no %s", b, old)
	}
	return bytes.Replace(b, []byte(old), []byte(new), 1)
}

// What we write is what the reference library wrote, and both are accepted.
func TestGoldenConfig(t *testing.T) {
	var file struct {
		Quantization json.RawMessage `json:"quantization_config"`
	}
	path := filepath.Join(golden.Dir(t, "quant"), "compressed-tensors-w8a8", "config.json")
	if err := json.Unmarshal(golden.Read(t, path), &file); err != nil {
		t.Fatal(err)
	}
	if err := Check(file.Quantization); err != nil {
		t.Error(err)
	}
	ours := config(t, "", "")
	if err := Check(ours); err != nil {
		t.Error(err)
	}
	var want, got any
	if err := json.Unmarshal(file.Quantization, &want); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(ours, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("quantization_config (-reference +ours):\n%s", diff)
	}
	golden.Count(t, 2)
}

func TestCheckRefusesOtherSchemes(t *testing.T) {
	for want, c := range map[string][2]string{
		"num_bits: want 8, found 4":                    {`"num_bits":8`, `"num_bits":4`},
		"num_bits: want 8, found null":                 {`"num_bits":8`, `"num_bits":null`},
		"strategy: want token, found tensor":           {`"strategy":"token"`, `"strategy":"tensor"`},
		"strategy: want channel, found group":          {`"strategy":"channel"`, `"strategy":"group"`},
		"group_size: want none, found 128":             {`"group_size":null`, `"group_size":128`},
		"symmetric: want true":                         {`"symmetric":true`, `"symmetric":false`},
		"type: want int, found float":                  {`"type":"int"`, `"type":"float"`},
		"dynamic: want true, found false":              {`"dynamic":true`, `"dynamic":false`},
		"format: found \"pack-quantized\"":             {`"int-quantized","global`, `"pack-quantized","global`},
		"kv_cache_scheme":                              {`"kv_cache_scheme":null`, `"kv_cache_scheme":{"num_bits":8}`},
		"transform_config":                             {`"kv_cache_scheme":null`, `"transform_config":{"a":1}`},
		"sparsity_config":                              {`"kv_cache_scheme":null`, `"sparsity_config":{"format":"sparse-24-bitmask"}`},
		"new_key":                                      {`"kv_cache_scheme":null`, `"new_key":1`},
		"quantization_status":                          {`"compressed"`, `"calibration"`},
		"output_activations":                           {`"output_activations":null`, `"output_activations":{"num_bits":8}`},
		"config_groups: want 1 to 64, found 0":         {`"group_0"`, `"group_0":null},"config_groups":{},"ignore":{"x"`},
		"group_0: want an object, found null":          {`"group_0":`, `"group_0":null,"group_1":`},
		"config_groups: want an object":                {`"config_groups":`, `"config_groups":[1],"ignore":`},
		"input_activations: found none":                {`"input_activations":`, `"input_activations":null,"x":`},
		"actorder: want none, found \"group\"":         {`"actorder":null`, `"actorder":"group"`},
		"block_structure: want none, found [128, 128]": {`"block_structure":null`, `"block_structure":[128, 128]`},
	} {
		if err := Check(config(t, c[0], c[1])); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s instead of %s: %v, want an error with %q", c[1], c[0], err, want)
		}
	}
	for old, new := range map[string]string{
		`"kv_cache_scheme":null`: `"version":"0.9.1","sparsity_config":{"format":"dense"},"transform_config":{}`, `"group_size":null`: `"group_size":-1`,
	} {
		if err := Check(config(t, old, new)); err != nil {
			t.Errorf("%s instead of %s: %v", new, old, err)
		}
	}
}

func TestScales(t *testing.T) {
	weight := safetensors.Tensor{Name: "w", DType: safetensors.I8, Shape: []int{2, 3}, Data: make([]byte, 6)}
	good := safetensors.Tensor{Name: "w_scale", DType: safetensors.BF16, Shape: []int{2, 1}, Data: []byte{0x80, 0x3f, 0, 0}}
	if got, err := Scales(weight, good); err != nil || !cmp.Equal(got, []float32{1, 0}) {
		t.Errorf("Scales = %v, %v, want 1 and 0", got, err)
	}
	for name, spoil := range map[string]func(w, s *safetensors.Tensor){
		"one for all":  func(_, s *safetensors.Tensor) { s.Shape, s.Data = []int{1}, s.Data[:2] },
		"groups":       func(_, s *safetensors.Tensor) { s.Shape = []int{1, 2} },
		"negative":     func(_, s *safetensors.Tensor) { s.Data = []byte{0x80, 0xbf, 0, 0} },
		"no number":    func(_, s *safetensors.Tensor) { s.Data = []byte{0xc0, 0x7f, 0, 0} },
		"infinite":     func(_, s *safetensors.Tensor) { s.Data = []byte{0x80, 0x7f, 0, 0} },
		"integers":     func(_, s *safetensors.Tensor) { s.DType = "I16" },
		"a vector":     func(w, _ *safetensors.Tensor) { w.Shape = []int{6} },
		"other weight": func(w, _ *safetensors.Tensor) { w.DType = "U8" },
	} {
		w, s := weight, good
		spoil(&w, &s)
		if _, err := Scales(w, s); err == nil || !strings.Contains(err.Error(), "tensor w") {
			t.Errorf("%s: %v, want an error that names the tensor", name, err)
		}
	}
}

// Any bytes are a config that is accepted or refused: no panic, and an error of readable length.
func FuzzCheck(f *testing.F) {
	f.Add(config(f, "", ""))
	f.Add([]byte(`{"config_groups":{"a":{"weights":{"num_bits":8.5}}}}`))
	if b, err := os.ReadFile(filepath.Join("testdata", "quant", "compressed-tensors-w8a8", "config.json")); err == nil {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := Check(data); err != nil && len(err.Error()) > 2000 {
			t.Errorf("an error of %d bytes", len(err.Error()))
		}
	})
}
