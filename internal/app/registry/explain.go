package registry

import (
	"errors"
	"fmt"
	"strings"

	"github.com/systemgemma/systemgemma/internal/app/hub/names"
	"github.com/systemgemma/systemgemma/internal/app/hub/wire"
)

// Error is a request that a registry didn't answer as wanted. Err is the *wire.Error.
type Error struct {
	Name     names.OllamaName
	Registry string // its address
	Err      *wire.Error
}

func (e *Error) Unwrap() error { return e.Err }

// Error says what was expected, what was found and what to do next, with the server's own words at the end.
func (e *Error) Error() string {
	var b strings.Builder
	w := e.Err
	found := fmt.Sprintf("status %d", w.Status)
	if w.Cause != nil {
		found = w.Cause.Error()
	}
	switch w.Kind {
	case wire.Unreachable:
		fmt.Fprintf(&b, "can't reach %s: %s; check the connection and the proxy variables, then run the same command again", e.Registry, found)
	case wire.TLS:
		fmt.Fprintf(&b, "no safe connection to %s: %s", e.Registry, found)
		if strings.Contains(found, "http instead of https") {
			b.WriteString(" (--insecure does that)")
		}
	case wire.NotAHub:
		fmt.Fprintf(&b, "the answer of %s is not that of an Ollama registry: %s; check the host of the name, the proxy, and whether this network "+
			"wants a login in a browser first", e.Registry, found)
	case wire.NotFound, wire.RepoNotFound, wire.FileNotFound, wire.RevisionNotFound:
		fmt.Fprintf(&b, "%s was not found on %s; check the spelling and the tag", e.Name, e.Registry)
	case wire.BadToken:
		fmt.Fprintf(&b, "%s wants an account for %s (401): the key of ~/.ollama/id_ed25519 must be known to it", e.Registry, e.Name)
	case wire.Forbidden:
		fmt.Fprintf(&b, "access to %s is forbidden (403) on %s", e.Name, e.Registry)
	case wire.ServerError:
		fmt.Fprintf(&b, "%s failed (status %d); run the same command again later: what is here is kept", e.Registry, w.Status)
	case wire.RateLimited:
		fmt.Fprintf(&b, "%s answers too many requests (429); wait a few minutes and run the same command again", e.Registry)
	case wire.LinkRefused:
		fmt.Fprintf(&b, "the storage host of %s refused its link (%d), also a fresh one; run the same command again", e.Registry, w.Status)
	case wire.TooManyRedirects:
		fmt.Fprintf(&b, "%s leads in circles: %s", e.Registry, found)
	default:
		fmt.Fprintf(&b, "%s answered with status %d to a request about %s", e.Registry, w.Status, e.Name)
	}
	if w.Server != "" {
		fmt.Fprintf(&b, "\n  the server says: %s", strings.ReplaceAll(w.Server, "\n", "; "))
	}
	return b.String()
}

// explain puts a registry's refusal into words that fit one.
func (c *Client) explain(err error) error {
	if _, done := errors.AsType[*Error](err); done {
		return err
	}
	if w, ok := errors.AsType[*wire.Error](err); ok {
		return &Error{c.Name, c.URL(), w}
	}
	return err
}
