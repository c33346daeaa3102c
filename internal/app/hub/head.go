package hub

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"

	"github.com/systemgemma/systemgemma/internal/app/hub/names"
	"github.com/systemgemma/systemgemma/internal/app/hub/wire"
)

// meta is what a hub says of a file before it is fetched.
type meta struct {
	commit, etag string
	size         int64    // -1 if it doesn't say
	from         *url.URL // where the bytes are: a signed link of a storage host, or the hub
	xet          string   // hash of the file's chunk list, where the hub can serve chunks
}

// head asks about a file. Redirects are followed within the hub only: the answer that leaves it holds what is asked.
func (c *Client) head(ctx context.Context, resolve *url.URL, s wire.Subject, retry bool) (meta, error) {
	m := meta{size: -1}
	resp, err := c.wire.Do(ctx, wire.Request{Method: http.MethodHead, URL: resolve, SameOnly: true, Retry: retry, Subject: s})
	if err != nil {
		return m, err
	}
	_ = resp.Body.Close() // of a HEAD
	at := resp.Request.URL
	m.commit = resp.Header.Get("X-Repo-Commit")
	if m.commit == "" {
		return m, c.wire.Strange(s, at, "it lacks the X-Repo-Commit that every hub sends with a file")
	}
	if !names.IsCommit(m.commit) {
		return m, c.wire.Strange(s, at, "its commit is %.60q, want 40 hexadecimal digits", m.commit)
	}
	if names.IsCommit(s.Revision) && m.commit != s.Revision {
		return m, c.wire.Strange(s, at, "its commit is %s, asked for was %s", m.commit, s.Revision)
	}
	m.etag = resp.Header.Get("X-Linked-Etag")
	if m.etag == "" {
		m.etag = resp.Header.Get("ETag")
	}
	m.etag = strings.Trim(strings.TrimLeft(m.etag, "W/"), `"`)
	if m.etag == "" {
		return m, c.wire.Strange(s, at, "it has no ETag, so the file can't be told from other versions")
	}
	if !names.IsEtag(m.etag) {
		return m, c.wire.Strange(s, at, "its ETag is %.80q, want a plain name", m.etag)
	}
	redirect := resp.StatusCode >= 300 && resp.Header.Get("Location") != ""
	length := resp.Header.Get("X-Linked-Size")
	if length == "" && !redirect {
		length = resp.Header.Get("Content-Length")
	}
	if length != "" {
		n, err := strconv.ParseInt(length, 10, 64)
		if err != nil || n < 0 {
			return m, c.wire.Strange(s, at, "its size is %.40q, want a number of bytes", length)
		}
		m.size = n
	}
	m.from = at
	if redirect {
		if m.from, err = at.Parse(resp.Header.Get("Location")); err != nil {
			return m, c.wire.Strange(s, at, "it leads to %.200q", resp.Header.Get("Location"))
		}
	}
	if xet := resp.Header.Get("X-Xet-Hash"); xet != "" {
		route := resp.Header.Get("X-Xet-Refresh-Route") != ""
		for _, link := range resp.Header.Values("Link") {
			route = route || strings.Contains(strings.ReplaceAll(link, `"`, ""), "rel=xet-auth")
		}
		if route {
			// Chunks are not spoken here. The hub's own address gives a fresh link to the whole file at each GET.
			m.xet, m.from = xet, resolve
		}
	}
	return m, nil
}

// getter is a download.Getter of one file: GETs at its link, which a new HEAD renews.
type getter struct {
	c       *Client
	resolve *url.URL
	subject wire.Subject

	mu sync.Mutex
	m  meta
}

// ChangedError is a file that is another one now than when its download began.
type ChangedError struct{ File, Was, Is string }

func (e *ChangedError) Error() string {
	return fmt.Sprintf("%s changed on the hub during its download (%s, now %s); run the same command again", e.File, e.Was, e.Is)
}

func (g *getter) Get(ctx context.Context, from, to int64, fresh bool) (*http.Response, error) {
	g.mu.Lock()
	if fresh {
		m, err := g.c.head(ctx, g.resolve, g.subject, false)
		if err == nil && (m.etag != g.m.etag || m.size != g.m.size) {
			err = &ChangedError{g.subject.File, g.m.etag, m.etag}
		}
		if err != nil {
			g.mu.Unlock()
			return nil, err
		}
		g.m = m
	}
	u := g.m.from
	g.mu.Unlock()
	h := http.Header{}
	switch {
	case to >= 0:
		h.Set("Range", fmt.Sprintf("bytes=%d-%d", from, to-1))
	case from > 0:
		h.Set("Range", fmt.Sprintf("bytes=%d-", from))
	}
	return g.c.wire.Do(ctx, wire.Request{URL: u, Header: h, Subject: g.subject, Limit: max(g.c.Settings.StallTimeout, g.c.Settings.HeadTimeout)})
}
