package convert

import (
	"bytes"
	"context"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/systemgemma/systemgemma/internal/checkpoint"
	"github.com/systemgemma/systemgemma/internal/compute/parallel"
	"github.com/systemgemma/systemgemma/internal/compute/quant"
	"github.com/systemgemma/systemgemma/internal/gemma2"
	"github.com/systemgemma/systemgemma/internal/load"
)

func open(t *testing.T, path string) *checkpoint.Checkpoint {
	t.Helper()
	ck, err := checkpoint.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ck.Close() })
	return ck
}

func crew(t *testing.T, n int) *parallel.Crew {
	c := parallel.New(n)
	t.Cleanup(c.Close)
	return c
}

// logits runs a few tokens.
func logits(t *testing.T, path string) (all [][]float32) {
	t.Helper()
	ck, c := open(t, path), crew(t, 2)
	w, err := load.Weights(ck, c)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if own := ck.Format == checkpoint.Own; own != (w.Bytes() == 0) {
		t.Errorf("%s: %d bytes of weights were copied", ck.Format, w.Bytes())
	}
	m, err := gemma2.New(w.Weights, c, gemma2.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	cache := gemma2.NewPool(&ck.Config, gemma2.KVF32, 0).NewCache()
	err = m.Forward(context.Background(), []gemma2.Chunk{{Cache: cache, Tokens: []int32{2, 5, 9, 11}, Logits: 4}}, func(_, _ int, l []float32) error {
		all = append(all, slices.Clone(l))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

var sources = map[string]quant.Layout{"one-layer-f32": quant.F32, "2b-like-bf16-sharded": quant.BF16}

// A file in the source's own number type computes the same bits as the source, and is used where it lies.
func TestSameTypeSameBits(t *testing.T) {
	for name, layout := range sources {
		out := filepath.Join(t.TempDir(), "out.gguf")
		src := filepath.Join("testdata", name)
		if err := File(context.Background(), open(t, src), out, Options{Layout: layout}, crew(t, 2)); err != nil {
			t.Fatal(err)
		}
		if want, got := logits(t, src), logits(t, out); !slices.EqualFunc(got, want, slices.Equal[[]float32]) {
			t.Errorf("%s: logits differ after conversion", name)
		}
	}
}

// Same input, same bytes, whatever the number of workers; every byte is under a checksum; int8 is near the source.
func TestW8C(t *testing.T) {
	src := filepath.Join("testdata", "2b-like-bf16-sharded")
	var files [][]byte
	for _, workers := range []int{1, 3} {
		out := filepath.Join(t.TempDir(), "out.gguf")
		o := Options{Layout: quant.W8C, Name: "tiny", SystemMode: "merge", Provenance: map[string]string{"base": "golden"}}
		if err := File(context.Background(), open(t, src), out, o, crew(t, workers)); err != nil {
			t.Fatal(err)
		}
		if err := checkpoint.Verify(context.Background(), out, nil); err != nil {
			t.Error(err)
		}
		b, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, b)
		ck := open(t, out)
		if ck.SystemMode != "merge" || !strings.Contains(strings.Join(slices.Collect(maps.Values(ck.Metadata)), " "), "golden") {
			t.Errorf("system mode %q, metadata %v", ck.SystemMode, ck.Metadata)
		}
		var worst float32
		want := logits(t, src)
		for r, row := range logits(t, out) {
			for i, v := range row {
				worst = max(worst, v-want[r][i], want[r][i]-v)
			}
		}
		if worst == 0 || worst > 12 { // logits reach 30 and these weights are noise: rounding them shows
			t.Errorf("largest difference of logits %v", worst)
		}
	}
	if !bytes.Equal(files[0], files[1]) {
		t.Error("1 and 3 workers wrote different files")
	}
}

func TestRefuses(t *testing.T) {
	src := open(t, filepath.Join("testdata", "one-layer-f32"))
	dir := t.TempDir()
	out := filepath.Join(dir, "out.gguf")
	o := Options{Layout: quant.W8C}
	if err := File(context.Background(), src, out, o, crew(t, 1)); err != nil {
		t.Fatal(err)
	}
	if err := File(context.Background(), src, out, o, crew(t, 1)); err == nil || !strings.Contains(err.Error(), "exists already") {
		t.Errorf("existing output: %v", err)
	}
	if err := File(context.Background(), open(t, out), filepath.Join(dir, "twice.gguf"), o, crew(t, 1)); err == nil {
		t.Error("our own file as a source: want an error")
	}
	o.Overwrite = true
	cancelled, cancel := context.WithCancel(context.Background())
	cancel()
	if err := File(cancelled, src, out, o, crew(t, 1)); err == nil {
		t.Error("cancelled: want an error")
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if err := checkpoint.Verify(context.Background(), out, nil); err != nil {
		t.Errorf("the old file after a cancelled conversion: %v", err)
	}
	if err := File(context.Background(), src, out, o, crew(t, 1)); err != nil {
		t.Errorf("overwrite: %v", err)
	}
}
