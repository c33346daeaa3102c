// Package scripted replays recorded exchanges for tests: a pair of servers on loopback that answer by rules and keep every request,
// and what lies on disk before and after.
//
// It knows the form of the recordings, and nothing of what is tested.
package scripted

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Servers are the pair of servers of a recorded case: rules say what they answer, and every request is kept.
type Servers struct {
	Hub, CDN *httptest.Server
	Root     string // folder of the case
	Contents map[string]Content

	mu       sync.Mutex
	rules    []*Rule
	requests []Request
}

// Content is a body that cases name.
type Content struct {
	Size   int64
	SHA256 string
	Git    string
	Text   *string
	B64    *string
}

// Bytes are the content.
func (c Content) Bytes() []byte {
	if c.Text != nil {
		return []byte(*c.Text)
	}
	b, err := base64.StdEncoding.DecodeString(*c.B64)
	if err != nil {
		panic(err)
	}
	return b
}

// Rule says which requests it answers, and how.
type Rule struct {
	On struct {
		Method, Path, Host, Query string
		Headers                   map[string]*string
	}
	Respond struct {
		Status     int
		Headers    map[string]string
		Body       json.RawMessage
		Content    string
		From, To   *int
		Chunked    bool
		Gzip       bool
		CutAfter   *int `json:"cut_after"`
		Abort      bool
		StallAfter *int     `json:"stall_after"`
		StallS     *float64 `json:"stall_s"`
	}
	Times *int
	used  int
}

// Request is one that came.
type Request struct {
	Host, Method, Path, Query string
	Headers                   map[string]string
	Body                      string
	SHA256                    string `json:"body_sha256"` // of a recorded body that is not text
	Rule                      *int
}

// BodySum is the hash of a body: recorded, or, of one that came, computed.
func (r Request) BodySum(came bool) string {
	if !came && r.SHA256 != "" {
		return r.SHA256
	}
	return fmt.Sprintf("%x", sha256.Sum256([]byte(r.Body)))
}

// Line is what of a request counts.
func (r Request) Line() string {
	s := r.Host + " " + r.Method + " " + r.Path
	if r.Query != "" {
		s += "?" + r.Query
	}
	for _, h := range []string{"authorization", "range", "content-range"} {
		if v := r.Headers[h]; v != "" {
			s += " " + h + "=" + v
		}
	}
	if r.Method == http.MethodPost {
		s += " " + r.Headers["content-type"] + " " + r.Body
	}
	return s
}

// Start starts the servers of a case. They close with the test.
func Start(t testing.TB, root string, contents map[string]Content, rules []*Rule) *Servers {
	s := &Servers{Root: root, Contents: contents, rules: rules}
	s.Hub = httptest.NewServer(s.handler("hub"))
	s.CDN = httptest.NewServer(s.handler("cdn"))
	t.Cleanup(s.Hub.Close)
	t.Cleanup(s.CDN.Close)
	return s
}

// Fill puts the case's addresses and folder into a text.
func (s *Servers) Fill(text string) string {
	return strings.NewReplacer("{hub}", s.Hub.URL, "{cdn}", s.CDN.URL, "{root}", s.Root,
		"{hubhost}", strings.TrimPrefix(s.Hub.URL, "http://"), "{cdnhost}", strings.TrimPrefix(s.CDN.URL, "http://"),
		"{cdnlocal}", "localhost"+s.CDN.URL[strings.LastIndexByte(s.CDN.URL, ':'):]).Replace(text)
}

func (s *Servers) handler(host string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body bytes.Buffer
		_, _ = body.ReadFrom(r.Body)
		q := Request{Host: host, Method: r.Method, Path: r.URL.EscapedPath(), Query: r.URL.RawQuery, Headers: map[string]string{}, Body: body.String()}
		for k, v := range r.Header {
			q.Headers[strings.ToLower(k)] = v[0]
		}
		s.mu.Lock()
		var found *Rule
		for i, rule := range s.rules {
			if rule.matches(q) {
				rule.used++
				found, q.Rule = rule, &i
				break
			}
		}
		s.requests = append(s.requests, q)
		s.mu.Unlock()
		conn, out, err := w.(http.Hijacker).Hijack()
		if err != nil {
			panic(err)
		}
		defer func() { _ = conn.Close() }()
		if found == nil {
			_, _ = fmt.Fprintf(out, "HTTP/1.1 599 No Rule\r\nContent-Length: 7\r\nConnection: close\r\n\r\nno rule")
			_ = out.Flush()
			return
		}
		if found.Respond.Abort {
			return
		}
		head, payload := s.answer(found, r.Method)
		_, _ = out.WriteString(head)
		if n := found.Respond.StallAfter; n != nil {
			_, _ = out.Write(payload[:*n])
			_ = out.Flush()
			// Silence, until the client leaves.
			_ = conn.SetReadDeadline(time.Now().Add(time.Duration(*found.Respond.StallS * float64(time.Second))))
			_, _ = conn.Read(make([]byte, 1))
			return
		}
		if n := found.Respond.CutAfter; n != nil {
			payload = payload[:*n]
		}
		_, _ = out.Write(payload)
		_ = out.Flush()
	})
}

func (r *Rule) matches(q Request) bool {
	host := r.On.Host
	if host == "" {
		host = "hub"
	}
	if host != q.Host || r.On.Method != q.Method || r.On.Path != q.Path || r.On.Query != "" && r.On.Query != q.Query || r.Times != nil && r.used >= *r.Times {
		return false
	}
	for k, want := range r.On.Headers {
		got, ok := q.Headers[strings.ToLower(k)]
		if want == nil && ok || want != nil && (!ok || *want != "*" && *want != got) {
			return false
		}
	}
	return true
}

// answer returns the header and the body as sent.
func (s *Servers) answer(r *Rule, method string) (string, []byte) {
	body := []byte{}
	switch {
	case r.Respond.Content != "":
		body = s.Contents[r.Respond.Content].Bytes()
		from, to := 0, len(body)
		if r.Respond.From != nil {
			from = *r.Respond.From
		}
		if r.Respond.To != nil {
			to = *r.Respond.To
		}
		body = body[from:to]
	case len(r.Respond.Body) > 0:
		var text string
		if json.Unmarshal(r.Respond.Body, &text) == nil {
			body = []byte(text)
		} else {
			body = []byte(s.Fill(string(r.Respond.Body)))
		}
	}
	headers := map[string]string{}
	for k, v := range r.Respond.Headers {
		headers[k] = s.Fill(v)
	}
	if r.Respond.Gzip {
		var z bytes.Buffer
		w := gzip.NewWriter(&z)
		_, _ = w.Write(body)
		_ = w.Close()
		body = z.Bytes()
		headers["Content-Encoding"] = "gzip"
	}
	if r.Respond.Chunked {
		headers["Transfer-Encoding"] = "chunked"
	} else if _, ok := headers["Content-Length"]; !ok {
		headers["Content-Length"] = strconv.Itoa(len(body))
	}
	if r.Respond.Chunked {
		half := len(body) / 2
		body = fmt.Appendf(nil, "%x\r\n%s\r\n%x\r\n%s\r\n0\r\n\r\n", half, body[:half], len(body)-half, body[half:])
	}
	status := r.Respond.Status
	if status == 0 {
		status = 200
	}
	var h strings.Builder
	fmt.Fprintf(&h, "HTTP/1.1 %d %s\r\nConnection: close\r\n", status, http.StatusText(status))
	keys := make([]string, 0, len(headers))
	for k := range headers {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	for _, k := range keys {
		if headers[k] != "None" {
			fmt.Fprintf(&h, "%s: %s\r\n", k, headers[k])
		}
	}
	h.WriteString("\r\n")
	if method == http.MethodHead {
		body = nil
	}
	return h.String(), body
}

// Made returns the requests so far.
func (s *Servers) Made() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// Asked returns their lines.
func (s *Servers) Asked() []string {
	lines := []string{}
	for _, r := range s.Made() {
		lines = append(lines, r.Line())
	}
	return lines
}
