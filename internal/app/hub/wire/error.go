package wire

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Kind is what went wrong, as far as a caller may act on it.
type Kind int

const (
	Unreachable      Kind = iota + 1 // no answer: no connection, no name, no time
	TLS                              // the certificate or the handshake failed
	NotAHub                          // something else answered: a login page, a proxy, a wrong address
	TooManyRedirects                 //
	RepoNotFound                     // not there, or private and not shown
	RevisionNotFound                 //
	FileNotFound                     //
	NotFound                         // 404 without a reason
	Gated                            // the licence must be accepted, or the authors must agree
	BadToken                         // the token was refused
	Disabled                         // taken down by the hub
	Forbidden                        // 403 for another reason
	Legal                            // 451
	BadRequest                       // 400
	RateLimited                      // 429 after all tries
	ServerError                      // 5xx after all tries
	LinkRefused                      // a storage host refused its signed link
	OtherStatus                      //
)

// Error is a question that got no useful answer.
type Error struct {
	Kind       Kind
	Subject    Subject
	URL        string // without query: that of a signed link is a secret
	Status     int    // HTTP status, 0 without an answer
	Server     string // the hub's own words
	RequestID  string
	Commit     string        // X-Repo-Commit of the answer, unchecked
	Challenge  string        // WWW-Authenticate of the answer
	RetryAfter time.Duration // what the hub asked to wait, 0 if it didn't
	Hub        string        // the hub's address
	TokenFrom  string        // where the token that was sent came from; "" if none was sent
	Cause      error
}

func (e *Error) Unwrap() error { return e.Cause }

// KindOf returns the kind of an error, 0 if it is none of this package.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return 0
}

// Away tells whether err means that the hub can't be asked now, rather than that it refused: then what is here may do.
func Away(err error) bool {
	switch KindOf(err) {
	case Unreachable, TLS, NotAHub, RateLimited, ServerError:
		return true
	}
	return false
}

// Healing tells whether trying again may help.
func Healing(err error) bool {
	e, ok := errors.AsType[*Error](err)
	if !ok {
		return false
	}
	switch e.Status {
	case 0:
		return e.Kind == Unreachable
	case http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusBadGateway,
		http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// maxWait bounds what a server can make us wait.
const maxWait = 10 * time.Minute

// maxErrorBody bounds what is read of an error's body.
const maxErrorBody = 64 << 10

func (c *Client) fail(kind Kind, s Subject, u *url.URL, cause error) *Error {
	return &Error{Kind: kind, Subject: s, URL: bare(u), Hub: c.Endpoint.String(), Cause: cause}
}

// Strange is the error of an answer that no hub gives.
func (c *Client) Strange(s Subject, u *url.URL, format string, args ...any) error {
	return c.fail(NotAHub, s, u, fmt.Errorf(format, args...))
}

func bare(u *url.URL) string {
	b := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}
	return b.String()
}

// refusal reads an answer of status 400 and up, and closes it.
func (c *Client) refusal(s Subject, u *url.URL, resp *http.Response, token bool) error {
	defer closeBody(resp)
	e := c.fail(OtherStatus, s, u, nil)
	e.Status = resp.StatusCode
	e.RequestID = clean(resp.Header.Get("X-Request-Id"))
	e.Commit = resp.Header.Get("X-Repo-Commit")
	e.Challenge = resp.Header.Get("Www-Authenticate")
	e.RetryAfter = retryAfter(resp.Header)
	e.Server = serverWords(resp)
	if secret, from := c.token(); token && secret != "" {
		e.TokenFrom = from
	}
	e.Kind = kindOf(resp.StatusCode, resp.Header.Get("X-Error-Code"), e.Server, SameOrigin(u, c.Endpoint))
	return e
}

func kindOf(status int, code, words string, own bool) Kind {
	switch {
	case code == "RepoNotFound":
		return RepoNotFound
	case code == "RevisionNotFound":
		return RevisionNotFound
	case code == "EntryNotFound":
		return FileNotFound
	case code == "GatedRepo":
		return Gated
	case strings.HasPrefix(words, "Access to this resource is disabled"):
		return Disabled
	case !own && (status == http.StatusForbidden || status == http.StatusUnauthorized):
		return LinkRefused
	case status >= 500:
		return ServerError
	}
	kinds := map[int]Kind{400: BadRequest, 401: BadToken, 403: Forbidden, 404: NotFound, 429: RateLimited, 451: Legal, 408: Unreachable}
	if k, ok := kinds[status]; ok {
		return k
	}
	return OtherStatus
}

var rateReset = regexp.MustCompile(`(?:^|;)\s*r=0(?:;.*)?;\s*t=(\d{1,6})|;\s*t=(\d{1,6});.*r=0`)

// retryAfter reads RateLimit (r=0 and t seconds) or a numeric Retry-After, plus one second; 0 without either.
func retryAfter(h http.Header) time.Duration {
	sec := -1
	if m := rateReset.FindStringSubmatch(h.Get("RateLimit")); m != nil {
		sec, _ = strconv.Atoi(m[1] + m[2]) // digits, at most six
	} else if n, err := strconv.Atoi(h.Get("Retry-After")); err == nil && n >= 0 {
		sec = n
	}
	if sec < 0 {
		return 0
	}
	return min(time.Duration(sec+1)*time.Second, maxWait)
}

// serverWords gathers what the server says: X-Error-Message, and error and errors of a JSON body, or a short plain body.
func serverWords(resp *http.Response) string {
	var words []string
	add := func(s string) {
		if s = clean(s); s != "" && !contains(words, s) {
			words = append(words, s)
		}
	}
	add(resp.Header.Get("X-Error-Message"))
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody)) // what came before an error will do
	var parsed struct {
		Error  any `json:"error"`
		Errors []struct {
			Message string `json:"message"`
		} `json:"errors"`
	}
	if json.Unmarshal(body, &parsed) == nil {
		switch v := parsed.Error.(type) {
		case string:
			add(v)
		case []any:
			for _, x := range v {
				if s, ok := x.(string); ok {
					add(s)
				}
			}
		}
		for _, x := range parsed.Errors {
			add(x.Message)
		}
	} else if len(body) <= 300 && !strings.Contains(string(body), "<html") {
		add(string(body))
	}
	return strings.Join(words, "\n")
}

func contains(all []string, s string) bool {
	for _, a := range all {
		if a == s {
			return true
		}
	}
	return false
}

// clean makes a server's text harmless in a terminal and short.
func clean(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	s = strings.TrimSpace(s)
	if len(s) > 1000 {
		s = strings.ToValidUTF8(s[:1000], "") + "..."
	}
	return s
}
