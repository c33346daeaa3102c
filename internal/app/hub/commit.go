package hub

import (
	"bytes"
	"context"
	"crypto/sha1"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/systemgemma/systemgemma/internal/app/hub/names"
	"github.com/systemgemma/systemgemma/internal/app/hub/wire"
)

// Operation is one change of a commit: a file added or replaced, a file or folder (with a slash at its end) deleted, or a large file
// copied inside the repository.
type Operation struct {
	Path   string // in the repository
	File   string // add: a file of this machine
	Data   []byte // add, without File: the bytes
	Delete bool
	CopyOf string // the path of the file that Path becomes a copy of
}

// CommitRequest is a commit to be made.
type CommitRequest struct {
	Repo        Repo
	Revision    string // branch; "" is main
	Summary     string
	Description string
	Parent      string // commit that the branch must be at; "" for any
	PR          bool   // make a pull request instead of changing the branch
	Operations  []Operation
}

// Commit is what was made.
type Commit struct {
	OID         string `json:"commit"`
	URL         string `json:"url"`
	PullRequest string `json:"pull_request,omitempty"`
	Unchanged   bool   `json:"unchanged"` // the repository had all of it: OID is its head, and no commit was made
}

// Limits of a push.
const (
	sampleSize  = 512      // bytes that the hub decides by how a file is kept
	preuploadAt = 256      // files asked about at a time
	maxInline   = 32 << 20 // bytes of a file that the hub wants inside the commit
)

// upload is a file on its way.
type upload struct {
	op      *Operation
	path    string
	size    int64
	mode    string // lfs or regular
	ignored bool
	remote  string // hash of what is there now, "" for nothing
	sha256  string
}

func (u *upload) open() (io.ReadCloser, error) {
	if u.op.File == "" {
		return io.NopCloser(bytes.NewReader(u.op.Data)), nil
	}
	return os.Open(u.op.File)
}

// Commit changes a repository: large files go up first, each once, so that what was interrupted goes on with those that are missing; then
// all changes are made at once, or none.
func (c *Client) Commit(ctx context.Context, r CommitRequest) (Commit, error) {
	if r.Revision == "" {
		r.Revision = "main"
	}
	if err := r.Repo.validAt(r.Revision); err != nil {
		return Commit{}, err
	}
	if err := c.online(r.Repo.ID); err != nil {
		return Commit{}, err
	}
	ops := slices.Clone(r.Operations)
	var adds []*upload
	for i := range ops {
		op := &ops[i]
		p, err := repoPath(op.Path)
		if err != nil {
			return Commit{}, err
		}
		op.Path = p
		if op.Delete || op.CopyOf != "" {
			continue
		}
		u := &upload{op: op, path: p, size: int64(len(op.Data))}
		if op.File != "" {
			info, err := os.Stat(op.File)
			if err != nil {
				return Commit{}, err
			}
			if !info.Mode().IsRegular() {
				return Commit{}, fmt.Errorf("%s: want a file", op.File)
			}
			u.size = info.Size()
		}
		adds = append(adds, u)
	}
	if err := c.validateCard(ctx, r, adds); err != nil {
		return Commit{}, err
	}
	if err := c.preupload(ctx, r, adds); err != nil {
		return Commit{}, err
	}
	if err := c.pushLarge(ctx, r, adds); err != nil {
		return Commit{}, err
	}
	lines, err := c.commitLines(ctx, r, ops, adds)
	if err != nil {
		return Commit{}, err
	}
	if len(lines) == 1 {
		return c.unchanged(ctx, r, adds)
	}
	return c.commit(ctx, r, lines)
}

// repoPath is a path of a repository as hubs take it.
func repoPath(p string) (string, error) {
	trimmed := p
	for strings.HasPrefix(trimmed, "./") || strings.HasPrefix(trimmed, "/") {
		trimmed = strings.TrimPrefix(strings.TrimPrefix(trimmed, "."), "/")
	}
	if trimmed == "" || trimmed == "." {
		return "", &names.Error{What: "file name", Name: p, Why: "is empty; want a path inside the repository"}
	}
	if err := names.File(trimmed); err != nil {
		return "", err
	}
	for part := range strings.SplitSeq(trimmed, "/") {
		if part == ".git" {
			return "", &names.Error{What: "file name", Name: p, Why: "lies in .git, which is the repository's own"}
		}
	}
	return trimmed, nil
}

// validateCard asks the hub whether a README's head is as it wants it, before anything is uploaded.
func (c *Client) validateCard(ctx context.Context, r CommitRequest, adds []*upload) error {
	i := slices.IndexFunc(adds, func(u *upload) bool { return u.path == "README.md" })
	if i < 0 {
		return nil
	}
	text, err := adds[i].read()
	if err != nil {
		return err
	}
	body := struct {
		Content string `json:"content"`
		Kind    string `json:"repoType"`
	}{string(text), r.Repo.kind()}
	err = c.post(ctx, wire.Request{URL: c.wire.Escaped("", "api", "validate-yaml"), Subject: wire.Subject{Repo: r.Repo.ID, File: "README.md"}}, body, nil)
	if wire.KindOf(err) == wire.BadRequest {
		return fmt.Errorf("README.md: the hub does not take what stands between its --- lines: %w", err)
	}
	return err
}

func (u *upload) read() ([]byte, error) {
	if u.size > maxInline {
		return nil, fmt.Errorf("%s: the hub wants it inside the commit, where at most %d MiB go; found %d bytes", u.path, maxInline>>20, u.size)
	}
	f, err := u.open()
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read
	return io.ReadAll(io.LimitReader(f, u.size))
}

// preupload asks how the hub will keep each file, and what it has of it.
func (c *Client) preupload(ctx context.Context, r CommitRequest, adds []*upload) error {
	type file struct {
		Path   string `json:"path"`
		Sample string `json:"sample"`
		Size   int64  `json:"size"`
	}
	byPath := map[string]*upload{}
	gitIgnore := ""
	for _, u := range adds {
		if byPath[u.path] != nil {
			return &names.Error{What: "file name", Name: u.path, Why: "is added twice"}
		}
		byPath[u.path] = u
		if u.path == ".gitignore" {
			text, err := u.read()
			if err != nil {
				return err
			}
			gitIgnore = string(text)
		}
	}
	for at := 0; at < len(adds); at += preuploadAt {
		var body struct {
			Files     []file `json:"files"`
			GitIgnore string `json:"gitIgnore,omitempty"`
		}
		body.GitIgnore = gitIgnore
		batch := adds[at:min(at+preuploadAt, len(adds))]
		for _, u := range batch {
			sample, err := u.sample()
			if err != nil {
				return err
			}
			body.Files = append(body.Files, file{u.path, base64.StdEncoding.EncodeToString(sample), u.size})
		}
		var answer struct {
			Files []struct {
				Path    string `json:"path"`
				Mode    string `json:"uploadMode"`
				Ignored bool   `json:"shouldIgnore"`
				OID     string `json:"oid"`
			} `json:"files"`
		}
		at := c.repoURL(r.Repo, r.query(), "preupload", r.Revision)
		s := wire.Subject{Repo: r.Repo.ID, Revision: r.Revision}
		if err := c.post(ctx, wire.Request{URL: at, Retry: true, Subject: s}, body, &answer); err != nil {
			return err
		}
		for _, f := range answer.Files {
			u := byPath[f.Path]
			if u == nil || f.Mode != "lfs" && f.Mode != "regular" {
				return c.wire.Strange(s, at, "of the file %.100q it says mode %.40q, want lfs or regular for a file that was asked about", f.Path, f.Mode)
			}
			u.mode, u.ignored, u.remote = f.Mode, f.Ignored, f.OID
			if u.size == 0 {
				u.mode = "regular"
			}
		}
		for _, u := range batch {
			if u.mode == "" {
				return c.wire.Strange(s, at, "it says nothing of the file %.100q", u.path)
			}
		}
	}
	return nil
}

func (u *upload) sample() ([]byte, error) {
	f, err := u.open()
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read
	return io.ReadAll(io.LimitReader(f, sampleSize))
}

// commitLines is the commit's body. Files that the repository has as they are, and those that it ignores, are left out.
func (c *Client) commitLines(ctx context.Context, r CommitRequest, ops []Operation, adds []*upload) ([]any, error) {
	type entry struct {
		Key   string `json:"key"`
		Value any    `json:"value"`
	}
	type header struct {
		Summary     string `json:"summary"`
		Description string `json:"description"`
		Parent      string `json:"parentCommit,omitempty"`
	}
	type file struct {
		Content  string `json:"content"`
		Path     string `json:"path"`
		Encoding string `json:"encoding"`
	}
	type large struct {
		Path string `json:"path"`
		Algo string `json:"algo"`
		OID  string `json:"oid"`
		Size *int64 `json:"size,omitempty"`
	}
	lines := []any{entry{"header", header{r.Summary, r.Description, r.Parent}}}
	byOp := map[*Operation]*upload{}
	for _, u := range adds {
		byOp[u.op] = u
	}
	copies, err := c.copySources(ctx, r, ops)
	if err != nil {
		return nil, err
	}
	for i := range ops {
		op := &ops[i]
		u := byOp[op]
		switch {
		case op.Delete && strings.HasSuffix(op.Path, "/"):
			lines = append(lines, entry{"deletedFolder", map[string]string{"path": op.Path}})
		case op.Delete:
			lines = append(lines, entry{"deletedFile", map[string]string{"path": op.Path}})
		case op.CopyOf != "":
			lines = append(lines, entry{"lfsFile", large{Path: op.Path, Algo: "sha256", OID: copies[op.CopyOf]}})
		case u.ignored:
			c.o.Notice(fmt.Sprintf("%s: the repository's .gitignore leaves it out", u.path))
		case u.mode == "lfs":
			if u.remote != u.sha256 {
				lines = append(lines, entry{"lfsFile", large{u.path, "sha256", u.sha256, &u.size}})
			}
		default:
			b, err := u.read()
			if err != nil {
				return nil, err
			}
			if git := sha1.Sum(fmt.Appendf(nil, "blob %d\x00%s", len(b), b)); u.remote != fmt.Sprintf("%x", git) {
				lines = append(lines, entry{"file", file{base64.StdEncoding.EncodeToString(b), u.path, "base64"}})
			}
		}
	}
	return lines, nil
}

// copySources asks for the hashes of files to be copied, after a look at what is at their new places.
func (c *Client) copySources(ctx context.Context, r CommitRequest, ops []Operation) (map[string]string, error) {
	var from, to []string
	for _, op := range ops {
		if op.CopyOf != "" {
			from, to = append(from, op.CopyOf), append(to, op.Path)
		}
	}
	if from == nil {
		return nil, nil
	}
	if _, err := c.Paths(ctx, r.Repo, r.Revision, to); err != nil {
		return nil, err
	}
	entries, err := c.Paths(ctx, r.Repo, r.Revision, from)
	if err != nil {
		return nil, err
	}
	found := map[string]string{}
	for _, e := range entries {
		if e.LFS != nil {
			found[e.Path] = e.LFS.OID
		}
	}
	for _, p := range from {
		if found[p] == "" {
			return nil, fmt.Errorf("copy of %s: want a large (LFS) file of the repository", p)
		}
	}
	return found, nil
}

// unchanged is the result of a commit with nothing to change.
func (c *Client) unchanged(ctx context.Context, r CommitRequest, adds []*upload) (Commit, error) {
	if slices.ContainsFunc(adds, func(u *upload) bool { return u.ignored }) {
		return Commit{}, fmt.Errorf("%s: the repository's .gitignore leaves out all that was to be pushed; no commit was made", r.Repo.ID)
	}
	info, err := c.Info(ctx, r.Repo, r.Revision, false)
	if err != nil {
		return Commit{}, err
	}
	return Commit{OID: info.SHA, URL: c.wire.URL("", r.Repo.path(), "commit", info.SHA).String(), Unchanged: true}, nil
}

func (c *Client) commit(ctx context.Context, r CommitRequest, lines []any) (Commit, error) {
	var body bytes.Buffer
	e := json.NewEncoder(&body)
	e.SetEscapeHTML(false)
	for _, l := range lines {
		if err := e.Encode(l); err != nil {
			return Commit{}, err
		}
	}
	var answer struct {
		OID string `json:"commitOid"`
		URL string `json:"commitUrl"`
		PR  string `json:"pullRequestUrl"`
	}
	_, err := c.wire.JSON(ctx, wire.Request{
		Method: http.MethodPost, URL: c.repoURL(r.Repo, r.query(), "commit", r.Revision), Body: body.String(), Type: "application/x-ndjson",
		Limit: answerLimit, Subject: wire.Subject{Repo: r.Repo.ID, Revision: r.Revision},
	}, &answer)
	if e, ok := errors.AsType[*wire.Error](err); ok {
		switch {
		case e.Status == http.StatusPreconditionFailed || e.Status == http.StatusConflict:
			err = fmt.Errorf("%s was changed by somebody else meanwhile; look at what is there, then push again: %w", r.Repo.ID, err)
		case e.Status == 0 || e.Status >= 500:
			err = fmt.Errorf("whether the commit was made is not known; look at %s before you push again: %w", c.wire.URL("", r.Repo.path(), "commits", r.Revision), err)
		}
	}
	return Commit{OID: answer.OID, URL: answer.URL, PullRequest: answer.PR}, err
}

func (r CommitRequest) query() string {
	if r.PR {
		return "create_pr=1"
	}
	return ""
}

// repoURL is an address of the hub's interface for a repository: WHAT/REVISION.
func (c *Client) repoURL(r Repo, query, what, revision string) *url.URL {
	return c.wire.Escaped(query, "api", r.kind()+"s", r.ID, what, wire.Escape(revision, false))
}

// FolderOperations are the operations that add a folder's files, by name, without .git and .cache/huggingface; links are followed. Of the
// patterns that package hub filters by, allow nil means all. into is a folder of the repository, "" for its root.
func FolderOperations(dir string, allow, ignore []string, into string) ([]Operation, error) {
	var found []string
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, p)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		if d.IsDir() {
			if d.Name() == ".git" || rel == ".cache/huggingface" || strings.HasSuffix(rel, "/.cache/huggingface") {
				return fs.SkipDir
			}
			return nil
		}
		info, err := os.Stat(p)
		if err == nil && info.Mode().IsRegular() {
			found = append(found, rel)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	slices.Sort(found)
	var ops []Operation
	for _, f := range Filter(found, allow, ignore) {
		ops = append(ops, Operation{Path: path.Join(into, f), File: filepath.Join(dir, filepath.FromSlash(f))})
	}
	return ops, nil
}

// DeleteMatching are the operations that delete the files of a repository which match a pattern, but those that ops add and
// .gitattributes.
func (c *Client) DeleteMatching(ctx context.Context, r Repo, revision string, patterns []string, into string, ops []Operation) ([]Operation, error) {
	entries, err := c.Tree(ctx, r, revision, "", true)
	if err != nil {
		return nil, err
	}
	var there []string
	for _, e := range entries {
		rel, inside := strings.CutPrefix(e.Path, strings.TrimSuffix(into, "/")+"/")
		if into == "" {
			rel, inside = e.Path, true
		}
		added := slices.ContainsFunc(ops, func(o Operation) bool { return o.Path == e.Path })
		if e.Type == "file" && inside && !added && e.Path != ".gitattributes" {
			there = append(there, rel)
		}
	}
	var deletes []Operation
	for _, p := range Filter(there, patterns, nil) {
		deletes = append(deletes, Operation{Path: path.Join(into, p), Delete: true})
	}
	return deletes, nil
}
