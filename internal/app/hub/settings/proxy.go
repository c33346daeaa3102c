package settings

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"
)

// Proxies says which proxy a request goes through: HTTPS_PROXY or HTTP_PROXY, else ALL_PROXY, except for the hosts of
// NO_PROXY (a host and all below it, .domain, host:port, an address or a prefix of addresses, or *). Lower-case names count too.
// This machine's own addresses are never asked through a proxy.
type Proxies struct {
	HTTP, HTTPS, All string
	No               []string
}

func proxies(lookup func(string) (string, bool)) Proxies {
	get := func(name string) string {
		v, _ := first(lookup, name, strings.ToLower(name))
		return v
	}
	return Proxies{HTTP: get("HTTP_PROXY"), HTTPS: get("HTTPS_PROXY"), All: get("ALL_PROXY"), No: strings.FieldsFunc(get("NO_PROXY"),
		func(r rune) bool { return r == ',' || r == ' ' })}
}

// For returns the proxy of a request to u, nil for none.
func (p Proxies) For(u *url.URL) (*url.URL, error) {
	v := p.HTTP
	if u.Scheme == "https" {
		v = p.HTTPS
	}
	if v == "" {
		v = p.All
	}
	if v == "" || p.direct(u) {
		return nil, nil
	}
	if !strings.Contains(v, "://") {
		v = "http://" + v
	}
	proxy, err := url.Parse(v)
	if err != nil || proxy.Host == "" {
		return nil, fmt.Errorf("proxy address: want [scheme://]host:port in HTTP_PROXY, HTTPS_PROXY or ALL_PROXY")
	}
	switch proxy.Scheme {
	case "http", "https", "socks5", "socks5h":
		return proxy, nil
	}
	return nil, fmt.Errorf("proxy %s://%s: want the scheme http, https or socks5", proxy.Scheme, proxy.Host)
}

func (p Proxies) direct(u *url.URL) bool {
	host := strings.ToLower(u.Hostname())
	addr, noAddr := netip.ParseAddr(host)
	if host == "localhost" || noAddr == nil && addr.IsLoopback() {
		return true
	}
	for _, no := range p.No {
		no = strings.ToLower(no)
		if no == "*" {
			return true
		}
		if prefix, err := netip.ParsePrefix(no); err == nil {
			if noAddr == nil && prefix.Contains(addr) {
				return true
			}
			continue
		}
		if h, port, err := net.SplitHostPort(no); err == nil {
			if port != u.Port() {
				continue
			}
			no = h
		}
		no = strings.TrimPrefix(strings.TrimPrefix(no, "*"), ".")
		if no != "" && (host == no || strings.HasSuffix(host, "."+no)) {
			return true
		}
	}
	return false
}
