// Package wire owns one request to a hub: who may see the token, how redirects are followed, what is tried again and when,
// and what a refusal means in plain words.
//
// It must not know what is asked for: files, listings and caches are the callers' business.
package wire

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// Client sends requests to one hub and to where it redirects. It is safe for concurrent use.
type Client struct {
	Endpoint  *url.URL
	Token     string // sent to Endpoint's origin only
	TokenFrom string // for messages
	Agent     string // User-Agent
	HTTP      *http.Client
	Clock     Clock
	HeadLimit time.Duration // how long the header of an answer may take
	Retries   int           // tries after the first, default 5
	Waiting   func(wait time.Duration, why error)

	fresh struct { // a token that came after the client was made
		sync.Mutex
		token, from string
	}
}

// SetToken replaces the token, also while requests run.
func (c *Client) SetToken(token, from string) {
	c.fresh.Lock()
	defer c.fresh.Unlock()
	c.fresh.token, c.fresh.from = token, from
}

// token is the one to send and where it came from.
func (c *Client) token() (token, from string) {
	c.fresh.Lock()
	defer c.fresh.Unlock()
	if c.fresh.token != "" {
		return c.fresh.token, c.fresh.from
	}
	return c.Token, c.TokenFrom
}

// Clock is the time that waits take. The zero value is the real one.
type Clock struct {
	Scale   int                                        // waits and limits are divided by it; 0 is 1
	OnSleep func(context.Context, time.Duration) error // replaces sleeping, for tests
}

// Real returns the time that d takes by this clock.
func (c Clock) Real(d time.Duration) time.Duration { return d / time.Duration(max(c.Scale, 1)) }

// Sleep waits, or returns the context's error.
func (c Clock) Sleep(ctx context.Context, d time.Duration) error {
	if c.OnSleep != nil {
		return c.OnSleep(ctx, d)
	}
	t := time.NewTimer(c.Real(d))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// NewHTTP returns an HTTP client that follows no redirect, decodes no body and keeps no cookies: this package does what is
// needed of that itself.
func NewHTTP(proxy func(*http.Request) (*url.URL, error)) *http.Client {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.Proxy = proxy
	t.DisableCompression = true
	t.MaxResponseHeaderBytes = 256 << 10
	t.MaxIdleConnsPerHost = 8
	return &http.Client{Transport: t, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// Request is one question. Its zero values mean: GET, no body, the redirects followed wherever they lead (without the token
// once they leave the hub), no retry.
type Request struct {
	Method   string
	URL      *url.URL
	Header   http.Header
	Body     string  // sent with Type
	Type     string  // Content-Type; "" sends none
	Upload   *Upload // sent instead of Body
	NoToken  bool
	Stay     bool          // follow no redirect, and return the answer that is one
	SameOnly bool          // follow redirects within the first URL's origin only, and return the answer that leaves it
	Retry    bool          // try again what a moment may heal
	Limit    time.Duration // for the header of the answer, default HeadLimit
	Subject  Subject
}

// Upload is a body that is not in memory. It is opened anew for each try.
type Upload struct {
	Size int64
	Open func() (io.ReadCloser, error)
}

// Subject is what a request is about, for messages.
type Subject struct{ Repo, Revision, File string }

// maxRequests is how many requests one question may take by redirects.
const maxRequests = 20

// Do sends a request and returns its last answer, with a status under 400; the caller closes its body. Errors are *Error, or
// the context's.
func (c *Client) Do(ctx context.Context, r Request) (*http.Response, error) {
	for try := 0; ; try++ {
		resp, err := c.once(ctx, r)
		if err == nil || !r.Retry || try >= c.Retries || !Healing(err) {
			return resp, err
		}
		if err := c.Wait(ctx, try, err); err != nil {
			return nil, err
		}
	}
}

// Wait sleeps before try number try+1 of what failed with err: 1, 2, 4, 8, 8 ... seconds, or what the hub asked for.
func (c *Client) Wait(ctx context.Context, try int, err error) error {
	wait := min(time.Second<<min(try, 3), 8*time.Second)
	if e, ok := errors.AsType[*Error](err); ok && e.RetryAfter > 0 {
		wait = e.RetryAfter
	}
	if c.Waiting != nil {
		c.Waiting(wait, err)
	}
	return c.Clock.Sleep(ctx, wait)
}

func (c *Client) once(ctx context.Context, r Request) (*http.Response, error) {
	u, method := r.URL, r.Method
	if method == "" {
		method = http.MethodGet
	}
	token := !r.NoToken
	for range maxRequests {
		// The one place that decides who sees the token: the hub's own scheme, host and port, and only while no redirect has
		// led away from them.
		token = token && SameOrigin(u, c.Endpoint)
		resp, err := c.send(ctx, r, method, u, token)
		if err != nil {
			return nil, err
		}
		location := resp.Header.Get("Location")
		if resp.StatusCode < 300 || resp.StatusCode > 399 || resp.StatusCode == http.StatusNotModified || location == "" {
			if resp.StatusCode >= 400 || resp.StatusCode < 200 {
				return nil, c.refusal(r.Subject, u, resp, token)
			}
			return resp, nil
		}
		next, err := u.Parse(location)
		if err != nil || next.Host == "" || next.Scheme != "http" && next.Scheme != "https" {
			closeBody(resp)
			return nil, c.fail(NotAHub, r.Subject, u, fmt.Errorf("a redirect to %.200q", location))
		}
		if r.Stay || r.SameOnly && !SameOrigin(next, u) {
			return resp, nil
		}
		closeBody(resp)
		if u.Scheme == "https" && next.Scheme == "http" {
			return nil, c.fail(NotAHub, r.Subject, u, fmt.Errorf("a redirect from https to http://%s", next.Host))
		}
		if resp.StatusCode == http.StatusSeeOther && method != http.MethodHead {
			method = http.MethodGet
		}
		u = next
	}
	return nil, c.fail(TooManyRedirects, r.Subject, u, fmt.Errorf("%d redirects in a row", maxRequests))
}

// send makes one exchange. The answer's body ends with ctx; its header must come within HeadLimit.
func (c *Client) send(ctx context.Context, r Request, method string, u *url.URL, token bool) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	var body io.Reader
	if method != http.MethodGet && method != http.MethodHead && r.Body != "" {
		body = strings.NewReader(r.Body)
	}
	req, err := http.NewRequestWithContext(ctx, method, u.String(), body)
	if err != nil {
		cancel(nil)
		return nil, c.fail(NotAHub, r.Subject, u, err)
	}
	req.URL = u // keeps the escaping of the path as it is
	for k, v := range r.Header {
		req.Header[k] = v
	}
	req.Header.Set("User-Agent", c.Agent)
	req.Header.Set("X-Amzn-Trace-Id", traceID())
	if req.Header.Get("Accept-Encoding") == "" {
		req.Header.Set("Accept-Encoding", "identity")
	}
	limit := r.Limit
	if limit == 0 {
		limit = c.HeadLimit
	}
	var late *deadline
	if limit > 0 {
		late = newDeadline(c.Clock.Real(limit), func() { cancel(errLate) })
	}
	if r.Upload != nil && r.Upload.Size > 0 {
		file, err := r.Upload.Open()
		if err != nil {
			late.stop()
			cancel(nil)
			return nil, err
		}
		req.Body, req.ContentLength = &feeding{file, late}, r.Upload.Size
	}
	if r.Type != "" && method != http.MethodGet && method != http.MethodHead {
		req.Header.Set("Content-Type", r.Type)
	}
	if secret, _ := c.token(); token && secret != "" {
		req.Header.Set("Authorization", "Bearer "+secret)
	}
	resp, err := c.HTTP.Do(req)
	if !late.stop() && err == nil {
		// The limit passed between the answer and here: the body can't be read any more.
		closeBody(resp)
		err = errLate
	}
	if err != nil {
		cause := context.Cause(ctx)
		cancel(nil)
		if errors.Is(cause, errLate) {
			err = fmt.Errorf("no answer within %v", limit)
		} else if cause != nil {
			return nil, cause
		}
		return nil, c.unreachable(r.Subject, u, err)
	}
	resp.Body = &canceling{resp.Body, cancel}
	return resp, nil
}

var errLate = errors.New("no answer in time")

// deadline calls a function unless it is fed or stopped in time. A nil deadline never does.
type deadline struct {
	mu    sync.Mutex
	timer *time.Timer // nil: stopped
	limit time.Duration
}

func newDeadline(limit time.Duration, end func()) *deadline {
	return &deadline{timer: time.AfterFunc(limit, end), limit: limit}
}

// feed begins the time anew: something moves.
func (d *deadline) feed() {
	if d == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer != nil {
		d.timer.Reset(d.limit)
	}
}

// stop ends the time, and tells whether it had not passed.
func (d *deadline) stop() bool {
	if d == nil {
		return true
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	intime := d.timer.Stop()
	d.timer = nil
	return intime
}

// feeding is a body whose every read shows that its request is alive.
type feeding struct {
	io.ReadCloser
	late *deadline
}

func (f *feeding) Read(p []byte) (int, error) {
	f.late.feed()
	return f.ReadCloser.Read(p)
}

// canceling ends a request's context with its body.
type canceling struct {
	io.ReadCloser
	cancel context.CancelCauseFunc
}

func (b *canceling) Close() error {
	err := b.ReadCloser.Close()
	b.cancel(nil)
	return err
}

func closeBody(resp *http.Response) {
	_, _ = io.CopyN(io.Discard, resp.Body, 4096) // a short rest lets the connection be used again
	_ = resp.Body.Close()                        // only read
}

// SameOrigin tells whether two addresses share scheme, host and port.
func SameOrigin(a, b *url.URL) bool {
	return a.Scheme == b.Scheme && strings.EqualFold(a.Hostname(), b.Hostname()) && port(a) == port(b)
}

func port(u *url.URL) string {
	if p := u.Port(); p != "" {
		return p
	}
	if u.Scheme == "https" {
		return "443"
	}
	return "80"
}

func traceID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// URL returns the address of a path below the endpoint. Each part is one path segment or several joined by slashes, not yet
// escaped.
func (c *Client) URL(query string, parts ...string) *url.URL {
	return c.Escaped(query, escapeAll(parts)...)
}

// Escaped is URL for parts that are escaped already.
func (c *Client) Escaped(query string, parts ...string) *url.URL {
	u := *c.Endpoint
	u.RawPath = strings.TrimRight(u.EscapedPath(), "/") + "/" + strings.Join(parts, "/")
	u.Path, _ = url.PathUnescape(u.RawPath) // can't fail: Escape made it
	u.RawQuery = query
	return &u
}

func escapeAll(parts []string) []string {
	out := make([]string, len(parts))
	for i, p := range parts {
		out[i] = Escape(p, true)
	}
	return out
}

// Escape percent-encodes all but letters, digits and ~.-_, as hubs' own clients do; slashes stay if slash says so. Parts that are
// a single dot vanish.
func Escape(s string, slash bool) string {
	if slash && strings.Contains(s, ".") {
		parts := strings.Split(s, "/")
		kept := parts[:0]
		for _, p := range parts {
			if p != "." {
				kept = append(kept, p)
			}
		}
		s = strings.Join(kept, "/")
	}
	var b strings.Builder
	for i := range len(s) {
		ch := s[i]
		switch {
		case 'a' <= ch && ch <= 'z' || 'A' <= ch && ch <= 'Z' || '0' <= ch && ch <= '9' || strings.IndexByte("~.-_", ch) >= 0, ch == '/' && slash:
			b.WriteByte(ch)
		default:
			fmt.Fprintf(&b, "%%%02X", ch)
		}
	}
	return b.String()
}
