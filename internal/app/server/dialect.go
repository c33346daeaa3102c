package server

import (
	"net/http"
	"strings"

	"github.com/systemgemma/systemgemma/internal/app/server/problem"
)

// Dialect is a family of endpoints with one form of errors.
type Dialect struct {
	Name string // in metrics and logs
	// Prefixes are the paths whose errors have this form, also of requests that no endpoint takes. The longest that fits counts.
	Prefixes []string
	Routes   []Route
	// Error writes an error: status, headers Content-Type and those that clients want, body. x-request-id and Retry-After are set.
	Error func(w http.ResponseWriter, e *problem.Error)
}

// Route is an endpoint.
type Route struct {
	Pattern string // of http.ServeMux: "POST /v1/completions"
	Handle  Handler
	Work    bool // it computes: the gate lets it in, each key in turn
	Open    bool // it needs no API key
	Binary  bool // its body is no JSON, and as long as the handler wants
}

// Handler answers a request, or returns an error, which is then written in the dialect's form unless the answer has begun. Errors that
// are not of package problem become a 500 and are logged.
type Handler func(w http.ResponseWriter, r *http.Request) error

// Add adds a dialect, before Serve. Patterns that were added before panic.
func (s *Server) Add(d Dialect) {
	s.dialects = append(s.dialects, d)
	for i := range d.Routes {
		s.mux.Handle(d.Routes[i].Pattern, &endpoint{Route: d.Routes[i], server: s})
	}
}

// Routes are the endpoints of all dialects, but for what is mounted.
func (s *Server) Routes() (all []Route) {
	for _, d := range s.dialects {
		all = append(all, d.Routes...)
	}
	return all
}

// Mount serves a handler of static files at a pattern, such as "GET /": without a key, since a page must be there to ask for one.
func (s *Server) Mount(pattern string, h http.Handler) {
	s.mux.Handle(pattern, &endpoint{server: s, page: true, Route: Route{Pattern: pattern, Open: true, Handle: func(w http.ResponseWriter, r *http.Request) error {
		h.ServeHTTP(w, r)
		return nil
	}}})
}

// endpoint is a route on the mux, which finds it and the values in its path.
type endpoint struct {
	Route
	server *Server
	page   bool
}

// ServeHTTP is called by the mux, amid Server.serve.
func (e *endpoint) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	c := callOf(r)
	c.err = e.server.run(e, c, r)
}

// dialectOf is the dialect of a path's errors.
func (s *Server) dialectOf(path string) *Dialect {
	d, _ := s.dialectAt(path)
	return d
}

// dialectAt is the dialect with the longest prefix of a path, else the server's own, which has none.
func (s *Server) dialectAt(path string) (best *Dialect, prefix string) {
	best = &s.dialects[0]
	for i := range s.dialects {
		for _, p := range s.dialects[i].Prefixes {
			if strings.HasPrefix(path, p) && len(p) > len(prefix) {
				best, prefix = &s.dialects[i], p
			}
		}
	}
	return best, prefix
}

// WriteOpenAIError writes an error as OpenAI does, which most programs read: {"error": {"message", "type", "param", "code"}}.
func WriteOpenAIError(w http.ResponseWriter, e *problem.Error) {
	_ = Reply(w, e.Status, OpenAIError(e)) // the client has left, or the form can't fail
}

// OpenAIError is an error as OpenAI's clients read it, also in streams.
func OpenAIError(e *problem.Error) any {
	type body struct {
		Message string  `json:"message"`
		Type    string  `json:"type"`
		Param   *string `json:"param"`
		Code    *string `json:"code"`
	}
	b := body{Message: e.Message, Type: errorType(e.Status)}
	if e.Param != "" {
		b.Param = &e.Param
	}
	if e.Code != "" {
		b.Code = &e.Code
	}
	return map[string]any{"error": b}
}

func errorType(status int) string {
	switch {
	case status == http.StatusUnauthorized:
		return "authentication_error"
	case status == http.StatusForbidden:
		return "permission_error"
	case status == http.StatusNotFound:
		return "not_found_error"
	case status == http.StatusTooManyRequests:
		return "rate_limit_error"
	case status == http.StatusServiceUnavailable:
		return "overloaded_error"
	case status >= 500:
		return "server_error"
	}
	return "invalid_request_error"
}
