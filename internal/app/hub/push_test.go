package hub_test

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/systemgemma/systemgemma/internal/app/hub"
)

// partsHub takes one large file in parts, and can lose its patience after some of them.
type partsHub struct {
	*httptest.Server
	mu      sync.Mutex
	content string
	chunk   int
	parts   map[string]string // by number
	broken  int               // parts from this number on are refused for good; 0: none
	batches int
	expired bool // links of the first batch are refused
	commits int
}

func (h *partsHub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	h.mu.Lock()
	defer h.mu.Unlock()
	answer := func(v any) { _ = json.NewEncoder(w).Encode(v) }
	switch p := r.URL.Path; {
	case strings.Contains(p, "/preupload/"):
		answer(map[string]any{"files": []any{map[string]any{"path": "big.gguf", "uploadMode": "lfs"}}})
	case strings.HasSuffix(p, "/batch"):
		h.batches++
		header := map[string]string{"chunk_size": fmt.Sprint(h.chunk)}
		for i := range (len(h.content) + h.chunk - 1) / h.chunk {
			header[fmt.Sprintf("%05d", i+1)] = fmt.Sprintf("%s/part/%d/%d", h.URL, h.batches, i+1)
		}
		answer(map[string]any{"objects": []any{map[string]any{
			"oid": fmt.Sprintf("%x", sha256.Sum256([]byte(h.content))), "size": len(h.content),
			"actions": map[string]any{"upload": map[string]any{"href": fmt.Sprintf("%s/complete/%d", h.URL, h.batches), "header": header}},
		}}})
	case strings.HasPrefix(p, "/part/"):
		f := strings.Split(p, "/")
		var n int
		_, _ = fmt.Sscan(f[3], &n)
		if h.broken > 0 && n >= h.broken || h.expired && f[2] == "1" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		h.parts[f[2]+"/"+f[3]] = string(body)
		w.Header().Set("ETag", fmt.Sprintf(`"e%d"`, n))
	case strings.HasPrefix(p, "/complete/"):
		id, whole := strings.TrimPrefix(p, "/complete/"), ""
		for i := range (len(h.content) + h.chunk - 1) / h.chunk {
			whole += h.parts[fmt.Sprintf("%s/%d", id, i+1)]
		}
		if whole != h.content || r.Header.Get("Authorization") != "" {
			w.WriteHeader(http.StatusBadRequest)
		}
	case strings.Contains(p, "/commit/"):
		h.commits++
		answer(map[string]string{"commitOid": strings.Repeat("c", 40), "commitUrl": h.URL})
	}
}

// An upload in parts that was interrupted goes on with the parts that are missing, and begins anew if its links are too old.
func TestInterruptedUploadGoesOn(t *testing.T) {
	for _, expired := range []bool{false, true} {
		h := &partsHub{content: strings.Repeat("abcdefgh", 1000), chunk: 1500, parts: map[string]string{}, broken: 4, expired: false}
		h.Server = httptest.NewServer(h)
		file := filepath.Join(t.TempDir(), "big.gguf")
		if err := os.WriteFile(file, []byte(h.content), 0o666); err != nil {
			t.Fatal(err)
		}
		uploads := filepath.Join(t.TempDir(), "uploads")
		push := func() error {
			c, _ := clientOf(t, h.URL, hub.Options{Uploads: uploads})
			_, err := c.Commit(context.Background(), hub.CommitRequest{Repo: hub.Repo{ID: "a/b"}, Summary: "x", Operations: []hub.Operation{{Path: "big.gguf", File: file}}})
			return err
		}
		if err := push(); err == nil || h.commits != 0 {
			t.Fatalf("an upload that failed was committed: %v", err)
		}
		first := len(h.parts)
		h.mu.Lock()
		h.broken, h.expired = 0, expired
		h.mu.Unlock()
		if err := push(); err != nil {
			t.Fatal(err)
		}
		want := 6 // all of the first batch
		if expired {
			want = first + 6
		}
		if first != 3 || len(h.parts) != want || h.commits != 1 {
			t.Errorf("links too old: %t: %d parts first, %d in all (want %d), %d commits", expired, first, len(h.parts), want, h.commits)
		}
		if left, _ := filepath.Glob(filepath.Join(uploads, "*")); len(left) > 0 {
			t.Errorf("%v is remembered of an upload that is done", left)
		}
		h.Close()
	}
}

// What a hub answers to a push is not believed without a look.
func TestHostilePushAnswers(t *testing.T) {
	file := filepath.Join(t.TempDir(), "up.gguf")
	if err := os.WriteFile(file, []byte("content"), 0o666); err != nil {
		t.Fatal(err)
	}
	oid := fmt.Sprintf("%x", sha256.Sum256([]byte("content")))
	lfs := func(object string) map[string]string {
		return map[string]string{"preupload": `{"files":[{"path":"up.gguf","uploadMode":"lfs"}]}`, "batch": `{"objects":[` + object + `]}`}
	}
	for name, c := range map[string]struct {
		answers map[string]string
		want    string
	}{
		"web page":            {map[string]string{"preupload": "<html>log in</html>"}, "it is a web page"},
		"of another file":     {map[string]string{"preupload": `{"files":[{"path":"../../x","uploadMode":"lfs"}]}`}, "that was asked about"},
		"of no file":          {map[string]string{"preupload": `{"files":[]}`}, "says nothing of the file"},
		"unknown mode":        {map[string]string{"preupload": `{"files":[{"path":"up.gguf","uploadMode":"magic"}]}`}, "want lfs or regular"},
		"another object":      {lfs(`{"oid":"` + strings.Repeat("0", 64) + `"}`), "was not offered"},
		"no object":           {lfs(""), "says nothing of the large file"},
		"to a file":           {lfs(`{"oid":"` + oid + `","actions":{"upload":{"href":"file:///etc/passwd"}}}`), "sends uploads to"},
		"no address":          {lfs(`{"oid":"` + oid + `","actions":{"upload":{}}}`), "sends uploads to"},
		"parts of no bytes":   {lfs(`{"oid":"` + oid + `","actions":{"upload":{"href":"/x","header":{"chunk_size":"0","1":"/p"}}}}`), "parts of"},
		"too few parts":       {lfs(`{"oid":"` + oid + `","actions":{"upload":{"href":"/x","header":{"chunk_size":"3","1":"/p"}}}}`), "want 3"},
		"parts from 2":        {lfs(`{"oid":"` + oid + `","actions":{"upload":{"href":"/x","header":{"chunk_size":9,"2":"/p"}}}}`), "want 1"},
		"parts without links": {lfs(`{"oid":"` + oid + `","actions":{"upload":{"href":"/x","header":{"chunk_size":9}}}}`), "want 1"},
	} {
		t.Run(name, func(t *testing.T) {
			commits := 0
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				for part, text := range c.answers {
					if strings.Contains(r.URL.Path, part) {
						_, _ = w.Write([]byte(text))
						return
					}
				}
				commits++
			}))
			defer s.Close()
			client, _ := clientOf(t, s.URL, hub.Options{})
			_, err := client.Commit(context.Background(), hub.CommitRequest{Repo: hub.Repo{ID: "a/b"}, Summary: "x", Operations: []hub.Operation{{Path: "up.gguf", File: file}}})
			if err == nil || !strings.Contains(err.Error(), c.want) || commits > 0 {
				t.Errorf("want an error with %q, got %v; %d further requests", c.want, err, commits)
			}
		})
	}
}
