package hub

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/systemgemma/systemgemma/internal/app/cli/wholefile"
	"github.com/systemgemma/systemgemma/internal/app/hub/download"
	"github.com/systemgemma/systemgemma/internal/app/hub/wire"
)

const lfsType = "application/vnd.git-lfs+json"

// answerLimit is how long the answer to an upload may take once all of it was sent.
const answerLimit = 2 * time.Minute

// lfsObject is a large file as the hub's LFS interface names it.
type lfsObject struct {
	OID  string `json:"oid"`
	Size int64  `json:"size"`
}

type lfsAnswer struct {
	lfsObject
	Error   *lfsError              `json:"error"`
	Actions map[string]*lfsActions `json:"actions"`
}

type lfsError struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
}

// lfsActions is where something is to be sent. Of the header, only the parts of an upload in parts count.
type lfsActions struct {
	Href   string                     `json:"href"`
	Header map[string]json.RawMessage `json:"header"`
}

// pushLarge brings the large files to the hub that it has not. Files that it ignores stay here.
func (c *Client) pushLarge(ctx context.Context, r CommitRequest, adds []*upload) error {
	var objects []lfsObject
	byOID := map[string]*upload{}
	for _, u := range adds {
		if u.mode != "lfs" || u.ignored {
			continue
		}
		if err := u.hash(ctx); err != nil {
			return err
		}
		if byOID[u.sha256] == nil {
			byOID[u.sha256] = u
			objects = append(objects, lfsObject{u.sha256, u.size})
		}
	}
	for at := 0; at < len(objects); at += preuploadAt {
		if err := c.pushBatch(ctx, r, objects[at:min(at+preuploadAt, len(objects))], byOID); err != nil {
			return err
		}
	}
	return nil
}

func (u *upload) hash(ctx context.Context) error {
	f, err := u.open()
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // only read
	h := sha256.New()
	n, err := io.CopyBuffer(h, struct{ io.Reader }{f}, make([]byte, 1<<20))
	if err == nil && n != u.size {
		err = fmt.Errorf("%s changed while it was read: %d bytes, were %d", u.path, n, u.size)
	}
	u.sha256 = fmt.Sprintf("%x", h.Sum(nil))
	return errors.Join(err, ctx.Err())
}

func (c *Client) pushBatch(ctx context.Context, r CommitRequest, objects []lfsObject, byOID map[string]*upload) error {
	type ref struct {
		Name string `json:"name"`
	}
	body := struct {
		Operation string      `json:"operation"`
		Transfers []string    `json:"transfers"`
		Objects   []lfsObject `json:"objects"`
		Algo      string      `json:"hash_algo"`
		Ref       *ref        `json:"ref,omitempty"`
	}{"upload", []string{"basic", "multipart"}, objects, "sha256", &ref{r.Revision}}
	if r.PR {
		body.Ref = nil // the pull request's branch has no name yet
	}
	var answer struct {
		Objects []lfsAnswer `json:"objects"`
	}
	at := c.wire.Escaped("", r.Repo.path()+".git", "info", "lfs", "objects", "batch")
	s := wire.Subject{Repo: r.Repo.ID, Revision: r.Revision}
	if err := c.post(ctx, wire.Request{URL: at, Type: lfsType, Header: http.Header{"Accept": {lfsType}}, Retry: true, Subject: s}, body, &answer); err != nil {
		return err
	}
	told := map[string]bool{}
	for _, a := range answer.Objects {
		u := byOID[a.OID]
		if u == nil {
			return c.wire.Strange(s, at, "it wants a large file %.80q that was not offered", a.OID)
		}
		told[a.OID] = true
		if a.Error != nil {
			return fmt.Errorf("%s: the hub does not take it: %s (%d)", u.path, printable(a.Error.Message), a.Error.Code)
		}
		if err := c.pushObject(ctx, r, u, a, s, at); err != nil {
			return fmt.Errorf("upload of %s: %w", u.path, err)
		}
	}
	for _, o := range objects {
		if !told[o.OID] {
			return c.wire.Strange(s, at, "it says nothing of the large file %s", o.OID)
		}
	}
	return nil
}

func printable(s string) string { return fmt.Sprintf("%.300q", s) }

// pushObject uploads one large file, unless the hub has it.
func (c *Client) pushObject(ctx context.Context, r CommitRequest, u *upload, a lfsAnswer, s wire.Subject, at *url.URL) error {
	s.File = u.path
	up := a.Actions["upload"]
	if up == nil {
		return nil
	}
	href, err := c.uploadLink(s, at, up.Href)
	if err != nil {
		return err
	}
	if chunk, parts := up.Header["chunk_size"]; parts {
		err = c.pushParts(ctx, r, u, s, at, up, chunk, href)
	} else {
		_, err = c.put(ctx, u, s, href, 0, u.size)
	}
	if err != nil {
		return err
	}
	verify := a.Actions["verify"]
	if verify == nil {
		return nil
	}
	to, err := c.uploadLink(s, at, verify.Href)
	if err != nil {
		return err
	}
	return c.post(ctx, wire.Request{URL: to, Retry: true, Limit: answerLimit, Subject: s}, lfsObject{u.sha256, u.size}, nil)
}

// uploadLink reads an address that the hub gives. The token goes there only if it is the hub's own.
func (c *Client) uploadLink(s wire.Subject, at *url.URL, href string) (*url.URL, error) {
	u, err := at.Parse(href)
	if href == "" || err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || at.Scheme == "https" && u.Scheme == "http" {
		return nil, c.wire.Strange(s, at, "it sends uploads to %.200q", href)
	}
	return u, nil
}

// put sends a piece of a file, without the token: the link is signed.
func (c *Client) put(ctx context.Context, u *upload, s wire.Subject, to *url.URL, from, size int64) (etag string, err error) {
	resp, err := c.wire.Do(ctx, wire.Request{
		Method: http.MethodPut, URL: to, NoToken: true, Retry: true, Limit: answerLimit, Subject: s,
		Upload: &wire.Upload{Size: size, Open: func() (io.ReadCloser, error) { return c.pieceOf(ctx, u, from, size) }},
	})
	if err != nil {
		return "", err
	}
	return resp.Header.Get("Etag"), resp.Body.Close()
}

// pieceOf reads a piece of a file at the client's rate, and reports how far it is.
func (c *Client) pieceOf(ctx context.Context, u *upload, from, size int64) (io.ReadCloser, error) {
	f, err := u.open()
	if err != nil {
		return nil, err
	}
	if from > 0 {
		if _, err := f.(io.Seeker).Seek(from, io.SeekStart); err != nil {
			return nil, errors.Join(err, f.Close())
		}
	}
	done := from
	r := c.limit.Reader(ctx, c.o.Clock, io.LimitReader(f, size), func(n int) {
		done += int64(n)
		if c.o.Report != nil {
			c.report.Lock()
			defer c.report.Unlock()
			c.o.Report(download.Progress{Name: u.path, Done: done, Total: u.size})
		}
	})
	return struct {
		io.Reader
		io.Closer
	}{r, f}, nil
}

// partial is an upload in parts that was interrupted: its links may still be good.
type partial struct {
	Hub, Repo string
	OID       string
	Size      int64
	Chunk     int64
	Href      string
	Links     []string
	Etags     []string // of the parts that are there, from the first
	Made      time.Time
}

// partialAge is how long links are tried: hubs sign them for about a day.
const partialAge = 20 * time.Hour

// pushParts uploads a file in parts, after those of an interrupted upload whose links are still good.
func (c *Client) pushParts(ctx context.Context, r CommitRequest, u *upload, s wire.Subject, at *url.URL, up *lfsActions, chunk json.RawMessage, href *url.URL) error {
	size, err := strconv.ParseInt(text(chunk), 10, 64)
	if err != nil || size <= 0 {
		return c.wire.Strange(s, at, "parts of %.40s bytes", chunk)
	}
	var numbers []int
	links := map[int]string{}
	for key, value := range up.Header {
		if n, err := strconv.Atoi(key); err == nil && key[0] >= '0' && key[0] <= '9' {
			numbers = append(numbers, n)
			links[n] = text(value)
		}
	}
	slices.Sort(numbers)
	want := (u.size + size - 1) / size
	if int64(len(numbers)) != want || numbers[0] != 1 || numbers[len(numbers)-1] != len(numbers) {
		return c.wire.Strange(s, at, "%d links for a file of %d bytes in parts of %d, want %d", len(numbers), u.size, size, want)
	}
	p := partial{Hub: c.wire.Endpoint.String(), Repo: r.Repo.path(), OID: u.sha256, Size: u.size, Chunk: size, Href: href.String(), Made: time.Now()}
	for _, n := range numbers {
		p.Links = append(p.Links, links[n])
	}
	if old, ok := c.interrupted(&p); ok {
		switch err := c.sendParts(ctx, u, s, at, &old); {
		case err == nil:
			return nil
		case slices.Contains([]wire.Kind{wire.LinkRefused, wire.Forbidden, wire.NotFound, wire.BadRequest}, wire.KindOf(err)):
			c.o.Notice(fmt.Sprintf("%s: the parts of the interrupted upload can't be used any more; beginning it anew", u.path))
		default:
			return err
		}
	}
	return c.sendParts(ctx, u, s, at, &p)
}

// text is a JSON string's text, or a number's digits.
func text(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return s
	}
	return string(raw)
}

func (c *Client) sendParts(ctx context.Context, u *upload, s wire.Subject, at *url.URL, p *partial) error {
	for i := len(p.Etags); i < len(p.Links); i++ {
		to, err := c.uploadLink(s, at, p.Links[i])
		if err != nil {
			return err
		}
		from := int64(i) * p.Chunk
		etag, err := c.put(ctx, u, s, to, from, min(p.Chunk, p.Size-from))
		if err != nil {
			return err
		}
		if etag == "" {
			return c.wire.Strange(s, to, "no ETag for part %d", i+1)
		}
		p.Etags = append(p.Etags, etag)
		if err := c.keepPartial(p); err != nil {
			return err
		}
	}
	type part struct {
		Number int    `json:"partNumber"`
		Etag   string `json:"etag"`
	}
	body := struct {
		OID   string `json:"oid"`
		Parts []part `json:"parts"`
	}{OID: p.OID}
	for i, e := range p.Etags {
		body.Parts = append(body.Parts, part{i + 1, e})
	}
	href, err := c.uploadLink(s, at, p.Href)
	if err != nil {
		return err
	}
	// The link is signed, too: no token, although it may lead to the hub.
	err = c.post(ctx, wire.Request{URL: href, Type: lfsType, NoToken: true, Limit: answerLimit, Subject: s}, body, nil)
	if err == nil {
		c.dropPartial(p)
	}
	return err
}

func (c *Client) partialPath(p *partial) string {
	sum := sha256.Sum256([]byte(p.Hub + "\n" + p.Repo + "\n" + p.OID))
	return filepath.Join(c.o.Uploads, fmt.Sprintf("%x.json", sum[:16]))
}

// interrupted finds what is known of the same upload.
func (c *Client) interrupted(p *partial) (old partial, ok bool) {
	if c.o.Uploads == "" {
		return old, false
	}
	f, err := os.Open(c.partialPath(p))
	if err != nil {
		return old, false
	}
	defer func() { _ = f.Close() }() // only read
	b, err := io.ReadAll(io.LimitReader(f, wire.MaxJSON))
	if err != nil || json.Unmarshal(b, &old) != nil {
		return old, false
	}
	return old, old.Hub == p.Hub && old.Repo == p.Repo && old.OID == p.OID && old.Size == p.Size && old.Chunk > 0 &&
		int64(len(old.Links)) == (old.Size+old.Chunk-1)/old.Chunk && len(old.Etags) <= len(old.Links) && time.Since(old.Made) < partialAge
}

func (c *Client) keepPartial(p *partial) error {
	if c.o.Uploads == "" {
		return nil
	}
	if err := os.MkdirAll(c.o.Uploads, 0o700); err != nil {
		return err
	}
	return wholefile.Write(c.partialPath(p), 0o600, func(w io.Writer) error { return json.NewEncoder(w).Encode(p) }) // links are secrets
}

func (c *Client) dropPartial(p *partial) {
	if c.o.Uploads != "" {
		_ = os.Remove(c.partialPath(p)) // one that stays is too old some day
	}
}
