package hub

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/systemgemma/systemgemma/internal/app/hub/download"
	"github.com/systemgemma/systemgemma/internal/app/hub/hfcache"
	"github.com/systemgemma/systemgemma/internal/app/hub/wire"
)

// Source gives the files of a repository as streams, for a reader that makes something else of them and keeps no copy. Nothing
// that it gives was checked against a hash unless it came from the cache: the reader hashes what it reads and compares at the end.
type Source interface {
	Files() []SourceFile
	// Open streams a file from an offset. Lost connections are taken up again behind the reader's back. Close it.
	Open(ctx context.Context, name string, offset int64) (io.ReadCloser, error)
}

// SourceFile is a file of a Source: its bytes must have Sum.
type SourceFile struct {
	Name string
	Size int64
	Sum  download.Sum
	Here bool // in the cache, checked when opened
}

// OpenSource returns the wanted files of a repository at its present commit, in the order of the listing, without fetching any.
func (c *Client) OpenSource(ctx context.Context, r SnapshotRequest) (Source, Listing, error) {
	if r.Revision == "" {
		r.Revision = "main"
	}
	l, err := c.List(ctx, r)
	if err != nil {
		return nil, l, err
	}
	files, err := c.choose(l.Files, r)
	return &source{c, r.Repo, l.Commit, files}, l, err
}

type source struct {
	c      *Client
	repo   Repo
	commit string
	files  []hfcache.TreeFile
}

func (s *source) Files() []SourceFile {
	var all []SourceFile
	for _, f := range s.files {
		_, here := s.c.cache.Repo(s.repo.kind(), s.repo.ID).Has(s.commit, f.Path)
		all = append(all, SourceFile{f.Path, f.Size, download.SumOf(f.Etag()), here})
	}
	return all
}

func (s *source) Open(ctx context.Context, name string, offset int64) (io.ReadCloser, error) {
	i := slices.IndexFunc(s.files, func(f hfcache.TreeFile) bool { return f.Path == name })
	if i < 0 || offset < 0 || offset > s.files[i].Size {
		return nil, fmt.Errorf("%s at %d: no such file in the listing, or it is shorter", name, offset)
	}
	r := FileRequest{Repo: s.repo, Revision: s.commit, Name: name, listed: &s.files[i]}
	if err := r.Repo.valid(); err != nil {
		return nil, err
	}
	if f, err := s.c.known(ctx, s.c.cache.Repo(s.repo.kind(), s.repo.ID), r, s.commit); err == nil {
		file, err := os.Open(f.Path)
		if err != nil {
			return nil, err
		}
		if _, err := file.Seek(offset, io.SeekStart); err != nil {
			return nil, errors.Join(err, file.Close())
		}
		return file, nil
	}
	subject := wire.Subject{Repo: s.repo.ID, Revision: s.commit, File: name}
	resolve := s.c.resolve(r)
	m, err := s.c.head(ctx, resolve, subject, true)
	if err != nil {
		return nil, err
	}
	if m.etag != s.files[i].Etag() {
		return nil, &ChangedError{name, s.files[i].Etag(), m.etag}
	}
	get := &getter{c: s.c, resolve: resolve, subject: subject, m: m}
	return download.Stream(ctx, download.Target{Name: name, Size: s.files[i].Size}, offset, get, s.c.downloads()), nil
}

// PickGGUF returns the GGUF files of a listing whose name holds a type such as Q8_0 as a word (the case doesn't count): one file,
// or all parts of a split one. The error lists what there is.
func PickGGUF(files []hfcache.TreeFile, quant string) ([]hfcache.TreeFile, error) {
	word, err := regexp.Compile(`(?i)(^|[^A-Za-z0-9])` + regexp.QuoteMeta(quant) + `([^A-Za-z0-9_]|$)`)
	if err != nil {
		return nil, err
	}
	var picked []hfcache.TreeFile
	var all []string
	models := map[string]bool{}
	for _, f := range files {
		if !strings.HasSuffix(strings.ToLower(f.Path), ".gguf") {
			continue
		}
		all = append(all, f.Path)
		if word.MatchString(f.Path) {
			picked = append(picked, f)
			models[part.ReplaceAllString(f.Path, ".gguf")] = true
		}
	}
	if len(models) != 1 {
		slices.Sort(all)
		return nil, fmt.Errorf("type %s: want the name of one GGUF model, %d have it; the repository has: %s", quant, len(models), quoted(all[:min(len(all), 30)], len(all)))
	}
	return picked, nil
}

var part = regexp.MustCompile(`-\d{5}-of-\d{5}\.gguf$`)

// FetchURL brings the file at an address to path, over the same retries and with the same partial file. Nothing names its hash,
// so only its size is checked, where the server tells it; the token is sent only if the address is the hub's own. The caller holds a lock that
// keeps others from the same file.
func (c *Client) FetchURL(ctx context.Context, address, path string) error {
	if err := c.online(address); err != nil {
		return err
	}
	u, err := c.wire.Endpoint.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return fmt.Errorf("URL %q: want http(s)://host/path", address)
	}
	var subject wire.Subject // of no repository
	resp, err := c.wire.Do(ctx, wire.Request{Method: "HEAD", URL: u, Retry: true, Subject: subject})
	if err != nil {
		return err
	}
	_ = resp.Body.Close() // of a HEAD
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html") {
		return c.wire.Strange(subject, u, "it is a web page where a file was expected")
	}
	if resp.ContentLength < 0 {
		return c.wire.Strange(subject, u, "it does not tell its size")
	}
	get := &getter{c: c, resolve: u, subject: subject, m: meta{size: resp.ContentLength, from: u}}
	return download.Fetch(ctx, download.Target{Name: u.Path, Path: path, Size: resp.ContentLength}, urlGetter{get}, c.downloads())
}

// urlGetter never asks for a fresh link: an address is what it is.
type urlGetter struct{ *getter }

func (g urlGetter) Get(ctx context.Context, from, to int64, _ bool) (resp *http.Response, err error) {
	return g.getter.Get(ctx, from, to, false)
}
