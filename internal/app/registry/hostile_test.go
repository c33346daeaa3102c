package registry_test

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/systemgemma/systemgemma/internal/app/hub/names"
	"github.com/systemgemma/systemgemma/internal/app/hub/wire"
	"github.com/systemgemma/systemgemma/internal/app/registry"
	"github.com/systemgemma/systemgemma/internal/app/registry/ollamastore"
)

func sum(b string) string { return fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(b))) }

// manifestOf is a manifest of one layer.
func manifestOf(layer string, size int) string {
	m := ollamastore.Manifest{
		SchemaVersion: 2, MediaType: ollamastore.ManifestType,
		Layers: []ollamastore.Layer{{MediaType: ollamastore.ModelType, Digest: ollamastore.Digest(sum(layer)), Size: int64(size)}},
	}
	b, err := m.Encode()
	if err != nil {
		panic(err)
	}
	return string(b)
}

func clientOf(t *testing.T, s *httptest.Server, o registry.Options) (*registry.Client, ollamastore.Store) {
	t.Helper()
	n, err := names.ParseOllama(strings.TrimPrefix(s.URL, "http://") + "/ns/m:t")
	if err != nil {
		t.Fatal(err)
	}
	o.Insecure, o.LockDir = true, t.TempDir()
	o.Clock = wire.Clock{OnSleep: func(ctx context.Context, _ time.Duration) error { return ctx.Err() }}
	c := registry.New(n, o)
	t.Cleanup(c.Close)
	return c, ollamastore.Store{Dir: filepath.Join(t.TempDir(), "models")}
}

// Whatever a registry answers, the error says what was expected, and nothing lies under a final name.
func TestHostileRegistries(t *testing.T) {
	const weights = "weights of a model"
	blob := func(f http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			switch {
			case strings.Contains(r.URL.Path, "/manifests/"):
				_, _ = w.Write([]byte(manifestOf(weights, len(weights))))
			case r.Method == http.MethodHead:
				w.Header().Set("Content-Length", fmt.Sprint(len(weights)))
			default:
				f(w, r)
			}
		}
	}
	endless := func(w http.ResponseWriter, _ *http.Request) {
		for b := make([]byte, 1<<16); ; {
			if _, err := w.Write(b); err != nil {
				return
			}
		}
	}
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		want   string
	}{
		"endless manifest": {endless, "manifest: want at most"},
		"web page": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			_, _ = w.Write([]byte("<html>please log in</html>"))
		}, "a web page"},
		"no manifest":   {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("[1]")) }, "no JSON as expected"},
		"no layers":     {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("{}")) }, "without layers"},
		"negative size": {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(manifestOf(weights, -1))) }, "want a size"},
		"circles":       {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.Path, http.StatusFound) }, "circles"},
		"to a file": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "file:///etc/passwd")
			w.WriteHeader(302)
		}, "a redirect to"},
		"wrong bytes":  {blob(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("other things here!")) }), "SHA-256 is"},
		"too short":    {blob(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("short")) }), "want 18 bytes"},
		"endless blob": {blob(endless), "want 18 bytes"},
		"blob to a file": {blob(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "file:///etc/passwd")
			w.WriteHeader(307)
		}), "a redirect to"},
		"forbidden blob":  {blob(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }), "403"},
		"blob that fails": {blob(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }), "status 502"},
		"a token from elsewhere": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Www-Authenticate", `Bearer realm="http://elsewhere.test/token",service="s",scope="x"`)
			w.WriteHeader(http.StatusUnauthorized)
		}, "want an address of its own"},
		"a token of many lines": {func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/token" {
				_ = json.NewEncoder(w).Encode(map[string]string{"token": "a\r\nHost: b"})
				return
			}
			w.Header().Set("Www-Authenticate", fmt.Sprintf(`Bearer realm="http://%s/token",service="s",scope="x"`, r.Host))
			w.WriteHeader(http.StatusUnauthorized)
		}, "no usable token"},
	} {
		t.Run(name, func(t *testing.T) {
			s := httptest.NewServer(c.answer)
			defer s.Close()
			client, store := clientOf(t, s, registry.Options{})
			_, err := client.Pull(context.Background(), store)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("want an error with %q, got %v", c.want, err)
			}
			if all, _ := filepath.Glob(filepath.Join(store.Dir, "*", "sha256-"+strings.Repeat("?", 64))); len(all) > 0 {
				t.Errorf("%v is left under a final name", all)
			}
			if all, err := store.List(); err != nil || len(all) > 0 {
				t.Errorf("%d models, %v", len(all), err)
			}
		})
	}
}

// A full disk is found before the first byte of a blob.
func TestRoomIsCheckedFirst(t *testing.T) {
	asked := 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		_, _ = w.Write([]byte(manifestOf("x", 1<<40)))
	}))
	defer s.Close()
	client, store := clientOf(t, s, registry.Options{Free: func(string) (int64, error) { return 1 << 30, nil }})
	_, err := client.Pull(context.Background(), store)
	if err == nil || !strings.Contains(err.Error(), "are free") || asked != 1 {
		t.Errorf("%d requests, %v", asked, err)
	}
}

// The token goes to the registry alone: not to the storage host of a download, nor to that of an upload.
func TestTokenStaysAtTheRegistry(t *testing.T) {
	const weights = "weights of a model"
	leaked := ""
	storage := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		leaked += r.Header.Get("Authorization")
		if r.Method == http.MethodGet {
			_, _ = w.Write([]byte(weights))
		}
		w.Header().Set("Location", "/next")
	}))
	defer storage.Close()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/token":
			_ = json.NewEncoder(w).Encode(map[string]string{"token": "secret"})
		case r.Header.Get("Authorization") != "Bearer secret":
			w.Header().Set("Www-Authenticate", fmt.Sprintf(`Bearer realm="http://%s/token",service="s",scope="x"`, r.Host))
			w.WriteHeader(http.StatusUnauthorized)
		case strings.Contains(r.URL.Path, "/manifests/") && r.Method == http.MethodGet:
			_, _ = w.Write([]byte(manifestOf(weights, len(weights))))
		case r.Method == http.MethodHead && strings.Contains(r.URL.Path, "ns/m/"):
			w.Header().Set("Content-Length", fmt.Sprint(len(weights)))
		case r.Method == http.MethodPost:
			w.Header().Set("Location", storage.URL+"/up")
			w.WriteHeader(http.StatusAccepted)
		case r.Method == http.MethodHead:
			w.WriteHeader(http.StatusNotFound)
		case r.Method == http.MethodGet:
			http.Redirect(w, r, storage.URL+"/blob", http.StatusTemporaryRedirect)
		}
	}))
	defer s.Close()
	client, store := clientOf(t, s, registry.Options{})
	m, err := client.Pull(context.Background(), store)
	if err != nil {
		t.Fatal(err)
	}
	other, _ := clientOf(t, s, registry.Options{})
	other.Name.Model = "new"
	if err := other.Push(context.Background(), m, store); err != nil {
		t.Fatal(err)
	}
	if leaked != "" {
		t.Errorf("the storage host saw %q", leaked)
	}
}

// A download that was cut goes on where it stopped, and large blobs come in ranges.
func TestInterruptedPullGoesOn(t *testing.T) {
	weights := strings.Repeat("0123456789abcdef", 1<<12)
	cut, from := true, ""
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.Contains(r.URL.Path, "/manifests/"):
			_, _ = w.Write([]byte(manifestOf(weights, len(weights))))
		case r.Method == http.MethodGet && cut:
			w.Header().Set("Content-Length", fmt.Sprint(len(weights)))
			_, _ = w.Write([]byte(weights[:40000]))
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		default:
			from = r.Header.Get("Range")
			http.ServeContent(w, r, "", time.Time{}, strings.NewReader(weights))
		}
	}))
	s.Config.ErrorLog = nil
	defer s.Close()
	client, store := clientOf(t, s, registry.Options{})
	if _, err := client.Pull(context.Background(), store); err == nil {
		t.Fatal("a cut download passes for whole")
	}
	digest := ollamastore.Digest(sum(weights))
	if _, err := os.Stat(store.BlobPath(digest) + "-partial-0"); err != nil {
		t.Errorf("nothing is left for Ollama to go on with: %v", err)
	}
	cut = false
	if _, err := client.Pull(context.Background(), store); err != nil {
		t.Fatal(err)
	}
	if from != fmt.Sprintf("bytes=40000-%d", len(weights)-1) {
		t.Errorf("it went on with %q", from)
	}
	if err := digest.Sum().CheckFile(store.BlobPath(digest)); err != nil {
		t.Error(err)
	}
}
