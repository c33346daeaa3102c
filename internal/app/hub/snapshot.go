package hub

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"strings"

	"github.com/systemgemma/systemgemma/internal/app/hub/download"
	"github.com/systemgemma/systemgemma/internal/app/hub/hfcache"
	"github.com/systemgemma/systemgemma/internal/app/hub/names"
	"github.com/systemgemma/systemgemma/internal/app/hub/wire"
)

// SnapshotRequest asks for the files of a repository at one commit.
type SnapshotRequest struct {
	Repo          Repo
	Revision      string   // branch, tag or commit; "" is main
	Allow, Ignore []string // as for Filter
	Force         bool
	Local         bool   // ask no hub
	Plan          bool   // only tell what would be done
	Folder        string // instead of the cache
}

// Snapshot is what is here of a repository.
type Snapshot struct {
	Path, Commit string
	Files        []File
	Notice       error // why the hub was not asked or did not answer, where this is what is known from before
}

// Listing is what a repository holds at a commit.
type Listing struct {
	Commit string
	Files  []hfcache.TreeFile // in the hub's order
	Info   *Info              // nil if the hub was not asked about it
}

// List finds out the commit of a revision and what it holds, from the stored listing where there is one.
func (c *Client) List(ctx context.Context, r SnapshotRequest) (Listing, error) {
	l := Listing{Commit: r.Revision}
	if !names.IsCommit(r.Revision) {
		info, err := c.Info(ctx, r.Repo, r.Revision, false)
		if err != nil {
			return l, err
		}
		if !names.IsCommit(info.SHA) {
			u := c.wire.URL("", "api")
			return l, c.wire.Strange(wire.Subject{Repo: r.Repo.ID, Revision: r.Revision}, u, "its commit is %.60q, want 40 hexadecimal digits", info.SHA)
		}
		if info.Disabled {
			return l, &wire.Error{Kind: wire.Disabled, Subject: wire.Subject{Repo: r.Repo.ID}, Hub: c.Settings.Endpoint}
		}
		l.Commit, l.Info = info.SHA, &info
	}
	if files, ok := c.storedTree(r, l.Commit); ok {
		l.Files = files
		return l, nil
	}
	entries, err := c.Tree(ctx, r.Repo, l.Commit, "", true)
	if err != nil {
		return l, err
	}
	l.Files = listed(entries)
	if r.Plan {
		return l, nil
	}
	if r.Folder != "" {
		return l, folderTree(r.Folder, l.Commit, l.Files)
	}
	return l, c.cache.Repo(r.Repo.kind(), r.Repo.ID).SetTree(l.Commit, l.Files)
}

func (c *Client) storedTree(r SnapshotRequest, commit string) ([]hfcache.TreeFile, bool) {
	if r.Folder == "" {
		return c.cache.Repo(r.Repo.kind(), r.Repo.ID).Tree(commit)
	}
	if _, err := os.Stat(r.Folder); err != nil {
		return nil, false
	}
	f, err := hfcache.OpenFolder(r.Folder)
	if err != nil {
		return nil, false
	}
	defer func() { _ = f.Close() }() // only read
	return f.Tree(commit)
}

// Snapshot brings the wanted files of a repository here, one after the other, in the order of its listing. What it fetched before
// an error stays.
func (c *Client) Snapshot(ctx context.Context, r SnapshotRequest) (Snapshot, error) {
	if r.Revision == "" {
		r.Revision = "main"
	}
	if err := errors.Join(r.Repo.valid(), names.Revision(r.Revision)); err != nil {
		return Snapshot{}, err
	}
	r.Local = r.Local || c.Settings.Offline
	if r.Local {
		reason := &OfflineError{r.Repo.ID, c.Settings.OfflineFrom}
		if r.Force || r.Folder != "" {
			return Snapshot{}, reason
		}
		return c.snapshotFromBefore(r, "", nil, reason)
	}
	l, err := c.List(ctx, r)
	if wire.Away(err) && !r.Force && r.Folder == "" {
		commit, siblings := "", []string(nil)
		if l.Info != nil {
			commit = l.Commit
			for _, s := range l.Info.Siblings {
				siblings = append(siblings, s.Name)
			}
		}
		if s, local := c.snapshotFromBefore(r, commit, siblings, err); local == nil {
			return s, nil
		}
	}
	if err != nil {
		return Snapshot{}, err
	}
	files, err := c.choose(l.Files, r)
	if err != nil {
		return Snapshot{}, err
	}
	repo := c.cache.Repo(r.Repo.kind(), r.Repo.ID)
	s := Snapshot{Path: repo.SnapshotPath(l.Commit, ""), Commit: l.Commit}
	if r.Folder != "" {
		s.Path = r.Folder
	}
	if err := c.space(repo, l.Commit, files, r); err != nil {
		return s, err
	}
	for i := range files {
		f, err := c.File(ctx, FileRequest{
			Repo: r.Repo, Revision: l.Commit, Name: files[i].Path, Force: r.Force, Plan: r.Plan, Folder: r.Folder, listed: &files[i],
		})
		if err != nil {
			return s, err
		}
		s.Files = append(s.Files, f)
		if i == 0 && !r.Plan && r.Folder == "" {
			if err := repo.SetRef(r.Revision, l.Commit); err != nil {
				return s, err
			}
		}
	}
	return s, nil
}

// choose returns the wanted files, each path once, and refuses a listing that can't be laid out in a folder.
func (c *Client) choose(all []hfcache.TreeFile, r SnapshotRequest) ([]hfcache.TreeFile, error) {
	var files []hfcache.TreeFile
	seen, folders, folded := map[string]bool{}, map[string]bool{}, map[string]string{}
	for _, f := range all {
		clean := path.Clean("/" + f.Path)
		if !wanted(f.Path, r.Allow, r.Ignore) || path.Clean(f.Path) == "." || seen[clean] {
			continue // "" and "." are the folder itself
		}
		seen[clean] = true
		for dir := path.Dir(clean); dir != "/" && !folders[dir]; dir = path.Dir(dir) {
			folders[dir] = true
		}
		if other, ok := folded[strings.ToLower(clean)]; ok && c.cache.FoldsCase() {
			return nil, fmt.Errorf("%s has the files %q and %q, which are one on this file system; set HF_HOME to one that tells them apart",
				r.Repo.ID, other, f.Path)
		}
		folded[strings.ToLower(clean)] = f.Path
		files = append(files, f)
	}
	for clean := range seen {
		if folders[clean] {
			return nil, &names.Error{What: "file name", Name: clean[1:], Why: "is both a file and a folder in the listing of " + r.Repo.ID +
				"; ask its owner to rename one"}
		}
	}
	return files, nil
}

// space refuses a snapshot that the disk can't hold, before its first byte.
func (c *Client) space(repo hfcache.Repo, commit string, files []hfcache.TreeFile, r SnapshotRequest) error {
	if r.Plan {
		return nil
	}
	free := c.o.Free
	if free == nil {
		free = hfcache.FreeBytes
	}
	var need int64
	for _, f := range files {
		if _, ok := repo.Has(commit, f.Path); ok || repo.HasBlob(f.Etag()) || f.Size <= 0 {
			continue
		}
		need += f.Size
		if info, err := os.Stat(repo.BlobPath(f.Etag()) + download.Partial); names.IsEtag(f.Etag()) && err == nil {
			need -= min(info.Size(), f.Size)
		}
	}
	dir := c.cache.Dir
	if r.Folder != "" {
		dir = r.Folder
	}
	if have, err := free(dir); err == nil && have < need {
		return &download.SpaceError{Dir: dir, Need: need, Free: have}
	}
	return nil
}

// snapshotFromBefore answers without the hub, if every wanted file of the listing is here in its size. commit and siblings are what
// the hub said of the revision before it went away; without them the ref and the stored listing say it.
func (c *Client) snapshotFromBefore(r SnapshotRequest, commit string, siblings []string, reason error) (Snapshot, error) {
	repo := c.cache.Repo(r.Repo.kind(), r.Repo.ID)
	if commit == "" {
		if commit = r.Revision; !names.IsCommit(commit) {
			commit = repo.Ref(commit)
		}
	}
	s := Snapshot{Path: repo.SnapshotPath(commit, ""), Commit: commit, Notice: reason}
	missing := &NotHereError{Repo: r.Repo.ID, Revision: r.Revision, Reason: reason}
	if !repo.HasSnapshot(commit) {
		return Snapshot{}, missing
	}
	files, known := repo.Tree(commit)
	if !known {
		for _, name := range siblings {
			files = append(files, hfcache.TreeFile{Path: name, Size: -1})
		}
		if missing.Unlisted = len(files) == 0; missing.Unlisted {
			return Snapshot{}, missing
		}
	}
	for _, f := range files {
		if !wanted(f.Path, r.Allow, r.Ignore) || path.Clean(f.Path) == "." {
			continue
		}
		at, ok := repo.Has(commit, f.Path)
		info, err := os.Stat(at)
		if !ok || err != nil || f.Size >= 0 && info.Size() != f.Size {
			missing.Missing = append(missing.Missing, f.Path)
			continue
		}
		s.Files = append(s.Files, File{Name: f.Path, Path: at, Commit: commit, Etag: repo.Etag(commit, f.Path), Size: info.Size(), Notice: reason})
	}
	if len(missing.Missing) > 0 {
		return Snapshot{}, missing
	}
	return s, nil
}
