package main

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// repo is the name of the only repository that the hub has, and commit that of its only state.
const (
	repo   = "bench/model"
	commit = "0123456789abcdef0123456789abcdef01234567"
)

// content is a file that the hub serves.
type content interface {
	size() int64
	send(w io.Writer, from, n int64) error
}

// pattern is a file of so many bytes that exists in memory only: a block of random bytes, again and again.
type pattern struct {
	block []byte
	bytes int64
}

func newPattern(bytes int64) pattern {
	block := make([]byte, 1<<20)
	r := rand.NewChaCha8([32]byte{1})
	_, _ = r.Read(block) // never fails
	return pattern{block, bytes}
}

func (p pattern) size() int64 { return p.bytes }

func (p pattern) send(w io.Writer, from, n int64) error {
	for n > 0 {
		b := p.block[from%int64(len(p.block)):]
		b = b[:min(int64(len(b)), n)]
		if _, err := w.Write(b); err != nil {
			return err
		}
		from, n = from+int64(len(b)), n-int64(len(b))
	}
	return nil
}

// disk is a file of a folder.
type disk struct {
	path  string
	bytes int64
}

func (d disk) size() int64 { return d.bytes }

func (d disk) send(w io.Writer, from, n int64) error {
	f, err := os.Open(d.path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // only read
	if _, err := f.Seek(from, io.SeekStart); err != nil {
		return err
	}
	_, err = io.CopyN(w, f, n)
	return err
}

// hub answers as a Hugging Face hub does, as far as pull asks.
type hub struct {
	files map[string]content
	sums  map[string]string // SHA-256 in hex, by name
}

func newHub(files map[string]content) (*hub, error) {
	h := &hub{files, map[string]string{}}
	for name, c := range files {
		sum := sha256.New()
		if err := c.send(sum, 0, c.size()); err != nil {
			return nil, err
		}
		h.sums[name] = fmt.Sprintf("%x", sum.Sum(nil))
	}
	return h, nil
}

// folderHub serves a folder's files.
func folderHub(dir string) (*hub, error) {
	all, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		return nil, err
	}
	files := map[string]content{}
	for _, path := range all {
		info, err := os.Stat(path)
		if err != nil {
			return nil, err
		}
		if info.Mode().IsRegular() {
			files[filepath.Base(path)] = disk{path, info.Size()}
		}
	}
	if files["config.json"] == nil {
		return nil, fmt.Errorf("%s: want a folder with config.json and safetensors, as tools/peers/write -format hf makes one", dir)
	}
	return newHub(files)
}

// ServeHTTP knows /api/models/REPO/revision/REV, .../tree/REV and /REPO/resolve/REV/FILE.
func (h *hub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimPrefix(r.URL.Path, "/api/models")
	switch {
	case strings.HasPrefix(path, "/"+repo+"/revision/"):
		_ = json.NewEncoder(w).Encode(map[string]any{"id": repo, "sha": commit, "siblings": []any{}}) // the client is gone
	case strings.HasPrefix(path, "/"+repo+"/tree/"):
		list := []map[string]any{}
		for name, c := range h.files {
			list = append(list, map[string]any{"type": "file", "path": name, "size": c.size(), "oid": strings.Repeat("a", 40),
				"lfs": map[string]any{"oid": h.sums[name], "size": c.size(), "pointerSize": 130}})
		}
		_ = json.NewEncoder(w).Encode(list)
	case strings.HasPrefix(path, "/"+repo+"/resolve/"):
		h.file(w, r, path[strings.LastIndexByte(path, '/')+1:])
	default:
		w.Header().Set("X-Error-Code", "RepoNotFound")
		w.WriteHeader(http.StatusNotFound)
	}
}

func (h *hub) file(w http.ResponseWriter, r *http.Request, name string) {
	c, ok := h.files[name]
	if !ok {
		w.Header().Set("X-Error-Code", "EntryNotFound")
		w.WriteHeader(http.StatusNotFound)
		return
	}
	from, to, ranged := int64(0), c.size(), false
	if v, ok := strings.CutPrefix(r.Header.Get("Range"), "bytes="); ok {
		a, b, _ := strings.Cut(v, "-")
		var err error
		if from, err = strconv.ParseInt(a, 10, 64); err == nil && b != "" {
			to, err = strconv.ParseInt(b, 10, 64)
			to++
		}
		if err != nil || from < 0 || from >= to || to > c.size() {
			w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
			return
		}
		ranged = true
	}
	w.Header().Set("X-Repo-Commit", commit)
	w.Header().Set("ETag", strconv.Quote(h.sums[name]))
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Length", strconv.FormatInt(to-from, 10))
	if ranged {
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, to-1, c.size()))
		w.WriteHeader(http.StatusPartialContent)
	}
	if r.Method != http.MethodHead {
		_ = c.send(w, from, to-from) // an error is a client that went away; it shows there
	}
}
