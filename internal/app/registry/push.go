package registry

import (
	"context"
	"crypto/md5"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/systemgemma/systemgemma/internal/app/hub/download"
	"github.com/systemgemma/systemgemma/internal/app/hub/wire"
	"github.com/systemgemma/systemgemma/internal/app/registry/ollamastore"
)

// Source gives the blobs of a model. An ollamastore.Store is one.
type Source interface {
	Open(l ollamastore.Layer) (ollamastore.Blob, int64, error)
}

// Sizes of the parts of an upload: a 16th of the blob, within these.
const (
	minPart = 100 << 20
	maxPart = 1000 << 20
)

// Push uploads what a registry lacks of a model, then its manifest. A second push goes on with the blobs that are not there yet.
func (c *Client) Push(ctx context.Context, m *ollamastore.Manifest, src Source) error {
	for _, l := range m.All() {
		if err := l.Digest.Check(); err != nil {
			return err
		}
		if err := c.upload(ctx, l, src); err != nil {
			return err
		}
	}
	clean := *m
	clean.Layers = nil
	for _, l := range m.Layers {
		l.From = "" // may be a path of this machine
		clean.Layers = append(clean.Layers, l)
	}
	clean.Config.From = ""
	text, err := clean.Encode()
	if err != nil {
		return err
	}
	c.o.Pushing(ollamastore.Layer{MediaType: ollamastore.ManifestType, Size: int64(len(text))})
	resp, err := c.do(ctx, wire.Request{
		Method: http.MethodPut, URL: c.path("manifests", c.Name.Tag), Body: string(text), Type: ollamastore.ManifestType,
	})
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

func (c *Client) blobURL(d ollamastore.Digest) *url.URL {
	u := c.path("blobs", string(d))
	u.RawPath = u.Path // the colon of a digest is not escaped
	return u
}

// upload brings one blob to the registry, unless it is there.
func (c *Client) upload(ctx context.Context, l ollamastore.Layer, src Source) error {
	resp, err := c.do(ctx, wire.Request{Method: http.MethodHead, URL: c.blobURL(l.Digest)})
	if err == nil {
		c.o.Pushing(l)
		return resp.Body.Close()
	}
	if wire.KindOf(err) != wire.NotFound {
		return err
	}
	begin := c.path("blobs", "uploads")
	begin.Path += "/"
	begin.RawPath = begin.Path
	if resp, err = c.do(ctx, wire.Request{Method: http.MethodPost, URL: begin, Stay: true}); err != nil {
		return err
	}
	_ = resp.Body.Close() // only its header counts
	if resp.StatusCode == http.StatusCreated {
		c.o.Pushing(l)
		return nil // it had the blob of another model
	}
	next, err := c.next(resp, begin)
	if err != nil {
		return err
	}
	f, size, err := src.Open(l)
	if err != nil {
		return fmt.Errorf("%s layer: %w", l.Kind(), err)
	}
	defer func() { _ = f.Close() }() // only read
	c.o.Pushing(l)
	sums := md5.New()
	parts := 0
	part := c.o.Part
	if part <= 0 {
		part = min(max(size/16, minPart), maxPart)
	}
	for at := int64(0); at < size || parts == 0; at += part {
		p := &piece{c: c, name: l.Kind() + " " + l.Digest.Hex()[:12], f: f, from: at, size: min(part, size-at), total: size}
		sum, err := p.sum()
		if err != nil {
			return err
		}
		sums.Write(sum)
		if next, err = p.send(ctx, next); err != nil {
			return err
		}
		parts++
	}
	q := next.Query()
	q.Set("digest", "sha256:"+l.Digest.Hex())
	q.Set("etag", fmt.Sprintf("%x-%d", sums.Sum(nil), parts))
	last := *next
	last.RawQuery = q.Encode()
	return c.commit(ctx, &last)
}

// next is where the next request of an upload goes: to any host, but with the token only to the registry's own.
func (c *Client) next(resp *http.Response, at *url.URL) (*url.URL, error) {
	location := resp.Header.Get("Docker-Upload-Location")
	if location == "" {
		location = resp.Header.Get("Location")
	}
	next, err := at.Parse(location)
	if location == "" || err != nil || next.Host == "" || next.Scheme != "http" && next.Scheme != "https" || at.Scheme == "https" && next.Scheme == "http" {
		return nil, c.strange(at, "an upload that goes on at %.200q", location)
	}
	return next, nil
}

// commit closes an upload. Registries may need a moment until all parts are there.
func (c *Client) commit(ctx context.Context, u *url.URL) error {
	for try := 0; ; try++ {
		resp, err := c.do(ctx, wire.Request{Method: http.MethodPut, URL: u, Type: "application/octet-stream", Stay: true, Limit: answerLimit})
		if err == nil {
			return resp.Body.Close()
		}
		if _, answered := errors.AsType[*Error](err); !answered || try >= c.wire.Retries {
			return err
		}
		if err := c.wire.Wait(ctx, try, err); err != nil {
			return err
		}
	}
}

// answerLimit is how long the answer to a part may take once all of it was sent.
const answerLimit = 2 * time.Minute

// piece is one part of an upload.
type piece struct {
	c          *Client
	name       string
	f          ollamastore.Blob
	from, size int64
	total      int64
}

func (p *piece) section() *io.SectionReader { return io.NewSectionReader(p.f, p.from, p.size) }

// sum is the MD5 that the registry's storage compares.
func (p *piece) sum() ([]byte, error) {
	h := md5.New()
	if _, err := io.Copy(h, p.section()); err != nil {
		return nil, err
	}
	return h.Sum(nil), nil
}

// send uploads the part and returns where the upload goes on. A registry that sends it to a storage host gets it there, without the
// token.
func (p *piece) send(ctx context.Context, to *url.URL) (*url.URL, error) {
	h := http.Header{"Content-Range": {fmt.Sprintf("%d-%d", p.from, p.from+p.size-1)}, "X-Redirect-Uploads": {"1"}}
	resp, err := p.c.do(ctx, wire.Request{
		Method: http.MethodPatch, URL: to, Header: h, Type: "application/octet-stream", Upload: p.body(ctx), Stay: true, Retry: true, Limit: answerLimit,
	})
	if err != nil {
		return nil, err
	}
	_ = resp.Body.Close() // only its header counts
	next, err := p.c.next(resp, to)
	if err != nil || resp.StatusCode != http.StatusTemporaryRedirect {
		return next, err
	}
	link, err := to.Parse(resp.Header.Get("Location"))
	if err != nil || link.Host == "" || to.Scheme == "https" && link.Scheme != "https" {
		return nil, p.c.strange(to, "an upload that leads to %.200q", resp.Header.Get("Location"))
	}
	put, err := p.c.wire.Do(ctx, wire.Request{
		Method: http.MethodPut, URL: link, Type: "application/octet-stream", Upload: p.body(ctx), NoToken: true, Stay: true, Retry: true,
		Limit: answerLimit, Subject: p.c.subject(),
	})
	if err != nil {
		return nil, p.c.explain(err)
	}
	return next, put.Body.Close()
}

func (p *piece) body(ctx context.Context) *wire.Upload {
	return &wire.Upload{Size: p.size, Open: func() (io.ReadCloser, error) {
		done := p.from
		return io.NopCloser(p.c.limit.Reader(ctx, p.c.o.Clock, p.section(), func(n int) {
			done += int64(n)
			if p.c.o.Report != nil {
				p.c.report.Lock()
				defer p.c.report.Unlock()
				p.c.o.Report(download.Progress{Name: p.name, Done: done, Total: p.total})
			}
		})), nil
	}}
}
