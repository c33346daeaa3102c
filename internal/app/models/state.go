package models

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/systemgemma/systemgemma/internal/app/cli/wholefile"
)

// What is remembered lies in small files, one for each thing, so that processes need no lock to write them: a file is replaced as a
// whole, and one that is missing or unreadable only means that nothing is remembered.

// maxState bounds a file of the state, in bytes.
const maxState = 8 << 20

// Origin is where a model came from.
type Origin struct {
	Source   string    `json:"source"`             // owner/repo, an address or a path
	File     string    `json:"file,omitempty"`     // the file in a repository that it is a copy of
	Hub      string    `json:"hub,omitempty"`      // the hub's address
	Revision string    `json:"revision,omitempty"` // as asked for
	Commit   string    `json:"commit,omitempty"`
	SHA256   string    `json:"sha256,omitempty"` // of the whole file, where it was stored as it came
	Made     time.Time `json:"made"`
}

// Licence is the acceptance of a model's terms.
type Licence struct {
	Model  string    `json:"model"`
	URL    string    `json:"url"`
	SHA256 string    `json:"sha256"` // of the notice that was shown
	Date   time.Time `json:"date"`
	By     string    `json:"by"` // how it was given: terminal or --accept-license
}

// Pull is what is remembered of a repository.
type Pull struct {
	Commits  map[string]Commit `json:"commits"`            // by revision, as last asked for
	Fetching map[string]bool   `json:"fetching,omitempty"` // blobs that a running or interrupted pull fetches, to be removed after it
}

// Commit is what a revision was at a time.
type Commit struct {
	Commit string    `json:"commit"`
	Date   time.Time `json:"date"`
}

func (s Store) state(parts ...string) string {
	return filepath.Join(append([]string{s.Home, "state"}, parts...)...)
}

func dashed(name string) string { return strings.ReplaceAll(name, "/", "--") }

func writeState(path string, x any) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return err
	}
	return wholefile.Write(path, 0o666, func(w io.Writer) error {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(x)
	})
}

// readState fills x, and tells whether there was anything.
func readState(path string, x any) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer func() { _ = f.Close() }() // only read
	b, err := io.ReadAll(io.LimitReader(f, maxState))
	return err == nil && json.Unmarshal(b, x) == nil
}

// key is a model's file below a store's root, as a name of one part.
func key(root, path string) string {
	rel, err := filepath.Rel(filepath.Join(root, "models"), path)
	if err != nil || !filepath.IsLocal(rel) {
		return fmt.Sprintf("%x", sha256.Sum256([]byte(path)))
	}
	return dashed(filepath.ToSlash(rel))
}

// SetUsed notes that a model is used now. A store that can't be written remembers nothing.
func (s Store) SetUsed(path string) {
	at, now := s.state("used", key(s.Home, path)), time.Now()
	if os.Chtimes(at, now, now) != nil && os.MkdirAll(filepath.Dir(at), 0o777) == nil {
		_ = os.WriteFile(at, nil, 0o666)
	}
}

func (s Store) used(path string) time.Time {
	info, err := os.Stat(s.state("used", key(s.Home, path)))
	if err != nil {
		return time.Time{}
	}
	return info.ModTime()
}

// SetOrigin notes where a model came from.
func (s Store) SetOrigin(path string, o Origin) error {
	return writeState(s.state("origins", key(s.Home, path)+".json"), o)
}

func origin(root, path string) *Origin {
	var o Origin
	if !readState(filepath.Join(root, "state", "origins", key(root, path)+".json"), &o) {
		return nil
	}
	return &o
}

func (s Store) tunePath(path string) string { return s.state("tune", key(s.Home, path)+".json") }

// SetTune notes how fast the model at path runs best here: x is what package tune makes of it.
func (s Store) SetTune(path string, x any) error { return writeState(s.tunePath(path), x) }

// Tune fills x, and tells whether there was anything.
func (s Store) Tune(path string, x any) bool { return readState(s.tunePath(path), x) }

// ForgetTune removes that note, and tells whether there was one.
func (s Store) ForgetTune(path string) bool { return os.Remove(s.tunePath(path)) == nil }

// forget removes what is remembered of a model's file.
func (s Store) forget(path string) {
	k := key(s.Home, path)
	_, _, _ = os.Remove(s.state("used", k)), os.Remove(s.state("origins", k+".json")), os.Remove(s.factsPath(path))
	s.ForgetTune(path)
}

// Licence returns the acceptance of a model's terms, nil if there is none.
func (s Store) Licence(name string) *Licence {
	var l Licence
	if !readState(s.state("licences", dashed(name)+".json"), &l) {
		return nil
	}
	return &l
}

// Licences returns all acceptances, by model.
func (s Store) Licences() []Licence {
	files, _ := filepath.Glob(filepath.Join(escapeGlob(s.state("licences")), "*.json")) // the pattern is well formed
	all := []Licence{}
	for _, f := range files {
		var l Licence
		if readState(f, &l) {
			all = append(all, l)
		}
	}
	return all
}

// SetLicence records an acceptance.
func (s Store) SetLicence(l Licence) error {
	return writeState(s.state("licences", dashed(l.Model)+".json"), l)
}

// Pull returns what is remembered of a repository. The caller holds its lock.
func (s Store) Pull(name string) Pull {
	p := Pull{}
	readState(s.state("pulls", dashed(name)+".json"), &p)
	if p.Commits == nil {
		p.Commits = map[string]Commit{}
	}
	if p.Fetching == nil {
		p.Fetching = map[string]bool{}
	}
	return p
}

// SetPull records it. The caller holds the repository's lock.
func (s Store) SetPull(name string, p Pull) error {
	return writeState(s.state("pulls", dashed(name)+".json"), p)
}

// Verified remembers files whose hash was right, by size and time of change.
type Verified struct{ Store Store }

type verified struct {
	Path    string    `json:"path"`
	Size    int64     `json:"size"`
	Changed time.Time `json:"changed"`
}

func (v Verified) at(path string) string {
	return v.Store.state("verified", fmt.Sprintf("%x.json", sha256.Sum256([]byte(path))))
}

// Has tells whether a file was found right in this state.
func (v Verified) Has(path string, size int64, changed time.Time) bool {
	var x verified
	return readState(v.at(path), &x) && x.Path == path && x.Size == size && x.Changed.Equal(changed)
}

// Add remembers a file. One that can't be remembered is read again.
func (v Verified) Add(path string, size int64, changed time.Time) {
	_ = writeState(v.at(path), verified{path, size, changed})
}

// Prune forgets checked files that are gone, and returns how many.
func (v Verified) Prune() (n int, err error) { return v.Store.forgetGone("verified") }

// forgetGone removes the records of a folder of the state that are of files that are gone or have another size, and returns how many.
func (s Store) forgetGone(folder string) (n int, err error) {
	files, err := filepath.Glob(filepath.Join(escapeGlob(s.state(folder)), "*.json"))
	for _, f := range files {
		var x verified
		if readState(f, &x) {
			if info, statErr := os.Stat(x.Path); statErr == nil && info.Size() == x.Size {
				continue
			}
		}
		if removeErr := os.Remove(f); removeErr == nil {
			n++
		} else if !errors.Is(removeErr, fs.ErrNotExist) {
			err = errors.Join(err, removeErr)
		}
	}
	return n, err
}
