package hub

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/systemgemma/systemgemma/internal/app/hub/download"
	"github.com/systemgemma/systemgemma/internal/app/hub/hfcache"
	"github.com/systemgemma/systemgemma/internal/app/hub/names"
	"github.com/systemgemma/systemgemma/internal/app/hub/wire"
)

// folderFile brings a file into a plain folder: from there, from the cache, or over the network.
func (c *Client) folderFile(ctx context.Context, r FileRequest) (f File, err error) {
	if r.Plan {
		planned := r
		planned.Folder = ""
		f, err := c.cacheFile(ctx, planned)
		return f, err
	}
	dir, err := hfcache.OpenFolder(r.Folder)
	if err != nil {
		return File{}, err
	}
	defer func() { err = errors.Join(err, dir.Close()) }()
	if err := dir.Check(r.Name); err != nil {
		return File{}, err
	}
	f = File{Name: r.Name, Path: dir.Path(r.Name)}
	commit, etag, noted := dir.Noted(r.Name)
	if noted && commit == r.Revision && !r.Force {
		f.Commit, f.Etag = commit, etag
		ok, err := c.check(ctx, f.Path, etag)
		if ok || err != nil {
			f.Checked = ok && download.SumOf(etag).Kind != ""
			return f, err
		}
	}
	resolve, subject := c.resolve(r), wire.Subject{Repo: r.Repo.ID, Revision: r.Revision, File: r.Name}
	var m meta
	if r.Local {
		err = &OfflineError{r.Repo.ID, c.Settings.OfflineFrom}
	} else if m, err = c.head(ctx, resolve, subject, false); wire.Healing(err) && !noted {
		m, err = c.head(ctx, resolve, subject, true)
	}
	if err != nil {
		_, offline := errors.AsType[*OfflineError](err)
		if (wire.Away(err) || offline) && noted && !r.Force {
			f.Commit, f.Etag, f.Notice = commit, etag, err
			if ok, cerr := c.check(ctx, f.Path, etag); cerr != nil || ok {
				f.Checked = ok && download.SumOf(etag).Kind != ""
				return f, cerr
			}
		}
		return File{}, err
	}
	f.Commit, f.Etag, f.Size = m.commit, m.etag, m.size
	return f, c.intoFolder(ctx, dir, r, m, &f, &getter{c: c, resolve: resolve, subject: subject, m: m})
}

func (c *Client) intoFolder(ctx context.Context, dir *hfcache.Folder, r FileRequest, m meta, f *File, get *getter) error {
	if err := dir.Make(r.Name); err != nil {
		return err
	}
	unlock, err := hfcache.LockFile(ctx, dir.LockName(r.Name), func() {
		c.o.Notice(fmt.Sprintf("another process is fetching %s; waiting for it", r.Name))
	})
	if err != nil {
		return err
	}
	defer unlock()
	hashed := download.SumOf(m.etag).Kind != ""
	_, etag, noted := dir.Noted(r.Name)
	if !r.Force && dir.Has(r.Name) && (hashed || noted && etag == m.etag) {
		ok, err := c.check(ctx, f.Path, m.etag)
		if err != nil {
			return err
		}
		if ok {
			f.Checked = hashed
			return dir.Note(r.Name, m.commit, m.etag)
		}
	}
	repo := c.cache.Repo(r.Repo.kind(), r.Repo.ID)
	if path, ok := repo.Has(m.commit, r.Name); ok && !r.Force {
		right, err := c.check(ctx, path, m.etag)
		if err != nil {
			return err
		}
		if right {
			f.Checked = hashed
			return errors.Join(dir.Take(r.Name, path), dir.Note(r.Name, m.commit, m.etag))
		}
	}
	work := dir.Work(r.Name, m.etag)
	if err := c.fetch(ctx, r, m, work, get); err != nil {
		return err
	}
	if err := dir.Finish(r.Name, m.etag); err != nil {
		return err
	}
	f.Fetched, f.Checked = true, hashed
	if info, err := os.Stat(f.Path); err == nil {
		f.Size = info.Size()
	}
	return dir.Note(r.Name, m.commit, m.etag)
}

// folderTree keeps a snapshot's listing beside the files of a plain folder.
func folderTree(dir, commit string, files []hfcache.TreeFile) (err error) {
	f, err := hfcache.OpenFolder(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if !names.IsCommit(commit) {
		return nil
	}
	return f.SetTree(commit, files)
}
