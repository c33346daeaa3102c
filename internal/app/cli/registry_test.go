package cli

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// testRegistry is an Ollama registry on this machine that takes what is pushed, and a hub that takes commits: their files are written
// below dir, where scripts look at them.
type testRegistry struct {
	*httptest.Server
	dir string

	mu        sync.Mutex
	blobs     map[string][]byte // by digest
	manifests map[string][]byte // by name/tag
	uploads   map[string][]byte
	lfs       map[string][]byte
	repos     map[string]bool
	sent      int // bodies of blobs and large files that came
}

func startTestRegistry(e *testscript.Env, gguf []byte) {
	g := &testRegistry{
		dir: e.WorkDir, blobs: map[string][]byte{}, manifests: map[string][]byte{}, uploads: map[string][]byte{}, lfs: map[string][]byte{}, repos: map[string]bool{},
	}
	g.mu.Lock() // nobody is answered before all is there
	defer g.mu.Unlock()
	g.Server = httptest.NewServer(g)
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
	body, _ := io.ReadAll(r.Body)
	g.mu.Lock()
	defer g.mu.Unlock()
	path := r.URL.Path
	parts := strings.Split(strings.TrimPrefix(path, "/v2/"), "/")
	switch {
	case strings.HasPrefix(path, "/api/") || strings.Contains(path, "/lfs/"):
		g.hub(w, r, body)
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
		g.sent++
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

// hub answers the calls of a push. What is committed lies below pushed/OWNER/NAME.
func (g *testRegistry) hub(w http.ResponseWriter, r *http.Request, body []byte) {
	answer := func(v any) { _ = json.NewEncoder(w).Encode(v) }
	if r.Header.Get("Authorization") != "Bearer hf_write" && !strings.HasPrefix(r.URL.Path, "/lfs/put/") {
		w.Header().Set("X-Error-Message", "Invalid credentials in Authorization header")
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	parts := strings.Split(r.URL.Path, "/")
	switch {
	case r.URL.Path == "/api/repos/create":
		var b struct{ Name, Organization, Visibility string }
		_ = json.Unmarshal(body, &b)
		repo := b.Organization + "/" + b.Name
		if g.repos[repo] {
			w.WriteHeader(http.StatusConflict)
			return
		}
		g.repos[repo] = true
		g.write("pushed/"+repo+"/.visibility", []byte(b.Visibility))
		answer(map[string]string{"url": g.URL + "/" + repo})
	case strings.HasSuffix(r.URL.Path, "/refs"):
		answer(map[string]any{"branches": []any{map[string]string{"name": "main"}}, "tags": []any{}})
	case strings.Contains(r.URL.Path, "/branch/"):
		answer(map[string]any{})
	case r.URL.Path == "/api/validate-yaml":
		answer(map[string]any{"errors": []any{}})
	case strings.Contains(r.URL.Path, "/paths-info/"):
		answer([]any{})
	case strings.Contains(r.URL.Path, "/preupload/"):
		var b struct {
			Files []struct {
				Path string
				Size int64
			}
		}
		_ = json.Unmarshal(body, &b)
		files := []any{}
		for _, f := range b.Files {
			mode := "regular"
			if strings.HasSuffix(f.Path, ".gguf") {
				mode = "lfs"
			}
			files = append(files, map[string]any{"path": f.Path, "uploadMode": mode, "shouldIgnore": false})
		}
		answer(map[string]any{"files": files})
	case strings.HasSuffix(r.URL.Path, "/objects/batch"):
		var b struct {
			Objects []struct {
				OID  string
				Size int64
			}
		}
		_ = json.Unmarshal(body, &b)
		objects := []any{}
		for _, o := range b.Objects {
			x := map[string]any{"oid": o.OID, "size": o.Size}
			if g.lfs[o.OID] == nil {
				x["actions"] = map[string]any{"upload": map[string]any{"href": g.URL + "/lfs/put/" + o.OID}}
			}
			objects = append(objects, x)
		}
		answer(map[string]any{"objects": objects})
	case strings.HasPrefix(r.URL.Path, "/lfs/put/"):
		g.sent++
		if oid := parts[3]; oid == fmt.Sprintf("%x", sha256.Sum256(body)) && r.Header.Get("Authorization") == "" {
			g.lfs[oid] = body
			return
		}
		w.WriteHeader(http.StatusBadRequest)
	case strings.Contains(r.URL.Path, "/commit/"):
		g.commit(parts[3]+"/"+parts[4], body)
		a := map[string]string{"commitOid": strings.Repeat("c", 40), "commitUrl": g.URL + "/commit/1"}
		if r.URL.Query().Get("create_pr") != "" {
			a["pullRequestUrl"] = g.URL + "/discussions/4"
		}
		answer(a)
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

func (g *testRegistry) commit(repo string, body []byte) {
	lines := bufio.NewScanner(bytes.NewReader(body))
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		var l struct {
			Key   string
			Value struct{ Path, Content, OID, Summary string }
		}
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			panic(err)
		}
		switch l.Key {
		case "header":
			g.write("pushed/"+repo+"/.summary", []byte(l.Value.Summary))
		case "file":
			b, _ := base64.StdEncoding.DecodeString(l.Value.Content)
			g.write("pushed/"+repo+"/"+l.Value.Path, b)
		case "lfsFile":
			g.write("pushed/"+repo+"/"+l.Value.Path, g.lfs[l.Value.OID])
		}
	}
	g.write("pushed/"+repo+"/.sent", fmt.Append(nil, g.sent))
}

func (g *testRegistry) write(path string, b []byte) {
	at := filepath.Join(g.dir, filepath.FromSlash(path))
	if err := os.MkdirAll(filepath.Dir(at), 0o777); err != nil {
		panic(err)
	}
	if err := os.WriteFile(at, b, 0o666); err != nil {
		panic(err)
	}
}
