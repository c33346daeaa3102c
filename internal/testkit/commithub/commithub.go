// Package commithub is a hub on this machine that takes commits, as Hugging Face's does: what is pushed lies in a folder, where tests
// look at it.
//
// It must not know who pushes, and be imported by tests only.
package commithub

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// Token is the only one that may write.
const Token = "hf_write"

// Hub answers the calls of a push: everything below /api/ and /lfs/, and the large files of a repository. Files of a commit lie below
// Dir/OWNER/NAME, beside .visibility, .summary (of the last commit), .branch (likewise) and .sent, how many large files came in all.
type Hub struct {
	Dir string
	URL string // its own address

	mu    sync.Mutex
	lfs   map[string][]byte // guarded by mu; by hash
	repos map[string]bool   // guarded by mu
	sent  int               // guarded by mu
}

// ServeHTTP answers one call.
func (h *Hub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	h.mu.Lock()
	defer h.mu.Unlock()
	answer := func(v any) { _ = json.NewEncoder(w).Encode(v) }
	if r.Header.Get("Authorization") != "Bearer "+Token && !strings.HasPrefix(r.URL.Path, "/lfs/put/") {
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
		if h.repos[repo] {
			w.WriteHeader(http.StatusConflict)
			return
		}
		if h.repos == nil {
			h.repos = map[string]bool{}
		}
		h.repos[repo] = true
		h.write(repo+"/.visibility", []byte(b.Visibility))
		answer(map[string]string{"url": h.URL + "/" + repo})
	case strings.HasSuffix(r.URL.Path, "/refs"):
		answer(map[string]any{"branches": []any{map[string]string{"name": "main"}}, "tags": []any{}})
	case strings.Contains(r.URL.Path, "/branch/"):
		answer(map[string]any{})
	case r.URL.Path == "/api/validate-yaml":
		answer(map[string]any{"errors": []any{}})
	case strings.Contains(r.URL.Path, "/paths-info/"):
		answer([]any{})
	case strings.Contains(r.URL.Path, "/preupload/"):
		answer(map[string]any{"files": modes(body)})
	case strings.HasSuffix(r.URL.Path, "/objects/batch"):
		answer(map[string]any{"objects": h.batch(body)})
	case strings.HasPrefix(r.URL.Path, "/lfs/put/"):
		h.sent++
		if oid := parts[3]; oid != fmt.Sprintf("%x", sha256.Sum256(body)) || r.Header.Get("Authorization") != "" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		if h.lfs == nil {
			h.lfs = map[string][]byte{}
		}
		h.lfs[parts[3]] = body
	case strings.Contains(r.URL.Path, "/commit/"):
		h.commit(parts[3]+"/"+parts[4], parts[len(parts)-1], body)
		a := map[string]string{"commitOid": strings.Repeat("c", 40), "commitUrl": h.URL + "/commit/1"}
		if r.URL.Query().Get("create_pr") != "" {
			a["pullRequestUrl"] = h.URL + "/discussions/4"
		}
		answer(a)
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

// modes says which files are large.
func modes(body []byte) []any {
	var b struct{ Files []struct{ Path string } }
	_ = json.Unmarshal(body, &b)
	files := []any{}
	for _, f := range b.Files {
		mode := "regular"
		if strings.HasSuffix(f.Path, ".gguf") {
			mode = "lfs"
		}
		files = append(files, map[string]any{"path": f.Path, "uploadMode": mode, "shouldIgnore": false})
	}
	return files
}

// batch says where large files are to be sent that are not here.
func (h *Hub) batch(body []byte) []any {
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
		if h.lfs[o.OID] == nil {
			x["actions"] = map[string]any{"upload": map[string]any{"href": h.URL + "/lfs/put/" + o.OID}}
		}
		objects = append(objects, x)
	}
	return objects
}

func (h *Hub) commit(repo, branch string, body []byte) {
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
			h.write(repo+"/.summary", []byte(l.Value.Summary))
		case "file":
			b, _ := base64.StdEncoding.DecodeString(l.Value.Content)
			h.write(repo+"/"+l.Value.Path, b)
		case "lfsFile":
			h.write(repo+"/"+l.Value.Path, h.lfs[l.Value.OID])
		}
	}
	h.write(repo+"/.branch", []byte(branch))
	h.write(repo+"/.sent", fmt.Append(nil, h.sent))
}

func (h *Hub) write(path string, b []byte) {
	at := filepath.Join(h.Dir, filepath.FromSlash(path))
	if err := os.MkdirAll(filepath.Dir(at), 0o777); err != nil {
		panic(err)
	}
	if err := os.WriteFile(at, b, 0o666); err != nil {
		panic(err)
	}
}
