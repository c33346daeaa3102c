package ollama

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/systemgemma/systemgemma/internal/app/hub"
	"github.com/systemgemma/systemgemma/internal/app/hub/settings"
	"github.com/systemgemma/systemgemma/internal/app/models"
	"github.com/systemgemma/systemgemma/internal/testkit/ask"
)

// testHub has one repository, owner/mini-GGUF, of one file.
func testHub(t *testing.T, file []byte) *httptest.Server {
	t.Helper()
	const name = "mini-Q8_0.gguf"
	commit := strings.Repeat("ab", 20)
	hash := fmt.Sprintf("%x", sha256.Sum256(file))
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/models/owner/mini-GGUF/revision/{revision}", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]any{"id": "owner/mini-GGUF", "sha": commit, "siblings": []any{}})
	})
	mux.HandleFunc("GET /api/models/owner/mini-GGUF/tree/{revision}", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode([]map[string]any{{
			"type": "file", "path": name, "size": len(file), "oid": strings.Repeat("a", 40), "lfs": map[string]any{"oid": hash, "size": len(file), "pointerSize": 130},
		}})
	})
	mux.HandleFunc("GET /owner/mini-GGUF/resolve/{revision}/"+name, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Repo-Commit", commit)
		w.Header().Set("ETag", `"`+hash+`"`)
		w.Header().Set("Content-Length", fmt.Sprint(len(file)))
		if r.Method == http.MethodGet {
			_, _ = w.Write(file)
		}
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Error-Code", "RepoNotFound")
		w.WriteHeader(http.StatusNotFound)
	})
	h := httptest.NewServer(mux)
	t.Cleanup(h.Close)
	return h
}

// A model is fetched once its terms are accepted, with progress, and answers.
func TestPull(t *testing.T) {
	h := testHub(t, miniFile(t))
	store := &models.Store{Home: t.TempDir()}
	cache := t.TempDir()
	s := newServer(t, store, Options{Hub: func(o hub.Options) (*hub.Client, error) {
		env := map[string]string{"HF_ENDPOINT": h.URL, "HF_HOME": filepath.Join(cache, "hf")}
		x, err := settings.FromEnv(func(k string) (string, bool) { v, ok := env[k]; return v, ok }, cache)
		if err != nil {
			return nil, err
		}
		return hub.New(x, o)
	}})
	for _, x := range []struct {
		body   string
		status int
		want   string
	}{
		{`{"model":"owner/nothing","stream":false}`, 404, "not found"},
		{`{"model":"owner/mini-GGUF","stream":false}`, 403, "accept_license"},
		{`{"model":"../etc/passwd","stream":false}`, 400, "want a short name"},
		{`{"model":"https://example.com/x.gguf","stream":false}`, 400, "want a short name"},
		{`{"model":"owner/mini-GGUF","insecure":true}`, 400, "insecure"},
		{`{"model":"gemma2:2b","stream":false}`, 501, "registry"},
		{`{"model":"hf.co/owner/nothing:Q8_0","stream":false}`, 404, "not found"},
		{`{"model":"no model","stream":false}`, 400, "model"},
	} {
		if w := ask.Post(s, "/api/pull", x.body); w.Code != x.status || !strings.Contains(w.Body.String(), x.want) {
			t.Errorf("%s: %d %s, want %d %q", x.body, w.Code, w.Body, x.status, x.want)
		}
	}
	if list := ask.Lines[struct{ Error, Code, Status string }](t, ask.Post(s, "/api/pull", `{"model":"owner/mini-GGUF"}`)); list[len(list)-1].Error == "" || list[len(list)-1].Code != codeTerms {
		t.Errorf("a stream that fails ends as %+v", list)
	}
	list := ask.Lines[status](t, ask.Post(s, "/api/pull", `{"model":"owner/mini-GGUF","accept_license":true}`))
	whole := false
	for _, x := range list {
		whole = whole || x.Total > 0 && x.Completed == x.Total && x.Digest != ""
	}
	if list[0].Status != "pulling manifest" || list[len(list)-1].Status != "success" || !whole {
		t.Errorf("%+v", list)
	}
	if l := store.Licence("owner/mini-GGUF"); l == nil || !strings.Contains(l.By, "accept_license") {
		t.Errorf("%+v", l)
	}
	if x := ask.JSON[answer](t, ask.Post(s, "/api/generate", `{"model":"owner/mini-GGUF","prompt":"Hello","stream":false}`)); x.Count == 0 {
		t.Errorf("%+v", x)
	}
	if x := ask.JSON[status](t, ask.Post(s, "/api/pull", `{"model":"owner/mini-GGUF","stream":false}`)); x.Status != "success" { // it is here, and its terms are accepted
		t.Errorf("%+v", x)
	}
}
