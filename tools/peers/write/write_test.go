package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/systemgemma/systemgemma/internal/checkpoint"
	"github.com/systemgemma/systemgemma/internal/checkpoint/safetensors"
	"github.com/systemgemma/systemgemma/internal/compute/half"
	"github.com/systemgemma/systemgemma/internal/load"
	reader "github.com/systemgemma/systemgemma/internal/text/tokenizer"
)

// A written GGUF opens as a Gemma 2 of that shape, and its weights are those of the seed: exactly in bf16, within half a step of a
// block in the others.
func TestGGUFHoldsTheWeights(t *testing.T) {
	for _, e := range encodings {
		path := filepath.Join(t.TempDir(), "m.gguf")
		if err := run([]string{"-shape", "tiny", "-format", "gguf-" + e.name, path}, io.Discard); err != nil {
			t.Fatal(err)
		}
		ck, err := checkpoint.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		want, _ := load.SyntheticConfig("tiny")
		if got := ck.Config; got.HiddenSize != want.HiddenSize || got.HeadDim != want.HeadDim || got.SlidingWindow != want.SlidingWindow || got.QueryPreAttnScalar != want.QueryPreAttnScalar {
			t.Errorf("%s: config %+v, want %+v", e.name, got, want)
		}
		if ck.Vocab == nil || len(ck.Vocab.Pieces) != want.VocabSize {
			t.Errorf("%s: no vocabulary of %d pieces", e.name, want.VocabSize)
		}
		for _, name := range []string{"token_embd.weight", "blk.3.attn_v.weight", "blk.0.ffn_down.weight"} {
			x, ok := ck.Tensor(name)
			if !ok || x.Type != e.typ {
				t.Fatalf("%s %s: type %v, want %v", e.name, name, x.Type, e.typ)
			}
			got, want := make([]float32, x.Columns()), make([]float32, x.Columns())
			for _, r := range []int{0, 63, 64, x.Shape[0] - 1} {
				if err := x.Row(got, r); err != nil {
					t.Fatal(err)
				}
				load.SyntheticRow(want, 1, name, r)
				step := 0.0
				switch e.name {
				case "q8_0":
					step = float64(want[0]) / 127 * 0.51
				case "q4_0":
					step = float64(want[0]) / 8 * 1.01 // the value opposite to the largest is cut off at 7
				}
				for k := range want {
					if math.Abs(float64(got[k]-want[k])) > step {
						t.Fatalf("%s %s row %d column %d: %v, want %v within %v", e.name, name, r, k, got[k], want[k], step)
					}
				}
			}
		}
		if err := ck.Close(); err != nil {
			t.Error(err)
		}
	}
}

// Blocks are those of llama.cpp, byte for byte, for values worked out by hand.
func TestBlocks(t *testing.T) {
	x := make([]float32, 32)
	x[0], x[1], x[2], x[16], x[31] = -127, 63.5, 1.49, 126, 0.5
	b := make([]byte, 34)
	encodeQ8(b, x)
	if got := half.FromF16(binary.LittleEndian.Uint16(b)); got != 1 {
		t.Errorf("q8_0: scale %v, want 1", got)
	}
	if got := []int8{int8(b[2]), int8(b[3]), int8(b[4]), int8(b[18]), int8(b[33])}; !slices.Equal(got, []int8{-127, 64, 1, 126, 1}) {
		t.Errorf("q8_0: %v", got)
	}
	x = make([]float32, 32)
	x[0], x[1], x[16], x[17] = -8, 7, 3, -3.5
	encodeQ4(b[:18], x)
	if got := half.FromF16(binary.LittleEndian.Uint16(b)); got != 1 {
		t.Errorf("q4_0: scale %v, want 1", got)
	}
	if b[2] != 0|11<<4 || b[3] != 15|5<<4 || b[4] != 0x88 { // -8 and 3, 7 and -3.5 + 8.5 = 5, 0 and 0
		t.Errorf("q4_0: % x", b[2:5])
	}
	for _, zero := range []func([]byte, []float32){encodeQ8, encodeQ4} {
		clear(b)
		zero(b, make([]float32, 32))
		if half.FromF16(binary.LittleEndian.Uint16(b)) != 0 {
			t.Error("scale of zeros: want 0")
		}
	}
}

// The folder's shards hold every parameter once, under Hugging Face's name; config and tokenizer are JSON that fits.
func TestFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "hf")
	if err := run([]string{"-shape", "tiny", "-format", "hf", dir}, io.Discard); err != nil {
		t.Fatal(err)
	}
	var index struct {
		WeightMap map[string]string `json:"weight_map"`
	}
	readJSON(t, filepath.Join(dir, "model.safetensors.index.json"), &index)
	data, err := os.ReadFile(filepath.Join(dir, "model-00001-of-00001.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	f, err := safetensors.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]safetensors.Tensor{}
	for _, x := range f.Tensors {
		found[x.Name] = x
	}
	if len(found) != len(index.WeightMap) || len(found) != 2+4*11 {
		t.Errorf("%d tensors, %d in the index, want %d", len(found), len(index.WeightMap), 2+4*11)
	}
	row := make([]float32, 2048)
	load.SyntheticRow(row, 1, "blk.2.ffn_down.weight", 5)
	x := found["model.layers.2.mlp.down_proj.weight"]
	for k, want := range row {
		if got := half.FromBF16(binary.LittleEndian.Uint16(x.Data[2*(5*2048+k):])); got != want {
			t.Fatalf("down_proj row 5 column %d: %v, want %v", k, got, want)
		}
	}
	if norm := found["model.layers.1.post_feedforward_layernorm.weight"]; len(norm.Data) != 1024 || !bytes.Equal(norm.Data, make([]byte, 1024)) {
		t.Errorf("norm: %d bytes, want 1024 zeros", len(norm.Data))
	}
	var config struct {
		Head  int     `json:"head_dim"`
		Query float64 `json:"query_pre_attn_scalar"`
		Vocab int     `json:"vocab_size"`
	}
	readJSON(t, filepath.Join(dir, "config.json"), &config)
	var tokenizer struct {
		Model struct{ Vocab map[string]int }
	}
	readJSON(t, filepath.Join(dir, "tokenizer.json"), &tokenizer)
	if config.Head != 128 || config.Query != 128 || config.Vocab != 8192 || len(tokenizer.Model.Vocab) != 8192 || tokenizer.Model.Vocab["<bos>"] != 2 {
		t.Errorf("config %+v, vocabulary of %d", config, len(tokenizer.Model.Vocab))
	}
	// Our own reader takes it: text comes apart by the only merge, and together again.
	text, err := os.ReadFile(filepath.Join(dir, "tokenizer.json"))
	if err != nil {
		t.Fatal(err)
	}
	vocab, err := reader.ParseJSON(text)
	if err != nil {
		t.Fatal(err)
	}
	tok, err := reader.New(vocab)
	if err != nil {
		t.Fatal(err)
	}
	if ids := tok.AppendText(nil, "ab"); !slices.Equal(ids, []int32{31}) {
		t.Errorf("ids of ab: %v, want 31", ids)
	}
}

func readJSON(t *testing.T, path string, x any) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, x); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

// The 2B is cut into shards below 2 GiB that hold all of it.
func TestSplit(t *testing.T) {
	c, _ := load.SyntheticConfig("2b")
	parts := load.Parts(&c)
	shards, total := split(parts)
	if total != 2*2_614_341_888 || len(shards) != 3 || !slices.EqualFunc(slices.Concat(shards...), parts, func(a, b load.Part) bool { return a == b }) {
		t.Errorf("%d shards of %d bytes", len(shards), total)
	}
	for i, s := range shards {
		var n int64
		for _, p := range s {
			n += sizeOf(p)
		}
		if n > shardBytes {
			t.Errorf("shard %d: %d bytes", i, n)
		}
	}
}

func TestNames(t *testing.T) {
	for name, want := range map[string]string{
		"token_embd.weight": "model.embed_tokens.weight", "output_norm.weight": "model.norm.weight",
		"blk.0.attn_norm.weight": "model.layers.0.input_layernorm.weight", "blk.25.attn_output.weight": "model.layers.25.self_attn.o_proj.weight",
		"blk.1.ffn_norm.weight": "model.layers.1.pre_feedforward_layernorm.weight", "blk.9.ffn_gate.weight": "model.layers.9.mlp.gate_proj.weight",
	} {
		if got := hfName(name); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	pieces, types := vocabulary(1000)
	seen := map[string]bool{}
	for _, p := range pieces {
		if seen[p] {
			t.Errorf("piece %q twice", p)
		}
		seen[p] = true
	}
	if pieces[217] != "<0x00>" || pieces[472] != "<0xFF>" || types[472] != pieceByte || types[3] != pieceUnknown || types[107] != pieceControl || types[500] != pieceNormal {
		t.Errorf("%q %q", pieces[217], pieces[472])
	}
}

// Wrong use is an error, and a file that could not be written whole is not there.
func TestRefuses(t *testing.T) {
	dir := t.TempDir()
	for want, args := range map[string][]string{
		"want one path":               {"-format", "hf"},
		"-format: want gguf-q8_0":     {"-format", "q8_0", filepath.Join(dir, "x")},
		"want one of [tiny":           {"-shape", "3b", "-format", "hf", dir},
		"no such file or directory":   {"-format", "gguf-bf16", filepath.Join(dir, "none", "x")},
		"flag provided but not defin": {"-size", "2b"},
	} {
		if err := run(args, io.Discard); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %q", args, err, want)
		}
	}
	path := filepath.Join(dir, "broken.gguf")
	if err := writeFile(path, func(io.Writer) error { return fmt.Errorf("disk is full") }); err == nil {
		t.Error("want an error")
	}
	if left, _ := filepath.Glob(path + "*"); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}
