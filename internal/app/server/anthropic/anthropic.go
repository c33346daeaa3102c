// Package anthropic is Anthropic's dialect: messages, whole or as a stream of named events, and the count of their tokens.
//
// It owns the forms of requests and answers. What options mean is package option's, how a conversation is answered package talk's, how
// tools are offered package tools', who may ask and how answers are sent package server's.
package anthropic

import (
	"net/http"

	"github.com/systemgemma/systemgemma/internal/app/server"
	"github.com/systemgemma/systemgemma/internal/app/server/problem"
	"github.com/systemgemma/systemgemma/internal/app/server/talk"
)

// dialect answers for one server.
type dialect struct{ server *server.Server }

// New makes the dialect for a server.
func New(s *server.Server) server.Dialect {
	d := &dialect{s}
	return server.Dialect{
		Name: "anthropic", Prefixes: []string{"/v1/messages"}, Error: writeError,
		Routes: []server.Route{
			{Pattern: "POST /v1/messages", Work: true, Handle: d.messages},
			{Pattern: "POST /v1/messages/count_tokens", Handle: d.countTokens},
		},
	}
}

// messages answers POST /v1/messages.
func (d *dialect) messages(w http.ResponseWriter, r *http.Request) error {
	f, err := server.ReadJSON(r)
	if err != nil {
		return err
	}
	q, err := d.read(r, f)
	if err != nil {
		return err
	}
	defer q.Lease.Release()
	server.Unknown(r, f)
	switch {
	case !q.Want.MaxTokensGiven:
		return problem.Invalid("max_tokens", "want how many tokens the answer may have, found none")
	case q.Want.MaxTokens == 0:
		return problem.Invalid("max_tokens", "want 1 or more, found 0; /v1/messages/count_tokens counts a prompt")
	}
	sign(w, r)
	w.Header().Set("X-System-Mode", q.Mode())
	if q.stream {
		return q.send(w, r)
	}
	result, err := talk.Collect(q.Answer(r.Context(), 0), nil)
	if err != nil {
		return err
	}
	return server.Reply(w, http.StatusOK, q.whole(result))
}

// countTokens answers POST /v1/messages/count_tokens: how long the prompt of a request is, without running it.
func (d *dialect) countTokens(w http.ResponseWriter, r *http.Request) error {
	f, err := server.ReadJSON(r)
	if err != nil {
		return err
	}
	q, err := d.read(r, f)
	if err != nil {
		return err
	}
	defer q.Lease.Release()
	server.Unknown(r, f)
	sign(w, r)
	return server.Reply(w, http.StatusOK, map[string]int{"input_tokens": len(q.IDs)})
}

// sign tells the request's id by the header that Anthropic's clients read.
func sign(w http.ResponseWriter, r *http.Request) { w.Header().Set("Request-Id", server.RequestID(r)) }

// failure is an error as Anthropic's clients read it, also in streams.
type failure struct {
	Type      string `json:"type"` // error
	Error     reason `json:"error"`
	RequestID string `json:"request_id"`
}

type reason struct {
	Type    string `json:"type"`
	Message string `json:"message"`
}

func failed(e *problem.Error, id string) failure {
	x := failure{"error", reason{errorType(e.Status), e.Message}, id}
	if e.Code == problem.CodeContextLength {
		x.Error.Message = "prompt is too long: " + e.Message // clients look for these words
	}
	return x
}

func errorType(status int) string {
	switch status {
	case http.StatusUnauthorized:
		return "authentication_error"
	case http.StatusForbidden:
		return "permission_error"
	case http.StatusNotFound:
		return "not_found_error"
	case http.StatusRequestEntityTooLarge:
		return "request_too_large"
	case http.StatusTooManyRequests:
		return "rate_limit_error"
	case http.StatusServiceUnavailable:
		return "overloaded_error"
	}
	if status >= http.StatusInternalServerError {
		return "api_error"
	}
	return "invalid_request_error"
}

func writeError(w http.ResponseWriter, e *problem.Error) {
	id := w.Header().Get("X-Request-Id")
	w.Header().Set("Request-Id", id)
	_ = server.Reply(w, e.Status, failed(e, id)) // the client has left, or the form can't fail
}
