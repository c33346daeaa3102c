package pull

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/systemgemma/systemgemma"
	"github.com/systemgemma/systemgemma/internal/app/hub"
	"github.com/systemgemma/systemgemma/internal/app/hub/download"
	"github.com/systemgemma/systemgemma/internal/app/hub/hfcache"
	"github.com/systemgemma/systemgemma/internal/app/hub/names"
	"github.com/systemgemma/systemgemma/internal/app/models"
)

// Result is what a pull made or found.
type Result struct {
	Path    string `json:"path"` // of the model's file, or of the source's folder
	Commit  string `json:"commit"`
	Here    bool   `json:"here"` // nothing had to be done
	Fetched int64  `json:"fetched"`
}

// large is the size from which a fetched file is removed after it was converted, in bytes: what is smaller tells what a model is.
const large = 1 << 20

// Licence returns the text of the repository's own licence file, "" if it has none. It is fetched into the cache.
func (p *Puller) Licence(ctx context.Context, x *Plan) (string, error) {
	i := slices.IndexFunc(x.Files, func(f File) bool { return isLicence(f.Name) && f.Size < 1<<20 })
	if i < 0 {
		return "", nil
	}
	f, err := p.Client.File(ctx, hub.FileRequest{Repo: hub.Repo{ID: x.Repo}, Revision: x.Commit, Name: x.Files[i].Name})
	if err != nil {
		return "", err
	}
	text, err := os.ReadFile(f.Path)
	return string(text), err
}

// Run carries out a plan. Of several processes that pull the same model one works, and the others find what it made.
func (p *Puller) Run(ctx context.Context, x *Plan) (Result, error) {
	unlock, err := p.Store.Lock(ctx, x.Repo, func(holder string) {
		p.notice("another process (%s) works on %s; waiting for it", holder, x.Repo)
	})
	if err != nil {
		return Result{}, err
	}
	defer unlock()
	state := p.Store.Pull(x.Repo)
	r := Result{Path: x.Target, Commit: x.Commit}
	if _, err := os.Stat(x.Target); x.Target != "" && err == nil {
		r.Here = true
	} else if err := p.make(ctx, x, state, &r); err != nil {
		return r, err
	}
	return r, p.finish(x, state, r.Path)
}

// make fetches and converts.
func (p *Puller) make(ctx context.Context, x *Plan, state models.Pull, r *Result) error {
	if p.streams(x) {
		err := p.stream(ctx, x, r)
		if !errors.Is(err, systemgemma.ErrNotInOrder) {
			return err
		}
		p.notice("%v: fetching all of them first", err)
	}
	if err := p.room(x, x.Fetch); err != nil {
		return err
	}
	var allow []string
	for _, f := range x.Files {
		allow = append(allow, exactly(f.Name))
		if !x.request.KeepSource && x.Target != "" && !f.Here && f.Size >= large && names.IsEtag(f.etag) {
			state.Fetching[f.etag] = true
		}
	}
	if len(state.Fetching) > 0 {
		if err := p.Store.SetPull(x.Repo, state); err != nil { // before the first byte: whoever resumes this must know whose it is
			return err
		}
	}
	s, err := p.Client.Snapshot(ctx, hub.SnapshotRequest{Repo: hub.Repo{ID: x.Repo}, Revision: x.Commit, Allow: allow, Local: x.Away != nil})
	if err != nil {
		return err
	}
	for _, f := range s.Files {
		if f.Fetched {
			r.Fetched += f.Size
		}
	}
	if err := p.Client.Cache().Repo("model", x.Repo).SetRef(x.Revision, x.Commit); err != nil {
		return err
	}
	if x.Target == "" {
		r.Path = s.Path
		return nil
	}
	source := s.Path
	if x.gguf != "" {
		source = filepath.Join(s.Path, filepath.FromSlash(x.gguf))
	}
	if !x.converts() {
		return models.Place(ctx, source, x.Target)
	}
	if err := os.MkdirAll(filepath.Dir(x.Target), 0o777); err != nil {
		return err
	}
	_, err = systemgemma.Convert(ctx, source, &systemgemma.ConvertOptions{
		Output: x.Target, Types: []string{x.Type}, Name: x.Repo, Threads: p.Threads, Progress: p.Progress, ReportProgress: p.Measuring, Warn: p.Notice,
	})
	return err
}

// weights is the GGUF file, the zero File if the plan is not about one.
func (x *Plan) weights() (f File) {
	for _, f := range x.Files {
		if f.Name == x.gguf {
			return f
		}
	}
	return f
}

// exactly is a pattern that matches one name.
func exactly(name string) string {
	return strings.NewReplacer("[", "[[]", "*", "[*]", "?", "[?]").Replace(name)
}

// room refuses what the disk can't hold, before the first byte: fetch goes into the hub's cache, which may share a disk with the store.
func (p *Puller) room(x *Plan, fetch int64) error {
	dir := filepath.Dir(x.Target)
	if x.Target == "" || !x.converts() {
		return nil // the hub's client looks after its own cache
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	if err := os.MkdirAll(p.Client.Cache().Dir, 0o777); err != nil {
		return err
	}
	free, err := hfcache.FreeBytes(dir)
	if err != nil {
		return nil // not known here: writing will tell
	}
	need := x.Room
	if other, err := hfcache.FreeBytes(p.Client.Cache().Dir); err == nil && other == free {
		need += fetch
	}
	if free < need {
		return &download.SpaceError{Dir: dir, Need: need, Free: free}
	}
	return nil
}

// finish records what was made, and removes what was fetched for it alone. It is repeated by whoever finds the model made.
func (p *Puller) finish(x *Plan, state models.Pull, made string) error {
	var errs []error
	now := time.Now().UTC().Truncate(time.Second)
	if x.Target != "" {
		if m, err := p.Store.At(made); err != nil || m.Origin == nil {
			o := models.Origin{Source: x.Repo, File: x.gguf, Hub: p.Client.Settings.Endpoint, Revision: x.Revision, Commit: x.Commit, Made: now}
			if sum := download.SumOf(x.weights().etag); !x.converts() && sum.Kind == "SHA-256" {
				o.SHA256 = sum.Hex
			}
			errs = append(errs, p.Store.SetOrigin(made, o))
		}
		repo := p.Client.Cache().Repo("model", x.Repo)
		for _, f := range x.Files {
			if !state.Fetching[f.etag] || x.request.KeepSource {
				continue
			}
			if at, ok := repo.Has(x.Commit, f.Name); ok {
				errs = append(errs, p.Client.Cache().Remove(repo, at, f.etag), p.Client.Cache().Remove(repo, at, ""))
			}
		}
	}
	if x.Away == nil {
		state.Commits[x.Revision] = models.Commit{Commit: x.Commit, Date: now}
	}
	for _, f := range x.Files {
		delete(state.Fetching, f.etag)
	}
	errs = append(errs, p.Store.SetPull(x.Repo, state))
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("%s is made, but: %w", made, err)
	}
	return nil
}

// FromURL brings a GGUF file at an address into the store, as local/NAME. Nothing names its hash: it is checked by its size, and by being
// a model.
func (p *Puller) FromURL(ctx context.Context, address string) (Result, error) {
	name, err := URLName(address)
	if err != nil {
		return Result{}, err
	}
	unlock, err := p.Store.Lock(ctx, name, nil)
	if err != nil {
		return Result{}, err
	}
	defer unlock()
	target := p.Store.Path(name, models.FileName(name, "gguf", models.Version("", time.Now())))
	if _, err := os.Stat(target); err == nil {
		return Result{Path: target, Here: true}, nil
	}
	if err := os.MkdirAll(filepath.Dir(target), 0o777); err != nil {
		return Result{}, err
	}
	fetched := filepath.Join(filepath.Dir(target), ".fetched.gguf") // no name of a model until it is known to be one
	if err := p.Client.FetchURL(ctx, address, fetched); err != nil {
		_, _ = os.Remove(filepath.Dir(target)), os.Remove(filepath.Dir(filepath.Dir(target))) // only if they are empty
		return Result{}, err
	}
	defer func() { _ = os.Remove(fetched) }()
	if _, err := systemgemma.Describe(fetched, nil); err != nil {
		return Result{}, fmt.Errorf("what %s gave is no model: %w", address, err)
	}
	o := models.Origin{Source: address, Made: time.Now().UTC()}
	if err := p.Store.Make(ctx, target, o, models.Settings{}, func() error { return models.Place(ctx, fetched, target) }); err != nil {
		return Result{}, err
	}
	info, err := os.Stat(target)
	if err != nil {
		return Result{}, err
	}
	return Result{Path: target, Fetched: info.Size()}, nil
}

// URLName names a file at an address in the store.
func URLName(address string) (string, error) {
	bare, _, _ := strings.Cut(address, "?")
	bare, _, _ = strings.Cut(bare, "#")
	base, ok := strings.CutSuffix(bare[strings.LastIndexByte(bare, '/')+1:], ".gguf")
	if !ok {
		return "", fmt.Errorf("%s: want the address of a .gguf file", address)
	}
	name := "local/" + base
	return name, models.CheckName(name)
}
