// Package hub owns getting models from a Hugging Face hub and bringing them there: what a repository holds, its files into the hub cache
// or a folder, commits with large files, and what to make of an answer that is no file.
//
// Names are package names, the environment settings, one request wire, the cache's layout hfcache, the bytes download. It must
// not know what is in a file, how a command talks to its user, nor of other registries.
package hub

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/systemgemma/systemgemma/internal/app/hub/download"
	"github.com/systemgemma/systemgemma/internal/app/hub/hfcache"
	"github.com/systemgemma/systemgemma/internal/app/hub/settings"
	"github.com/systemgemma/systemgemma/internal/app/hub/wire"
)

// Options are what the environment doesn't say. The zero value is usable.
type Options struct {
	Version   string                     // of this program, for the User-Agent
	Rate      int64                      // bytes a second for all downloads together; 0 is no limit
	Report    func(download.Progress)    // progress of files, one call at a time
	Waiting   func(time.Duration, error) // before a pause that a server or a failure makes
	Notice    func(string)               // what is worth a line: another process at work, copies instead of links
	Verified  Verified                   // blobs whose hash was right before; nil remembers within the Client
	Transport http.RoundTripper          // replaces the network, for tests
	Clock     wire.Clock                 // replaces the time of waits, for tests
	Block     int64                      // download.Options.Block, Large and Segment, for tests
	Large     int64
	Segment   int64
	Free      func(string) (int64, error) // download.Options.Free
	Uploads   string                      // folder that remembers interrupted uploads of large files; "": none is remembered
}

// Verified remembers which files were found to have the right hash, so that a large one is read once. A file counts as the same
// while path, size and time of change are.
type Verified interface {
	Has(path string, size int64, changed time.Time) bool
	Add(path string, size int64, changed time.Time)
}

// Client gets files of one hub into one cache. It is safe for concurrent use.
type Client struct {
	Settings settings.Settings
	wire     *wire.Client
	cache    *hfcache.Cache
	o        Options
	limit    *download.Limiter
	copies   sync.Once
	report   sync.Mutex
}

// New returns a client by these settings.
func New(s settings.Settings, o Options) (*Client, error) {
	u, err := url.Parse(s.Endpoint)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.User != nil || u.RawQuery != "" {
		return nil, fmt.Errorf("HF_ENDPOINT=%s: want http(s)://host[:port][/path]", s.Endpoint)
	}
	cache, err := hfcache.Open(s.Cache)
	if err != nil {
		return nil, fmt.Errorf("hub cache: %w", err)
	}
	cache.Copy = s.NoSymlinks
	if o.Verified == nil {
		o.Verified = &memory{}
	}
	if o.Notice == nil {
		o.Notice = func(string) {}
	}
	httpClient := wire.NewHTTP(func(r *http.Request) (*url.URL, error) { return s.Proxies.For(r.URL) })
	if o.Transport != nil {
		httpClient.Transport = o.Transport
	}
	c := &Client{Settings: s, cache: cache, o: o, limit: download.NewLimiter(o.Rate), wire: &wire.Client{
		Endpoint: u, Agent: agent(s, o), HTTP: httpClient, Clock: o.Clock, HeadLimit: s.HeadTimeout, Retries: 5, Waiting: o.Waiting,
	}}
	if !s.NoImplicitToken {
		c.wire.Token, c.wire.TokenFrom = s.Token, s.TokenFrom
	}
	return c, nil
}

// SetToken replaces the token of the settings; "" sends none. from says where it came from, for messages.
func (c *Client) SetToken(token, from string) { c.wire.Token, c.wire.TokenFrom = token, from }

// Close releases the cache's folder and idle connections.
func (c *Client) Close() error {
	c.wire.HTTP.CloseIdleConnections()
	return c.cache.Close()
}

// Cache is the cache that the client reads and fills.
func (c *Client) Cache() *hfcache.Cache { return c.cache }

// agent names this program, in the form that hubs expect, and nothing of its user.
func agent(s settings.Settings, o Options) string {
	version := o.Version
	if version == "" {
		version = "dev"
	}
	a := fmt.Sprintf("systemgemma/%s; os/%s; arch/%s", version, runtime.GOOS, runtime.GOARCH)
	if s.AgentOrigin != "" {
		a += "; origin/" + strings.Map(func(r rune) rune {
			if r < '!' || r > '~' {
				return -1
			}
			return r
		}, s.AgentOrigin)
	}
	return a
}

func (c *Client) downloads() download.Options {
	o := download.Options{
		Ranges: 4, Block: c.o.Block, Large: c.o.Large, Segment: c.o.Segment, Stall: c.Settings.StallTimeout, Retries: c.wire.Retries,
		Wait: c.wire.Wait, Clock: c.o.Clock, Limit: c.limit, Free: c.o.Free,
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

// memory is a Verified for one Client.
type memory struct{ seen sync.Map }

type seenFile struct {
	path    string
	size    int64
	changed int64
}

func (m *memory) Has(path string, size int64, changed time.Time) bool {
	_, ok := m.seen.Load(seenFile{path, size, changed.UnixNano()})
	return ok
}

func (m *memory) Add(path string, size int64, changed time.Time) {
	m.seen.Store(seenFile{path, size, changed.UnixNano()}, nil)
}

// check returns whether a file has the hash that its etag is (a file whose etag is no hash passes), reading it unless that was
// found out before. An error is one of reading.
func (c *Client) check(ctx context.Context, path, etag string) (ok bool, err error) {
	sum := download.SumOf(etag)
	info, err := os.Stat(path)
	if err != nil {
		return false, err
	}
	if sum.Kind == "" || c.o.Verified.Has(path, info.Size(), info.ModTime()) {
		return true, nil
	}
	if err := ctx.Err(); err != nil {
		return false, err
	}
	switch err := sum.CheckFile(path).(type) {
	case nil:
		c.o.Verified.Add(path, info.Size(), info.ModTime())
		return true, nil
	case *download.HashError:
		return false, nil
	default:
		return false, err
	}
}

// NoTokenError is a token that was asked for and is not there.
type NoTokenError struct{ Path string }

func (e *NoTokenError) Error() string {
	return fmt.Sprintf("no token: set HF_TOKEN, or save one to %s; make one with read access at https://huggingface.co/settings/tokens", e.Path)
}

// NeedToken returns an error if no token would be sent.
func (c *Client) NeedToken() error {
	if c.wire.Token == "" {
		return &NoTokenError{c.Settings.TokenPath}
	}
	return nil
}
