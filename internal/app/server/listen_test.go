package server

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/systemgemma/systemgemma/internal/app/server/access"
)

func TestListen(t *testing.T) {
	l, err := Listen("127.0.0.1:0", nil, false)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := Listen(l.Addr().String(), nil, false); err == nil || runtime.GOOS != "windows" && !strings.Contains(err.Error(), "is taken, perhaps by Ollama") {
		t.Errorf("a taken port: %v", err)
	}
	for address, want := range map[string]string{
		"0.0.0.0:0": "want API keys", ":0": "want API keys", "[::]:0": "want API keys", "192.0.2.1:0": "want API keys", "example.com:80": "want API keys", "11434": "want HOST:PORT", "": "want HOST:PORT",
	} {
		if l, err := Listen(address, nil, false); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", address, err, want)
			if err == nil {
				_ = l.Close()
			}
		}
	}
	var keys access.Keys
	if err := keys.Add("a", "correct-horse"); err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		keys     *access.Keys
		insecure bool
	}{{&keys, false}, {nil, true}} {
		l, err := Listen("0.0.0.0:0", x.keys, x.insecure)
		if err != nil {
			t.Error(err)
			continue
		}
		_ = l.Close()
	}
}

// A socket is this user's own; one that was left behind is replaced, one that answers is not.
func TestUnixSocket(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("other rules")
	}
	dir, err := os.MkdirTemp("", "sg") // a test's own folder may be too long a path
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "s")
	stale, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	stale.(*net.UnixListener).SetUnlinkOnClose(false)
	_ = stale.Close()
	l, err := Listen("unix:"+path, nil, false)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if _, err := Listen("unix:"+path, nil, false); err == nil {
		t.Error("two servers at one socket")
	}
	s, _ := newServer(t, Config{})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, ctx, l) }()
	client := http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", path)
	}, DisableKeepAlives: true}}
	resp, err := client.Get("http://anything/health")
	if err != nil {
		t.Fatal(err)
	}
	if text, _ := io.ReadAll(resp.Body); resp.StatusCode != 200 {
		t.Errorf("%d %s", resp.StatusCode, text)
	}
	_ = resp.Body.Close()
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestTLS(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	s, _ := newServer(t, Config{TLS: &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}})
	r := start(t, s)
	client := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}}
	resp, err := client.Get(strings.Replace(r.url, "http:", "https:", 1) + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != 200 {
		t.Errorf("%d", resp.StatusCode)
	}
}
