// Package hfcache owns the layout of the hub cache on disk, as the reference client (huggingface_hub 2.4.0) keeps it, so that each
// finds what the other left: blobs, snapshots of links, refs, listings, notes of what does not exist, locks; and what is removed
// with what.
//
// It must not know how a blob gets here. Every path goes through os.Root: nothing a server names can leave the cache's folder.
package hfcache

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"

	"github.com/systemgemma/systemgemma/internal/app/hub/names"
)

// Cache is one hub cache folder. It is safe for concurrent use, by many processes too.
type Cache struct {
	Dir  string
	Copy bool // copies instead of links, as HF_HUB_DISABLE_SYMLINKS asks

	root  *os.Root
	links struct {
		once sync.Once
		none error // why this file system holds no links
	}
}

// tag is the file that tells backup programs to leave the cache out.
const tag = "Signature: 8a477f597d28d172789f06886806bc55\n# This file is a cache directory tag created by huggingface_hub.\n" +
	"# For information about cache directory tags, see:\n#\thttps://bford.info/cachedir/\n"

// Open opens the cache at dir for reading. The folder may be missing: then nothing is in it, and Make makes it.
func Open(dir string) (*Cache, error) {
	root, err := os.OpenRoot(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return &Cache{Dir: dir, root: root}, nil
}

// Make makes the cache's folder, if need be, to write into it.
func (c *Cache) Make() error {
	if c.root == nil {
		if err := os.MkdirAll(c.Dir, 0o777); err != nil {
			return err
		}
		root, err := os.OpenRoot(c.Dir)
		if err != nil {
			return err
		}
		c.root = root
	}
	f, err := c.root.OpenFile("CACHEDIR.TAG", os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("cache %s: %w", c.Dir, err)
	}
	_, err = f.WriteString(tag)
	return errors.Join(err, f.Close())
}

// Close releases the folder.
func (c *Cache) Close() error {
	if c.root == nil {
		return nil
	}
	return c.root.Close()
}

// Repo is one repository's part of a cache.
type Repo struct {
	c      *Cache
	Folder string // models--owner--name
}

// Repo returns the folder of a repository; kind is "model", "dataset" or "space", id is checked by names.Repo.
func (c *Cache) Repo(kind, id string) Repo {
	return Repo{c: c, Folder: kind + "s--" + strings.ReplaceAll(id, "/", "--")}
}

// Path returns where a part of the repository lies on disk.
func (r Repo) Path(parts ...string) string {
	return filepath.Join(append([]string{r.c.Dir, r.Folder}, parts...)...)
}

func (r Repo) in(parts ...string) string { return path.Join(append([]string{r.Folder}, parts...)...) }

// BlobPath is where the bytes of an etag lie.
func (r Repo) BlobPath(etag string) string { return r.Path("blobs", etag) }

// SnapshotPath is where a file of a commit lies; the folder for an empty name.
func (r Repo) SnapshotPath(commit, file string) string {
	return r.Path("snapshots", commit, filepath.FromSlash(file))
}

// Has returns the path of a file of a snapshot that can be read: not one whose blob is missing.
func (r Repo) Has(commit, file string) (string, bool) {
	if r.c.root == nil || !names.IsCommit(commit) {
		return "", false
	}
	rel := r.in("snapshots", commit, file)
	if names.File(file) != nil || r.c.linked(rel, path.Join(r.Folder, "snapshots", commit)) {
		return "", false
	}
	if _, err := r.c.root.Stat(rel); err != nil {
		return "", false
	}
	return r.SnapshotPath(commit, file), true
}

// Etag returns the etag of a file of a snapshot, which is the name of its blob; "" where the file is a copy.
func (r Repo) Etag(commit, file string) string {
	if r.c.root == nil {
		return ""
	}
	target, err := r.c.root.Readlink(r.in("snapshots", commit, file))
	if err != nil || path.Base(path.Dir(filepath.ToSlash(target))) != "blobs" {
		return ""
	}
	return path.Base(filepath.ToSlash(target))
}

// HasSnapshot tells whether a commit's folder holds anything: an empty one is left by a download that failed.
func (r Repo) HasSnapshot(commit string) bool {
	if r.c.root == nil || !names.IsCommit(commit) {
		return false
	}
	entries, err := fs.ReadDir(r.c.root.FS(), r.in("snapshots", commit))
	return err == nil && len(entries) > 0
}

// HasBlob tells whether the bytes of an etag are here, unchecked.
func (r Repo) HasBlob(etag string) bool {
	if r.c.root == nil || !names.IsEtag(etag) {
		return false
	}
	info, err := r.c.root.Stat(r.in("blobs", etag))
	return err == nil && info.Mode().IsRegular()
}

// MakeBlobs makes the folder for blobs.
func (r Repo) MakeBlobs() error {
	if err := r.c.Make(); err != nil {
		return err
	}
	return r.c.root.MkdirAll(r.in("blobs"), 0o777)
}

// Link makes a file of a snapshot from its blob: a relative link, or the bytes themselves where links can't be (fresh blobs are
// moved, others copied). An existing other file there is replaced. It returns the file's path.
func (r Repo) Link(commit, file, etag string, fresh bool) (string, error) {
	if !names.IsCommit(commit) || !names.IsEtag(etag) {
		return "", fmt.Errorf("cache: commit %q and etag %q: want 40 hexadecimal digits and a plain name", commit, etag)
	}
	if err := names.File(file); err != nil {
		return "", err
	}
	snapshot := r.in("snapshots", commit)
	rel := path.Join(snapshot, file)
	if err := r.c.mkdir(path.Dir(rel), snapshot); err != nil {
		return "", err
	}
	if rel == snapshot || strings.HasSuffix(file, "/") {
		return r.SnapshotPath(commit, file), r.c.mkdir(rel, snapshot) // a name of a folder: there is no file to make
	}
	up := strings.Repeat("../", strings.Count(path.Clean(file), "/")+2)
	target := up + "blobs/" + etag
	if old, err := r.c.root.Readlink(rel); err == nil && filepath.ToSlash(old) == target {
		return r.SnapshotPath(commit, file), nil
	}
	if info, err := r.c.root.Lstat(rel); err == nil {
		if info.IsDir() {
			return "", &LayoutError{r.SnapshotPath(commit, file), "is a folder, and now to be a file: the repository has both names"}
		}
		if err := r.c.root.Remove(rel); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
	}
	if r.c.NoLinks() == nil {
		err := r.c.root.Symlink(filepath.FromSlash(target), rel)
		if errors.Is(err, fs.ErrExist) {
			err = nil // another process made it just now
		}
		return r.SnapshotPath(commit, file), err
	}
	blob := r.in("blobs", etag)
	if fresh {
		return r.SnapshotPath(commit, file), r.c.root.Rename(blob, rel)
	}
	return r.SnapshotPath(commit, file), r.c.write(rel, func(f *os.File) error { return copyFrom(f, r.c.root, blob) })
}

// NoLinks says why this cache holds copies instead of links; nil if it holds links. It tries once.
func (c *Cache) NoLinks() error {
	c.links.once.Do(func() {
		if c.Copy {
			c.links.none = errors.New("HF_HUB_DISABLE_SYMLINKS is set")
			return
		}
		name := ".locks/" + temporary("link")
		err := errors.Join(c.Make(), c.root.MkdirAll(".locks", 0o777))
		if err == nil {
			err = c.root.Symlink("nowhere", name)
		}
		if err == nil {
			err = c.root.Remove(name)
		}
		if err != nil {
			c.links.none = fmt.Errorf("the file system of %s holds no symbolic links (%w)", c.Dir, err)
		}
	})
	return c.links.none
}

// linked tells whether a part of a path below base is a link: those may lead anywhere, and nobody makes them there.
func (c *Cache) linked(rel, base string) bool {
	for dir := path.Dir(rel); len(dir) > len(base); dir = path.Dir(dir) {
		if info, err := c.root.Lstat(dir); err == nil && info.Mode()&fs.ModeSymlink != 0 {
			return true
		}
	}
	return false
}

// LayoutError is something in the cache that is not as every client leaves it.
type LayoutError struct{ Path, Why string }

func (e *LayoutError) Error() string { return fmt.Sprintf("cache: %s %s", e.Path, e.Why) }

// Room returns an error if a file of a snapshot can't be put in its place: to be asked before its bytes are fetched.
func (r Repo) Room(commit, file string) error {
	if r.c.root == nil {
		return nil
	}
	snapshot := r.in("snapshots", commit)
	return r.c.room(path.Dir(path.Join(snapshot, file)), snapshot)
}

func (c *Cache) room(rel, base string) error {
	for dir := rel; len(dir) > len(base); dir = path.Dir(dir) {
		info, err := c.root.Lstat(dir)
		switch {
		case err != nil || info.IsDir():
		case info.Mode()&fs.ModeSymlink != 0:
			return &LayoutError{filepath.Join(c.Dir, dir), "is a symbolic link, where a folder was expected; remove it"}
		default:
			return &LayoutError{filepath.Join(c.Dir, dir), "is a file, and now to be a folder: the repository has both names"}
		}
	}
	return nil
}

// mkdir makes the folders down to rel. A file or a link on the way below base is an error.
func (c *Cache) mkdir(rel, base string) error {
	if err := c.room(rel, base); err != nil {
		return err
	}
	return c.root.MkdirAll(rel, 0o777)
}
