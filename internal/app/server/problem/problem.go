// Package problem owns the errors that a client of the server sees: status, code, the field that is wrong, what was expected and
// found, when to try again.
//
// It must not know HTTP handlers nor the form that a dialect gives an error. What it can't explain becomes a 500 whose cause goes
// to the log only.
package problem

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/systemgemma/systemgemma"
)

// Error is what a client is told. Its message says what was expected, what was found and what to do.
type Error struct {
	Status     int    // of HTTP
	Code       string // for programs, such as context_length_exceeded; may be empty
	Param      string // the field that is wrong; may be empty
	Message    string
	RetryAfter time.Duration // 0: trying again does not help
	cause      error
}

func (e *Error) Error() string { return e.Message }
func (e *Error) Unwrap() error { return e.cause }

// The codes that clients act on.
const (
	CodeContextLength = "context_length_exceeded"
	CodeNoModel       = "model_not_found"
	CodeKey           = "invalid_api_key"
	CodeUnsupported   = "unsupported_parameter"
	CodeRate          = "rate_limit_exceeded"
	CodeBusy          = "server_busy"
	CodeDraining      = "server_stopping"
)

// Invalid is a request that can't be honoured because of a field: 400.
func Invalid(param, format string, args ...any) *Error {
	message := fmt.Sprintf(format, args...)
	if param != "" {
		message = param + ": " + message
	}
	return &Error{Status: http.StatusBadRequest, Param: param, Message: message}
}

// Unsupported is a field that is known and can't be honoured: 400.
func Unsupported(param, format string, args ...any) *Error {
	e := Invalid(param, format, args...)
	e.Code = CodeUnsupported
	return e
}

// New is an error of that status.
func New(status int, code, format string, args ...any) *Error {
	return &Error{Status: status, Code: code, Message: fmt.Sprintf(format, args...)}
}

// Later is an error that goes away by waiting: 429 for what the client has too much of, 503 for what the server has.
func Later(status int, code string, after time.Duration, format string, args ...any) *Error {
	return &Error{Status: status, Code: code, RetryAfter: after, Message: fmt.Sprintf(format, args...)}
}

// NoModel is a name that no model has: 404.
func NoModel(format string, args ...any) *Error {
	return &Error{Status: http.StatusNotFound, Code: CodeNoModel, Param: "model", Message: fmt.Sprintf(format, args...)}
}

// internal is what is told of errors that are nobody's business outside.
const internal = "the server failed; its log says why, by the request id in the header x-request-id"

// Of is any error as a client may see it.
func Of(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	if ours := known(err); ours != nil {
		return ours
	}
	return &Error{Status: http.StatusInternalServerError, Message: internal, cause: err}
}

// OfModel is an error of the library about a request: what the client asked for is wrong, unless it is one of those that are the
// server's.
func OfModel(err error) error {
	var e *Error
	if err == nil || errors.As(err, &e) || known(err) != nil || errors.Is(err, systemgemma.ErrNonFinite) || errors.Is(err, systemgemma.ErrFault) {
		return err
	}
	return &Error{Status: http.StatusBadRequest, Message: err.Error(), cause: err}
}

// known explains the errors that have a meaning here; nil: none.
func known(err error) *Error {
	e := &Error{Message: err.Error(), cause: err}
	switch {
	case errors.Is(err, systemgemma.ErrContextLength):
		e.Status, e.Code, e.Param = http.StatusBadRequest, CodeContextLength, "messages"
	case errors.Is(err, systemgemma.ErrQueueFull):
		e.Status, e.Code, e.RetryAfter = http.StatusServiceUnavailable, CodeBusy, 2*time.Second
	case errors.Is(err, systemgemma.ErrClosed):
		e.Status, e.Code, e.RetryAfter = http.StatusServiceUnavailable, CodeDraining, 2*time.Second
	case errors.Is(err, systemgemma.ErrKVMemory):
		e.Status, e.Code = http.StatusServiceUnavailable, CodeBusy
	case errors.Is(err, systemgemma.ErrNonFinite):
		e.Status, e.Message = http.StatusInternalServerError, "the model's weights give logits that are no numbers"
	case errors.Is(err, systemgemma.ErrFault):
		e.Status, e.Message = http.StatusInternalServerError, "the model's file failed while it was in use"
	case errors.Is(err, context.DeadlineExceeded):
		e.Status, e.Code, e.RetryAfter = http.StatusServiceUnavailable, CodeBusy, 5*time.Second
		e.Message = "the server took too long; try again later"
	case errors.Is(err, context.Canceled):
		e.Status, e.Message = StatusClientGone, "the request was cancelled"
	default:
		return nil
	}
	return e
}

// StatusClientGone is logged for requests whose client left; nobody reads it.
const StatusClientGone = 499
