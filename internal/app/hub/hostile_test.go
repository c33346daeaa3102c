package hub_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/systemgemma/systemgemma/internal/app/hub"
	"github.com/systemgemma/systemgemma/internal/app/hub/download"
	"github.com/systemgemma/systemgemma/internal/app/hub/settings"
	"github.com/systemgemma/systemgemma/internal/app/hub/wire"
	"github.com/systemgemma/systemgemma/internal/testkit/scripted"
)

const (
	aCommit = "0123456789012345678901234567890123456789"
	anEtag  = "abcdefabcdefabcdefabcdefabcdefabcdefabcd" // of no file here
)

// clientOf makes a client of a server, with an empty cache whose folder it returns. It never sleeps.
func clientOf(t *testing.T, endpoint string, o hub.Options) (*hub.Client, string) {
	t.Helper()
	root := t.TempDir()
	env := map[string]string{"HF_ENDPOINT": endpoint, "HF_HOME": filepath.Join(root, "hf"), "HF_TOKEN": "hf_secret"}
	s, err := settings.FromEnv(func(k string) (string, bool) { v, ok := env[k]; return v, ok }, root)
	if err != nil {
		t.Fatal(err)
	}
	if o.Clock.OnSleep == nil {
		o.Clock.OnSleep = func(ctx context.Context, _ time.Duration) error { return ctx.Err() }
	}
	c, err := hub.New(s, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c, root
}

// noFiles fails if anything lies under a final name.
func noFiles(t *testing.T, root string) {
	t.Helper()
	for p, what := range scripted.Tree(t, root) {
		if what != "dir" && !strings.Contains(p, ".locks") && !strings.HasSuffix(p, "CACHEDIR.TAG") && !strings.Contains(p, "/trees/") {
			t.Errorf("%s was left behind", p)
		}
	}
}

func answerHead(w http.ResponseWriter, size string) {
	w.Header().Set("X-Repo-Commit", aCommit)
	w.Header().Set("ETag", `"`+anEtag+`"`)
	if size != "" {
		w.Header().Set("X-Linked-Size", size)
	}
}

// A server that means harm, or something that is no hub, gives a clear error and leaves nothing.
func TestHostileServers(t *testing.T) {
	endless := func(w http.ResponseWriter) {
		b := []byte(strings.Repeat("x", 1<<16))
		for {
			if _, err := w.Write(b); err != nil {
				return
			}
		}
	}
	listing := func(page string, next func(n int) string) http.HandlerFunc {
		n := 0
		return func(w http.ResponseWriter, r *http.Request) {
			if strings.Contains(r.URL.Path, "/revision/") {
				_, _ = fmt.Fprintf(w, `{"sha": %q}`, aCommit)
				return
			}
			if n++; next(n) != "" {
				w.Header().Set("Link", "<"+next(n)+`>; rel="next"`)
			}
			_, _ = w.Write([]byte(page))
		}
	}
	entries := "[" + strings.TrimSuffix(strings.Repeat(`{"type":"file","path":"a","size":1,"oid":"x"},`, 20_000), ",") + "]"
	for name, c := range map[string]struct {
		serve http.HandlerFunc
		says  string // part of the error
		kind  string
	}{
		"endless body of a file of 100 bytes": {func(w http.ResponseWriter, r *http.Request) {
			if answerHead(w, "100"); r.Method == http.MethodGet {
				endless(w)
			}
		}, "want 100 bytes", "size"},
		"endless body of a file without a size": {func(w http.ResponseWriter, r *http.Request) {
			if answerHead(w, ""); r.Method == http.MethodGet {
				endless(w)
			}
		}, "67108865 or more", "size"},
		"wrong bytes": {func(w http.ResponseWriter, r *http.Request) {
			if answerHead(w, "4"); r.Method == http.MethodGet {
				_, _ = w.Write([]byte("evil"))
			}
		}, "git blob SHA-1 is", "hash"},
		"negative size": {func(w http.ResponseWriter, _ *http.Request) { answerHead(w, "-4") }, "its size is", "not a hub"},
		"size beyond int64": {func(w http.ResponseWriter, _ *http.Request) {
			answerHead(w, "99999999999999999999")
		}, "its size is", "not a hub"},
		"redirect to a file of this machine": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "file:///etc/passwd")
			w.WriteHeader(http.StatusFound)
		}, "a redirect to", "not a hub"},
		"redirect loop": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", r.URL.Path+"?again")
			w.WriteHeader(http.StatusFound)
		}, "leads in circles: 20 redirects in a row", "redirects"},
		"huge header": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Repo-Commit", strings.Repeat("a", 1<<20))
		}, "can't reach", "unreachable"},
		"terminal codes in the error": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Error-Message", "\u202eevil\u0085")
			w.WriteHeader(http.StatusForbidden)
		}, "the server says: evil", "403"},
		"login page": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			_, _ = w.Write([]byte("<html>"))
		}, "does not come from a hub", "not a hub"},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(c.serve)
			defer server.Close()
			client, root := clientOf(t, server.URL, hub.Options{})
			_, err := client.File(context.Background(), hub.FileRequest{Repo: hub.Repo{ID: "o/r"}, Name: "config.json"})
			if kindOf(err) != c.kind || err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "hf_secret") || strings.ContainsAny(err.Error(), "\u202e\u0085") {
				t.Errorf("error: want kind %q and %q, got %q: %v", c.kind, c.says, kindOf(err), err)
			}
			noFiles(t, root)
		})
	}
	for name, c := range map[string]struct {
		serve http.HandlerFunc
		says  string
	}{
		"endless JSON":   {func(w http.ResponseWriter, _ *http.Request) { endless(w) }, "longer than 32 MiB"},
		"login page":     {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html><body>log in")) }, "does not come from a hub"},
		"deep JSON":      {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(strings.Repeat("[", 1<<20))) }, "no JSON as expected"},
		"wrong JSON":     {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"sha": 7}`)) }, "no JSON as expected"},
		"no commit":      {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"sha": "../../x"}`)) }, "want 40 hexadecimal digits"},
		"million files":  {listing(entries, func(n int) string { return fmt.Sprintf("?page=%d", n) }), "more than 100000 entries"},
		"listing circle": {listing("[]", func(int) string { return "?again" }), "leads in circles"},
		"endless pages":  {listing("[]", func(n int) string { return fmt.Sprintf("?page=%d", n) }), "more than 1000 pages"},
		"page elsewhere": {listing("[]", func(int) string { return "file:///etc/passwd" }), "goes on at"},
	} {
		t.Run("listing: "+name, func(t *testing.T) {
			server := httptest.NewServer(c.serve)
			defer server.Close()
			client, root := clientOf(t, server.URL, hub.Options{})
			_, err := client.Snapshot(context.Background(), hub.SnapshotRequest{Repo: hub.Repo{ID: "o/r"}})
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("error: want %q, got %.300v", c.says, err)
			}
			noFiles(t, root)
		})
	}
}

// A certificate that is not trusted, or not valid at this machine's time, says so, and is not tried again.
func TestTLSErrorsAreExplained(t *testing.T) {
	tries := 0
	for says, c := range map[string]struct {
		valid   time.Duration // from yesterday
		trusted bool
	}{
		"this machine's clock says":                   {-time.Hour, true},
		"needs its certificate in the system's store": {48 * time.Hour, false},
	} {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		cert := &x509.Certificate{
			SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "hub"}, NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(c.valid),
			IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		}
		der, err := x509.CreateCertificate(rand.Reader, cert, cert, &key.PublicKey, key)
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { tries++ }))
		server.Config.ErrorLog = log.New(io.Discard, "", 0)
		server.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
		server.StartTLS()
		defer server.Close()
		pool := x509.NewCertPool()
		if c.trusted {
			pool.AddCert(parsed)
		}
		waits := 0
		client, _ := clientOf(t, server.URL, hub.Options{
			Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}},
			Clock:     wire.Clock{OnSleep: func(context.Context, time.Duration) error { waits++; return nil }},
		})
		_, err = client.File(context.Background(), hub.FileRequest{Repo: hub.Repo{ID: "o/r"}, Name: "config.json"})
		if wire.KindOf(err) != wire.TLS || !strings.Contains(err.Error(), says) || waits > 0 || tries > 0 {
			t.Errorf("want a TLS error that says %q, without another try (%d waits, %d requests), got %v", says, waits, tries, err)
		}
	}
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	client, _ := clientOf(t, strings.Replace(plain.URL, "http:", "https:", 1), hub.Options{})
	if _, err := client.File(context.Background(), hub.FileRequest{Repo: hub.Repo{ID: "o/r"}, Name: "x"}); wire.KindOf(err) != wire.TLS {
		t.Errorf("want a TLS error of a server without TLS, got %v", err)
	}
}

// A disk that can't hold the file is found before its first byte; a cache that can't be written is named.
func TestDiskErrors(t *testing.T) {
	gets := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if answerHead(w, "1000"); r.Method == http.MethodGet {
			gets++
		}
	}))
	defer server.Close()
	request := hub.FileRequest{Repo: hub.Repo{ID: "o/r"}, Name: "config.json"}
	client, root := clientOf(t, server.URL, hub.Options{Free: func(string) (int64, error) { return 999, nil }})
	_, err := client.File(context.Background(), request)
	var space *download.SpaceError
	if !errors.As(err, &space) || space.Need != 1000 || space.Free != 999 || gets > 0 {
		t.Errorf("want a SpaceError before any GET (%d were made), got %v", gets, err)
	}
	noFiles(t, root)

	client, root = clientOf(t, server.URL, hub.Options{})
	if err := os.MkdirAll(filepath.Join(root, "hf"), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "hf", "hub"), nil, 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := client.File(context.Background(), request); err == nil || !strings.Contains(err.Error(), filepath.Join("hf", "hub")) {
		t.Errorf("want an error that names the cache, got %v", err)
	}
}

// A listing with wanted files that don't fit is refused before their first byte; what the pattern leaves out doesn't count.
func TestSnapshotSpace(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.Contains(r.URL.Path, "/revision/"):
			_, _ = fmt.Fprintf(w, `{"sha": %q}`, aCommit)
		case strings.Contains(r.URL.Path, "/tree/"):
			_ = json.NewEncoder(w).Encode([]map[string]any{
				{"type": "file", "path": "a.bin", "size": 1 << 40, "oid": anEtag}, {"type": "file", "path": "b.bin", "size": 1 << 40, "oid": anEtag},
			})
		default:
			t.Errorf("%s %s was asked", r.Method, r.URL.Path)
		}
	}))
	defer server.Close()
	client, root := clientOf(t, server.URL, hub.Options{Free: func(string) (int64, error) { return 3 << 39, nil }})
	_, err := client.Snapshot(context.Background(), hub.SnapshotRequest{Repo: hub.Repo{ID: "o/r"}})
	var space *download.SpaceError
	if !errors.As(err, &space) || space.Need != 2<<40 {
		t.Errorf("want a SpaceError of two files, got %v", err)
	}
	noFiles(t, root)
}

// Two names that are one where a file system folds case are refused with the listing, before any of them is fetched. (On one that tells them
// apart both come: golden case names.case_colliding.)
func TestCaseCollisions(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.Contains(r.URL.Path, "/revision/"):
			_, _ = fmt.Fprintf(w, `{"sha": %q}`, aCommit)
		case strings.Contains(r.URL.Path, "/tree/"):
			_ = json.NewEncoder(w).Encode([]map[string]any{
				{"type": "file", "path": "Sub/Config.json", "size": 1, "oid": anEtag}, {"type": "file", "path": "sub/config.JSON", "size": 1, "oid": anEtag},
			})
		default:
			t.Errorf("%s %s was asked", r.Method, r.URL.Path)
		}
	}))
	defer server.Close()
	client, root := clientOf(t, server.URL, hub.Options{})
	folded := filepath.Join(root, "hf", "hub", "cachedir.tag") // CACHEDIR.TAG by another name: as if the file system folded case
	if err := os.MkdirAll(filepath.Dir(folded), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(folded, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	_, err := client.Snapshot(context.Background(), hub.SnapshotRequest{Repo: hub.Repo{ID: "o/r"}})
	if err == nil || !strings.Contains(err.Error(), `"Sub/Config.json" and "sub/config.JSON", which are one on this file system; set HF_HOME`) {
		t.Errorf("want both names and what to do, got %v", err)
	}
	if err := os.Remove(folded); err != nil {
		t.Fatal(err)
	}
	noFiles(t, root)
}
