package systemgemma_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"hash"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/systemgemma/systemgemma"
	"github.com/systemgemma/systemgemma/internal/testkit/sample"
)

// arriving is the model of a folder whose weights come from memory, until that many bytes came; 0: all.
type arriving struct {
	folder string
	files  map[string][]byte
	limit  int
	came   int
	behind bool // something was asked for from its middle on
}

func newArriving(t *testing.T, from string) *arriving {
	t.Helper()
	a := &arriving{folder: t.TempDir(), files: map[string][]byte{}}
	entries, err := os.ReadDir(from)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(from, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(e.Name(), ".safetensors") {
			a.files[e.Name()] = b
		} else if err := os.WriteFile(filepath.Join(a.folder, e.Name()), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return a
}

func (a *arriving) source() (s systemgemma.StreamSource) {
	s.Folder = a.folder
	for name, b := range a.files {
		sum := sha256.Sum256(b)
		s.Files = append(s.Files, systemgemma.StreamFile{Name: name, Size: int64(len(b)), Sum: sum[:], Hash: func() hash.Hash { return sha256.New() }})
	}
	s.Open = func(_ context.Context, name string, offset int64) (io.ReadCloser, error) {
		a.behind = a.behind || offset > 0
		return io.NopCloser(&arrivingBytes{a, bytes.NewReader(a.files[name][offset:])}), nil
	}
	return s
}

type arrivingBytes struct {
	a *arriving
	r io.Reader
}

var errCut = errors.New("cut")

func (b *arrivingBytes) Read(p []byte) (int, error) {
	if b.a.limit > 0 && b.a.came > b.a.limit {
		return 0, errCut
	}
	n, err := b.r.Read(p)
	b.a.came += n
	return n, err
}

// A model that was converted while it came, with breaks, is byte for byte the one that was converted from its folder.
func TestConvertStream(t *testing.T) {
	sample.Skip(t)
	const from = "tools/mini/model"
	dir := t.TempDir()
	for _, typ := range []string{"w8a8", "w4", "nf4", "w8a8-rotated"} {
		o := systemgemma.ConvertOptions{Output: filepath.Join(dir, typ+"-whole.gguf"), Types: []string{typ}, Name: "mini", NoReport: true, Threads: 2}
		if _, err := systemgemma.Convert(t.Context(), from, &o); err != nil {
			t.Fatal(err)
		}
		want, err := os.ReadFile(o.Output)
		if err != nil {
			t.Fatal(err)
		}
		a := newArriving(t, from)
		o.Output = filepath.Join(dir, typ+"-stream.gguf")
		for attempt := 1; ; attempt++ {
			a.came, a.limit = 0, 1_500_000+rand.IntN(2_000_000)
			if attempt == 20 {
				t.Fatal("work that was interrupted does not go on")
			}
			_, err := systemgemma.ConvertStream(t.Context(), a.source(), &o)
			if err == nil {
				break
			}
			if !errors.Is(err, errCut) {
				t.Fatal(err)
			}
		}
		if !a.behind {
			t.Error("work that was interrupted began anew")
		}
		got, err := os.ReadFile(o.Output)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: other bytes than from the folder (%v)", typ, err)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*partial*")); left != nil {
		t.Errorf("left behind: %q", left)
	}
}

// Of wrong bytes nothing is left, and what needs the source as a whole is refused.
func TestConvertStreamRefuses(t *testing.T) {
	a := newArriving(t, "tools/mini/model")
	s := a.source()
	for _, b := range a.files {
		b[len(b)-10] ^= 1 // after its sum was taken
	}
	dir := t.TempDir()
	o := systemgemma.ConvertOptions{Output: filepath.Join(dir, "m.gguf"), Name: "mini", NoReport: true}
	if _, err := systemgemma.ConvertStream(t.Context(), s, &o); !errors.Is(err, systemgemma.ErrWrongBytes) {
		t.Errorf("found %v, want wrong bytes", err)
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	for name, change := range map[string]func(*systemgemma.ConvertOptions){
		"NoReport": func(o *systemgemma.ConvertOptions) { o.NoReport = false },
		"Optimise": func(o *systemgemma.ConvertOptions) { o.Optimise = true },
		"format":   func(o *systemgemma.ConvertOptions) { o.To = "hf" },
		"output":   func(o *systemgemma.ConvertOptions) { o.Output = "" },
	} {
		o := o
		change(&o)
		if _, err := systemgemma.ConvertStream(t.Context(), s, &o); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: found %v", name, err)
		}
	}
}
