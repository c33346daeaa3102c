package wire

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Error says what was expected, what was found and what to do next, with the server's own words at the end.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.explain())
	if e.Server != "" {
		fmt.Fprintf(&b, "\n  the server says: %s", strings.ReplaceAll(e.Server, "\n", "; "))
	}
	if e.RequestID != "" {
		fmt.Fprintf(&b, "\n  request id: %s", e.RequestID)
	}
	return b.String()
}

func (e *Error) explain() string {
	repo := e.Subject.Repo
	token := "no token was sent"
	if e.TokenFrom != "" {
		token = "the token of " + e.TokenFrom + " was sent"
	}
	if repo == "" { // an address is all there is
		switch e.Kind {
		case RepoNotFound, RevisionNotFound, FileNotFound:
			return fmt.Sprintf("%s was not found (404); check the address", e.URL)
		case Gated, Disabled, Forbidden, LinkRefused:
			return fmt.Sprintf("access to %s is forbidden (%d)", e.URL, e.Status)
		}
	}
	switch e.Kind {
	case Unreachable:
		return fmt.Sprintf("can't reach %s: %s; check the connection, HF_ENDPOINT and the proxy variables, then run the same command again",
			e.Hub, e.found())
	case TLS:
		return fmt.Sprintf("no safe connection to %s: %s", e.host(), e.found())
	case NotAHub:
		return fmt.Sprintf("the answer of %s does not come from a hub: %s; check HF_ENDPOINT (now %s), the proxy, "+
			"and whether this network wants a login in a browser first", e.host(), e.found(), e.Hub)
	case TooManyRedirects:
		return fmt.Sprintf("%s leads in circles: %s", e.URL, e.found())
	case RepoNotFound:
		return fmt.Sprintf("%s was not found on %s; check the spelling; if it is private, use a token that may read it (%s)", repo, e.Hub, token)
	case RevisionNotFound:
		return fmt.Sprintf("%s has no branch, tag or commit %q; see %s/%s/tree/main for those it has", repo, e.revision(), e.Hub, repo)
	case FileNotFound:
		return fmt.Sprintf("%s has no file %q at %s; see %s/%s/tree/%s for those it has", repo, e.Subject.File, e.revision(), e.Hub, repo, e.revision())
	case NotFound:
		return fmt.Sprintf("%s was not found (404); check the name or address, and that HF_ENDPOINT (now %s) is a hub", e.URL, e.Hub)
	case Gated:
		return e.gated(token)
	case BadToken:
		if e.TokenFrom == "" {
			return fmt.Sprintf("%s wants a token (401) and none was sent; make one with read access at %s/settings/tokens and set HF_TOKEN", e.host(), e.Hub)
		}
		return fmt.Sprintf("the token of %s was refused (401): it is expired, revoked or mistyped; make a new one at %s/settings/tokens", e.TokenFrom, e.Hub)
	case Disabled:
		return fmt.Sprintf("%s has been disabled by the hub", repo)
	case Forbidden:
		return fmt.Sprintf("access to %s is forbidden (403; %s); the token needs read access to this repository", e.about(), token)
	case Legal:
		return fmt.Sprintf("%s is unavailable for legal reasons (451)", e.about())
	case RateLimited:
		wait := "a few minutes"
		if e.RetryAfter > 0 {
			wait = e.RetryAfter.String()
		}
		return fmt.Sprintf("%s answers too many requests (429); wait %s and run the same command again, or set HF_TOKEN for a higher limit", e.host(), wait)
	case ServerError:
		return fmt.Sprintf("%s failed (status %d); run the same command again later: what is here is kept", e.host(), e.Status)
	case LinkRefused:
		return fmt.Sprintf("the storage host %s refused its download link (%d), also a fresh one; run the same command again", e.host(), e.Status)
	}
	return fmt.Sprintf("%s answered with status %d to a request about %s", e.host(), e.Status, e.about())
}

// gated explains the three steps, or that only waiting helps.
func (e *Error) gated(token string) string {
	repo := e.Subject.Repo
	if strings.Contains(e.Server, "awaiting a review") {
		return fmt.Sprintf("%s is gated and your request for access has not been decided; wait for its authors, then run the same command again", repo)
	}
	return fmt.Sprintf("%s is gated: its terms must be accepted once (%s)\n"+
		"  1. open %s/%s in a browser, log in and accept the terms\n"+
		"  2. make a token with read access at %s/settings/tokens (a fine-grained one needs access to public gated repositories)\n"+
		"  3. export HF_TOKEN=hf_..., or save it to the token file, and run the same command again", repo, token, e.Hub, repo, e.Hub)
}

func (e *Error) revision() string {
	if e.Subject.Revision == "" {
		return "main"
	}
	return e.Subject.Revision
}

func (e *Error) about() string {
	if e.Subject.Repo == "" {
		return e.URL
	}
	if e.Subject.File != "" {
		return e.Subject.Repo + "/" + e.Subject.File
	}
	return e.Subject.Repo
}

func (e *Error) host() string {
	if u, err := url.Parse(e.URL); err == nil {
		return u.Host
	}
	return e.URL
}

func (e *Error) found() string {
	if e.Cause != nil {
		return e.Cause.Error()
	}
	return fmt.Sprintf("status %d", e.Status)
}

// unreachable sorts the errors of an exchange without an answer: what a moment may heal, and what only a person can.
func (c *Client) unreachable(s Subject, u *url.URL, err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	if ue, ok := errors.AsType[*url.Error](err); ok {
		err = ue.Err // its own text repeats the address with the query
	}
	e := c.fail(Unreachable, s, u, err)
	_, unknown := errors.AsType[x509.UnknownAuthorityError](err)
	_, host := errors.AsType[x509.HostnameError](err)
	_, verify := errors.AsType[*tls.CertificateVerificationError](err)
	_, record := errors.AsType[tls.RecordHeaderError](err)
	record = record || errors.Is(err, http.ErrSchemeMismatch)
	_, alert := errors.AsType[tls.AlertError](err)
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok && invalid.Reason == x509.Expired {
		e.Kind = TLS
		now := time.Now().UTC()
		e.Cause = fmt.Errorf("its certificate is valid from %s to %s, and this machine's clock says %s; set the clock if that is wrong",
			invalid.Cert.NotBefore.UTC().Format(time.DateOnly), invalid.Cert.NotAfter.UTC().Format(time.DateOnly), now.Format("2006-01-02 15:04 MST"))
		return e
	}
	switch {
	case unknown:
		e.Kind, e.Cause = TLS, fmt.Errorf("%w; a proxy that inspects traffic needs its certificate in the system's store (SSL_CERT_FILE)", err)
	case host, verify, alert:
		e.Kind = TLS
	case record:
		e.Kind, e.Cause = TLS, fmt.Errorf("%w; the other side does not speak TLS, so the address may need http instead of https", err)
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok && dns.IsNotFound {
		e.Cause = fmt.Errorf("the name %s is not known", dns.Name)
	}
	return e
}
