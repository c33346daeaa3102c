package convert

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/systemgemma/systemgemma/internal/checkpoint"
	"github.com/systemgemma/systemgemma/internal/checkpoint/gguf"
	"github.com/systemgemma/systemgemma/internal/checkpoint/safetensors"
	"github.com/systemgemma/systemgemma/internal/compute/quant"
	"github.com/systemgemma/systemgemma/internal/mini"
	"github.com/systemgemma/systemgemma/internal/testkit/golden"
	"github.com/systemgemma/systemgemma/internal/text/tokenizer"
)

// export makes and returns the path.
func export(t *testing.T, ck *checkpoint.Checkpoint, o ExportOptions) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "out")
	e, err := Export(ck, path, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Run(context.Background(), crew(t, 2)); err != nil {
		t.Fatal(err)
	}
	left, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(left) != 1 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	return path
}

// In the source's own number type every target computes the bits of the source.
func TestExportSameTypeSameBits(t *testing.T) {
	for _, name := range []string{"one-layer-f32", "2b-like-bf16-sharded"} {
		src := filepath.Join("testdata", "models", name)
		ck := open(t, src)
		want := run(t, src, false)
		for _, o := range []ExportOptions{
			{To: ToSafetensors}, {To: ToSafetensors, maxShard: 20_000}, {To: ToGGUF, Type: name[len(name)-3:]}, {To: ToGGUF, Type: "bf16"}, {To: ToSafetensors, Type: "f32"},
		} {
			switch { // the name ends in -f32 or in -bf16-sharded
			case name == "one-layer-f32" && o.Type == "bf16":
				continue
			case name != "one-layer-f32" && o.To == ToGGUF:
				o.Type = "bf16"
			}
			path := export(t, ck, o)
			out := open(t, path)
			if diff := cmp.Diff(ck.Config, out.Config); diff != "" {
				t.Errorf("%s to %s: config (-source +export):\n%s", name, o.To, diff)
			}
			if got := run(t, path, false); !slices.EqualFunc(got, want, slices.Equal[[]float32]) {
				t.Errorf("%s to %s %s: logits differ", name, o.To, o.Type)
			}
			if _, err := os.Stat(filepath.Join(path, "model.safetensors.index.json")); (err == nil) != (o.maxShard != 0) {
				t.Errorf("%s to %s, shards of %d bytes: index %v", name, o.To, o.maxShard, err)
			}
		}
	}
}

// The F32 file exported as each type is the file of that type, tensor for tensor, key for key.
func TestGoldenExportGGUF(t *testing.T) {
	dir := golden.Dir(t, "gguf")
	source := filepath.Join(dir, "f32.gguf")
	types := gguf.Encodable
	if _, err := os.Stat(source); errors.Is(err, os.ErrNotExist) {
		source, types = filepath.Join(dir, "q8_0.gguf"), []gguf.Type{gguf.Q8_0} // the sample: blocks are taken over
	}
	n := 0
	for _, typ := range types {
		parse := func(path string) *gguf.File {
			f, err := gguf.Parse(golden.Read(t, path))
			if err != nil {
				t.Fatal(err)
			}
			return f
		}
		want := parse(filepath.Join(dir, typeName(typ)+".gguf"))
		got := parse(export(t, open(t, source), ExportOptions{To: ToGGUF, Type: typeName(typ), Name: "tiny-" + typeName(typ)}))
		if len(got.Tensors) != len(want.Tensors) {
			t.Errorf("%v: %d tensors, want %d", typ, len(got.Tensors), len(want.Tensors))
		}
		for _, w := range want.Tensors {
			g, ok := got.Tensor(w.Name)
			if !ok || g.Type != w.Type || !slices.Equal(g.Shape, w.Shape) || !bytes.Equal(g.Data, w.Data) {
				t.Errorf("%v: tensor %s: found %v %v, want %v %v with the same bytes", typ, w.Name, g.Type, g.Shape, w.Type, w.Shape)
			}
			n++
		}
		for _, w := range want.Metadata {
			g, ok := got.Lookup(w.Key)
			g.Key = w.Key
			if !ok || !cmp.Equal(value(g), value(w)) {
				t.Errorf("%v: metadata %s: %v %v, want %v", typ, w.Key, ok, value(g), value(w))
			}
			n++
		}
	}
	golden.Count(t, n)
}

// value decodes what the reference files have, with its type.
func value(v gguf.Value) any {
	if x, err := v.Text(); err == nil {
		return x
	}
	if x, err := v.Int(); err == nil {
		return []any{v.Type(), x}
	}
	if x, err := v.Float(); err == nil {
		return []any{v.Type(), x}
	}
	if x, err := v.Bool(); err == nil {
		return x
	}
	if x, err := v.Texts(); err == nil {
		return x
	}
	if x, err := v.Floats(); err == nil {
		return x
	}
	x, _ := v.Ints()
	return x
}

// tensors reads all of a folder with one shard.
func tensors(t *testing.T, dir string) map[string]safetensors.Tensor {
	t.Helper()
	f, err := safetensors.Parse(golden.Read(t, filepath.Join(dir, "model.safetensors")))
	if err != nil {
		t.Fatal(err)
	}
	if f.Metadata["format"] != "pt" {
		t.Errorf("metadata %v, want format pt", f.Metadata)
	}
	all := map[string]safetensors.Tensor{}
	for _, x := range f.Tensors {
		all[x.Name] = x
	}
	return all
}

// A compressed-tensors folder exported as one has the names, types, shapes and bytes of the reference library's, also by way of a
// file of our own; and its int8 rounding is the reference's.
func TestGoldenExportCompressed(t *testing.T) {
	dir := filepath.Join(golden.Dir(t, "quant"), "compressed-tensors-w8a8")
	want := tensors(t, dir)
	own := filepath.Join(t.TempDir(), "own.gguf")
	bf16, err := quant.ParseSpec("bf16")
	if err != nil {
		t.Fatal(err)
	}
	if err := File(context.Background(), open(t, dir), own, Options{Kinds: Kinds{Type: quant.Spec{Layout: quant.W8C}, Embedding: &bf16}}, crew(t, 2)); err != nil {
		t.Fatal(err)
	}
	floats := open(t, export(t, open(t, dir), ExportOptions{To: ToSafetensors, Type: "f32"}))
	n := 0
	for name, ck := range map[string]*checkpoint.Checkpoint{"the folder": open(t, dir), "our file of it": open(t, own), "floats of it": floats} {
		out := export(t, ck, ExportOptions{To: ToCompressed, Embedding: "bf16", Head: "bf16"})
		got := tensors(t, out)
		if a, b := slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)); !slices.Equal(a, b) {
			t.Errorf("%s: tensors %v, want %v", name, a, b)
		}
		for key, w := range want {
			g := got[key]
			if g.DType != w.DType || !slices.Equal(g.Shape, w.Shape) {
				t.Errorf("%s: %s: %s %v, want %s %v", name, key, g.DType, g.Shape, w.DType, w.Shape)
			}
			if name == "floats of it" && strings.HasSuffix(key, "_scale") {
				continue // absmax/127 of rounded products may differ in the last bit
			}
			if !bytes.Equal(g.Data, w.Data) {
				t.Errorf("%s: %s: bytes differ", name, key)
			}
			n++
		}
		var a, b struct {
			Quantization any `json:"quantization_config"`
		}
		if err := errors.Join(json.Unmarshal(golden.Read(t, filepath.Join(out, "config.json")), &a), json.Unmarshal(golden.Read(t, filepath.Join(dir, "config.json")), &b)); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(b.Quantization, a.Quantization); diff != "" {
			t.Errorf("%s: quantization_config (-reference +ours):\n%s", name, diff)
		}
	}
	golden.Count(t, n)
}

// What GGUF can't say is refused with the reason, as are types that a target lacks.
func TestExportRefuses(t *testing.T) {
	src := filepath.Join("testdata", "models", "one-layer-f32")
	for want, c := range map[string]struct {
		spoil func(ck *checkpoint.Checkpoint)
		o     ExportOptions
	}{
		"layer_types":           {func(ck *checkpoint.Checkpoint) { ck.Config.Global = []bool{true} }, ExportOptions{To: ToGGUF, Type: "f32"}},
		"softcapping":           {func(ck *checkpoint.Checkpoint) { ck.Config.FinalSoftcap = 0 }, ExportOptions{To: ToGGUF, Type: "f32"}},
		"query_pre_attn_scalar": {func(ck *checkpoint.Checkpoint) { ck.Config.QueryPreAttnScalar++ }, ExportOptions{To: ToGGUF, Type: "f32"}},
		"head of its own": {func(ck *checkpoint.Checkpoint) {
			ck.Config.TieEmbeddings = false
			ck.Tensors[head] = ck.Tensors[embedding]
		}, ExportOptions{To: ToGGUF, Type: "f32"}},
		"rope_theta":                    {func(ck *checkpoint.Checkpoint) { ck.Config.RopeTheta += 1e-9 }, ExportOptions{To: ToGGUF, Type: "f32"}},
		"want one of f32, f16, bf16,":   {nil, ExportOptions{To: ToSafetensors, Type: "q8_0"}},
		"want one of f32, f16, bf16, q": {nil, ExportOptions{To: ToGGUF, Type: "w8a8"}},
		"found I8":                      {nil, ExportOptions{To: ToCompressed, Embedding: "w8a8"}},
		"target format":                 {nil, ExportOptions{To: "onnx"}},
		"the embedding's":               {nil, ExportOptions{To: ToSafetensors, Head: "f16"}},
	} {
		ck := open(t, src)
		if c.spoil != nil {
			c.spoil(ck)
		}
		if _, err := Export(ck, filepath.Join(t.TempDir(), "out"), c.o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want an error with %q", err, want)
		}
	}
}

// A folder that holds more than a checkpoint is never replaced, the source neither; a checkpoint is, when that is asked for. A cancelled
// export leaves nothing under the name and is taken up again.
func TestExportFolderIsReplacedWithCare(t *testing.T) {
	src := filepath.Join("testdata", "models", "one-layer-f32")
	ck := open(t, src)
	attempt := func(ctx context.Context, path string, overwrite bool) error {
		e, err := Export(ck, path, ExportOptions{To: ToSafetensors, Overwrite: overwrite})
		if err != nil {
			t.Fatal(err)
		}
		return e.Run(ctx, crew(t, 1))
	}
	ctx := context.Background()
	path := filepath.Join(t.TempDir(), "out")
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	if err := attempt(cancelled, path, false); err == nil {
		t.Error("cancelled: want an error")
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("after a cancelled export: %v", err)
	}
	if err := attempt(ctx, path, false); err != nil {
		t.Fatal(err)
	}
	if err := attempt(ctx, path, false); !errors.Is(err, ErrExists) {
		t.Errorf("existing folder: %v", err)
	}
	if err := attempt(ctx, path, true); err != nil {
		t.Errorf("overwrite: %v", err)
	}
	if err := os.WriteFile(filepath.Join(path, "thesis.txt"), []byte("x"), 0o666); err != nil {
		t.Fatal(err)
	}
	if err := attempt(ctx, path, true); err == nil || !strings.Contains(err.Error(), "thesis.txt") {
		t.Errorf("folder with a foreign file: %v", err)
	}
	if err := attempt(ctx, src, true); err == nil || !strings.Contains(err.Error(), "source itself") {
		t.Errorf("the source itself: %v", err)
	}
	if list, err := os.ReadDir(filepath.Dir(path)); err != nil || len(list) != 1 {
		t.Errorf("left behind: %v, %v", list, err)
	}
}

// A model with a tokenizer keeps it, made anew from our own file, taken over from a folder; a template that replaces another is told
// to both kinds of folder.
func TestExportKeepsTheTokenizer(t *testing.T) {
	ck, err := checkpoint.OpenBytes("mini", mini.File())
	if err != nil {
		t.Fatal(err)
	}
	want, err := tokenizer.New(ck.Vocab)
	if err != nil {
		t.Fatal(err)
	}
	text := "A pirate's tale:\n\n  <start_of_turn> 12 ducks\tand Zoë 🙂"
	template := "{{ bos_token }}other"
	made := export(t, ck, ExportOptions{To: ToSafetensors, Type: "bf16"})
	for name, path := range map[string]string{
		"made":       made,
		"taken over": export(t, open(t, made), ExportOptions{To: ToCompressed}),
		"template":   export(t, open(t, made), ExportOptions{To: ToSafetensors, ChatTemplate: &template}),
		"gguf":       export(t, open(t, made), ExportOptions{To: ToGGUF, Type: "f16", ChatTemplate: &template}),
	} {
		out := open(t, path)
		got, err := tokenizer.New(out.Vocab)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got.Roles() != want.Roles() || !slices.Equal(got.AppendText(nil, text), want.AppendText(nil, text)) || !slices.Equal(got.AppendSpecial(nil, text), want.AppendSpecial(nil, text)) {
			t.Errorf("%s: the tokenizer gives other ids", name)
		}
		wantTemplate := ck.ChatTemplate
		if name == "template" || name == "gguf" {
			wantTemplate = template
		}
		if out.ChatTemplate != wantTemplate || !slices.Equal(out.EOS, ck.EOS) {
			t.Errorf("%s: template %.60q, ends %v, want %.60q, %v", name, out.ChatTemplate, out.EOS, wantTemplate, ck.EOS)
		}
		if name == "taken over" && !bytes.Equal(golden.Read(t, filepath.Join(path, "tokenizer.json")), golden.Read(t, filepath.Join(made, "tokenizer.json"))) {
			t.Error("tokenizer.json was not taken over as it is")
		}
	}
}
