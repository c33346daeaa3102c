package server

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/systemgemma/systemgemma"
	"github.com/systemgemma/systemgemma/internal/app/server/access"
	"github.com/systemgemma/systemgemma/internal/app/server/option"
	"github.com/systemgemma/systemgemma/internal/app/server/problem"
)

// call is one request on its way. It is in the request's context.
type call struct {
	server *Server
	id     string
	key    string // name of the API key
	w      *writer
	err    error // of the endpoint
}

type callKey struct{}

func callOf(r *http.Request) *call {
	c, _ := r.Context().Value(callKey{}).(*call)
	return c
}

// KeyName is the name of the API key that a request came with; "" without keys.
func KeyName(r *http.Request) string { return callOf(r).key }

// RequestID is what x-request-id says.
func RequestID(r *http.Request) string { return callOf(r).id }

// writer notes what an answer began with.
type writer struct {
	http.ResponseWriter
	status int // 0: nothing sent yet
	bytes  int64
}

func (w *writer) WriteHeader(status int) {
	if w.status == 0 && status >= 200 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *writer) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	n, err := w.ResponseWriter.Write(p)
	w.bytes += int64(n)
	return n, err
}

// Unwrap lets http.ResponseController find what it needs.
func (w *writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// serve is the way of every request.
func (s *Server) serve(hw http.ResponseWriter, r *http.Request) {
	start := time.Now()
	c := &call{server: s, id: requestID(r), w: &writer{ResponseWriter: hw}}
	w := c.w
	w.Header().Set("X-Request-Id", c.id)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	ctx, cancel := context.WithCancelCause(context.WithValue(r.Context(), callKey{}, c))
	defer cancel(nil)
	defer context.AfterFunc(s.stop, func() { cancel(context.Cause(s.stop)) })()
	r = r.WithContext(ctx)
	e, err := s.route(r)
	if err == nil && e.server == nil {
		err = s.run(e, c, r) // no endpoint of the mux
	} else if err == nil {
		s.mux.ServeHTTP(w, r) // sets the path's values, and calls run
		err = c.err
	}
	name := "none"
	if e != nil {
		name = e.Pattern
	}
	if err != nil {
		s.fail(c, r, err)
	}
	if w.status == 0 {
		w.status = problem.StatusClientGone // for the books
	}
	took := time.Since(start)
	s.metrics.request(name, w.status, took)
	level := slog.LevelInfo
	if e != nil && e.page && w.status < 400 {
		level = slog.LevelDebug // a page is many files
	}
	s.log.LogAttrs(ctx, level, "request", slog.String("id", c.id), slog.String("method", r.Method), slog.String("endpoint", name),
		slog.Int("status", w.status), slog.Int64("bytes", w.bytes), slog.Float64("seconds", took.Seconds()), slog.String("key", c.key))
}

// requestID is the client's, if it is short and plain, else a new one.
func requestID(r *http.Request) string {
	id := r.Header.Get("X-Request-Id")
	if id == "" || len(id) > 128 || strings.ContainsFunc(id, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return rand.Text()
	}
	return id
}

// route finds the endpoint of a request, and says what is wrong if there is none.
func (s *Server) route(r *http.Request) (*endpoint, error) {
	if e := s.find(r, r.Method); e != nil {
		return e, nil
	}
	if r.Method == http.MethodOptions {
		return &endpoint{Route: Route{Pattern: "OPTIONS", Open: true, Handle: preflight}}, nil
	}
	var allowed []string
	for _, m := range []string{http.MethodGet, http.MethodPost, http.MethodDelete} {
		if s.find(r, m) != nil {
			allowed = append(allowed, m)
		}
	}
	if len(allowed) > 0 {
		return nil, problem.New(http.StatusMethodNotAllowed, "", "%.100s takes %s, not %.20s", r.URL.Path, strings.Join(allowed, " and "), r.Method)
	}
	return nil, problem.New(http.StatusNotFound, "", "nothing is at %.100s%s", r.URL.Path, s.around(r.URL.Path))
}

// around tells what is there instead: the endpoints below the prefix of a path's dialect, or where dialects are spoken.
func (s *Server) around(path string) string {
	dialect, prefix := s.dialectAt(path)
	var there []string
	if prefix == "" {
		for _, d := range s.dialects {
			there = append(there, d.Prefixes...)
		}
	} else {
		for _, x := range s.Routes() {
			if _, at, _ := strings.Cut(x.Pattern, " "); strings.HasPrefix(at, prefix) && !slices.Contains(there, at) {
				if d, _ := s.dialectAt(at); d == dialect {
					there = append(there, at)
				}
			}
		}
	}
	if len(there) == 0 {
		return ""
	}
	return "; there are " + strings.Join(there, ", ")
}

// find is the endpoint of a request if it had that method. Pages don't answer where a dialect is spoken.
func (s *Server) find(r *http.Request, method string) *endpoint {
	try := *r
	try.Method = method
	h, _ := s.mux.Handler(&try)
	e, _ := h.(*endpoint) // else the mux's own: nothing there, or a redirect to a cleaned path
	if e != nil && e.page && s.dialectOf(r.URL.Path) != &s.dialects[0] {
		return nil
	}
	return e
}

// run checks who asks and lets the endpoint answer. A panic becomes an error that names it.
func (s *Server) run(e *endpoint, c *call, r *http.Request) (err error) {
	defer func() {
		if p := recover(); p != nil {
			if p == http.ErrAbortHandler { //nolint:errorlint // the value itself is the signal
				panic(p)
			}
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	if err := s.cfg.Policy.CheckHost(r); err != nil {
		return err
	}
	allow, err := s.cfg.Policy.CheckOrigin(r)
	if err != nil {
		return err
	}
	if len(s.cfg.Policy.Origins) > 0 {
		c.w.Header().Add("Vary", "Origin")
	}
	if allow != "" {
		c.w.Header().Set("Access-Control-Allow-Origin", allow)
		c.w.Header().Set("Access-Control-Expose-Headers", "X-Request-Id, Request-Id, X-System-Mode, Retry-After")
	}
	if !e.Open {
		if c.key, err = s.cfg.Keys.Check(r); err != nil {
			c.w.Header().Set("WWW-Authenticate", "Bearer")
			return err
		}
		if s.cfg.Keys.Several() && !s.cfg.ShareCache {
			r = r.WithContext(systemgemma.WithCacheScope(r.Context(), c.key)) // else the time that prompts take would tell what others ask
		}
	}
	if e.Work {
		leave, err := s.gate.Enter(r.Context(), c.key)
		if err != nil {
			return err
		}
		defer leave()
	}
	return e.Handle(c.w, r)
}

// preflight answers a browser that asks what a page of an allowed origin may send.
func preflight(w http.ResponseWriter, r *http.Request) error {
	if w.Header().Get("Access-Control-Allow-Origin") == "" {
		return problem.New(http.StatusMethodNotAllowed, "", "OPTIONS is answered to pages of allowed origins only")
	}
	w.Header().Set("Access-Control-Allow-Methods", "GET, POST, DELETE")
	w.Header().Set("Access-Control-Allow-Headers", "Authorization, Content-Type, X-Api-Key, X-Request-Id, Anthropic-Version, Anthropic-Beta, Anthropic-Dangerous-Direct-Browser-Access, X-Stainless-Arch, X-Stainless-Lang, X-Stainless-OS, "+
		"X-Stainless-Package-Version, X-Stainless-Retry-Count, X-Stainless-Runtime, X-Stainless-Runtime-Version, X-Stainless-Timeout")
	w.Header().Set("Access-Control-Max-Age", "600")
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// fail writes an error in the dialect's form, unless an answer has begun, and logs what is the server's own fault.
func (s *Server) fail(c *call, r *http.Request, err error) {
	p := problem.Of(err)
	if p.Status >= 500 && p.Unwrap() != nil {
		s.log.Error("request failed", "id", c.id, "error", p.Unwrap())
	} else {
		s.log.Debug("request refused", "id", c.id, "error", p.Message)
	}
	if c.w.status != 0 {
		return
	}
	if p.Status == problem.StatusClientGone {
		if cause := context.Cause(r.Context()); errors.Is(cause, errStopping) {
			p = errStopping
		}
	}
	if p.RetryAfter > 0 {
		c.w.Header().Set("Retry-After", strconv.Itoa(int((p.RetryAfter+time.Second-1)/time.Second)))
	}
	s.dialectOf(r.URL.Path).Error(c.w, p)
}

// ReadJSON reads a request's body: a JSON object within the server's bounds.
func ReadJSON(r *http.Request) (*option.Fields, error) {
	body, err := ReadBody(r)
	if err != nil {
		return nil, err
	}
	return option.Decode(body)
}

// ReadBody reads a body of JSON within the server's bounds. What a page sent must say that it is JSON.
func ReadBody(r *http.Request) ([]byte, error) {
	c := callOf(r)
	if enc := r.Header.Get("Content-Encoding"); enc != "" && enc != "identity" {
		return nil, problem.New(http.StatusUnsupportedMediaType, "", "want a body as it is, found Content-Encoding %.40q", enc)
	}
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); access.FromBrowser(r) && (err != nil || kind != "application/json") {
		return nil, problem.New(http.StatusUnsupportedMediaType, "", "want Content-Type: application/json of a page, found %.60q", r.Header.Get("Content-Type"))
	}
	most := c.server.cfg.MaxBody
	tooLong := problem.New(http.StatusRequestEntityTooLarge, "", "want a body of at most %d bytes, found more", most)
	if r.ContentLength > most {
		return nil, tooLong
	}
	_ = http.NewResponseController(c.w).SetReadDeadline(time.Now().Add(time.Minute)) // a test's writer has none
	body, err := io.ReadAll(http.MaxBytesReader(c.w, r.Body, most))
	_ = http.NewResponseController(c.w).SetReadDeadline(time.Time{})
	switch {
	case errors.As(err, new(*http.MaxBytesError)):
		return nil, tooLong
	case err != nil:
		return nil, problem.New(http.StatusBadRequest, "", "the body could not be read: it was cut, or took longer than a minute")
	}
	return body, nil
}

// Unknown counts the members of a request that nobody knows.
func Unknown(r *http.Request, f *option.Fields) {
	if n := len(f.Rest()); n > 0 {
		callOf(r).server.metrics.unknown.Add(int64(n))
	}
}

// Reply answers with JSON.
func Reply(w http.ResponseWriter, status int, x any) error {
	body, err := Marshal(x)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, err = w.Write(append(body, '\n'))
	return gone(err)
}

// encoder writes JSON into a buffer that serves again: a stream has a piece for every token.
type encoder struct {
	buf  bytes.Buffer
	json *json.Encoder
}

var encoders = sync.Pool{New: func() any {
	e := &encoder{}
	e.json = json.NewEncoder(&e.buf)
	e.json.SetEscapeHTML(false)
	return e
}}

// Marshal is x as JSON. Letters such as < stay as they are: this is no HTML.
func Marshal(x any) ([]byte, error) {
	e, _ := encoders.Get().(*encoder) // nothing else is there
	e.buf.Reset()
	if err := e.json.Encode(x); err != nil {
		return nil, err
	}
	body := bytes.Clone(bytes.TrimSuffix(e.buf.Bytes(), []byte("\n")))
	if e.buf.Cap() <= 64<<10 { // long ones are few
		encoders.Put(e)
	}
	return body, nil
}

// gone is the error of a write that the client did not take.
func gone(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", context.Canceled, err)
}
