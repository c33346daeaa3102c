package hfcache

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/systemgemma/systemgemma/internal/app/hub/names"
)

// Folder is a plain folder that gets files of a repository under their own names. What it knows of them is below .cache/huggingface,
// as the reference client keeps it with --local-dir.
type Folder struct {
	dir  string
	root *os.Root
}

// own is where the bookkeeping lies; no file of a repository may.
const own = ".cache/huggingface"

// OpenFolder makes the folder, if need be, and opens it.
func OpenFolder(dir string) (*Folder, error) {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	f := &Folder{dir: dir, root: root}
	for name, text := range map[string]string{".gitignore": "*", "CACHEDIR.TAG": tag} {
		rel := path.Join(own, name)
		if _, err := root.Lstat(rel); err == nil {
			continue
		}
		if err := errors.Join(root.MkdirAll(own, 0o777), root.WriteFile(rel, []byte(text), 0o666)); err != nil {
			return nil, errors.Join(err, root.Close())
		}
	}
	return f, nil
}

// Close releases the folder.
func (f *Folder) Close() error { return f.root.Close() }

// Check refuses names that are the folder's own, besides those that names.File refuses.
func (f *Folder) Check(name string) error {
	if err := names.File(name); err != nil {
		return err
	}
	clean := strings.ToLower(path.Clean(strings.ReplaceAll(name, `\`, "/")))
	if clean == own || strings.HasPrefix(clean, own+"/") || clean == "." || clean == ".cache" {
		return &names.Error{What: "file name", Name: name, Why: "belongs to the bookkeeping of this folder; ask the repository's owner to rename it"}
	}
	return nil
}

// Path is where a file lies.
func (f *Folder) Path(name string) string { return filepath.Join(f.dir, filepath.FromSlash(name)) }

// Make makes the folders that a file and its bookkeeping need. Links on the way that lead out of the folder are refused.
func (f *Folder) Make(name string) error {
	return errors.Join(f.root.MkdirAll(path.Dir(path.Clean(name)), 0o777), f.root.MkdirAll(path.Dir(f.note(name, "")), 0o777))
}

func (f *Folder) note(name, suffix string) string { return path.Join(own, "download", name) + suffix }

// Work is the path beside which an unfinished file of an etag lies.
func (f *Folder) Work(name, etag string) string {
	return filepath.Join(f.dir, filepath.FromSlash(f.note(name, "."+etag)))
}

// LockName is the lock file of a name.
func (f *Folder) LockName(name string) string {
	return filepath.Join(f.dir, filepath.FromSlash(f.note(name, ".lock")))
}

// Noted returns the commit and etag that a file had when it was written, if it was not changed since.
func (f *Folder) Noted(name string) (commit, etag string, ok bool) {
	b, err := f.root.ReadFile(f.note(name, ".metadata"))
	if err != nil || len(b) > 1000 {
		return "", "", false
	}
	lines := strings.Split(string(b), "\n")
	if len(lines) < 3 || !names.IsCommit(lines[0]) || !names.IsEtag(lines[1]) {
		return "", "", false
	}
	stamp, err := strconv.ParseFloat(lines[2], 64)
	info, serr := f.root.Stat(name)
	if err != nil || serr != nil || float64(info.ModTime().UnixNano())/1e9 > stamp+1 {
		return "", "", false
	}
	return lines[0], lines[1], true
}

// Note records what a file is.
func (f *Folder) Note(name, commit, etag string) error {
	text := fmt.Sprintf("%s\n%s\n%.6f\n", commit, etag, float64(time.Now().UnixNano())/1e9)
	return f.replace(f.note(name, ".metadata"), []byte(text))
}

// Tree and SetTree keep a commit's listing, as in a cache.
func (f *Folder) Tree(commit string) ([]TreeFile, bool) {
	if !names.IsCommit(commit) {
		return nil, false
	}
	b, err := f.root.ReadFile(path.Join(own, "trees", commit+".json"))
	if err != nil {
		return nil, false
	}
	files, err := ParseTree(b)
	return files, err == nil
}

// SetTree stores a listing.
func (f *Folder) SetTree(commit string, files []TreeFile) error {
	if err := f.root.MkdirAll(path.Join(own, "trees"), 0o777); err != nil {
		return err
	}
	return f.replace(path.Join(own, "trees", commit+".json"), []byte(TreeText(files)))
}

func (f *Folder) replace(rel string, b []byte) error {
	tmp := path.Join(own, temporary("write"))
	if err := f.root.WriteFile(tmp, b, 0o666); err != nil {
		return err
	}
	return f.root.Rename(tmp, rel)
}

// Take copies a file into the folder under its name: whole or not at all.
func (f *Folder) Take(name, from string) error {
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = src.Close() }() // only read
	tmp := path.Join(own, temporary("copy"))
	dst, err := f.root.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return err
	}
	_, err = dst.ReadFrom(src)
	if err = errors.Join(err, dst.Sync(), dst.Close()); err == nil {
		err = f.root.Rename(tmp, name)
	}
	if err != nil {
		return errors.Join(err, f.root.Remove(tmp))
	}
	return nil
}

// Finish gives a fetched file its name.
func (f *Folder) Finish(name, etag string) error {
	return f.root.Rename(f.note(name, "."+etag), path.Clean(name))
}

// Has tells whether a regular file is there.
func (f *Folder) Has(name string) bool {
	info, err := f.root.Stat(name)
	return err == nil && info.Mode().IsRegular() && !errors.Is(err, fs.ErrNotExist)
}
