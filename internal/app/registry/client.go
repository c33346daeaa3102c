// Package registry owns talking to an Ollama registry: a model's manifest, its blobs in both directions, and the token that a registry
// asks for. Blobs that come are hashed before they get their final name.
//
// Names are package hub/names, one request hub/wire, the bytes of a download hub/download, a store's layout ollamastore. It must not
// know what is in a model's file, how a command talks to its user, nor where our own store keeps models.
package registry

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/systemgemma/systemgemma/internal/app/hub/download"
	"github.com/systemgemma/systemgemma/internal/app/hub/names"
	"github.com/systemgemma/systemgemma/internal/app/hub/settings"
	"github.com/systemgemma/systemgemma/internal/app/hub/wire"
	"github.com/systemgemma/systemgemma/internal/app/registry/ollamastore"
)

// Options are how it is done. The zero value is usable.
type Options struct {
	Version  string // of this program, for the User-Agent
	Insecure bool   // ask registries by http
	Proxies  settings.Proxies
	Key      func() (ed25519.PrivateKey, error) // signs the request for a token; nil: there is none
	Rate     int64                              // bytes a second; 0 is no limit
	Report   func(download.Progress)            // one call at a time
	Pushing  func(ollamastore.Layer)            // of a push: a layer's turn has come, at the end that of the manifest (ManifestType)
	Waiting  func(time.Duration, error)         // before a pause that a server or a failure makes
	Notice   func(string)                       // what is worth a line
	LockDir  string                             // folder for one lock per blob that is fetched; "": the caller sees to it
	Verified Verified                           // blobs whose hash was right before; nil: each is read
	Stall    time.Duration                      // silence after which a connection is given up, default 30 s
	Clock    wire.Clock                         // replaces the time of waits, for tests
	Part     int64                              // bytes of an uploaded part, default a 16th of the blob within 100 MB to 1 GB
	Segment  int64                              // download.Options.Segment and Large, for tests
	Large    int64
	Free     func(string) (int64, error) // download.Options.Free
}

// Verified remembers which files were found to have the right hash.
type Verified interface {
	Has(path string, size int64, changed time.Time) bool
	Add(path string, size int64, changed time.Time)
}

// Client talks to the registry of one model. It is safe for concurrent use.
type Client struct {
	Name  names.OllamaName
	o     Options
	wire  *wire.Client
	limit *download.Limiter

	report sync.Mutex
	auth   sync.Mutex // held while a token is asked for
}

// New returns a client for a model.
func New(n names.OllamaName, o Options) *Client {
	if o.Stall <= 0 {
		o.Stall = 30 * time.Second
	}
	if o.Notice == nil {
		o.Notice = func(string) {}
	}
	if o.Pushing == nil {
		o.Pushing = func(ollamastore.Layer) {}
	}
	u := &url.URL{Scheme: "https", Host: n.Host}
	if o.Insecure {
		u.Scheme = "http"
	}
	version := o.Version
	if version == "" {
		version = "dev"
	}
	return &Client{Name: n, o: o, limit: download.NewLimiter(o.Rate), wire: &wire.Client{
		Endpoint: u, Agent: fmt.Sprintf("systemgemma/%s; os/%s; arch/%s", version, runtime.GOOS, runtime.GOARCH),
		HTTP:  wire.NewHTTP(func(r *http.Request) (*url.URL, error) { return o.Proxies.For(r.URL) }),
		Clock: o.Clock, HeadLimit: o.Stall, Retries: 5, Waiting: o.Waiting,
	}}
}

// Close releases idle connections.
func (c *Client) Close() { c.wire.HTTP.CloseIdleConnections() }

// URL is the registry's address.
func (c *Client) URL() string { return c.wire.Endpoint.String() }

func (c *Client) path(parts ...string) *url.URL {
	return c.wire.URL("", append([]string{"v2", c.Name.Namespace, c.Name.Model}, parts...)...)
}

func (c *Client) subject() wire.Subject {
	return wire.Subject{Repo: c.Name.Namespace + "/" + c.Name.Model, Revision: c.Name.Tag}
}

// do sends a request to the registry. If it wants a token, one is asked for and the request sent once more.
func (c *Client) do(ctx context.Context, r wire.Request) (*http.Response, error) {
	r.Subject = c.subject()
	var err error
	for range 2 {
		var resp *http.Response
		resp, err = c.wire.Do(ctx, r)
		e, refused := errors.AsType[*wire.Error](err)
		if !refused || e.Status != http.StatusUnauthorized {
			return resp, c.explain(err)
		}
		if err := c.login(ctx, e); err != nil {
			return nil, err
		}
	}
	return nil, c.explain(err)
}

// Manifest asks what a model is made of. The digest is that of the manifest as it came, in hexadecimal.
func (c *Client) Manifest(ctx context.Context) (m *ollamastore.Manifest, digest string, err error) {
	u := c.path("manifests", c.Name.Tag)
	resp, err := c.do(ctx, wire.Request{URL: u, Header: http.Header{"Accept": {ollamastore.ManifestType}}})
	if err != nil {
		return nil, "", err
	}
	defer func() { _ = resp.Body.Close() }() // only read
	if t := resp.Header.Get("Content-Type"); strings.HasPrefix(t, "text/html") {
		return nil, "", c.strange(u, "a web page (%s) where a manifest was expected", t)
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, ollamastore.MaxManifest+1))
	if err != nil {
		return nil, "", c.strange(u, "the manifest broke off after %d bytes: %w", len(text), err)
	}
	if m, err = ollamastore.ParseManifest(text); err != nil {
		return nil, "", c.strange(u, "%w", err)
	}
	if len(m.Layers) == 0 {
		return nil, "", c.strange(u, "a manifest without layers")
	}
	return m, fmt.Sprintf("%x", sha256.Sum256(text)), nil
}

// Text fetches a small layer into memory, checked.
func (c *Client) Text(ctx context.Context, l ollamastore.Layer) (string, error) {
	if err := l.Digest.Check(); err != nil {
		return "", err
	}
	u := c.blobURL(l.Digest)
	resp, err := c.do(ctx, wire.Request{URL: u, Retry: true})
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }() // only read
	text, err := io.ReadAll(io.LimitReader(resp.Body, ollamastore.MaxText+1))
	if err != nil {
		return "", c.strange(u, "the %s layer broke off after %d bytes: %w", l.Kind(), len(text), err)
	}
	if len(text) > ollamastore.MaxText {
		return "", c.strange(u, "a %s layer of more than %d MiB", l.Kind(), ollamastore.MaxText>>20)
	}
	if got := fmt.Sprintf("%x", sha256.Sum256(text)); got != l.Digest.Hex() {
		return "", &ollamastore.MismatchError{Want: l.Digest, Got: ollamastore.Digest("sha256:" + got)}
	}
	return string(text), nil
}

func (c *Client) strange(u *url.URL, format string, args ...any) error {
	return c.explain(c.wire.Strange(c.subject(), u, format, args...))
}

func (c *Client) downloads() download.Options {
	o := download.Options{
		Ranges: 4, Once: true, Large: c.o.Large, Segment: c.o.Segment, Stall: c.o.Stall, Retries: c.wire.Retries, Wait: c.wire.Wait,
		Clock: c.o.Clock, Limit: c.limit, Free: c.o.Free,
	}
	if c.o.Report != nil {
		o.Report = func(p download.Progress) {
			c.report.Lock()
			defer c.report.Unlock()
			c.o.Report(p)
		}
	}
	return o
}
