package access

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func request(method, host, local string, headers ...string) *http.Request {
	r := httptest.NewRequest(method, "/v1/models", nil)
	r.Host = host
	var addr net.Addr = &net.UnixAddr{Name: local, Net: "unix"}
	if !strings.HasPrefix(local, "/") {
		addr, _ = net.ResolveTCPAddr("tcp", local)
	}
	r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, addr))
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return r
}

func TestHost(t *testing.T) {
	lan := Policy{Hosts: []string{"Board.local"}}
	for _, x := range []struct {
		p           Policy
		host, local string
		ok          bool
	}{
		{Policy{}, "localhost", "127.0.0.1:1", true}, {Policy{}, "localhost:11434", "127.0.0.1:1", true}, {Policy{}, "LOCALHOST.:11434", "127.0.0.1:1", true},
		{Policy{}, "127.0.0.1:1", "127.0.0.1:1", true}, {Policy{}, "[::1]:1", "[::1]:1", true}, {Policy{}, "[::1]", "[::1]:1", true}, {Policy{}, "127.9.9.9", "127.0.0.1:1", true},
		{Policy{}, "evil.example", "127.0.0.1:1", false}, {Policy{}, "localhost.evil.example", "127.0.0.1:1", false}, {Policy{}, "127.0.0.1.evil.example", "127.0.0.1:1", false},
		{Policy{}, "", "127.0.0.1:1", false}, {Policy{}, "192.168.1.5:1", "192.168.1.5:1", true}, {Policy{}, "192.168.1.6:1", "192.168.1.5:1", false}, {Policy{}, "0.0.0.0:1", "127.0.0.1:1", false},
		{Policy{}, "board.local", "192.168.1.5:1", false}, {lan, "board.local:11434", "192.168.1.5:1", true}, {lan, "BOARD.LOCAL.", "192.168.1.5:1", true}, {lan, "other.local", "192.168.1.5:1", false},
		{Policy{Hosts: []string{"*"}}, "anything", "127.0.0.1:1", true}, {Policy{}, "anything", "/run/sock", true}, {Policy{}, "", "/run/sock", true},
	} {
		err := x.p.CheckHost(request("GET", x.host, x.local))
		if (err == nil) != x.ok || err != nil && x.host != "" && !strings.Contains(err.Error(), "--allow-host") {
			t.Errorf("%v: host %q at %s: %v, want ok %v", x.p, x.host, x.local, err, x.ok)
		}
	}
}

func TestOrigin(t *testing.T) {
	some, all := Policy{Origins: []string{"https://app.example", "null"}}, Policy{Origins: []string{"*"}}
	const self = "localhost:11434"
	for _, x := range []struct {
		p       Policy
		method  string
		headers []string
		ok      bool
		allow   string
	}{
		{Policy{}, "POST", nil, true, ""},
		{Policy{}, "POST", []string{"Origin", "http://localhost:11434"}, true, ""},
		{Policy{}, "POST", []string{"Origin", "https://localhost:11434"}, false, ""},
		{Policy{}, "GET", []string{"Origin", "http://localhost:3000"}, false, ""},
		{Policy{}, "POST", []string{"Origin", "null"}, false, ""},
		{Policy{}, "POST", []string{"Origin", "file://"}, false, ""},
		{Policy{}, "POST", []string{"Origin", "https://evil.example"}, false, ""},
		{Policy{}, "POST", []string{"Sec-Fetch-Site", "cross-site"}, false, ""},
		{Policy{}, "POST", []string{"Sec-Fetch-Site", "same-site"}, false, ""},
		{Policy{}, "POST", []string{"Sec-Fetch-Site", "same-origin"}, true, ""},
		{Policy{}, "GET", []string{"Sec-Fetch-Site", "cross-site"}, false, ""}, // an image of another page
		{Policy{}, "GET", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate"}, true, ""},
		{Policy{}, "POST", []string{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate"}, false, ""}, // a form
		{some, "POST", []string{"Origin", "https://app.example"}, true, "https://app.example"},
		{some, "POST", []string{"Origin", "null"}, true, "null"},
		{some, "POST", []string{"Origin", "https://app.example.evil"}, false, ""},
		{some, "POST", []string{"Origin", "*"}, false, ""},
		{all, "POST", []string{"Origin", "https://evil.example"}, true, "*"},
		{all, "POST", []string{"Origin", "http://localhost:11434"}, true, ""},
	} {
		allow, err := x.p.CheckOrigin(request(x.method, self, "127.0.0.1:11434", x.headers...))
		if (err == nil) != x.ok || allow != x.allow || err != nil && !strings.Contains(err.Error(), "--allow-origin") {
			t.Errorf("%v %s %v: %q, %v; want ok %v, %q", x.p, x.method, x.headers, allow, err, x.ok, x.allow)
		}
	}
}

func TestKeys(t *testing.T) {
	var k Keys
	const hash = "1e67aff9fb0b6a0d3c9dbd0c1ef4d5ac5bd7a2fd2a1a6a3b1b3f8a9f2d3c4b5a"
	if err := k.Read(strings.NewReader("# keys\n\nother " + hash + "\n")); err != nil {
		t.Fatal(err)
	}
	if err := k.Add("laptop", "correct-horse"); err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		header, value string
		ok            bool
	}{
		{"Authorization", "Bearer correct-horse", true}, {"Authorization", "bearer correct-horse", true}, {"X-Api-Key", "correct-horse", true},
		{"Authorization", "Bearer wrong-horse", false}, {"Authorization", "correct-horse", false}, {"Authorization", "Basic correct-horse", false}, {"Authorization", "Bearer " + hash, false},
		{"X-Other", "correct-horse", false}, {"Authorization", "Bearer ", false},
	} {
		name, err := k.Check(request("GET", "localhost", "127.0.0.1:1", x.header, x.value))
		if (err == nil) != x.ok || x.ok && name != "laptop" || err != nil && strings.Contains(err.Error(), "horse") {
			t.Errorf("%s: %s: %q, %v", x.header, x.value, name, err)
		}
	}
	if _, err := (*Keys)(nil).Check(request("GET", "localhost", "127.0.0.1:1", "Authorization", "Bearer anything")); err != nil {
		t.Errorf("without keys: %v", err)
	}
	for text, want := range map[string]string{"name": "line 1", "a b": "64 hexadecimal", "a " + hash[2:]: "64 hexadecimal", "a " + hash + " c": "line 1", "a " + hash + "\na " + hash: "found it twice"} {
		if err := new(Keys).Read(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	if err := new(Keys).Add("x", "short"); err == nil {
		t.Error("a short key is taken")
	}
}
