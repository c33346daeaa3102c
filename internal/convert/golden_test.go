package convert

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/systemgemma/systemgemma/internal/checkpoint"
	"github.com/systemgemma/systemgemma/internal/compute/blocks"
	"github.com/systemgemma/systemgemma/internal/compute/parallel"
	"github.com/systemgemma/systemgemma/internal/compute/quant"
	"github.com/systemgemma/systemgemma/internal/gemma2"
	"github.com/systemgemma/systemgemma/internal/load"
	"github.com/systemgemma/systemgemma/internal/testkit/golden"
	"github.com/systemgemma/systemgemma/internal/testkit/sample"
)

// types are all kinds of weights, with some group sizes.
var types = []string{"f32", "f16", "bf16", "q8_0", "q4_0", "q4_1", "w8a8", "w8a8-rotated", "llm-int8", "w8a8-g16", "w8a8-g32", "w8a8-g64", "w4", "nf4", "fp4"}

func spec(t testing.TB, name string) quant.Spec {
	t.Helper()
	s, err := quant.ParseSpec(name)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// goldenSources are the models of all golden sets that this version reads.
func goldenSources(t *testing.T) (paths []string) {
	models, err := filepath.Glob(filepath.Join(golden.Dir(t, "models"), "*", "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range models {
		paths = append(paths, filepath.Dir(m))
	}
	if ints := filepath.Join(filepath.Dir(golden.Dir(t, "models")), "quant", "compressed-tensors-w8a8"); os.Getenv("SYSTEMGEMMA_GOLDEN") != "" {
		paths = append(paths, ints)
	}
	for _, pattern := range []string{"*.gguf", "kquants/*.gguf"} {
		files, err := filepath.Glob(filepath.Join(golden.Dir(t, "gguf"), pattern))
		if err != nil {
			t.Fatal(err)
		}
		paths = append(paths, files...)
	}
	return slices.DeleteFunc(paths, func(p string) bool { return open(t, p).Runnable() != nil })
}

// Every source in every kind: each matrix is what rounding it whole gives, norms and text are the source's, and the file runs. Where
// nothing is rounded the logits are those of the source, bit for bit. Kinds that do not suit the columns are refused by name.
func TestGoldenSourcesInEveryKind(t *testing.T) {
	sample.Skip(t)
	made, refused := 0, 0
	sources := goldenSources(t)
	if len(sources) == 0 {
		t.Fatal("no golden model found")
	}
	for _, src := range sources {
		exact := run(t, src, true)
		ck := open(t, src)
		for _, name := range types {
			out := filepath.Join(t.TempDir(), "out.gguf")
			err := File(context.Background(), ck, out, Options{Kinds: Kinds{Type: spec(t, name)}}, crew(t, 2))
			if unsuited(ck, spec(t, name)) {
				if err == nil || !strings.Contains(err.Error(), name+":") {
					t.Errorf("%s to %s: %v, want a refusal", src, name, err)
				}
				refused++
				continue
			}
			if err != nil {
				t.Errorf("%s to %s: %v", src, name, err)
				continue
			}
			made++
			if err := checkpoint.Verify(context.Background(), out, nil); err != nil {
				t.Error(err)
			}
			kept := compareMatrices(t, ck, open(t, out), spec(t, name))
			if got := run(t, out, true); kept != slices.EqualFunc(got, exact, slices.Equal[[]float32]) && (kept || spec(t, name).Layout.Bits() < 16) {
				t.Errorf("%s to %s: nothing rounded: %v, but logits say otherwise", src, name, kept)
			}
			if same := kept && kindOf(ck) == kindOf(open(t, out)); same && !slices.EqualFunc(run(t, out, false), run(t, src, false), slices.Equal[[]float32]) {
				t.Errorf("%s to %s: logits with rounded activations differ", src, name)
			}
		}
	}
	if made == 0 {
		t.Error("no file was made")
	}
	t.Logf("golden: %d cases, %d of them refused", made+refused, refused)
}

// kindOf is what decides how activations are rounded: the format of a matrix within a layer when it runs, all floats being one.
func kindOf(ck *checkpoint.Checkpoint) string {
	const name = "blk.0.ffn_up.weight"
	if m, ok := ck.Matrices[name]; ok && m.Layout.Bits() < 16 {
		return m.Spec().Format()
	}
	x := ck.Tensors[name]
	if x.Scales != nil {
		return quant.Spec{Layout: quant.W8C}.Format()
	}
	if _, ok := blocks.Of(uint32(x.Type)); ok {
		return specOf(x.Type).Format()
	}
	return "floats"
}

// unsuited says whether a kind does not suit some matrix.
func unsuited(ck *checkpoint.Checkpoint, s quant.Spec) bool {
	for _, p := range parameters(&ck.Config) {
		if p.Cols == 0 {
			continue
		}
		if _, err := s.For(p.Cols); err != nil {
			return true
		}
	}
	return false
}

// compareMatrices says whether no matrix was rounded.
func compareMatrices(t *testing.T, src, out *checkpoint.Checkpoint, kind quant.Spec) (kept bool) {
	t.Helper()
	kept = true
	for _, p := range parameters(&src.Config) {
		x := src.Tensors[p.Name]
		if p.Cols == 0 {
			got, want := make([]float32, p.Rows), make([]float32, p.Rows)
			y := out.Tensors[p.Name]
			if err := y.Row(got, 0); err != nil {
				t.Fatal(err)
			}
			if err := x.Row(want, 0); err != nil {
				t.Fatal(err)
			}
			for i := range want {
				if !src.NormPlusOne {
					want[i]++
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s: norm %s differs", src.Path, p.Name)
			}
			continue
		}
		s := kind
		if p.Name == embedding || p.Name == head {
			s = kind.Embedding()
		}
		want, block, err := s.New(p.Rows, p.Cols)
		if err != nil {
			t.Fatal(err)
		}
		row, back := make([]float32, p.Cols), make([]float32, p.Cols)
		stored := (&Input{Parameter: p, Tensor: &x}).keeps(s)
		for r := range p.Rows {
			if err := x.Row(row, r); err != nil {
				t.Fatal(err)
			}
			if n := len(x.Data) / p.Rows; !stored || s.Layout.Bits() >= 16 {
				want.PackRow(r, row)
			} else if x.Scales != nil {
				w, scale := x.Ints(r)
				want.PackInts(r, w, scale)
			} else if f, ok := blocks.Of(uint32(x.Type)); ok && r%quant.StripRows == 0 {
				want.PackBlocks(r/quant.StripRows, f, x.Data[r*n:min((r+quant.StripRows)*n, len(x.Data))])
			}
		}
		if !stored {
			s.Finish(want)
		}
		got := out.Matrices[p.Name]
		if !bytes.Equal(got.Data, want.Data) || !bytes.Equal(got.Scales, want.Scales) || !bytes.Equal(got.Mins, want.Mins) ||
			!slices.Equal(got.Scale, want.Scale) || !slices.Equal(got.RowSum, want.RowSum) || !slices.Equal(got.Table, want.Table) {
			t.Errorf("%s to %s: matrix %s differs from the one that is rounded whole", src.Path, s.Name(), p.Name)
		}
		for r := range p.Rows {
			got.Row(back, r)
			if err := x.Row(row, r); err != nil {
				t.Fatal(err)
			}
			kept = kept && slices.Equal(back, row)
		}
		if err := block.Free(); err != nil {
			t.Error(err)
		}
	}
	return kept
}

// run gives the logits of a few tokens.
func run(t *testing.T, path string, exact bool) (all [][]float32) {
	t.Helper()
	ck, err := checkpoint.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer ck.Close()
	c := parallel.New(2)
	defer c.Close()
	w, err := load.Weights(ck, c)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if own := ck.Format == checkpoint.Own; own != (w.Bytes() == 0) {
		t.Errorf("%s: %d bytes of weights were copied", ck.Format, w.Bytes())
	}
	m, err := gemma2.New(w.Weights, c, gemma2.Options{Exact: exact})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	cache := gemma2.NewPool(&ck.Config, gemma2.KVF32, 0).NewCache()
	defer cache.Free()
	err = m.Forward(context.Background(), []gemma2.Chunk{{Cache: cache, Tokens: []int32{2, 5, 9, 11}, Logits: 4}}, func(_, _ int, l []float32) error {
		all = append(all, slices.Clone(l))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range all {
		for _, v := range row {
			if v-v != 0 {
				t.Fatalf("%s: a logit is %v", path, v)
			}
		}
	}
	return all
}
