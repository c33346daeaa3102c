package checkpoint

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/systemgemma/systemgemma/internal/arch"
	"github.com/systemgemma/systemgemma/internal/checkpoint/gguf"
	"github.com/systemgemma/systemgemma/internal/compute/blocks"
	"github.com/systemgemma/systemgemma/internal/testkit/golden"
	"github.com/systemgemma/systemgemma/internal/testkit/memory"
	"github.com/systemgemma/systemgemma/internal/testkit/sample"
)

// foreignEntries is what llama.cpp's converter writes for a small model of cfg.
func foreignEntries(cfg *arch.Config) []gguf.Entry {
	return []gguf.Entry{
		{Key: "general.architecture", Value: "gemma2"},
		{Key: "gemma2.embedding_length", Value: uint32(cfg.HiddenSize)},
		{Key: "gemma2.block_count", Value: uint32(cfg.NumLayers)},
		{Key: "gemma2.feed_forward_length", Value: uint32(cfg.IntermediateSize)},
		{Key: "gemma2.attention.head_count", Value: uint32(cfg.NumHeads)},
		{Key: "gemma2.attention.head_count_kv", Value: uint32(cfg.NumKVHeads)},
		{Key: "gemma2.attention.key_length", Value: uint32(cfg.HeadDim)},
		{Key: "tokenizer.ggml.model", Value: "llama"},
		{Key: "tokenizer.ggml.tokens", Value: []string{"<pad>", "<eos>", "<end_of_turn>", "▁a"}},
		{Key: "tokenizer.ggml.scores", Value: []float32{0, 0, 0, -1}},
		{Key: "tokenizer.ggml.token_type", Value: []int32{3, 3, 3, 1}},
	}
}

// foreign is a GGUF file of cfg with entries replaced, added or (nil value) removed, and further tensors.
func foreign(t testing.TB, cfg arch.Config, changes []gguf.Entry, extra ...gguf.Source) []byte {
	t.Helper()
	entries := foreignEntries(&cfg)
	for _, e := range changes {
		entries = slices.DeleteFunc(entries, func(x gguf.Entry) bool { return x.Key == e.Key })
		if e.Value != nil {
			entries = append(entries, e)
		}
	}
	var tensors []gguf.Source
	for i, s := range specs(&cfg) {
		tensors = append(tensors, filled(s.name, byte(i), s.shape...))
	}
	var b bytes.Buffer
	if err := gguf.Write(&b, entries, append(tensors, extra...)); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// filled is a BF16 tensor of one repeated byte.
func filled(name string, fill byte, shape ...int) gguf.Source {
	return gguf.Source{Name: name, Type: gguf.BF16, Shape: shape, Write: func(w io.Writer) error {
		_, err := w.Write(tensorHF(name, fill, shape...).Data)
		return err
	}}
}

// foreignBlocks is a small file with matrices of every type of 32 weights a block, bytes counted through, halves finite.
func foreignBlocks(t testing.TB) []byte {
	t.Helper()
	cfg := small()
	cfg.HiddenSize, cfg.IntermediateSize, cfg.HeadDim, cfg.NumHeads, cfg.NumKVHeads = 32, 32, 16, 2, 1
	types := []gguf.Type{gguf.Q4_0, gguf.Q4_1, gguf.Q5_0, gguf.Q5_1, gguf.Q8_0, gguf.IQ4_NL}
	var tensors []gguf.Source
	for i, s := range specs(&cfg) {
		typ, size := gguf.F32, 4*s.shape[0]
		if len(s.shape) == 2 {
			typ = types[i%len(types)]
			row, err := typ.RowSize(s.shape[1])
			if err != nil {
				t.Fatal(err)
			}
			size = row * s.shape[0]
		}
		tensors = append(tensors, gguf.Source{Name: s.name, Type: typ, Shape: s.shape, Write: func(w io.Writer) error {
			data := make([]byte, size)
			for i := range data {
				data[i] = byte(41*i) & 0xbb
			}
			_, err := w.Write(data)
			return err
		}})
	}
	var b bytes.Buffer
	if err := gguf.Write(&b, foreignEntries(&cfg), tensors); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// A file that claims blocks for rows that are no whole blocks is refused, by every type's name.
func TestForeignRefusesPartsOfBlocks(t *testing.T) {
	data := foreign(t, small(), nil)
	name := []byte("token_embd.weight")
	at := bytes.LastIndex(data, name) + len(name) + 4 + 2*8 // behind the number of dimensions and both
	if typ := binary.LittleEndian.Uint32(data[at:]); gguf.Type(typ) != gguf.BF16 {
		t.Fatalf("found %d in place of the type", typ)
	}
	for _, n := range blocks.Numbers() {
		binary.LittleEndian.PutUint32(data[at:], n)
		f, _ := blocks.Of(n)
		want := fmt.Sprintf("tensor token_embd.weight: %s: want rows of a multiple of %d elements, found 10", f.Name, f.Elements)
		if _, err := OpenBytes("memory", data); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("err = %v, want %q", err, want)
		}
	}
}

// Every block of a file can be read through its checkpoint.
func TestForeignBlocks(t *testing.T) {
	c, err := OpenBytes("memory", foreignBlocks(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Runnable(); err != nil {
		t.Error(err)
	}
	readEveryRow(t, c)
}

// small is tinyConfig as a file without further keys describes it.
func small() arch.Config {
	c := arch.Defaults()
	t := tinyConfig()
	c.VocabSize, c.HiddenSize, c.IntermediateSize, c.NumLayers = t.VocabSize, t.HiddenSize, t.IntermediateSize, t.NumLayers
	c.NumHeads, c.NumKVHeads, c.HeadDim, c.QueryPreAttnScalar = t.NumHeads, t.NumKVHeads, t.HeadDim, float64(t.HeadDim)
	c.AlternateLayers()
	return c
}

func TestForeignConfig(t *testing.T) {
	big := small()
	big.NumLayers, big.HiddenSize = 46, 288
	big.AlternateLayers()
	big.QueryPreAttnScalar = 144
	pattern := func(global ...bool) func(*arch.Config) { return func(c *arch.Config) { c.Global = global } }
	const key = "gemma2.attention.sliding_window_pattern"
	for name, c := range map[string]struct {
		base    arch.Config
		changes []gguf.Entry
		want    func(*arch.Config)
	}{
		"defaults":       {small(), nil, func(*arch.Config) {}},
		"27B's scale":    {big, nil, func(*arch.Config) {}},
		"explicit scale": {small(), []gguf.Entry{{Key: "gemma2.attention.scale", Value: float32(0.25)}}, func(c *arch.Config) { c.QueryPreAttnScalar = 16 }},
		"period 1":       {small(), []gguf.Entry{{Key: key, Value: uint32(1)}}, pattern(true, true)},
		"period 3":       {small(), []gguf.Entry{{Key: key, Value: uint32(3)}}, pattern(false, false)},
		"per layer":      {small(), []gguf.Entry{{Key: key, Value: []bool{false, true}}}, pattern(true, false)},
		"own values": {small(), []gguf.Entry{
			{Key: "gemma2.attention.sliding_window", Value: uint32(9)}, {Key: "gemma2.context_length", Value: uint32(99)},
			{Key: "gemma2.attention.layer_norm_rms_epsilon", Value: float32(1e-5)}, {Key: "gemma2.attn_logit_softcapping", Value: float32(0)},
			{Key: "gemma2.final_logit_softcapping", Value: float32(20)}, {Key: "gemma2.rope.freq_base", Value: float32(500)},
			{Key: "gemma2.vocab_size", Value: uint32(19)}, {Key: "gemma2.rope.dimension_count", Value: uint32(6)},
		}, func(c *arch.Config) {
			c.SlidingWindow, c.MaxPositions, c.RMSNormEps, c.AttnSoftcap, c.FinalSoftcap, c.RopeTheta = 9, 99, 1e-5, 0, 20, 500
		}},
	} {
		want := c.base
		c.want(&want)
		got, err := OpenBytes("memory", foreign(t, c.base, c.changes))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if diff := cmp.Diff(want, got.Config) + cmp.Diff([]int32{1, 2}, got.EOS); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if x, _ := got.Tensor("blk.1.post_ffw_norm.weight"); x.Data == nil || x.Type != gguf.BF16 {
			t.Errorf("%s: tensor %v", name, x)
		}
	}
}

func TestForeignRefuses(t *testing.T) {
	cfg := small()
	for name, c := range map[string]struct {
		change gguf.Entry
		want   string
	}{
		"no architecture":   {gguf.Entry{Key: "general.architecture"}, `this version runs gemma2 (Gemma2ForCausalLM), found ""`},
		"adapter":           {gguf.Entry{Key: "general.type", Value: "adapter"}, `general.type: want model, found "adapter"`},
		"split":             {gguf.Entry{Key: "split.count", Value: uint16(3)}, "one of 3; merge them"},
		"no layers":         {gguf.Entry{Key: "gemma2.block_count"}, "metadata gemma2.block_count: missing"},
		"no head size":      {gguf.Entry{Key: "gemma2.attention.key_length"}, "metadata gemma2.attention.key_length: missing"},
		"type":              {gguf.Entry{Key: "gemma2.block_count", Value: "2"}, "metadata gemma2.block_count: want a whole number"},
		"value length":      {gguf.Entry{Key: "gemma2.attention.value_length", Value: uint32(8)}, "value_length: want 6, found 8"},
		"rope dimensions":   {gguf.Entry{Key: "gemma2.rope.dimension_count", Value: uint32(4)}, "dimension_count: want 6, found 4"},
		"rope scaling":      {gguf.Entry{Key: "gemma2.rope.scaling.type", Value: "yarn"}, `scaling.type: want none, found "yarn"`},
		"vocabulary":        {gguf.Entry{Key: "gemma2.vocab_size", Value: uint32(20)}, "token_embd.weight: want 20x10 (from its config), found 19x10"},
		"width":             {gguf.Entry{Key: "gemma2.embedding_length", Value: uint32(12)}, "want 19x12 (from its config), found 19x10; convert the checkpoint again"},
		"period 0":          {gguf.Entry{Key: "gemma2.attention.sliding_window_pattern", Value: uint32(0)}, "want a period of at least 1, found 0"},
		"pattern length":    {gguf.Entry{Key: "gemma2.attention.sliding_window_pattern", Value: []bool{true}}, "want one for each of 2 layers, found 1"},
		"pattern type":      {gguf.Entry{Key: "gemma2.attention.sliding_window_pattern", Value: "odd"}, "want a whole number"},
		"scale":             {gguf.Entry{Key: "gemma2.attention.scale", Value: float32(math.NaN())}, "query_pre_attn_scalar: want a positive number"},
		"other tokenizer":   {gguf.Entry{Key: "tokenizer.ggml.model", Value: "gpt2"}, `want llama (SentencePiece, as Gemma 2 has), found "gpt2"`},
		"fewer scores":      {gguf.Entry{Key: "tokenizer.ggml.scores", Value: []float32{0}}, "scores: want one for each of 4 tokens, found array of 1 f32"},
		"narrow scores":     {gguf.Entry{Key: "tokenizer.ggml.scores", Value: []uint8{0, 0, 0, 0}}, "want array of f32, found array of 4 u8"},
		"no types":          {gguf.Entry{Key: "tokenizer.ggml.token_type"}, "token_type: missing"},
		"type of a token":   {gguf.Entry{Key: "tokenizer.ggml.token_type", Value: []int32{3, 3, 258, 1}}, "token_type[2]: want 1 to 6, found 258"},
		"end id":            {gguf.Entry{Key: "tokenizer.ggml.eos_token_id", Value: uint32(4)}, "eos_token_id: want an id below 4, found 4"},
		"huge id":           {gguf.Entry{Key: "tokenizer.ggml.bos_token_id", Value: uint64(1) << 63}, "bos_token_id: want a whole number"},
		"template number":   {gguf.Entry{Key: "tokenizer.chat_template", Value: uint32(1)}, "chat_template: want string, found u32"},
		"sampling":          {gguf.Entry{Key: "general.sampling.temp", Value: float32(-1)}, "general.sampling.temp: want a number from 0"},
		"looks like ours":   {gguf.Entry{Key: versionKey, Value: uint32(1)}, "want systemgemma.crc32c.header first, found none"},
		"token array of u8": {gguf.Entry{Key: "tokenizer.ggml.tokens", Value: []uint8{1, 2, 3, 4}}, "tokens: want array of string"},
	} {
		_, err := OpenBytes("memory", foreign(t, cfg, []gguf.Entry{c.change}))
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "memory: ") {
			t.Errorf("%s: err = %v, want one with %q", name, err, c.want)
		}
	}
	extra := filled("rope_freqs.weight", 0, 3)
	if _, err := OpenBytes("memory", foreign(t, cfg, nil, extra)); err == nil || !strings.Contains(err.Error(), "tensor rope_freqs.weight: no part of") {
		t.Errorf("unknown tensor: err = %v", err)
	}
	many := make([]string, 20)
	changes := []gguf.Entry{{Key: "tokenizer.ggml.tokens", Value: many}, {Key: "tokenizer.ggml.scores", Value: make([]float32, 20)},
		{Key: "tokenizer.ggml.token_type", Value: slices.Repeat([]int32{1}, 20)}}
	if _, err := OpenBytes("memory", foreign(t, cfg, changes)); err == nil || !strings.Contains(err.Error(), "tokenizer: want at most 19 pieces") {
		t.Errorf("more pieces than rows: err = %v", err)
	}
}

func TestForeignHeadAndGeneration(t *testing.T) {
	cfg := small()
	changes := []gguf.Entry{
		{Key: "general.sampling.temp", Value: float32(0.5)}, {Key: "general.sampling.top_k", Value: int32(40)}, {Key: "general.name", Value: "n"},
		{Key: "general.file_type", Value: uint32(32)}, {Key: "general.tags", Value: []string{"a", "b"}},
	}
	c, err := OpenBytes("memory", foreign(t, cfg, changes, filled(head, 200, cfg.VocabSize, cfg.HiddenSize)))
	if err != nil {
		t.Fatal(err)
	}
	want := Generation{Temperature: ptr[float32](0.5), TopK: ptr(40)}
	if diff := cmp.Diff(want, c.Generation); diff != "" || c.Config.TieEmbeddings || c.Tensors[head].Data[0] != 200 {
		t.Errorf("tied %v; generation (-want +got):\n%s", c.Config.TieEmbeddings, diff)
	}
	if diff := cmp.Diff("n|32|array of 2 string", strings.Join([]string{c.Metadata["general.name"], c.Metadata["general.file_type"], c.Metadata["general.tags"]}, "|")); diff != "" {
		t.Error(diff)
	}
}

// Opening holds at most four times the file and 8 MiB, also when the file is made to be expensive.
func TestOpenMemory(t *testing.T) {
	sample.Skip(t)
	cfg := small()
	const n = 2 << 20
	changes := []gguf.Entry{{Key: "tokenizer.ggml.tokens", Value: make([]string, n)}, {Key: "tokenizer.ggml.scores", Value: make([]float32, n)},
		{Key: "tokenizer.ggml.token_type", Value: slices.Repeat([]int32{1}, n)}}
	layers := small()
	layers.NumLayers = maxLayers
	for name, data := range map[string][]byte{
		"empty tokens":       foreign(t, cfg, changes),
		"1024 layers":        foreign(t, layers, nil),
		"narrow types":       foreign(t, cfg, append(changes[:2:2], gguf.Entry{Key: "tokenizer.ggml.token_type", Value: slices.Repeat([]uint8{1}, n)})),
		"numbers for tokens": foreign(t, cfg, []gguf.Entry{{Key: "tokenizer.ggml.tokens", Value: make([]uint8, 8*n)}}),
		"a large pattern":    foreign(t, cfg, []gguf.Entry{{Key: "gemma2.attention.sliding_window_pattern", Value: make([]bool, 8*n)}}),
		"bytes for a number": foreign(t, cfg, []gguf.Entry{{Key: "gemma2.block_count", Value: make([]uint8, 8*n)}}),
	} {
		var err error
		if used, limit := memory.PeakLive(func() { _, err = OpenBytes("memory", data) }), uint64(4*len(data)+8<<20); used > limit {
			t.Errorf("%s: opening %d bytes held %d bytes, limit %d (err = %v)", name, len(data), used, limit, err)
		}
	}
}

// Any bytes give a checkpoint whose every row can be read, or an error: no panic, and no more memory than 64 bytes per byte
// of input plus 8 MiB.
func FuzzOpenBytes(f *testing.F) {
	paths, err := filepath.Glob("testdata/gguf/malformed/*.gguf")
	if err != nil || len(paths) == 0 {
		f.Fatalf("%d seeds, err = %v", len(paths), err)
	}
	for _, path := range paths {
		f.Add(golden.Read(f, path))
	}
	f.Add(foreign(f, small(), nil))
	f.Add(foreignBlocks(f))
	own := readFileOf(f, writeTiny(f))
	f.Add(own)
	f.Add(writeUnsynced(f, f.TempDir(), groupedModel(f)))
	f.Fuzz(func(t *testing.T, data []byte) {
		if file, err := gguf.Parse(data); err == nil && isOwn(file) && file.DataStart > headerAt+4 {
			data = bytes.Clone(data)
			putHeaderSum(data[:file.DataStart]) // else nothing behind the checksum is ever reached
		}
		var h Header
		headerErr := error(nil)
		if file, err := gguf.Parse(data); err == nil {
			headerErr = h.read(file, data)
		}
		var c *Checkpoint
		var err error
		if used, limit := memory.Allocated(func() { c, err = OpenBytes("memory", data) }), uint64(64*len(data)+8<<20); used > limit {
			t.Fatalf("opening %d bytes allocated %d bytes, limit %d", len(data), used, limit)
		}
		if err != nil {
			return
		}
		if headerErr != nil || h.SystemMode != c.SystemMode || h.ChatTemplate != c.ChatTemplate || h.Report != c.Report {
			t.Errorf("the beginning says %+v (%v), and the whole file %q, %q, %q", h, headerErr, c.SystemMode, c.ChatTemplate, c.Report)
		}
		if c.Runnable() == nil {
			readEveryRow(t, c)
		}
		if c.seal != nil {
			_ = c.Verify(t.Context(), nil) // an error or not: it must not panic
		}
	})
}

// readEveryRow uses all that a loader would use.
func readEveryRow(t testing.TB, c *Checkpoint) {
	t.Helper()
	for _, s := range ownSpecs(&c.Config) {
		row := make([]float32, s.shape[len(s.shape)-1])
		rows := 1
		if len(s.shape) == 2 {
			rows = s.shape[0]
		}
		m, packed := c.Matrices[s.name]
		x, stored := c.Tensor(s.name)
		if packed == stored {
			t.Fatalf("%s: as a matrix %v, as a tensor %v, want one of them", s.name, packed, stored)
		}
		for r := range rows {
			if packed {
				m.Row(row, r)
			} else if err := x.Row(row, r); err != nil {
				t.Fatal(err)
			}
		}
	}
}
