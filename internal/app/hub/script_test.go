package hub_test

import (
	"bytes"
	"compress/gzip"
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

// scripted is the pair of servers of a recorded case: rules say what they answer, and every request is kept.
type scripted struct {
	hub, cdn *httptest.Server
	root     string
	contents map[string]content

	mu       sync.Mutex
	rules    []*rule
	requests []request
}

type content struct {
	Size   int64
	SHA256 string
	Git    string
	Text   *string
	B64    *string
}

func (c content) bytes() []byte {
	if c.Text != nil {
		return []byte(*c.Text)
	}
	b, err := base64.StdEncoding.DecodeString(*c.B64)
	if err != nil {
		panic(err)
	}
	return b
}

type rule struct {
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

type request struct {
	Host, Method, Path, Query string
	Headers                   map[string]string
	Body                      string
	Rule                      *int
}

// line is what of a request counts.
func (r request) line() string {
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

func startScript(t *testing.T, root string, contents map[string]content, rules []*rule) *scripted {
	s := &scripted{root: root, contents: contents, rules: rules}
	s.hub = httptest.NewServer(s.handler("hub"))
	s.cdn = httptest.NewServer(s.handler("cdn"))
	t.Cleanup(s.hub.Close)
	t.Cleanup(s.cdn.Close)
	return s
}

// fill puts the case's addresses and folder into a text.
func (s *scripted) fill(text string) string {
	return strings.NewReplacer("{hub}", s.hub.URL, "{cdn}", s.cdn.URL, "{root}", s.root,
		"{hubhost}", strings.TrimPrefix(s.hub.URL, "http://"), "{cdnhost}", strings.TrimPrefix(s.cdn.URL, "http://")).Replace(text)
}

func (s *scripted) handler(host string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body bytes.Buffer
		_, _ = body.ReadFrom(r.Body)
		q := request{Host: host, Method: r.Method, Path: r.URL.EscapedPath(), Query: r.URL.RawQuery, Headers: map[string]string{}, Body: body.String()}
		for k, v := range r.Header {
			q.Headers[strings.ToLower(k)] = v[0]
		}
		s.mu.Lock()
		var found *rule
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
			time.Sleep(time.Duration(*found.Respond.StallS * float64(time.Second)))
			return
		}
		if n := found.Respond.CutAfter; n != nil {
			payload = payload[:*n]
		}
		_, _ = out.Write(payload)
		_ = out.Flush()
	})
}

func (r *rule) matches(q request) bool {
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
func (s *scripted) answer(r *rule, method string) (string, []byte) {
	body := []byte{}
	switch {
	case r.Respond.Content != "":
		body = s.contents[r.Respond.Content].bytes()
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
			body = []byte(s.fill(string(r.Respond.Body)))
		}
	}
	headers := map[string]string{}
	for k, v := range r.Respond.Headers {
		headers[k] = s.fill(v)
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

// made returns the requests so far.
func (s *scripted) made() []request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// asked returns their lines.
func (s *scripted) asked() []string {
	lines := []string{}
	for _, r := range s.made() {
		lines = append(lines, r.line())
	}
	return lines
}
