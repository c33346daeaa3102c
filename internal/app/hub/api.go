package hub

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/systemgemma/systemgemma/internal/app/hub/hfcache"
	"github.com/systemgemma/systemgemma/internal/app/hub/names"
	"github.com/systemgemma/systemgemma/internal/app/hub/wire"
)

// Repo names a repository of a hub.
type Repo struct {
	Kind string // "model" (also ""), "dataset" or "space"
	ID   string // owner/name
}

func (r Repo) kind() string {
	if r.Kind == "" {
		return "model"
	}
	return r.Kind
}

func (r Repo) valid() error {
	switch r.kind() {
	case "model", "dataset", "space":
		return names.Repo(r.ID)
	}
	return fmt.Errorf("repository kind %q: want model, dataset or space", r.Kind)
}

// path is the repository in addresses of files.
func (r Repo) path() string {
	if r.kind() == "model" {
		return r.ID
	}
	return r.kind() + "s/" + r.ID
}

// Info is what a hub says of a repository.
type Info struct {
	ID       string          `json:"id"`
	SHA      string          `json:"sha"`   // commit of the revision asked for
	Gated    json.RawMessage `json:"gated"` // false, "auto" or "manual"
	Private  bool            `json:"private"`
	Disabled bool            `json:"disabled"`
	Siblings []Sibling       `json:"siblings"`
}

// Sibling is a file in an Info; all but its name only with sizes asked for.
type Sibling struct {
	Name   string `json:"rfilename"`
	Size   int64  `json:"size"`
	BlobID string `json:"blobId"`
	LFS    *LFS   `json:"lfs"`
}

// LFS is where large files differ: their hash is in SHA256 or OID.
type LFS struct {
	OID         string `json:"oid"`
	SHA256      string `json:"sha256"`
	Size        int64  `json:"size"`
	PointerSize int64  `json:"pointerSize"`
}

// Entry is a file or folder of a listing.
type Entry struct {
	Type    string `json:"type"` // "file" or "directory"
	Path    string `json:"path"`
	Size    int64  `json:"size"`
	OID     string `json:"oid"` // git's
	LFS     *LFS   `json:"lfs"`
	XetHash string `json:"xetHash"`
}

// maxEntries and maxPages bound a listing.
const (
	maxEntries = 100_000
	maxPages   = 1_000
)

// OfflineError is a question that offline mode forbids.
type OfflineError struct{ What, Variable string }

func (e *OfflineError) Error() string {
	from := "offline mode is on"
	if e.Variable != "" {
		from = e.Variable + " is set"
	}
	return fmt.Sprintf("%s: %s, so no hub is asked; unset it to ask", e.What, from)
}

func (c *Client) online(what string) error {
	if c.Settings.Offline {
		return &OfflineError{what, c.Settings.OfflineFrom}
	}
	return nil
}

// get asks an address below /api for JSON.
func (c *Client) get(ctx context.Context, s wire.Subject, u *url.URL, retry bool, v any) (http.Header, error) {
	if err := c.online(s.Repo); err != nil {
		return nil, err
	}
	return c.wire.JSON(ctx, wire.Request{URL: u, Retry: retry, Subject: s}, v)
}

// Info asks what a repository is. A revision of "" is the hub's default. sizes asks for the files' sizes and hashes too; fields
// names fields to answer with instead of all.
func (c *Client) Info(ctx context.Context, r Repo, revision string, sizes bool, fields ...string) (Info, error) {
	var i Info
	if err := r.valid(); err != nil {
		return i, err
	}
	parts := []string{"api", r.kind() + "s", r.ID}
	if revision != "" {
		if err := names.Revision(revision); err != nil {
			return i, err
		}
		parts = append(parts, "revision", wire.Escape(revision, false))
	}
	var query []string
	if sizes {
		query = append(query, "blobs=true")
	}
	for _, f := range fields {
		query = append(query, "expand="+url.QueryEscape(f))
	}
	_, err := c.get(ctx, wire.Subject{Repo: r.ID, Revision: revision}, c.wire.Escaped(strings.Join(query, "&"), parts...), false, &i)
	return i, err
}

// Tree lists a folder of a repository ("" is the whole), page after page. Retries pass over short failures.
func (c *Client) Tree(ctx context.Context, r Repo, revision, folder string, recursive bool) ([]Entry, error) {
	if err := r.valid(); err != nil {
		return nil, err
	}
	if revision == "" {
		revision = "main"
	}
	if err := names.Revision(revision); err != nil {
		return nil, err
	}
	parts := []string{"api", r.kind() + "s", r.ID, "tree", wire.Escape(revision, false)}
	if folder != "" {
		if err := names.File(folder); err != nil {
			return nil, err
		}
		parts = append(parts, wire.Escape(folder, false))
	}
	u := c.wire.Escaped(fmt.Sprintf("recursive=%t&expand=false", recursive), parts...)
	s := wire.Subject{Repo: r.ID, Revision: revision}
	var all []Entry
	seen := map[string]bool{}
	for range maxPages {
		if seen[u.String()] {
			return nil, c.wire.Strange(s, u, "its listing leads in circles")
		}
		seen[u.String()] = true
		var page []Entry
		header, err := c.get(ctx, s, u, true, &page)
		if err != nil {
			return nil, err
		}
		if all = append(all, page...); len(all) > maxEntries {
			return nil, c.wire.Strange(s, u, "its listing has more than %d entries", maxEntries)
		}
		next := nextPage(header)
		if next == "" {
			return all, nil
		}
		// The next page may be anywhere; the token stays with the hub, as with every request.
		after, err := u.Parse(next)
		if err != nil || after.Host == "" || after.Scheme != "http" && after.Scheme != "https" || u.Scheme == "https" && after.Scheme == "http" {
			return nil, c.wire.Strange(s, u, "its listing goes on at %.200q", next)
		}
		u = after
	}
	return nil, c.wire.Strange(s, u, "its listing has more than %d pages", maxPages)
}

// nextPage reads Link: <url>; rel="next".
func nextPage(h http.Header) string {
	for _, v := range h.Values("Link") {
		for link := range strings.SplitSeq(v, ",") {
			target, params, ok := strings.Cut(strings.TrimSpace(link), ">")
			if ok && strings.HasPrefix(target, "<") && strings.Contains(strings.ReplaceAll(params, `"`, ""), "rel=next") {
				return target[1:]
			}
		}
	}
	return ""
}

// Paths asks about some paths; those that a repository doesn't have are left out of the answer.
func (c *Client) Paths(ctx context.Context, r Repo, revision string, paths []string) ([]Entry, error) {
	if err := r.valid(); err != nil {
		return nil, err
	}
	if revision == "" {
		revision = "main"
	}
	if err := names.Revision(revision); err != nil {
		return nil, err
	}
	if err := c.online(r.ID); err != nil {
		return nil, err
	}
	var body strings.Builder
	for _, p := range paths {
		body.WriteString("paths=" + url.QueryEscape(p) + "&")
	}
	var all []Entry
	_, err := c.wire.JSON(ctx, wire.Request{
		Method: http.MethodPost, URL: c.wire.Escaped("", "api", r.kind()+"s", r.ID, "paths-info", wire.Escape(revision, false)),
		Body: body.String() + "expand=false", Type: "application/x-www-form-urlencoded", Subject: wire.Subject{Repo: r.ID, Revision: revision},
	}, &all)
	return all, err
}

// Refs are a repository's branches and tags.
type Refs struct {
	Branches []RefTarget `json:"branches"`
	Tags     []RefTarget `json:"tags"`
}

// RefTarget is one branch or tag.
type RefTarget struct {
	Name   string `json:"name"`
	Ref    string `json:"ref"`
	Commit string `json:"targetCommit"`
}

// Refs asks for the branches and tags.
func (c *Client) Refs(ctx context.Context, r Repo) (Refs, error) {
	var refs Refs
	if err := r.valid(); err != nil {
		return refs, err
	}
	_, err := c.get(ctx, wire.Subject{Repo: r.ID}, c.wire.Escaped("", "api", r.kind()+"s", r.ID, "refs"), false, &refs)
	return refs, err
}

// Account is who a token belongs to.
type Account struct {
	Type string `json:"type"`
	Name string `json:"name"`
	Auth struct {
		Type        string `json:"type"`
		AccessToken struct {
			Name string `json:"displayName"`
			Role string `json:"role"`
		} `json:"accessToken"`
	} `json:"auth"`
}

// WhoAmI asks who the token belongs to.
func (c *Client) WhoAmI(ctx context.Context) (Account, error) {
	var a Account
	_, err := c.get(ctx, wire.Subject{}, c.wire.Escaped("", "api", "whoami-v2"), false, &a)
	return a, err
}

// Exists asks whether a repository is there and may be seen.
func (c *Client) Exists(ctx context.Context, r Repo) (bool, error) {
	_, err := c.Info(ctx, r, "", false)
	switch wire.KindOf(err) {
	case wire.RepoNotFound, wire.NotFound:
		return false, nil
	case wire.Gated:
		return true, nil
	}
	return err == nil, err
}

// listed turns a listing into what the cache stores of it: its files, with hashes that are hashes.
func listed(entries []Entry) []hfcache.TreeFile {
	var files []hfcache.TreeFile
	for _, e := range entries {
		if e.Type != "file" {
			continue
		}
		f := hfcache.TreeFile{Path: e.Path, Size: e.Size, BlobID: e.OID, XetHash: e.XetHash}
		if e.LFS != nil {
			f.LFSSHA256, f.LFSSize = e.LFS.OID, e.LFS.Size
			if f.LFSSHA256 == "" {
				f.LFSSHA256 = e.LFS.SHA256
			}
		}
		files = append(files, f)
	}
	return files
}
