package checkpoint

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unsafe"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/systemgemma/systemgemma/internal/checkpoint/gguf"
	"github.com/systemgemma/systemgemma/internal/compute/quant"
	"github.com/systemgemma/systemgemma/internal/text/tokenizer"
)

func writeTiny(t testing.TB) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "tiny.gguf")
	m, _ := tiny(tinyConfig(), mixed)
	if err := Write(t.Context(), path, m); err != nil {
		t.Fatal(err)
	}
	return path
}

func readFileOf(t testing.TB, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// What Write stores is what Open gives back: nothing is lost, whatever the sizes, layouts and pieces.
func TestWriteRoundTrip(t *testing.T) {
	dir := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		cfg := tinyConfig()
		cfg.VocabSize = rapid.IntRange(10, 60).Draw(t, "vocab")
		cfg.HiddenSize = rapid.IntRange(1, 40).Draw(t, "hidden")
		cfg.IntermediateSize = rapid.IntRange(1, 40).Draw(t, "intermediate")
		cfg.NumLayers = rapid.IntRange(1, 3).Draw(t, "layers")
		cfg.Global = rapid.SliceOfN(rapid.Bool(), cfg.NumLayers, cfg.NumLayers).Draw(t, "global")
		cfg.TieEmbeddings = rapid.Bool().Draw(t, "tied")
		cfg.QueryPreAttnScalar = rapid.Float64Range(1e-3, 1e3).Draw(t, "scalar")
		cfg.RopeTheta = rapid.Float64Range(1, 1e6).Draw(t, "theta")
		cfg.AttnSoftcap = rapid.SampledFrom([]float32{0, 50, 0.1}).Draw(t, "softcap")
		layouts := rapid.SliceOfN(rapid.SampledFrom([]quant.Layout{quant.W8C, quant.F32, quant.BF16, quant.F16}), 40, 40).Draw(t, "layouts")
		m, whole := tiny(cfg, func(i int) quant.Layout { return layouts[i] })
		step := 16 * rapid.IntRange(1, 4).Draw(t, "strips")
		for name, x := range whole {
			m.Matrices[name] = MatrixSource{Spec: quant.Spec{Layout: x.Layout}, Pack: pieces(x, step)}
		}
		data := writeUnsynced(t, dir, m)
		if !bytes.Equal(data, writeUnsynced(t, dir, m)) {
			t.Fatal("the same model gives other bytes")
		}
		c, err := OpenBytes("memory", data)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if diff := diffModel(m, whole, c); diff != "" {
			t.Fatalf("(-want +got):\n%s", diff)
		}
		if err := c.Verify(context.Background(), nil); err != nil {
			t.Fatal(err)
		}
	})
}

// writeUnsynced returns the bytes that Write makes, without waiting for the disk.
func writeUnsynced(t rapid.TB, dir string, m *Model) []byte {
	t.Helper()
	w, err := newWriter(context.Background(), m)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(filepath.Join(dir, "unsynced"))
	if err != nil {
		t.Fatal(err)
	}
	err = errors.Join(w.write(f), f.Close())
	data, err2 := os.ReadFile(f.Name())
	if err := errors.Join(err, err2); err != nil {
		t.Fatal(err)
	}
	return data
}

// diffModel compares everything that Write was given with what Open found.
func diffModel(m *Model, whole map[string]*quant.Matrix, c *Checkpoint) string {
	norms := map[string][]float32{}
	for name, x := range c.Tensors {
		row := make([]float32, x.Columns())
		if err := x.Row(row, 0); err != nil {
			return err.Error()
		}
		norms[name] = row
	}
	matrices := map[string]*quant.Matrix{}
	for name, x := range c.Matrices {
		matrices[name] = &x
	}
	provenance := map[string]string{}
	for key, value := range c.Metadata {
		if name, ok := strings.CutPrefix(key, provenanceKey); ok {
			provenance[name] = value
		}
	}
	return cmp.Diff(m.Config, c.Config) + cmp.Diff(m.Norms, norms) + cmp.Diff(whole, matrices) + cmp.Diff(m.Vocab, c.Vocab) +
		cmp.Diff(m.ChatTemplate, c.ChatTemplate) + cmp.Diff(m.SystemMode, c.SystemMode) + cmp.Diff(m.EOS, c.EOS) +
		cmp.Diff(m.Generation, c.Generation) + cmp.Diff(m.Provenance, provenance) + cmp.Diff(m.Name, c.Metadata["general.name"]) +
		cmp.Diff(Own, c.Format) + cmp.Diff([]bool{true, true}, []bool{c.HasConfig, c.NormPlusOne})
}

// A mapped file is used where it lies; bytes in memory too if they are aligned, and are copied else.
func TestOpenAliasesItsSource(t *testing.T) {
	path := writeTiny(t)
	inside := func(part, whole []byte) bool {
		p, w := uintptr(unsafe.Pointer(unsafe.SliceData(part))), uintptr(unsafe.Pointer(unsafe.SliceData(whole)))
		return p >= w && p < w+uintptr(len(whole))
	}
	c, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer close(t, c)
	data := readFileOf(t, path)
	room := aligned(append(data, make([]byte, alignment)...))
	for _, skew := range []int{0, 1, 4} {
		source := room[skew : skew+len(data)]
		copy(source, data)
		b, err := OpenBytes("memory", source)
		if err != nil {
			t.Fatal(err)
		}
		for name, want := range c.Matrices {
			if !inside(want.Data, c.maps[0].Data) || want.Layout == quant.W8C && !inside(unsafe.Slice((*byte)(unsafe.Pointer(&want.Scale[0])), 1), c.maps[0].Data) {
				t.Fatalf("%s: not in the mapping", name)
			}
			got := b.Matrices[name]
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("skew %d: %s (-mapped +memory):\n%s", skew, name, diff)
			}
			if uintptr(unsafe.Pointer(&got.Data[0]))%64 != 0 || inside(got.Data, source) != (skew == 0) {
				t.Fatalf("skew %d: %s: at %p, in its source %v", skew, name, &got.Data[0], inside(got.Data, source))
			}
		}
	}
}

func TestEveryTensorIsAligned(t *testing.T) {
	f, err := gguf.Parse(readFileOf(t, writeTiny(t)))
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range f.Tensors {
		if (f.DataStart+x.Offset)%64 != 0 {
			t.Errorf("%s: at byte %d", x.Name, f.DataStart+x.Offset)
		}
	}
}

func TestWriteRefusesWhatDoesNotFit(t *testing.T) {
	cfg := tinyConfig()
	for name, c := range map[string]struct {
		change func(*Model)
		want   string
	}{
		"config":         {func(m *Model) { m.Config.HeadDim = 3 }, "head_dim"},
		"norm missing":   {func(m *Model) { delete(m.Norms, "blk.1.ffn_norm.weight") }, "norm blk.1.ffn_norm.weight: want 10 values, found 0"},
		"norm short":     {func(m *Model) { m.Norms["output_norm.weight"] = make([]float32, 9) }, "want 10 values, found 9"},
		"norm unknown":   {func(m *Model) { m.Norms["x"] = nil }, "want 9 norms"},
		"matrix missing": {func(m *Model) { delete(m.Matrices, embedding) }, "matrix token_embd.weight"},
		"matrix unknown": {func(m *Model) { m.Matrices[head] = m.Matrices[embedding] }, "15 matrices"},
		"no layout":      {func(m *Model) { m.Matrices[embedding] = MatrixSource{} }, "want a layout"},
		"rows missing": {func(m *Model) {
			m.Matrices[embedding] = MatrixSource{Spec: quant.Spec{Layout: quant.F32}, Pack: pieces(matrix(quant.F32, 16, 10, 0), 16)}
		}, "want 19 rows, found 16"},
		"rows over": {func(m *Model) {
			m.Matrices[embedding] = MatrixSource{Spec: quant.Spec{Layout: quant.F32}, Pack: pieces(matrix(quant.F32, 40, 10, 0), 16)}
		}, "up to row 19"},
		"other columns": {func(m *Model) {
			m.Matrices[embedding] = MatrixSource{Spec: quant.Spec{Layout: quant.F32}, Pack: pieces(matrix(quant.F32, 19, 9, 0), 16)}
		}, "with 10 columns"},
		"other layout": {func(m *Model) {
			m.Matrices[embedding] = MatrixSource{Spec: quant.Spec{Layout: quant.F32}, Pack: pieces(matrix(quant.F16, 19, 10, 0), 16)}
		}, "strips of F32"},
		"half a strip": {func(m *Model) {
			m.Matrices[embedding] = MatrixSource{Spec: quant.Spec{Layout: quant.F32}, Pack: func(emit func(*quant.Matrix) error) error {
				return errors.Join(emit(matrix(quant.F32, 8, 10, 0)), emit(matrix(quant.F32, 11, 10, 0)))
			}}
		}, "whole strips"},
		"broken piece": {func(m *Model) {
			m.Matrices[embedding] = MatrixSource{Spec: quant.Spec{Layout: quant.F32}, Pack: func(emit func(*quant.Matrix) error) error {
				return emit(&quant.Matrix{Layout: quant.F32, Rows: 19, Cols: 10})
			}}
		}, "data: want"},
		"many pieces":    {func(m *Model) { m.Vocab.Pieces = append(m.Vocab.Pieces, make([]tokenizer.Piece, 17)...) }, "at most 19 pieces"},
		"text not UTF-8": {func(m *Model) { m.ChatTemplate = "\xff" }, "want UTF-8"},
	} {
		m, _ := tiny(cfg, mixed)
		c.change(m)
		dir := t.TempDir()
		err := Write(t.Context(), filepath.Join(dir, "x.gguf"), m)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: err = %v, want one with %q", name, err, c.want)
		}
		if left, _ := os.ReadDir(dir); len(left) > 0 {
			t.Errorf("%s: left behind: %v", name, left)
		}
	}
}

// An error or a cancelled context in the middle leaves the old file as it was and nothing beside it.
func TestWriteIsAtomic(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "x.gguf")
	if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	check := func(what string) {
		t.Helper()
		list, err := os.ReadDir(dir)
		if err != nil || len(list) != 1 || string(readFileOf(t, path)) != "old" {
			t.Errorf("%s: folder %v, err = %v; the old file must be alone and unchanged", what, list, err)
		}
	}
	failed := errors.New("disk on fire")
	m, _ := tiny(tinyConfig(), mixed)
	m.Matrices["blk.1.ffn_down.weight"] = MatrixSource{Spec: quant.Spec{Layout: quant.F32}, Pack: func(func(*quant.Matrix) error) error { return failed }}
	if err := Write(t.Context(), path, m); !errors.Is(err, failed) {
		t.Errorf("err = %v, want %v", err, failed)
	}
	check("failed")

	ctx, cancel := context.WithCancel(t.Context())
	m, whole := tiny(tinyConfig(), mixed)
	m.Matrices[embedding] = MatrixSource{Spec: quant.Spec{Layout: whole[embedding].Layout}, Pack: func(emit func(*quant.Matrix) error) error {
		cancel()
		err := pieces(whole[embedding], 16)(emit)
		if !errors.Is(err, context.Canceled) {
			t.Errorf("a piece after the end of ctx: err = %v", err)
		}
		return err
	}}
	if err := Write(ctx, path, m); !errors.Is(err, context.Canceled) {
		t.Errorf("err = %v, want %v", err, context.Canceled)
	}
	check("cancelled")

	m, _ = tiny(tinyConfig(), mixed)
	if err := Write(t.Context(), path, m); err != nil {
		t.Fatal(err)
	}
	if err := Verify(t.Context(), path, nil); err != nil {
		t.Error(err)
	}
	if list, _ := os.ReadDir(dir); len(list) != 1 {
		t.Errorf("after success: %v", list)
	}
}

// memoryFile is a File in memory.
type memoryFile struct{ data []byte }

func (f *memoryFile) ReadAt(b []byte, at int64) (int, error) { return copy(b, f.data[at:]), nil }

func (f *memoryFile) WriteAt(b []byte, at int64) (int, error) { return copy(f.data[at:], b), nil }

// A report goes into the room that was reserved for it; the file stays whole, and is found again without its padding.
func TestReport(t *testing.T) {
	m, _ := tiny(tinyConfig(), mixed)
	loop := func(n int, body func(i int) error) error {
		for i := range n {
			if err := body(i); err != nil {
				return err
			}
		}
		return nil
	}
	sealed := func(space int) (*Draft, *memoryFile) {
		m.ReportSpace = space
		d, err := NewDraft(m)
		if err != nil {
			t.Fatal(err)
		}
		f := &memoryFile{make([]byte, d.Size())}
		if err := d.Seal(t.Context(), f, loop); err != nil {
			t.Fatal(err)
		}
		return d, f
	}
	d, f := sealed(20)
	for _, want := range []string{"", "{\"kl\": 0.001}", "exactly 20 bytes <==", "short again"} {
		if want != "" {
			if err := d.SetReport(f, want); err != nil {
				t.Fatal(err)
			}
		}
		c, err := OpenBytes("memory", f.data)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Verify(t.Context(), nil); err != nil || c.Report != want || c.Metadata[reportKey] != "" {
			t.Errorf("want report %q and nothing of it in the metadata, found %q and %q, %v", want, c.Report, c.Metadata[reportKey], err)
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for _, bad := range []string{"one byte more than 20", "\xff"} {
		if err := d.SetReport(f, bad); err == nil {
			t.Errorf("report %q: want an error, found none", bad)
		}
	}
	d, f = sealed(0)
	if err := d.SetReport(f, "x"); err == nil {
		t.Error("no room: want an error, found none")
	}
}
