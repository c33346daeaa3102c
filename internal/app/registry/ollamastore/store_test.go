package ollamastore

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/systemgemma/systemgemma/internal/app/hub/names"
)

func name(t *testing.T, s string) names.OllamaName {
	t.Helper()
	n, err := names.ParseOllama(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// make2 makes two models that share their weights.
func make2(t *testing.T) Store {
	t.Helper()
	s := Store{Dir: t.TempDir()}
	model, err := s.PutBlob(strings.NewReader("weights"), "")
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []string{"a", "b"} {
		if _, err := s.Create(name(t, x), Draft{Model: model, Family: "gemma2", System: "I am " + x}); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func TestRemoveKeepsWhatOthersName(t *testing.T) {
	s := make2(t)
	if _, err := s.Create(name(t, "a"), Draft{}); !errors.Is(err, ErrExists) {
		t.Errorf("a model is replaced without a word: %v", err)
	}
	if err := s.Remove(name(t, "a")); err != nil {
		t.Fatal(err)
	}
	b, err := s.Manifest(name(t, "b"))
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range b.All() {
		if _, err := os.Stat(s.BlobPath(l.Digest)); err != nil {
			t.Error(err)
		}
	}
	blobs, err := os.ReadDir(filepath.Join(s.Dir, "blobs"))
	if err != nil || len(blobs) != len(b.All()) {
		t.Errorf("%d blobs, want %d; %v", len(blobs), len(b.All()), err)
	}
	if err := s.Remove(name(t, "a")); err == nil {
		t.Error("a model that is gone is removed again")
	}
}

// A manifest that can't be read may name any blob: then none is removed.
func TestRemoveBesideADamagedManifest(t *testing.T) {
	s := make2(t)
	if err := os.WriteFile(s.ManifestPath(name(t, "b")), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadDir(filepath.Join(s.Dir, "blobs"))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Remove(name(t, "a")); err == nil || !strings.Contains(err.Error(), "blobs are kept") {
		t.Errorf("want to be told, got %v", err)
	}
	if after, err := os.ReadDir(filepath.Join(s.Dir, "blobs")); err != nil || len(after) != len(before) {
		t.Errorf("%d blobs, were %d; %v", len(after), len(before), err)
	}
}

func TestDamagedTextIsFound(t *testing.T) {
	s := make2(t)
	m, err := s.Manifest(name(t, "a"))
	if err != nil {
		t.Fatal(err)
	}
	l := m.Of(SystemType)[0]
	if err := os.WriteFile(s.BlobPath(l.Digest), []byte("I am not"), 0o600); err != nil {
		t.Fatal(err)
	}
	if text, err := s.Text(l); err == nil {
		t.Errorf("damaged text %q is taken", text)
	}
}

func FuzzParseManifest(f *testing.F) {
	s := `{"schemaVersion":2,"config":{"digest":"sha256:` + strings.Repeat("a", 64) + `","size":1},"layers":[{"mediaType":"x","digest":"sha256-` + strings.Repeat("B", 64) + `","size":1}]}`
	f.Add([]byte(s))
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := ParseManifest(text)
		if err != nil {
			return
		}
		for _, l := range m.All() {
			if p := (Store{Dir: "/x"}).BlobPath(l.Digest); filepath.Dir(p) != filepath.FromSlash("/x/blobs") || l.Size < 0 {
				t.Errorf("%+v leads to %s", l, p)
			}
		}
		b, err := m.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ParseManifest(b); err != nil {
			t.Errorf("%v in what was written: %s", err, b)
		}
	})
}

func FuzzReadParts(f *testing.F) {
	f.Add(`{"N":0,"Offset":0,"Size":500,"Completed":500}`, `{"N":1,"Offset":500,"Size":844,"Completed":100}`)
	f.Fuzz(func(t *testing.T, a, b string) {
		dir := t.TempDir()
		var files []string
		for i, text := range []string{a, b} {
			files = append(files, filepath.Join(dir, string(rune('0'+i))))
			if err := os.WriteFile(files[i], []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		spans, size, ok := readParts(files)
		at := int64(0)
		for _, s := range spans {
			if s[0] < at || s[1] <= s[0] || s[1] > size || !ok {
				t.Errorf("%v of %d", spans, size)
			}
			at = s[1]
		}
	})
}

// A registry with a port has no folder on Windows; all others have, everywhere.
func TestHolds(t *testing.T) {
	for text, windows := range map[string]bool{"gemma2:2b": true, "h.example/ns/m": true, "h.example:5000/ns/m": false} {
		n, err := names.ParseOllama(text)
		if err != nil {
			t.Fatal(err)
		}
		if err := holds(n, true); (err == nil) != windows || err != nil && !strings.Contains(err.Error(), "h.example:5000") {
			t.Errorf("%s on Windows: %v", text, err)
		}
		if err := holds(n, false); err != nil {
			t.Errorf("%s elsewhere: %v", text, err)
		}
	}
}
