package checkpoint

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/systemgemma/systemgemma/internal/checkpoint/gguf"
	"github.com/systemgemma/systemgemma/internal/compute/quant"
	"github.com/systemgemma/systemgemma/internal/testkit/sample"
)

// verifyBytes opens and verifies a file in memory.
func verifyBytes(data []byte) error {
	c, err := OpenBytes("memory", data)
	if err != nil {
		return err
	}
	return c.Verify(context.Background(), nil)
}

// Whatever single bit of a file flips, Verify finds it. One bit of each byte, and all eight of every 64th byte.
func TestVerifyFindsEveryFlippedBit(t *testing.T) {
	sample.Skip(t)
	data := readFileOf(t, writeTiny(t))
	if err := verifyBytes(data); err != nil {
		t.Fatal(err)
	}
	f, err := gguf.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	owner := make([]string, len(data)) // of each byte of tensor data; "" is padding
	for _, x := range f.Tensors {
		for i := range x.Data {
			owner[f.DataStart+x.Offset+i] = x.Name
		}
	}
	flips, opened := 0, 0
	for i := range data {
		bits := []int{i % 8}
		if i%64 == 0 {
			bits = []int{0, 1, 2, 3, 4, 5, 6, 7}
		}
		for _, bit := range bits {
			data[i] ^= 1 << bit
			flips++
			c, err := OpenBytes("memory", data)
			if err == nil {
				opened++
				if i < f.DataStart {
					t.Errorf("bit %d of byte %d of the metadata: opened", bit, i)
				}
				err = c.Verify(context.Background(), nil)
			}
			if err == nil || !strings.Contains(err.Error(), owner[i]) {
				t.Errorf("bit %d of byte %d (tensor %q): err = %v", bit, i, owner[i], err)
			}
			data[i] ^= 1 << bit
		}
	}
	t.Logf("%d bytes, %d flips; %d of them opened and were found by Verify only", len(data), flips, opened)
}

// A file cut anywhere, or with a byte more, is refused when it is opened.
func TestOpenFindsEveryTruncation(t *testing.T) {
	sample.Skip(t)
	data := readFileOf(t, writeTiny(t))
	for n := range data {
		if _, err := OpenBytes("memory", data[:n:n]); err == nil {
			t.Fatalf("the first %d of %d bytes were opened", n, len(data))
		}
	}
	if _, err := OpenBytes("memory", append(data, 0)); err == nil {
		t.Error("a byte too many was opened")
	}
}

// Damage in a file of many chunks is found in any of them, names its tensor, and progress comes to its end.
func TestVerifyLargeFile(t *testing.T) {
	sample.Skip(t)
	cfg := tinyConfig()
	cfg.VocabSize, cfg.HiddenSize = 9000, 256
	path := filepath.Join(t.TempDir(), "large.gguf")
	m, _ := tiny(cfg, func(int) quant.Layout { return quant.W8C })
	if err := Write(t.Context(), path, m); err != nil {
		t.Fatal(err)
	}
	data := readFileOf(t, path)
	var last, total int64
	calls := 0
	err := Verify(t.Context(), path, func(done, all int64) {
		if done <= last {
			t.Errorf("progress went from %d to %d", last, done)
		}
		last, total = done, all
		calls++
	})
	if err != nil || last != total || total < 2<<20 || calls != numChunks(int(total)) {
		t.Errorf("err = %v, %d of %d bytes in %d calls", err, last, total, calls)
	}
	f, err := gguf.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range f.Tensors {
		for _, i := range []int{0, len(x.Data) / 2, len(x.Data) - 1} {
			x.Data[i] ^= 0x10
			if err := verifyBytes(data); err == nil || !strings.Contains(err.Error(), x.Name) {
				t.Errorf("byte %d of %s: err = %v", i, x.Name, err)
			}
			x.Data[i] ^= 0x10
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	if err := Verify(ctx, path, func(int64, int64) { cancel() }); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled in the middle: err = %v", err)
	}
}

func TestVerifyRefusesOtherFiles(t *testing.T) {
	if err := Verify(t.Context(), filepath.Join("testdata", "gguf", "q8_0.gguf"), nil); err == nil || !strings.Contains(err.Error(), "no checksums") {
		t.Errorf("err = %v", err)
	}
	if err := Verify(t.Context(), filepath.Join(t.TempDir(), "none.gguf"), nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing file: err = %v", err)
	}
}

// A file that is truncated while it is verified gives an error, not a crash.
func TestVerifyOfATruncatedMapping(t *testing.T) {
	path := writeTiny(t)
	c, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer close(t, c)
	if err := os.Truncate(path, 10); err != nil {
		t.Skipf("not run here: a mapped file cannot be truncated (%v)", err)
	}
	if err := c.Verify(t.Context(), nil); err == nil {
		t.Error("verified")
	}
}

// Metadata with a right checksum but a wrong meaning is refused too: whoever can write a file can write its checksum.
func TestOpenChecksMeaning(t *testing.T) {
	whole := readFileOf(t, writeTiny(t))
	replace := func(old, new string) []byte {
		data := []byte(strings.Replace(string(whole), old, new, 1))
		putHeaderSum(data[:dataStart(t, whole)])
		return data
	}
	for _, c := range []struct{ old, new, want string }{
		{versionKey + "\x04\x00\x00\x00\x01", versionKey + "\x04\x00\x00\x00\x02", "newer version"},
		{"\x03\x00\x00\x00\x00\x00\x00\x00W8C", "\x03\x00\x00\x00\x00\x00\x00\x00W9C", "layout"},
		{"gemma2.block_count\x04\x00\x00\x00\x02", "gemma2.block_count\x04\x00\x00\x00\x01", "layer_types"},
		{"gemma2.embedding_length\x04\x00\x00\x00\x0a", "gemma2.embedding_length\x04\x00\x00\x00\x0b", "want 19x11 (from its config), found 19x10"},
		{"gemma2.attention.head_count\x04\x00\x00\x00\x02", "gemma2.attention.head_count\x04\x00\x00\x00\x04", "blk.0.attn_q.weight: want 24x10"},
	} {
		if _, err := OpenBytes("memory", replace(c.old, c.new)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: err = %v, want one with %q", c.new, err, c.want)
		}
	}
}

// A tensor or a layout that the config does not ask for means that the file is not what it says.
func TestOpenRefusesWhatIsTooMuch(t *testing.T) {
	build := func(change func(w *writer)) []byte {
		m, _ := tiny(tinyConfig(), mixed)
		w, err := newWriter(context.Background(), m)
		if err != nil {
			t.Fatal(err)
		}
		change(w)
		return w.bytes(t)
	}
	entry := func(w *writer, key string) *gguf.Entry {
		return &w.entries[slices.IndexFunc(w.entries, func(e gguf.Entry) bool { return e.Key == key })]
	}
	tensor := build(func(w *writer) {
		w.add("extra.weight", gguf.F32, []int{16}, func(out io.Writer) error { _, err := out.Write(make([]byte, 64)); return err })
		w.digests = append(w.digests, w.digests[0])
		size := entry(w, sizeKey)
		size.Value = size.Value.(uint64) + 64
		entry(w, digestsKey).Value = w.digests
	})
	layout := build(func(w *writer) {
		for key, more := range map[string]any{namesKey: "extra.weight", layoutsKey: "F32", rowsKey: uint32(1), columnsKey: uint32(1)} {
			e := entry(w, key)
			switch list := e.Value.(type) {
			case []string:
				e.Value = append(list, more.(string))
			case []uint32:
				e.Value = append(list, more.(uint32))
			}
		}
	})
	uneven := build(func(w *writer) { e := entry(w, rowsKey); e.Value = e.Value.([]uint32)[1:] })
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"unchanged": {build(func(*writer) {}), ""},
		"tensor":    {tensor, "want 34 tensors (from its config), found 35"},
		"layout":    {layout, "want 15 matrices (from its config), found 16"},
		"uneven":    {uneven, "want four arrays of one length, found 15, 15, 14 and 15"},
	} {
		if _, err := OpenBytes("memory", c.data); (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: err = %v, want one with %q", name, err, c.want)
		}
	}
}

// bytes is the file that w makes.
func (w *writer) bytes(t testing.TB) []byte {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.write(f), f.Close()); err != nil {
		t.Fatal(err)
	}
	return readFileOf(t, f.Name())
}

// Scales that would poison every product are refused when the file is opened.
func TestOpenChecksScales(t *testing.T) {
	data := readFileOf(t, writeTiny(t))
	f, err := gguf.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	x, _ := f.Tensor("token_embd.scale")
	for _, bad := range []float32{-1, float32(math.NaN()), float32(math.Inf(1))} {
		binary.LittleEndian.PutUint32(x.Data[12:], math.Float32bits(bad))
		if _, err := OpenBytes("memory", data); err == nil || !strings.Contains(err.Error(), "tensor token_embd.scale: row 3: want a number from 0") {
			t.Errorf("scale %v: err = %v", bad, err)
		}
	}
}

func dataStart(t testing.TB, data []byte) int {
	t.Helper()
	f, err := gguf.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	return f.DataStart
}
