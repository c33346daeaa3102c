package hub

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"

	"github.com/systemgemma/systemgemma/internal/app/hub/download"
	"github.com/systemgemma/systemgemma/internal/app/hub/hfcache"
	"github.com/systemgemma/systemgemma/internal/app/hub/names"
	"github.com/systemgemma/systemgemma/internal/app/hub/wire"
)

// FileRequest asks for one file of a repository.
type FileRequest struct {
	Repo     Repo
	Revision string // branch, tag or commit; "" is main
	Name     string
	Force    bool   // fetch even what is here
	Local    bool   // ask no hub
	Plan     bool   // only tell what would be done
	Folder   string // instead of the cache: a folder that gets the file under its own name

	listed *hfcache.TreeFile // what the commit's listing says of it
}

// File is a file that is here.
type File struct {
	Name, Path, Commit, Etag string
	Size                     int64
	Fetched                  bool  // bytes came over the network now, or would with Plan
	Checked                  bool  // Etag is a hash, and the bytes have it; false with Plan
	Notice                   error // why the hub was not asked or did not answer, where the file is what is known from before
}

// NotHereError is a file or snapshot that is not in the cache, or not whole, while the hub can't be asked.
type NotHereError struct {
	Repo, Revision string
	Missing        []string // files; empty if the revision itself is not known here
	Unlisted       bool     // the snapshot's listing is not known, so nobody can tell whether it is whole
	Reason         error    // why the hub was not asked
}

func (e *NotHereError) Error() string {
	what := fmt.Sprintf("%s at %s is not here", e.Repo, e.Revision)
	switch {
	case e.Unlisted:
		what = fmt.Sprintf("%s at %s is here, but not the list of its files, so it may be incomplete", e.Repo, e.Revision)
	case len(e.Missing) > 0:
		few := e.Missing[:min(len(e.Missing), 5)]
		what = fmt.Sprintf("%s at %s is incomplete: %d files are missing (%s)", e.Repo, e.Revision, len(e.Missing), quoted(few, len(e.Missing)))
	}
	return fmt.Sprintf("%s, and the hub can't be asked: %v", what, e.Reason)
}

func (e *NotHereError) Unwrap() error { return e.Reason }

func quoted(few []string, of int) string {
	s := ""
	for i, f := range few {
		if i > 0 {
			s += ", "
		}
		s += fmt.Sprintf("%q", f)
	}
	if of > len(few) {
		s += ", ..."
	}
	return s
}

// File brings one file here, or finds it here, and returns where it lies. Its bytes have the hash that the hub names.
func (c *Client) File(ctx context.Context, r FileRequest) (File, error) {
	if r.Revision == "" {
		r.Revision = "main"
	}
	err := errors.Join(r.Repo.valid(), names.Revision(r.Revision), names.File(r.Name))
	if err != nil {
		return File{}, err
	}
	r.Local = r.Local || c.Settings.Offline
	if r.Force && r.Local {
		return File{}, fmt.Errorf("fetch %s again: %w", r.Name, &OfflineError{r.Repo.ID, c.Settings.OfflineFrom})
	}
	if r.Folder != "" {
		return c.folderFile(ctx, r)
	}
	return c.cacheFile(ctx, r)
}

func (c *Client) resolve(r FileRequest) *url.URL {
	parts := []string{r.Repo.path(), "resolve", wire.Escape(r.Revision, false)}
	if name := wire.Escape(r.Name, true); name != "" || r.Name == "" {
		parts = append(parts, name) // a name of dots alone is the folder above
	}
	return c.wire.Escaped("", parts...)
}

func (c *Client) cacheFile(ctx context.Context, r FileRequest) (File, error) {
	repo := c.cache.Repo(r.Repo.kind(), r.Repo.ID)
	if names.IsCommit(r.Revision) && !r.Force {
		f, err := c.known(ctx, repo, r, r.Revision)
		if err == nil || !errors.Is(err, fs.ErrNotExist) {
			return f, err
		}
	}
	if r.Local {
		return c.fromBefore(ctx, repo, r, &OfflineError{r.Repo.ID, c.Settings.OfflineFrom})
	}
	if f, ok, err := c.fromShared(ctx, repo, r); ok || err != nil {
		return f, err
	}
	resolve := c.resolve(r)
	subject := wire.Subject{Repo: r.Repo.ID, Revision: r.Revision, File: r.Name}
	m, err := c.head(ctx, resolve, subject, false)
	if wire.Away(err) {
		// What is here will do at once; only without it is waiting worth while.
		if f, err := c.fromBefore(ctx, repo, r, err); err == nil && !r.Force {
			return f, nil
		}
		if wire.Healing(err) {
			m, err = c.head(ctx, resolve, subject, true)
		}
	}
	if err != nil {
		if e, ok := errors.AsType[*wire.Error](err); ok && e.Kind == wire.FileNotFound && !r.Plan {
			err = errors.Join(err, repo.NoteMissing(e.Commit, r.Name))
		}
		return File{}, err
	}
	return c.place(ctx, repo, r, m, &getter{c: c, resolve: resolve, subject: subject, m: m})
}

// known finds a file of a commit in the cache and checks it; the error wraps fs.ErrNotExist if it must be fetched. A file whose
// bytes are wrong is removed.
func (c *Client) known(ctx context.Context, repo hfcache.Repo, r FileRequest, commit string) (File, error) {
	path, ok := repo.Has(commit, r.Name)
	if !ok {
		return File{}, fs.ErrNotExist
	}
	f := File{Name: r.Name, Path: path, Commit: commit, Etag: repo.Etag(commit, r.Name)}
	if f.Etag == "" && r.listed != nil {
		f.Etag = r.listed.Etag()
	}
	return f, c.verify(ctx, &f, repo)
}

// verify checks a file that is here, and removes it if it is damaged.
func (c *Client) verify(ctx context.Context, f *File, repo hfcache.Repo) error {
	info, err := os.Stat(f.Path)
	if err != nil {
		return err
	}
	f.Size = info.Size()
	if info.IsDir() {
		return nil
	}
	ok, err := c.check(ctx, f.Path, f.Etag)
	if err != nil {
		return err
	}
	if ok {
		f.Checked = download.SumOf(f.Etag).Kind != ""
		return nil
	}
	c.o.Notice(fmt.Sprintf("%s: the bytes in the cache are damaged (not those of %s); fetching them again", f.Name, f.Etag))
	return errors.Join(fs.ErrNotExist, c.cache.Remove(repo, f.Path, f.Etag))
}

// fromBefore answers without the hub: from the commit that the revision had when it was last asked.
func (c *Client) fromBefore(ctx context.Context, repo hfcache.Repo, r FileRequest, reason error) (File, error) {
	commit := r.Revision
	if !names.IsCommit(commit) {
		commit = repo.Ref(commit)
	}
	f, err := c.known(ctx, repo, r, commit)
	if errors.Is(err, fs.ErrNotExist) {
		return f, &NotHereError{Repo: r.Repo.ID, Revision: r.Revision, Missing: []string{r.Name}, Reason: reason}
	}
	f.Notice = reason
	return f, err
}

// fromShared takes a file of a known commit from the store that all repositories share, where the listing names its hash.
func (c *Client) fromShared(ctx context.Context, repo hfcache.Repo, r FileRequest) (f File, ok bool, err error) {
	l := r.listed
	if l == nil || l.XetHash == "" || l.LFSSHA256 == "" || c.Settings.NoXet || r.Plan || r.Force || repo.HasBlob(l.Etag()) {
		return f, false, nil
	}
	return c.shared(ctx, repo, r, meta{commit: r.Revision, etag: l.LFSSHA256, size: l.Size, xet: l.XetHash})
}

func (c *Client) shared(ctx context.Context, repo hfcache.Repo, r FileRequest, m meta) (f File, ok bool, err error) {
	path, ok := c.cache.Shared(m.xet, m.size)
	if !ok || c.Settings.NoXet || c.cache.NoLinks() != nil || download.SumOf(m.etag).Kind == "" {
		return f, false, nil
	}
	if right, err := c.check(ctx, path, m.etag); err != nil || !right {
		return f, false, err
	}
	unlock, err := c.lock(ctx, repo, m.etag)
	if err != nil {
		return f, false, err
	}
	defer unlock()
	if !repo.HasBlob(m.etag) {
		if err := repo.LinkShared(ctx, m.etag, m.xet); err != nil {
			return f, false, err
		}
	}
	f, err = c.link(repo, r, m, false)
	return f, err == nil, err
}

func (c *Client) lock(ctx context.Context, repo hfcache.Repo, etag string) (func(), error) {
	return repo.Lock(ctx, etag, func() {
		c.o.Notice(fmt.Sprintf("another process is fetching the same file (%s); waiting for it", etag[:min(len(etag), 12)]))
	})
}

// place brings the file that m describes into the cache: by nothing, by a link, or by fetching it.
func (c *Client) place(ctx context.Context, repo hfcache.Repo, r FileRequest, m meta, get *getter) (File, error) {
	if r.listed != nil {
		if m.etag != r.listed.Etag() && download.SumOf(r.listed.Etag()).Kind != "" {
			return File{}, &ChangedError{r.Name, r.listed.Etag(), m.etag}
		}
		if m.size < 0 {
			m.size = r.listed.Size
		}
	}
	if r.Plan {
		_, here := repo.Has(m.commit, r.Name)
		here = here || repo.HasBlob(m.etag)
		return File{
			Name: r.Name, Path: repo.SnapshotPath(m.commit, r.Name), Commit: m.commit, Etag: m.etag, Size: m.size, Fetched: !here || r.Force,
		}, nil
	}
	if !r.Force {
		if f, ok, err := c.already(ctx, repo, r, m); ok || err != nil {
			return f, err
		}
		if m.xet != "" {
			if f, ok, err := c.shared(ctx, repo, r, m); ok || err != nil {
				return f, err
			}
		}
	}
	if err := repo.Room(m.commit, r.Name); err != nil {
		return File{}, err
	}
	unlock, err := c.lock(ctx, repo, m.etag)
	if err != nil {
		return File{}, err
	}
	defer unlock()
	if !r.Force { // another process may have been faster
		if f, ok, err := c.already(ctx, repo, r, m); ok || err != nil {
			return f, err
		}
	}
	if err := repo.MakeBlobs(); err != nil {
		return File{}, err
	}
	if err := c.fetch(ctx, r, m, repo.BlobPath(m.etag), get); err != nil {
		return File{}, err
	}
	return c.link(repo, r, m, true)
}

// fetch downloads a file to path, whose lock the caller holds.
func (c *Client) fetch(ctx context.Context, r FileRequest, m meta, path string, get *getter) error {
	t := download.Target{Name: r.Name, Path: path, Size: m.size, Sum: download.SumOf(m.etag)}
	if r.Force {
		if err := download.Discard(path); err != nil {
			return err
		}
	} else if t.Sum.Kind != "" && m.size >= 0 {
		t.Prefix = path + ".incomplete" // of the reference client before 1.0
	}
	if err := download.Fetch(ctx, t, get, c.downloads()); err != nil {
		return err
	}
	if info, err := os.Stat(path); err == nil && t.Sum.Kind != "" {
		c.o.Verified.Add(path, info.Size(), info.ModTime())
	}
	return nil
}

// already finds a file in its snapshot or as a blob, and checks it.
func (c *Client) already(ctx context.Context, repo hfcache.Repo, r FileRequest, m meta) (File, bool, error) {
	if path, ok := repo.Has(m.commit, r.Name); ok {
		if etag := repo.Etag(m.commit, r.Name); etag == "" || etag == m.etag {
			f := File{Name: r.Name, Path: path, Commit: m.commit, Etag: m.etag}
			err := c.verify(ctx, &f, repo)
			if err == nil {
				return f, true, c.setRef(repo, r, m.commit)
			}
			if !errors.Is(err, fs.ErrNotExist) {
				return f, false, err
			}
		}
	}
	if !repo.HasBlob(m.etag) {
		return File{}, false, nil
	}
	f := File{Name: r.Name, Path: repo.BlobPath(m.etag), Commit: m.commit, Etag: m.etag}
	err := c.verify(ctx, &f, repo)
	if err == nil {
		f, err = c.link(repo, r, m, false)
		return f, err == nil, err
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return f, false, err
}

// link puts a blob into its snapshot and then sets the ref: a ref without a snapshot hides the repository from others.
func (c *Client) link(repo hfcache.Repo, r FileRequest, m meta, fresh bool) (File, error) {
	if why := c.cache.NoLinks(); why != nil {
		c.copies.Do(func() { c.o.Notice(fmt.Sprintf("the cache holds copies instead of links: %v", why)) })
	}
	path, err := repo.Link(m.commit, r.Name, m.etag, fresh)
	if err == nil {
		err = c.setRef(repo, r, m.commit)
	}
	if err != nil {
		return File{}, err
	}
	f := File{
		Name: r.Name, Path: path, Commit: m.commit, Etag: m.etag, Size: m.size, Fetched: fresh, Checked: download.SumOf(m.etag).Kind != "",
	}
	if info, err := os.Stat(path); err == nil {
		f.Size = info.Size()
		if f.Checked && !info.IsDir() {
			c.o.Verified.Add(filepath.Clean(path), info.Size(), info.ModTime())
		}
	}
	return f, nil
}

func (c *Client) setRef(repo hfcache.Repo, r FileRequest, commit string) error {
	return repo.SetRef(r.Revision, commit)
}
