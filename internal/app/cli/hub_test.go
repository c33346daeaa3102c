package cli

import (
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/systemgemma/systemgemma"
)

// testHub is a hub on this machine with honest answers: repositories of files, and some that it refuses.
type testHub struct {
	*httptest.Server
	files map[string]map[string][]byte // by repository and name

	mu    sync.Mutex
	slow  time.Duration  // before every 64 KiB of a large file
	mode  string         // "": honest; down, portal or gated: what all get instead of an answer
	got   int            // requests
	ends  map[string]int // answers that reached a file's end, by repository/name
	later map[string]int // answers that did not begin at its beginning
	bytes int64          // of bodies

	middle map[string]func() // by repository/name: called once, when half of the file was sent
}

// testModels are what the hub of these tests holds: Mini as others publish models, and as GGUF files.
func testModels(dir string) (map[string]map[string][]byte, error) {
	folder := filepath.Join(dir, "hf")
	for _, o := range []systemgemma.ConvertOptions{
		{Output: folder, To: "safetensors", Types: []string{"bf16"}},
		{Output: filepath.Join(dir, "mini-Q8_0.gguf"), To: "gguf", Types: []string{"q8_0"}},
		{Output: filepath.Join(dir, "mini-F16.gguf"), To: "gguf", Types: []string{"f16"}},
	} {
		if _, err := systemgemma.Convert(context.Background(), systemgemma.Mini, &o); err != nil {
			return nil, err
		}
	}
	read := func(paths ...string) (map[string][]byte, error) {
		files := map[string][]byte{}
		for _, p := range paths {
			b, err := os.ReadFile(p)
			if err != nil {
				return nil, err
			}
			files[filepath.Base(p)] = b
		}
		return files, nil
	}
	all, err := filepath.Glob(filepath.Join(folder, "*"))
	if err != nil {
		return nil, err
	}
	model, err := read(all...)
	if err != nil {
		return nil, err
	}
	ggufs, err := read(filepath.Join(dir, "mini-Q8_0.gguf"), filepath.Join(dir, "mini-F16.gguf"))
	if err != nil {
		return nil, err
	}
	licensed := map[string][]byte{"LICENSE": []byte("Do as you like.\n")}
	for name, b := range model {
		licensed[name] = b
	}
	return map[string]map[string][]byte{
		"google/gemma-2-2b-it": model, "owner/mini-GGUF": ggufs, "owner/licensed": licensed,
		"owner/pickled": {"config.json": model["config.json"], "pytorch_model.bin": []byte("PK")},
		"owner/other":   {"config.json": []byte(`{"model_type": "llama"}`), "model.safetensors": make([]byte, 64)},
		"owner/gated":   model,
	}, nil
}

func startTestHub(files map[string]map[string][]byte) *testHub {
	h := &testHub{files: files, ends: map[string]int{}, later: map[string]int{}}
	h.Server = httptest.NewServer(h)
	return h
}

func hubCommit(repo string) string { return fmt.Sprintf("%x", sha1.Sum([]byte(repo))) }

func refuse(w http.ResponseWriter, status int, code, text string) {
	w.Header().Set("X-Error-Code", code)
	w.Header().Set("X-Error-Message", text)
	w.WriteHeader(status)
}

func (h *testHub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	mode, slow := h.mode, h.slow
	h.got++
	h.mu.Unlock()
	switch mode {
	case "down":
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	case "portal": // a network that wants a login in a browser first
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte("<!DOCTYPE html><html><body>Log in to the hotel</body></html>"))
		return
	case "gated":
		refuse(w, http.StatusForbidden, "GatedRepo", "Access to this model is restricted")
		return
	}
	path := strings.Trim(strings.TrimPrefix(r.URL.Path, "/api/models/"), "/")
	parts := strings.SplitN(path, "/", 5) // owner, name, revision|tree|resolve, COMMIT, file
	if len(parts) < 4 {
		refuse(w, http.StatusNotFound, "RepoNotFound", "no such page")
		return
	}
	repo := parts[0] + "/" + parts[1]
	files, ok := h.files[repo]
	commit := hubCommit(repo)
	switch {
	case parts[1] == "private":
		refuse(w, http.StatusUnauthorized, "", "Invalid credentials in Authorization header")
		return
	case !ok:
		refuse(w, http.StatusNotFound, "RepoNotFound", "Repository not found")
		return
	case parts[3] != "main" && parts[3] != commit:
		refuse(w, http.StatusNotFound, "RevisionNotFound", "Invalid rev id: "+parts[3])
		return
	}
	switch parts[2] {
	case "revision":
		_ = json.NewEncoder(w).Encode(map[string]any{"id": repo, "sha": commit, "siblings": []any{}})
	case "tree":
		list := []map[string]any{}
		for name, b := range files {
			list = append(list, map[string]any{"type": "file", "path": name, "size": len(b), "oid": strings.Repeat("a", 40),
				"lfs": map[string]any{"oid": fmt.Sprintf("%x", sha256.Sum256(b)), "size": len(b), "pointerSize": 130}})
		}
		_ = json.NewEncoder(w).Encode(list)
	case "resolve":
		if parts[1] == "gated" {
			refuse(w, http.StatusForbidden, "GatedRepo", "Access to model owner/gated is restricted")
			return
		}
		h.file(w, r, repo, parts[4], commit, slow)
	}
}

// asked is how many requests came.
func (h *testHub) asked() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.got
}

// count reads one of the counters: the answer that a client has whole may still be under way in the hub.
func (h *testHub) count(of map[string]int, file string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return of[file]
}

// halfway calls what waits for the middle of a file.
func (h *testHub) halfway(name string, at, size int) {
	h.mu.Lock()
	f := h.middle[name]
	if at < size/2 {
		f = nil
	}
	if f != nil {
		delete(h.middle, name)
	}
	h.mu.Unlock()
	if f != nil {
		f()
	}
}

func (h *testHub) file(w http.ResponseWriter, r *http.Request, repo, name, commit string, slow time.Duration) {
	b, ok := h.files[repo][name]
	if !ok {
		refuse(w, http.StatusNotFound, "EntryNotFound", "Entry not found")
		return
	}
	from := 0
	w.Header().Set("X-Repo-Commit", commit)
	w.Header().Set("ETag", fmt.Sprintf(`"%x"`, sha256.Sum256(b)))
	if v := r.Header.Get("Range"); v != "" {
		a, _, _ := strings.Cut(strings.TrimPrefix(v, "bytes="), "-")
		from, _ = strconv.Atoi(a)
		from = min(max(from, 0), len(b))
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, len(b)-1, len(b)))
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(b)-from))
	if from > 0 {
		w.WriteHeader(http.StatusPartialContent)
	}
	if r.Method == http.MethodHead {
		return
	}
	if from > 0 {
		h.mu.Lock()
		h.later[repo+"/"+name]++
		h.mu.Unlock()
	}
	const step = 64 << 10
	for at := from; at < len(b); at += step {
		h.halfway(repo+"/"+name, at, len(b))
		n, err := w.Write(b[at:min(at+step, len(b))])
		h.mu.Lock()
		h.bytes += int64(n)
		if err == nil && at+step >= len(b) {
			h.ends[repo+"/"+name]++
		}
		h.mu.Unlock()
		if err != nil {
			return
		}
		if slow > 0 {
			w.(http.Flusher).Flush()
			time.Sleep(slow)
		}
	}
}
