package registry

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"github.com/systemgemma/systemgemma/internal/app/hub/download"
	"github.com/systemgemma/systemgemma/internal/app/hub/hfcache"
	"github.com/systemgemma/systemgemma/internal/app/hub/wire"
	"github.com/systemgemma/systemgemma/internal/app/registry/ollamastore"
)

// Missing returns the blobs of a manifest that are not in a store, each once. Those that are there are not read.
func Missing(m *ollamastore.Manifest, s ollamastore.Store) (missing []ollamastore.Layer) {
	seen := map[string]bool{}
	for _, l := range m.All() {
		if _, err := os.Stat(s.BlobPath(l.Digest)); err != nil && !seen[l.Digest.Hex()] {
			missing = append(missing, l)
		}
		seen[l.Digest.Hex()] = true
	}
	return missing
}

// Pull brings a model into an Ollama store: every blob that is not there and right, then the manifest. What Ollama itself left
// unfinished is gone on with, and what we leave unfinished Ollama can go on with.
func (c *Client) Pull(ctx context.Context, s ollamastore.Store) (*ollamastore.Manifest, error) {
	m, _, err := c.Manifest(ctx)
	if err != nil {
		return nil, err
	}
	return m, c.PullManifest(ctx, s, m)
}

// PullManifest is Pull of a manifest that was asked for before.
func (c *Client) PullManifest(ctx context.Context, s ollamastore.Store, m *ollamastore.Manifest) error {
	if err := os.MkdirAll(filepath.Join(s.Dir, "blobs"), 0o755); err != nil {
		return err
	}
	if err := c.room(s, m); err != nil {
		return err
	}
	seen := map[string]bool{}
	for _, l := range m.All() {
		if seen[l.Digest.Hex()] {
			continue
		}
		seen[l.Digest.Hex()] = true
		size, err := s.Adopt(l.Digest)
		if err != nil {
			return err
		}
		if err := c.blob(ctx, l, s.BlobPath(l.Digest), &size); err != nil {
			if size >= 0 {
				err = errors.Join(err, s.Leave(l.Digest, size))
			}
			return err
		}
	}
	return s.PutManifest(c.Name, m)
}

// room refuses what the disk can't hold, by the sizes that the manifest names.
func (c *Client) room(s ollamastore.Store, m *ollamastore.Manifest) error {
	var need int64
	for _, l := range Missing(m, s) {
		need += l.Size
	}
	return c.Room(filepath.Join(s.Dir, "blobs"), need)
}

// Room refuses what a folder's disk can't hold.
func (c *Client) Room(dir string, need int64) error {
	free := c.o.Free
	if free == nil {
		free = hfcache.FreeBytes
	}
	if n, err := free(dir); err == nil && n < need {
		return &download.SpaceError{Dir: dir, Need: need, Free: n}
	}
	return nil
}

// Blob brings a blob to path, checked, unless it is there and right.
func (c *Client) Blob(ctx context.Context, l ollamastore.Layer, path string) error {
	size := int64(-1)
	return c.blob(ctx, l, path, &size)
}

// blob is Blob; size is the blob's where it is known, and is set once it is.
func (c *Client) blob(ctx context.Context, l ollamastore.Layer, path string, size *int64) error {
	if err := l.Digest.Check(); err != nil {
		return err
	}
	unlock, err := c.lock(ctx, l.Digest)
	if err != nil {
		return err
	}
	defer unlock()
	switch ok, err := c.right(path, l.Digest); {
	case err != nil:
		return err
	case ok:
		return nil
	}
	u := c.blobURL(l.Digest)
	if *size < 0 {
		if *size, err = c.size(ctx, u); err != nil {
			return err
		}
	}
	t := download.Target{Name: l.Kind() + " " + l.Digest.Hex()[:12], Path: path, Size: *size, Sum: l.Digest.Sum()}
	if err := download.Fetch(ctx, t, &getter{c: c, u: u, size: *size}, c.downloads()); err != nil {
		return c.explain(err)
	}
	if canonical := "sha256:" + l.Digest.Hex(); string(l.Digest) != canonical {
		// Ollama compares the spelling too, and keeps no such blob: a store shall hold the same whoever filled it.
		return errors.Join(&ollamastore.MismatchError{Want: l.Digest, Got: ollamastore.Digest(canonical)}, os.Remove(path))
	}
	if info, err := os.Stat(path); err == nil && c.o.Verified != nil {
		c.o.Verified.Add(path, info.Size(), info.ModTime())
	}
	return nil
}

// lock keeps other processes from the same blob.
func (c *Client) lock(ctx context.Context, d ollamastore.Digest) (unlock func(), err error) {
	if c.o.LockDir == "" {
		return func() {}, nil
	}
	if err := os.MkdirAll(c.o.LockDir, 0o777); err != nil {
		return nil, err
	}
	return hfcache.LockFile(ctx, filepath.Join(c.o.LockDir, d.File()+".lock"), func() {
		c.o.Notice(fmt.Sprintf("another process is fetching %s; waiting for it", d.Hex()[:12]))
	})
}

// right tells whether a blob is there with the right bytes, and removes one that is damaged.
func (c *Client) right(path string, d ollamastore.Digest) (bool, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if c.o.Verified != nil && c.o.Verified.Has(path, info.Size(), info.ModTime()) {
		return true, nil
	}
	err = d.Sum().CheckFile(path)
	if _, wrong := errors.AsType[*download.HashError](err); wrong {
		c.o.Notice(fmt.Sprintf("%s is damaged (its bytes are not those of its name); fetching it again", path))
		return false, os.Remove(path)
	}
	if err == nil && c.o.Verified != nil {
		c.o.Verified.Add(path, info.Size(), info.ModTime())
	}
	return err == nil, err
}

// size asks how large a blob is.
func (c *Client) size(ctx context.Context, u *url.URL) (int64, error) {
	resp, err := c.do(ctx, wire.Request{Method: http.MethodHead, URL: u})
	if err != nil {
		return -1, err
	}
	_ = resp.Body.Close() // of a HEAD
	if resp.ContentLength < 0 {
		return -1, c.strange(u, "a blob without a size")
	}
	return resp.ContentLength, nil
}

// getter is a download.Getter of one blob: a registry sends to a storage host by a link, which is asked for once, and anew when it is
// refused. A registry that serves its blobs itself will do too.
type getter struct {
	c    *Client
	u    *url.URL
	size int64

	mu   sync.Mutex
	link *url.URL // nil: not known yet
}

func (g *getter) Get(ctx context.Context, from, to int64, fresh bool) (*http.Response, error) {
	g.mu.Lock()
	if g.link == nil || fresh {
		link, resp, err := g.ask(ctx, from)
		if err != nil || resp != nil {
			g.mu.Unlock()
			return resp, err
		}
		g.link = link
	}
	link := g.link
	g.mu.Unlock()
	if to < 0 {
		to = g.size
	}
	h := http.Header{"Range": {fmt.Sprintf("bytes=%d-%d", from, to-1)}}
	resp, err := g.c.wire.Do(ctx, wire.Request{URL: link, Header: h, Subject: g.c.subject(), Limit: g.c.o.Stall})
	if err == nil && resp.StatusCode == http.StatusPartialContent && resp.Header.Get("Content-Range") == "" && resp.ContentLength == to-from {
		// Some storage hosts leave it out. The length fits, and the hash decides in the end.
		resp.Header.Set("Content-Range", "bytes "+strconv.FormatInt(from, 10)+"-"+strconv.FormatInt(to-1, 10)+"/"+strconv.FormatInt(g.size, 10))
	}
	return resp, err
}

// ask learns where the bytes are. A registry that answers with the blob itself has given what is wanted from its beginning.
func (g *getter) ask(ctx context.Context, from int64) (*url.URL, *http.Response, error) {
	resp, err := g.c.do(ctx, wire.Request{URL: g.u, SameOnly: true})
	if err != nil {
		if e, ok := errors.AsType[*Error](err); ok {
			err = e.Err // the download decides what to try again
		}
		return nil, nil, err
	}
	if location := resp.Header.Get("Location"); resp.StatusCode >= 300 && location != "" {
		_ = resp.Body.Close() // of a redirect
		link, err := resp.Request.URL.Parse(location)
		if err != nil {
			return nil, nil, g.c.strange(g.u, "a blob that leads to %.200q", location)
		}
		return link, nil, nil
	}
	if from == 0 {
		return nil, resp, nil
	}
	_ = resp.Body.Close() // asked again for the range
	return resp.Request.URL, nil, nil
}
