package cli

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/systemgemma/systemgemma/internal/testkit/commithub"
)

// testRegistry is an Ollama registry on this machine that takes what is pushed, and a hub that takes commits.
type testRegistry struct {
	*httptest.Server

	mu        sync.Mutex
	hub       *commithub.Hub
	blobs     map[string][]byte // by digest
	manifests map[string][]byte // by name/tag
	uploads   map[string][]byte
}

func startTestRegistry(e *testscript.Env, gguf []byte) {
	g := &testRegistry{
		blobs: map[string][]byte{}, manifests: map[string][]byte{}, uploads: map[string][]byte{},
	}
	g.mu.Lock() // nobody is answered before all is there
	defer g.mu.Unlock()
	g.Server = httptest.NewServer(g)
	g.hub = &commithub.Hub{Dir: filepath.Join(e.WorkDir, "pushed"), URL: g.URL}
	e.Defer(g.Close)
	e.Setenv("REGISTRY", strings.TrimPrefix(g.URL, "http://"))
	e.Setenv("PUSH_HUB", g.URL)
	layer := func(kind, text string) map[string]any {
		digest := fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(text)))
		g.blobs[digest] = []byte(text)
		return map[string]any{"mediaType": "application/vnd.ollama.image." + kind, "digest": digest, "size": len(text)}
	}
	for name, family := range map[string]string{"library/mini/q8": "gemma2", "library/other/latest": "llama"} {
		config := layer("", fmt.Sprintf(`{"model_format":"gguf","model_family":%q,"model_families":[%q]}`, family, family))
		config["mediaType"] = "application/vnd.docker.container.image.v1+json"
		m, err := json.Marshal(map[string]any{"schemaVersion": 2, "mediaType": "application/vnd.docker.distribution.manifest.v2+json", "config": config, "layers": []any{
			layer("model", string(gguf)), layer("system", "Talk like a pirate."), layer("params", `{"num_predict": 3, "num_gpu": 1, "seed": 5}`),
			layer("template", "<start_of_turn>user\n{{ if .System }}{{ .System }} {{ end }}{{ .Prompt }}<end_of_turn>\n<start_of_turn>model\n{{ .Response }}<end_of_turn>\n"),
			layer("license", "Do as you like.\n"),
		}})
		if err != nil {
			panic(err)
		}
		g.manifests[name] = m
	}
}

func (g *testRegistry) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, "/api/") || strings.Contains(r.URL.Path, "/lfs/") {
		g.mu.Lock()
		h := g.hub
		g.mu.Unlock()
		h.ServeHTTP(w, r)
		return
	}
	body, _ := io.ReadAll(r.Body)
	g.mu.Lock()
	defer g.mu.Unlock()
	path := r.URL.Path
	parts := strings.Split(strings.TrimPrefix(path, "/v2/"), "/")
	switch {
	case strings.HasPrefix(path, "/upload/"):
		g.upload(w, r, strings.TrimPrefix(path, "/upload/"), body)
	case len(parts) == 4 && parts[2] == "manifests" && r.Method == http.MethodPut:
		g.manifests[parts[0]+"/"+parts[1]+"/"+parts[3]] = body
		w.WriteHeader(http.StatusCreated)
	case len(parts) == 4 && parts[2] == "manifests":
		g.give(w, r, g.manifests[parts[0]+"/"+parts[1]+"/"+parts[3]])
	case len(parts) == 4 && parts[2] == "blobs" && parts[3] != "uploads":
		g.give(w, r, g.blobs[parts[3]])
	case len(parts) == 5 && parts[3] == "uploads":
		id := fmt.Sprint(len(g.uploads))
		g.uploads[id] = nil
		w.Header().Set("Location", g.URL+"/upload/"+id)
		w.WriteHeader(http.StatusAccepted)
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

func (g *testRegistry) give(w http.ResponseWriter, r *http.Request, b []byte) {
	if b == nil {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(b))
}

func (g *testRegistry) upload(w http.ResponseWriter, r *http.Request, id string, body []byte) {
	if r.Method == http.MethodPatch {
		g.uploads[id] = append(g.uploads[id], body...)
		w.Header().Set("Location", g.URL+"/upload/"+id)
		w.WriteHeader(http.StatusAccepted)
		return
	}
	digest := r.URL.Query().Get("digest")
	if fmt.Sprintf("sha256:%x", sha256.Sum256(g.uploads[id])) != digest {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	g.blobs[digest] = g.uploads[id]
	w.WriteHeader(http.StatusCreated)
}
