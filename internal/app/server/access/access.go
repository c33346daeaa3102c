// Package access decides who may ask a server at all: by the Host and Origin of a request, against pages that rebind a name or
// reach across origins, and by API keys.
//
// It must not know endpoints. Errors are those of package problem, and name the flag that would allow the request.
package access

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/systemgemma/systemgemma/internal/app/server/problem"
)

// Policy says which hosts and origins may ask. Its zero value allows the names of this machine only, and no other origin.
type Policy struct {
	Hosts   []string // further names in Host, without port; "*" is any
	Origins []string // that pages of other origins may have, as scheme://host[:port]; "*" is any
}

// CheckHost refuses a request whose Host is not a name of this server: a page that has its own name point here (DNS rebinding) sends
// that name. Addresses are no names: one that the request came to is right. Requests by a unix socket come from no page.
func (p *Policy) CheckHost(r *http.Request) error {
	local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if _, ok := local.(*net.UnixAddr); ok {
		return nil
	}
	host := hostOf(r.Host)
	if host == "localhost" || slices.Contains(p.Hosts, "*") || slices.ContainsFunc(p.Hosts, func(h string) bool { return strings.EqualFold(h, host) }) {
		return nil
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		tcp, ok := local.(*net.TCPAddr)
		if ip.IsLoopback() || ok && tcp.AddrPort().Addr().Unmap() == ip.Unmap() {
			return nil
		}
	}
	e := problem.New(http.StatusForbidden, "host_not_allowed", "host %.100q is not a name of this server; if it should be, start it with --allow-host %.100s", host, host)
	if host == "" {
		e.Message = "the request names no host"
	}
	return e
}

// hostOf is Host without port, brackets and the dot of a full name.
func hostOf(s string) string {
	if h, _, err := net.SplitHostPort(s); err == nil {
		s = h
	}
	s = strings.TrimSuffix(strings.TrimPrefix(s, "["), "]")
	return strings.ToLower(strings.TrimSuffix(s, "."))
}

// CheckOrigin refuses requests of pages of other origins, and what browsers send across sites without one. allow is what
// Access-Control-Allow-Origin should be; "" for none.
func (p *Policy) CheckOrigin(r *http.Request) (allow string, err error) {
	origin := r.Header.Get("Origin")
	if origin == "" {
		site := r.Header.Get("Sec-Fetch-Site")
		safe := r.Method == http.MethodGet || r.Method == http.MethodHead
		if site == "" || site == "none" || site == "same-origin" || safe && r.Header.Get("Sec-Fetch-Mode") == "navigate" {
			return "", nil
		}
		return "", problem.New(http.StatusForbidden, "origin_not_allowed", "a page of another site asked; if it may, start the server with --allow-origin and its origin")
	}
	if slices.Contains(p.Origins, origin) && origin != "*" {
		return origin, nil
	}
	if sameOrigin(origin, r) {
		return "", nil
	}
	if slices.Contains(p.Origins, "*") {
		return "*", nil
	}
	return "", problem.New(http.StatusForbidden, "origin_not_allowed", "origin %.100q is not allowed; if it should be, start the server with --allow-origin %.100s", origin, origin)
}

// sameOrigin says whether a page of this very server asks.
func sameOrigin(origin string, r *http.Request) bool {
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" {
		return false
	}
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	return u.Scheme == scheme && strings.EqualFold(u.Host, r.Host)
}

// FromBrowser says whether a page may have sent the request: such a body must say that it is JSON, which no form can.
func FromBrowser(r *http.Request) bool {
	return r.Header.Get("Origin") != "" || r.Header.Get("Sec-Fetch-Site") != ""
}

// IsLoopback says whether an address to listen at can be reached from this machine only.
func IsLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(host, "["), "]"))
	return err == nil && ip.IsLoopback()
}
