// Package models owns the models of this machine: where they lie, what they are called, what is remembered about them, and
// that several processes never harm each other's work.
//
// It must not know how a model is fetched or computed, nor how a command talks to its user. It reads no environment itself.
package models

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/systemgemma/systemgemma/internal/app/hub/hfcache"
	"github.com/systemgemma/systemgemma/internal/app/hub/names"
	"github.com/systemgemma/systemgemma/internal/app/registry/ollamastore"
)

// System is the folder of the service, whose models all users may run.
const System = "/var/lib/systemgemma"

// Store is the models of this machine: those of Home, which this user may change, and those of Others, which are only read.
//
//	models/OWNER/NAME/NAME-PLATFORM-TYPE-COMMIT8.gguf   the models; local-DATE stands for a commit where there is none
//	state/                                              last use, origins, checked files, facts, licences
//	locks/                                              one lock per model; a file that nobody holds is no obstacle
//
// Beside a model NAME.gguf may lie NAME.settings.json and NAME.adapters: see Settings.
type Store struct {
	Home   string
	Others []string
	Ollama []ollamastore.Store // Ollama's own stores, whose Gemma 2 models are run where they lie
}

// Locate finds the store by the environment: $SYSTEMGEMMA_HOME, else the user's data folder; then the system's.
func Locate(getenv func(string) string) (Store, error) {
	home := getenv("SYSTEMGEMMA_HOME")
	if home == "" {
		data := getenv("XDG_DATA_HOME")
		if !filepath.IsAbs(data) {
			data = getenv("LOCALAPPDATA") // Windows
		}
		if !filepath.IsAbs(data) && filepath.IsAbs(getenv("HOME")) {
			data = filepath.Join(getenv("HOME"), ".local", "share")
		}
		if !filepath.IsAbs(data) {
			return Store{}, errors.New("no folder for models: want HOME or SYSTEMGEMMA_HOME to be set to one")
		}
		home = filepath.Join(data, "systemgemma")
	}
	home, err := filepath.Abs(home)
	if err != nil {
		return Store{}, err
	}
	s := Store{Home: home}
	if home != System {
		s.Others = []string{System}
	}
	if o := ollamastore.Locate(getenv); o.Dir != "" {
		s.Ollama = append(s.Ollama, o)
	}
	if getenv("OLLAMA_MODELS") == "" {
		for _, dir := range ollamastore.System {
			s.Ollama = append(s.Ollama, ollamastore.Store{Dir: dir})
		}
	}
	return s, nil
}

// Model is one file of the store.
type Model struct {
	Name     string    `json:"name"` // OWNER/NAME
	Type     string    `json:"type"` // kind of weights, "" if the file's name doesn't say
	Platform string    `json:"platform,omitempty"`
	Commit   string    `json:"commit,omitempty"` // its first eight digits, or local-DATE
	Path     string    `json:"path"`
	Bytes    int64     `json:"bytes"`
	Changed  time.Time `json:"changed"`
	Used     time.Time `json:"used,omitzero"`    // last opened; zero: never
	ReadOnly bool      `json:"read_only"`        // of another store, not this user's
	Origin   *Origin   `json:"origin,omitempty"` // nil: not known
	Facts              // filled by Look

	Ollama *ollamastore.Model `json:"-"` // of an Ollama store; else nil
	store  ollamastore.Store  // that store
}

// ID is the shortest text that names this file and no other: OWNER/NAME:TYPE-COMMIT8.
func (m *Model) ID() string {
	if m.Ollama != nil {
		return ollamaScheme + m.Ollama.Name.String()
	}
	id := m.Name
	if m.Type != "" {
		id += ":" + m.Type + "-" + m.Commit
	}
	return id
}

// FileName is NAME-PLATFORM-TYPE-VERSION.gguf of a model that runs everywhere.
func FileName(name, typ, version string) string {
	return filepath.Base(name) + "-" + cpu + "-" + typ + "-" + version + ".gguf"
}

// Version tells apart files of one model and type: the first eight digits of a commit, or local-DATE of a model that has none.
func Version(commit string, now time.Time) string {
	if names.IsCommit(commit) {
		return commit[:8]
	}
	return "local-" + now.UTC().Format("20060102")
}

// cpu is the platform of files that run everywhere.
const cpu = "cpu"

var versionPattern = regexp.MustCompile(`^(cpu|rk[0-9]+)-(.+?)-((?:[0-9a-f]{8}|local-[0-9]{8})(?:-[0-9]{1,9})?)$`)

// again is the version of a file that was made in the place of another one: the version, and a number.
var again = regexp.MustCompile(`^([0-9a-f]{8}|local-[0-9]{8})-([0-9]{1,9})$`)

// parse reads a file's name, as FileName makes it; others leave the fields empty.
func (m *Model) parse(file string) {
	stem := strings.TrimSuffix(file, ".gguf")
	if rest, ok := strings.CutPrefix(stem, filepath.Base(m.Name)+"-"); ok {
		if x := versionPattern.FindStringSubmatch(rest); x != nil {
			m.Platform, m.Type, m.Commit = x[1], x[2], x[3]
		}
	}
}

// CheckName accepts OWNER/NAME as a folder of the store.
func CheckName(name string) error {
	if strings.Count(name, "/") != 1 {
		return fmt.Errorf("model name %q: want OWNER/NAME", name)
	}
	return names.Repo(name)
}

// Path is where a file of a model lies, or will lie.
func (s Store) Path(name, file string) string {
	return filepath.Join(s.Home, "models", filepath.FromSlash(name), file)
}

// NewPath is where a new file of a model will lie: under a name that no file of the model has, so that one that is there answers until the new one
// is whole. The caller holds the model's lock.
func (s Store) NewPath(name, typ, version string) string {
	if x := again.FindStringSubmatch(version); x != nil {
		version = x[1]
	}
	first := FileName(name, typ, version)
	entries, _ := os.ReadDir(filepath.Dir(s.Path(name, first))) // a folder that is not there has none
	next := 1
	for _, e := range entries {
		m := Model{Name: name}
		if m.parse(e.Name()); m.Type != typ {
			continue
		}
		if m.Commit == version {
			next = max(next, 2)
		} else if x := again.FindStringSubmatch(m.Commit); x != nil && x[1] == version {
			n, _ := strconv.Atoi(x[2]) // nine digits at most
			next = max(next, n+1)
		}
	}
	if next > 1 {
		version += "-" + strconv.Itoa(next)
	}
	return s.Path(name, FileName(name, typ, version))
}

// List returns all models, by name, the newest of a name first. What can't be read is left out; no store is an empty one.
func (s Store) List() ([]Model, error) {
	all := []Model{}
	for i, root := range append([]string{s.Home}, s.Others...) {
		files, err := filepath.Glob(filepath.Join(escapeGlob(root), "models", "*", "*", "*.gguf"))
		if err != nil {
			return nil, err
		}
		for _, path := range files {
			info, err := os.Stat(path)
			if err != nil || !info.Mode().IsRegular() || strings.HasPrefix(info.Name(), ".") {
				continue // gone since, or being made
			}
			dir := filepath.Dir(path)
			m := Model{
				Name: filepath.Base(filepath.Dir(dir)) + "/" + filepath.Base(dir), Path: path,
				Bytes: info.Size(), Changed: info.ModTime(), ReadOnly: i > 0,
			}
			m.parse(info.Name())
			m.Used = s.used(path)
			m.Origin = origin(root, path)
			all = append(all, m)
		}
	}
	ollama, err := s.listOllama()
	if err != nil {
		return nil, err
	}
	all = append(all, ollama...)
	slices.SortStableFunc(all, func(a, b Model) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), b.Changed.Compare(a.Changed), cmp.Compare(a.Path, b.Path))
	})
	return all, nil
}

func escapeGlob(path string) string {
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`).Replace(filepath.ToSlash(path))
}

// ErrNotFound: no model of that name is in the store.
var ErrNotFound = errors.New("no such model here")

// AmbiguousError is a name that several models share.
type AmbiguousError struct {
	Name string
	IDs  []string
}

func (e *AmbiguousError) Error() string {
	return fmt.Sprintf("%q may be any of %s; say which", e.Name, strings.Join(e.IDs, ", "))
}

// Find returns the models that a name means, the newest first: a short name, OWNER/NAME or NAME alone, each with an optional
// :TYPE or :TYPE-VERSION; OWNER/NAME@REVISION and OWNER/NAME/FILE as they were pulled; or a file's name with or without its ending.
// NAME alone must be of one owner.
func (s Store) Find(name string) ([]Model, error) {
	all, err := s.List()
	if err != nil {
		return nil, err
	}
	found, err := find(all, name)
	if errors.Is(err, ErrNotFound) {
		if other := s.otherFamily(name); other != nil {
			return nil, other
		}
	}
	return found, err
}

func find(all []Model, name string) ([]Model, error) {
	want := name
	for _, before := range []string{"hf://", "hf.co/", "huggingface.co/"} { // as its clients may write it
		want = strings.TrimPrefix(want, before)
	}
	base, revision, _ := strings.Cut(want, "@")
	base, typ, _ := strings.Cut(base, ":")
	file := ""
	if parts := strings.SplitN(base, "/", 3); len(parts) == 3 {
		base, file = parts[0]+"/"+parts[1], parts[2]
	}
	if row, ok := names.Lookup(base); ok {
		base = row.Repo
	}
	var found []Model
	owners := map[string]bool{}
	registry, err := names.ParseClient(name)
	// A name of one part is also one of the store's, whatever registry it came from.
	ollama := err == nil && registry.Kind == names.Ollama && (strings.HasPrefix(name, ollamaScheme) || strings.Contains(registry.Target, "/"))
	for _, m := range all {
		if own := filepath.Base(m.Path); own != want && own != want+".gguf" {
			switch {
			case ollama:
				if !m.from(registry.Ollama) {
					continue
				}
			case base != m.Name && base != filepath.Base(m.Name),
				typ != "" && !strings.EqualFold(typ, m.Type) && !strings.EqualFold(typ, m.Type+"-"+m.Commit),
				file != "" && (m.Origin == nil || m.Origin.File != file),
				revision != "" && (m.Origin == nil || m.Origin.Revision != revision && m.Origin.Commit != revision):
				continue
			}
		}
		owners[m.Name] = true
		found = append(found, m)
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("%s: %w", name, ErrNotFound)
	}
	if len(owners) > 1 {
		return nil, Ambiguous(name, found)
	}
	slices.SortStableFunc(found, func(a, b Model) int { return b.Changed.Compare(a.Changed) })
	return found, nil
}

// At returns the model whose file lies at path.
func (s Store) At(path string) (*Model, error) {
	all, err := s.List()
	if err != nil {
		return nil, err
	}
	for i := range all {
		if all[i].Path == path {
			return &all[i], nil
		}
	}
	return nil, fmt.Errorf("%s: %w", path, ErrNotFound)
}

// Ambiguous is the error of a name that means several models where one is wanted.
func Ambiguous(name string, found []Model) error {
	e := &AmbiguousError{Name: name}
	for _, m := range found {
		e.IDs = append(e.IDs, m.ID())
	}
	return e
}

// LockDir is where locks lie: one of each model, and one of each blob that a registry's client fetches.
func (s Store) LockDir() string { return filepath.Join(s.Home, "locks") }

// Lock holds a model's lock until the returned function is called. waiting is told who holds it, once, if another process does.
func (s Store) Lock(ctx context.Context, name string, waiting func(holder string)) (unlock func(), err error) {
	if err := CheckName(name); err != nil {
		return nil, err
	}
	dir := s.LockDir()
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, err
	}
	path := filepath.Join(dir, strings.ReplaceAll(name, "/", "--")+".lock")
	release, err := hfcache.LockFile(ctx, path, func() {
		if waiting != nil {
			holder, _ := os.ReadFile(path) // for the message only
			waiting(strings.TrimSpace(string(holder)))
		}
	})
	if err != nil {
		return nil, err
	}
	_ = os.WriteFile(path, fmt.Appendf(nil, "%d\n", os.Getpid()), 0o666) // for the message only
	return release, nil
}

// Remove deletes a model and what is remembered of it, under its lock.
func (s Store) Remove(ctx context.Context, m *Model) error {
	if m.Ollama != nil {
		return m.store.Remove(m.Ollama.Name)
	}
	if m.ReadOnly {
		return fmt.Errorf("%s belongs to the system: only its owner may remove it", m.Path)
	}
	unlock, err := s.Lock(ctx, m.Name, nil)
	if err != nil {
		return err
	}
	defer unlock()
	return s.Discard(m)
}

// Discard is Remove, by a caller who holds the model's lock.
func (s Store) Discard(m *Model) error {
	if m.Ollama != nil || m.ReadOnly {
		return fmt.Errorf("%s is not this store's own", m.Path)
	}
	if err := os.Remove(m.Path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := s.removeSettings(m.Path); err != nil {
		return err
	}
	s.forget(m.Path)
	dir := filepath.Dir(m.Path)
	_, _ = os.Remove(dir), os.Remove(filepath.Dir(dir)) // only if they are empty
	return nil
}
