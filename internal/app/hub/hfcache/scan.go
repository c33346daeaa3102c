package hfcache

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/systemgemma/systemgemma/internal/app/hub/names"
)

// Scan is what a cache holds.
type Scan struct {
	Bytes      int64 // of all repositories
	Repos      []ScannedRepo
	Unfinished []Unfinished
	Warnings   []string // what hides a repository or does not belong here
}

// ScannedRepo is one repository: each blob is counted once.
type ScannedRepo struct {
	Kind, ID, Path string // Kind is model, dataset or space
	Bytes          int64
	Files          int // blobs
	Revisions      []Revision
}

// Revision is one commit's snapshot.
type Revision struct {
	Commit, Path string
	Bytes        int64
	Refs         []string // none: detached
	Files        []File
}

// File is one file of a snapshot.
type File struct {
	Name, Path, Blob string // Name is without folders; Blob is where the bytes lie
	Bytes            int64
}

// Unfinished is what an interrupted download left.
type Unfinished struct {
	Path  string
	Bytes int64
}

// Scan reads the whole cache, as the reference client does: one bad thing hides its repository, with a warning. The error wraps
// fs.ErrNotExist if the cache's folder is missing.
func (c *Cache) Scan() (Scan, error) {
	var s Scan
	entries, err := os.ReadDir(c.Dir)
	if err != nil {
		return s, err
	}
	for _, e := range entries {
		switch name := e.Name(); {
		case name == "CACHEDIR.TAG", name == ".locks", name == ".DS_Store":
		case name == "blobs" && c.sharedStore():
		case !e.IsDir():
			s.Warnings = append(s.Warnings, fmt.Sprintf("not a repository: %s", filepath.Join(c.Dir, name)))
		default:
			c.scanRepo(&s, name)
		}
	}
	slices.SortFunc(s.Repos, func(a, b ScannedRepo) int { return strings.Compare(a.Path, b.Path) })
	return s, nil
}

func (c *Cache) scanRepo(s *Scan, folder string) {
	dir := filepath.Join(c.Dir, folder)
	kind, id, ok := strings.Cut(folder, "--")
	kind = strings.TrimSuffix(kind, "s")
	if !ok || !slices.Contains([]string{"model", "dataset", "space"}, kind) {
		s.Warnings = append(s.Warnings, fmt.Sprintf("not a repository: %s", dir))
		return
	}
	id = strings.ReplaceAll(id, "--", "/")
	if blobs, err := os.ReadDir(filepath.Join(dir, "blobs")); err == nil {
		for _, b := range blobs {
			if info, err := b.Info(); err == nil && (strings.HasSuffix(b.Name(), ".incomplete") || strings.HasSuffix(b.Name(), ".systemgemma-partial")) {
				s.Unfinished = append(s.Unfinished, Unfinished{filepath.Join(dir, "blobs", b.Name()), info.Size()})
			}
		}
	}
	repo := ScannedRepo{Kind: kind, ID: id, Path: dir}
	blobs := map[string]int64{}
	if err := repo.scanSnapshots(blobs); err != nil {
		s.Warnings = append(s.Warnings, err.Error())
		return
	}
	if err := repo.scanRefs(filepath.Join(dir, "refs")); err != nil {
		s.Warnings = append(s.Warnings, err.Error())
		return
	}
	for _, n := range blobs {
		repo.Bytes += n
	}
	repo.Files = len(blobs)
	s.Bytes += repo.Bytes
	s.Repos = append(s.Repos, repo)
}

func (r *ScannedRepo) scanSnapshots(blobs map[string]int64) error {
	dir := filepath.Join(r.Path, "snapshots")
	commits, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("no snapshots in %s", r.Path)
	}
	for _, e := range commits {
		if e.Name() == ".DS_Store" {
			continue
		}
		rev := Revision{Commit: e.Name(), Path: filepath.Join(dir, e.Name())}
		if !e.IsDir() {
			return fmt.Errorf("a file among the snapshots: %s", rev.Path)
		}
		seen := map[string]bool{}
		err := filepath.WalkDir(rev.Path, func(p string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			blob, info, err := follow(p)
			if err != nil {
				return fmt.Errorf("the bytes of %s are missing", p)
			}
			if info.IsDir() {
				return fmt.Errorf("a link to a folder in a snapshot: %s", p)
			}
			rev.Files = append(rev.Files, File{Name: filepath.Base(p), Path: p, Blob: blob, Bytes: info.Size()})
			blobs[blob] = info.Size()
			if !seen[blob] {
				seen[blob] = true
				rev.Bytes += info.Size()
			}
			return nil
		})
		if err != nil {
			return err
		}
		r.Revisions = append(r.Revisions, rev)
	}
	return nil
}

// follow returns the blob of a file of a snapshot: one hop, since the blob itself may be a link into the shared store.
func follow(p string) (blob string, info fs.FileInfo, err error) {
	info, err = os.Stat(p)
	if err != nil {
		return "", nil, err
	}
	blob = p
	if target, err := os.Readlink(p); err == nil {
		blob = target
		if !filepath.IsAbs(target) {
			blob = filepath.Join(filepath.Dir(p), target)
		}
	}
	return blob, info, nil
}

func (r *ScannedRepo) scanRefs(dir string) error {
	return filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if p == dir && os.IsNotExist(err) {
			return fs.SkipAll
		}
		if err != nil || d.IsDir() || d.Name() == ".DS_Store" {
			return err
		}
		b, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, p)
		if err != nil {
			return err
		}
		for i := range r.Revisions {
			if r.Revisions[i].Commit == string(b) {
				r.Revisions[i].Refs = append(r.Revisions[i].Refs, filepath.ToSlash(rel))
				return nil
			}
		}
		return fmt.Errorf("ref %s names the commit %.45q, of which no snapshot is here: %s", filepath.ToSlash(rel), b, r.Path)
	})
}

// Plan is what a removal takes away, and how much that frees.
type Plan struct {
	Bytes                         int64
	Blobs, Refs, Repos, Snapshots []string
}

// PlanDelete says what goes with revisions of a scan: the whole repository when none is left, else their snapshots and refs, and
// the blobs that no other revision of the repository uses. which tells the revisions; unfinished files stay.
func (c *Cache) PlanDelete(s Scan, which func(repo ScannedRepo, commit string) bool) Plan {
	var p Plan
	for _, repo := range s.Repos {
		var gone, stay []Revision
		for _, rev := range repo.Revisions {
			if which(repo, rev.Commit) {
				gone = append(gone, rev)
			} else {
				stay = append(stay, rev)
			}
		}
		if len(gone) == 0 {
			continue
		}
		kept, freed := map[string]bool{}, map[string]bool{}
		for _, rev := range stay {
			for _, f := range rev.Files {
				kept[f.Blob] = true
			}
		}
		for _, rev := range gone {
			for _, f := range rev.Files {
				if !kept[f.Blob] && !freed[f.Blob] {
					freed[f.Blob] = true
					if !c.sharedElsewhere(f.Blob) {
						p.Bytes += f.Bytes
					}
				}
			}
		}
		if len(stay) == 0 {
			p.Repos = append(p.Repos, repo.Path)
			continue
		}
		for blob := range freed {
			if strings.HasPrefix(blob, filepath.Join(repo.Path, "blobs")+string(filepath.Separator)) {
				p.Blobs = append(p.Blobs, blob)
			}
		}
		for _, rev := range gone {
			p.Snapshots = append(p.Snapshots, rev.Path)
			for _, ref := range rev.Refs {
				p.Refs = append(p.Refs, filepath.Join(repo.Path, "refs", filepath.FromSlash(ref)))
			}
		}
	}
	slices.Sort(p.Blobs)
	return p
}

// Delete carries out a plan. It goes on after an error and returns all of them.
func (c *Cache) Delete(p Plan) error {
	var errs []error
	remove := func(paths []string, all bool) {
		for _, name := range paths {
			rel, err := filepath.Rel(c.Dir, name)
			if err != nil || !filepath.IsLocal(rel) {
				errs = append(errs, fmt.Errorf("cache: %s is not in %s", name, c.Dir))
				continue
			}
			if err := c.unshare(name); err != nil {
				errs = append(errs, err)
			}
			if all {
				err = c.root.RemoveAll(rel)
			} else if err = c.root.Remove(rel); os.IsNotExist(err) {
				err = nil
			}
			if err != nil {
				errs = append(errs, err)
			}
		}
	}
	// Refs first: a ref without its snapshot would hide the repository if this stopped in the middle.
	remove(p.Repos, true)
	remove(p.Refs, false)
	remove(p.Snapshots, true)
	remove(p.Blobs, false)
	return joined(errs)
}

// Detached tells whether a revision has no ref: what a prune removes.
func Detached(repo ScannedRepo, commit string) bool {
	for _, rev := range repo.Revisions {
		if rev.Commit == commit {
			return len(rev.Refs) == 0
		}
	}
	return false
}

// RepoOf parses model/owner/name, dataset/... and space/..., or owner/name for a model.
func RepoOf(s string) (kind, id string, err error) {
	kind, id = "model", s
	if k, rest, ok := strings.Cut(s, "/"); ok && slices.Contains([]string{"model", "dataset", "space"}, k) {
		kind, id = k, rest
	}
	return kind, id, names.Repo(id)
}
