package hfcache

import (
	"crypto/rand"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"

	"github.com/systemgemma/systemgemma/internal/app/hub/names"
)

// maxSmall bounds the bookkeeping files that are read whole.
const maxSmall = 64 << 20

func temporary(base string) string { return "." + base + "." + rand.Text()[:12] + ".tmp" }

// write makes or replaces a file by what fill puts into it: whole or not at all.
func (c *Cache) write(rel string, fill func(*os.File) error) (err error) {
	if err := c.Make(); err != nil {
		return err
	}
	if err := c.root.MkdirAll(path.Dir(rel), 0o777); err != nil {
		return err
	}
	// The temporary file lies in .locks: in refs or snapshots a scan would take one left behind for content.
	if err := c.root.MkdirAll(".locks", 0o777); err != nil {
		return err
	}
	tmp := path.Join(".locks", temporary("write"))
	f, err := c.root.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = f.Close() // closed already unless fill failed
			_ = c.root.Remove(tmp)
		}
	}()
	if err := fill(f); err != nil {
		return err
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	return c.root.Rename(tmp, rel)
}

func (c *Cache) writeText(rel, text string) error {
	return c.write(rel, func(f *os.File) error { _, err := f.WriteString(text); return err })
}

func (c *Cache) read(rel string) ([]byte, error) {
	if c.root == nil {
		return nil, fs.ErrNotExist
	}
	f, err := c.root.Open(rel)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read
	b, err := io.ReadAll(io.LimitReader(f, maxSmall+1))
	if err == nil && len(b) > maxSmall {
		err = errors.New("cache: " + rel + " is longer than 64 MiB")
	}
	return b, err
}

func copyFrom(dst *os.File, root *os.Root, rel string) error {
	src, err := root.Open(rel)
	if err != nil {
		return err
	}
	defer func() { _ = src.Close() }() // only read
	_, err = io.Copy(dst, src)
	return err
}

// Ref returns the commit of a branch or tag as it was last seen; "" if none is known.
func (r Repo) Ref(rev string) string {
	if names.Revision(rev) != nil {
		return ""
	}
	b, err := r.c.read(r.in("refs", rev))
	if err != nil || !names.IsCommit(string(b)) {
		return ""
	}
	return string(b)
}

// SetRef records what a branch or tag is now. A full commit has no ref. It must have a snapshot: a ref without one hides the
// whole repository from the reference client.
func (r Repo) SetRef(rev, commit string) error {
	if names.IsCommit(rev) || r.Ref(rev) == commit {
		return nil
	}
	if err := names.Revision(rev); err != nil {
		return err
	}
	return r.c.writeText(r.in("refs", rev), commit)
}

// NoteMissing records that a commit has no such file.
func (r Repo) NoteMissing(commit, file string) error {
	if !names.IsCommit(commit) || names.File(file) != nil || path.Clean("/"+file) == "/" {
		return nil
	}
	return r.c.writeText(r.in(".no_exist", commit, file), "")
}

// KnownMissing tells whether NoteMissing was called.
func (r Repo) KnownMissing(commit, file string) bool {
	if r.c.root == nil || !names.IsCommit(commit) || names.File(file) != nil {
		return false
	}
	info, err := r.c.root.Lstat(r.in(".no_exist", commit, file))
	return err == nil && info.Mode().IsRegular()
}

// SyncFolder makes renames in a folder last through a loss of power. Windows can't do it for a folder.
func SyncFolder(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(filepath.Clean(dir))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Remove removes a damaged file of a snapshot, or its blob: not a payload of the shared store that the blob links to.
func (c *Cache) Remove(r Repo, name, etag string) error {
	rel := c.relative(name)
	if names.IsEtag(etag) && r.HasBlob(etag) {
		rel = r.in("blobs", etag)
	}
	if err := c.root.Remove(rel); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// FoldsCase tells whether the cache's file system takes A and a for the same name.
func (c *Cache) FoldsCase() bool {
	if c.Make() != nil {
		return false
	}
	_, err := c.root.Lstat("cachedir.tag") // CACHEDIR.TAG is there
	return err == nil
}
