// Package ollamastore owns the layout of an Ollama store: manifests by name, blobs by digest, which blobs are in use, and files that
// another program left unfinished.
//
// It must not know how blobs travel, nor what is in a model's file.
package ollamastore

import (
	"cmp"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/systemgemma/systemgemma/internal/app/cli/wholefile"
	"github.com/systemgemma/systemgemma/internal/app/hub/names"
)

// Store is an Ollama store: manifests/HOST/NAMESPACE/MODEL/TAG and blobs/sha256-HEX below Dir.
type Store struct{ Dir string }

// System are the folders of a store that Ollama's own service keeps.
var System = []string{"/usr/share/ollama/.ollama/models", "/var/lib/ollama/.ollama/models"}

// Locate is the user's store by the environment: $OLLAMA_MODELS, else ~/.ollama/models; "" where there is no home. It needn't exist.
func Locate(getenv func(string) string) Store {
	if dir := getenv("OLLAMA_MODELS"); filepath.IsAbs(dir) {
		return Store{filepath.Clean(dir)}
	}
	for _, home := range []string{getenv("HOME"), getenv("USERPROFILE")} {
		if filepath.IsAbs(home) {
			return Store{filepath.Join(home, ".ollama", "models")}
		}
	}
	return Store{}
}

// UnknownError is a model that a store doesn't have.
type UnknownError struct {
	Name names.OllamaName
	Dir  string
}

func (e *UnknownError) Error() string {
	return fmt.Sprintf("%s is not in the Ollama store %s", e.Name, e.Dir)
}

// ManifestPath is where a model's manifest lies.
func (s Store) ManifestPath(n names.OllamaName) string {
	return filepath.Join(s.Dir, "manifests", n.Host, n.Namespace, n.Model, n.Tag)
}

// BlobPath is where a blob lies, or will lie.
func (s Store) BlobPath(d Digest) string { return filepath.Join(s.Dir, "blobs", d.File()) }

// Holds refuses a name that no store on this system can hold: Ollama makes a folder of a registry's host as it stands, and Windows has no
// folders with a colon in their names, which parts the host from a port.
func Holds(n names.OllamaName) error { return holds(n, runtime.GOOS == "windows") }

func holds(n names.OllamaName, windows bool) error {
	if windows && strings.Contains(n.Host, ":") {
		return fmt.Errorf("%s: Ollama's store has no place on Windows for a registry with a port, as %s; want our own store, or a registry at the usual port", n, n.Host)
	}
	return nil
}

// Manifest reads a model's manifest; *UnknownError if there is none.
func (s Store) Manifest(n names.OllamaName) (*Manifest, error) {
	if Holds(n) != nil {
		return nil, &UnknownError{n, s.Dir} // its path would be that of a stream of another file
	}
	text, err := readFile(s.ManifestPath(n), MaxManifest)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &UnknownError{n, s.Dir}
	}
	if err != nil {
		return nil, err
	}
	m, err := ParseManifest(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.ManifestPath(n), err)
	}
	return m, nil
}

// PutManifest makes or replaces a model's manifest. Its blobs must be there.
func (s Store) PutManifest(n names.OllamaName, m *Manifest) error {
	text, err := m.Encode()
	if err != nil {
		return err
	}
	return s.putManifest(n, text)
}

func (s Store) putManifest(n names.OllamaName, text []byte) error {
	if err := Holds(n); err != nil {
		return err
	}
	path := s.ManifestPath(n)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return wholefile.Write(path, 0o644, func(w io.Writer) error { _, err := w.Write(text); return err })
}

// MismatchError is a blob whose bytes are not those of its digest.
type MismatchError struct{ Want, Got Digest }

func (e *MismatchError) Error() string {
	return fmt.Sprintf("blob: want %s, found bytes of %s", e.Want, e.Got)
}

// PutBlob stores bytes under their own digest, which it returns. If want is not empty and another one, that is an error; the blob,
// which is what its name says, stays.
func (s Store) PutBlob(r io.Reader, want Digest) (Layer, error) {
	if want != "" {
		if err := want.Check(); err != nil {
			return Layer{}, err
		}
	}
	dir := filepath.Join(s.Dir, "blobs")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return Layer{}, err
	}
	temp := filepath.Join(dir, ".put-"+rand.Text()+".tmp")
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return Layer{}, err
	}
	h := sha256.New()
	n, err := io.Copy(io.MultiWriter(f, h), r)
	if err == nil {
		err = f.Sync()
	}
	l := Layer{Digest: Digest(fmt.Sprintf("sha256:%x", h.Sum(nil))), Size: n}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(temp, s.BlobPath(l.Digest))
	}
	if err != nil {
		return Layer{}, errors.Join(err, os.Remove(temp))
	}
	if want != "" && want.Hex() != l.Digest.Hex() {
		return l, &MismatchError{want, l.Digest}
	}
	return l, nil
}

// MaxText bounds a layer that is read into memory: a template, a system prompt, parameters, messages, a licence.
const MaxText = 4 << 20

// Text reads a small layer and checks its bytes.
func (s Store) Text(l Layer) (string, error) {
	if err := l.Digest.Check(); err != nil {
		return "", err
	}
	text, err := readFile(s.BlobPath(l.Digest), MaxText)
	if err != nil {
		return "", fmt.Errorf("%s layer: %w", l.Kind(), err)
	}
	if got := Digest(fmt.Sprintf("sha256:%x", sha256.Sum256(text))); got.Hex() != l.Digest.Hex() {
		return "", fmt.Errorf("%s layer: %w", l.Kind(), &MismatchError{l.Digest, got})
	}
	return string(text), nil
}

// Blob is the bytes of a layer.
type Blob interface {
	io.ReaderAt
	io.Closer
}

// Open opens a blob and tells its size.
func (s Store) Open(l Layer) (Blob, int64, error) {
	f, err := os.Open(s.BlobPath(l.Digest))
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	return f, info.Size(), nil
}

func readFile(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(b)) > limit {
		err = fmt.Errorf("%s: want at most %d bytes", path, limit)
	}
	return b, err
}

// Model is one manifest of a store.
type Model struct {
	Name     names.OllamaName
	Manifest *Manifest
	Digest   string // hexadecimal SHA-256 of the manifest's bytes
	Path     string // of the manifest
	Changed  time.Time
	Config   Config
}

// Config is what a model's config layer says of it.
type Config struct {
	ModelFormat   string   `json:"model_format"`
	ModelFamily   string   `json:"model_family"`
	ModelFamilies []string `json:"model_families"`
	ModelType     string   `json:"model_type"` // size, as in 2.6B
	FileType      string   `json:"file_type"`
	Architecture  string   `json:"architecture"`
	OS            string   `json:"os"`
	RootFS        RootFS   `json:"rootfs"`
}

// RootFS lists the layers in a config.
type RootFS struct {
	Type    string   `json:"type"`
	DiffIDs []Digest `json:"diff_ids"`
}

// List returns the models of the store, by name. Damaged manifests are left out, as Ollama does; no store is an empty one.
func (s Store) List() ([]Model, error) {
	var all []Model
	err := s.walk(func(n names.OllamaName, path string, info fs.FileInfo) error {
		text, err := readFile(path, MaxManifest)
		if err != nil {
			return nil
		}
		m, err := ParseManifest(text)
		if err != nil {
			return nil
		}
		x := Model{Name: n, Manifest: m, Digest: fmt.Sprintf("%x", sha256.Sum256(text)), Path: path, Changed: info.ModTime()}
		if m.Config.Digest != "" {
			if config, err := s.Text(m.Config); err == nil {
				_ = json.Unmarshal([]byte(config), &x.Config) // a model whose config can't be read has none
			}
		}
		all = append(all, x)
		return nil
	})
	slices.SortFunc(all, func(a, b Model) int { return cmp.Compare(a.Name.Full(), b.Name.Full()) })
	return all, err
}

// walk calls f for each manifest.
func (s Store) walk(f func(n names.OllamaName, path string, info fs.FileInfo) error) error {
	if s.Dir == "" {
		return nil
	}
	root := filepath.Join(s.Dir, "manifests")
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
			return nil
		}
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		parts := strings.Split(filepath.ToSlash(rel), "/")
		if d.IsDir() {
			if len(parts) > 4 {
				return fs.SkipDir
			}
			return nil
		}
		info, err := d.Info()
		if err != nil || !info.Mode().IsRegular() || len(parts) != 4 {
			return nil
		}
		n, err := names.ParseOllama(strings.Join(parts[:3], "/") + ":" + parts[3])
		if err != nil {
			return nil
		}
		return f(n, path, info)
	})
}

// Remove deletes a model, and the blobs that no other manifest names. A damaged manifest stops that: what it names is not known.
func (s Store) Remove(n names.OllamaName) error {
	m, err := s.Manifest(n)
	if err != nil {
		return err
	}
	used, damaged := map[string]bool{}, ""
	err = s.walk(func(other names.OllamaName, path string, _ fs.FileInfo) error {
		if other == n {
			return nil
		}
		text, err := readFile(path, MaxManifest)
		if err != nil {
			return err
		}
		x, err := ParseManifest(text)
		if err != nil {
			damaged = path
			return nil
		}
		for _, l := range x.All() {
			used[l.Digest.Hex()] = true
		}
		return nil
	})
	if err != nil {
		return err
	}
	path := s.ManifestPath(n)
	if err := os.Remove(path); err != nil {
		return err
	}
	for dir := filepath.Dir(path); dir != filepath.Join(s.Dir, "manifests"); dir = filepath.Dir(dir) {
		if os.Remove(dir) != nil {
			break // not empty
		}
	}
	if damaged != "" {
		return fmt.Errorf("%s is removed; its blobs are kept, since %s can't be read and may name them", n, damaged)
	}
	var errs []error
	for _, l := range m.All() {
		if used[l.Digest.Hex()] {
			continue
		}
		if err := os.Remove(s.BlobPath(l.Digest)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
