package hub_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/systemgemma/systemgemma/internal/app/hub"
	"github.com/systemgemma/systemgemma/internal/app/hub/download"
	"github.com/systemgemma/systemgemma/internal/app/hub/hfcache"
	"github.com/systemgemma/systemgemma/internal/app/hub/settings"
)

// A Source gives what a Snapshot would fetch, from any offset, and fetches nothing itself.
func TestSourceStreams(t *testing.T) {
	u := startUnreliable(t, 3, 1<<20)
	c, root := clientOf(t, u.hub.URL, hub.Options{})
	ctx := context.Background()
	s, _, err := c.OpenSource(ctx, hub.SnapshotRequest{Repo: hub.Repo{ID: "owner/model"}, Allow: []string{"*.safetensors"}})
	if err != nil {
		t.Fatal(err)
	}
	files := s.Files()
	if len(files) != 1 || files[0].Size != 1<<20 || files[0].Here {
		t.Fatalf("files: %+v", files)
	}
	want := u.versions[0][files[0].Name]
	for _, offset := range []int64{0, 12345, 1 << 20} {
		r, err := s.Open(ctx, files[0].Name, offset)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r)
		if err != nil || !bytes.Equal(got, want[offset:]) {
			t.Errorf("from %d: %d bytes, want %d (%v)", offset, len(got), len(want)-int(offset), err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
	noFiles(t, root)
}

// Progress begins at 0 or what is here, never falls but for a restart, and ends at the size; a limited rate takes its time.
func TestProgressAndRate(t *testing.T) {
	u := startUnreliable(t, 4, 400_000)
	var done []int64
	c, _ := clientOf(t, u.hub.URL, hub.Options{Rate: 1_000_000, Report: func(p download.Progress) {
		if strings.HasPrefix(p.Name, "model") {
			done = append(done, p.Done)
		}
	}})
	begin := time.Now()
	if _, err := c.Snapshot(context.Background(), hub.SnapshotRequest{Repo: hub.Repo{ID: "owner/model"}}); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begin); took < 350*time.Millisecond {
		t.Errorf("400,000 bytes at 1,000,000 a second took %v", took)
	}
	for i := 1; i < len(done); i++ {
		if done[i] < done[i-1] {
			t.Errorf("progress fell: %v", done)
		}
	}
	if len(done) < 2 || done[0] != 0 || done[len(done)-1] != 400_000 {
		t.Errorf("progress: %v", done)
	}
}

// A canceled download ends soon, keeps what it has, and the next one goes on from there.
func TestCancelKeepsAndResumes(t *testing.T) {
	u := startUnreliable(t, 5, 3<<20)
	ctx, cancel := context.WithCancel(context.Background())
	request := hub.SnapshotRequest{Repo: hub.Repo{ID: "owner/model"}}
	c, root := clientOf(t, u.hub.URL, hub.Options{Report: func(p download.Progress) {
		if p.Done > 1<<20 {
			cancel()
		}
	}})
	if _, err := c.Snapshot(ctx, request); err == nil {
		t.Fatal("want the context's error")
	}
	var first int64 = -1
	again, err := hub.New(c.Settings, hub.Options{Report: func(p download.Progress) {
		if first < 0 && strings.HasPrefix(p.Name, "model") {
			first = p.Done
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = again.Close() }()
	if _, err := again.Snapshot(context.Background(), request); err != nil {
		t.Fatal(err)
	}
	if first <= 1<<20 {
		t.Errorf("the second download began at %d, want more than 1 MiB", first)
	}
	u.right(t, filepath.Join(root, "hf"))
}

// HTTP_PROXY carries the requests to a hub whose name only the proxy knows, and nothing is asked past it.
func TestProxyCarriesAll(t *testing.T) {
	u := startUnreliable(t, 6, 100_000)
	asked := 0
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		if r.URL.Host != "hub.test" {
			http.Error(w, "not through here", http.StatusBadGateway)
			return
		}
		u.serveHub(w, r)
	}))
	defer proxy.Close()
	root := t.TempDir()
	env := map[string]string{"HF_ENDPOINT": "http://hub.test", "HF_HOME": filepath.Join(root, "hf"), "HTTP_PROXY": proxy.URL}
	s, err := settings.FromEnv(func(k string) (string, bool) { v, ok := env[k]; return v, ok }, root)
	if err != nil {
		t.Fatal(err)
	}
	c, err := hub.New(s, hub.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if _, err := c.Snapshot(context.Background(), hub.SnapshotRequest{Repo: hub.Repo{ID: "owner/model"}}); err != nil {
		t.Fatal(err)
	}
	u.right(t, filepath.Join(root, "hf"))
	if asked < 4 {
		t.Errorf("%d requests came through the proxy", asked)
	}
}

func TestPickGGUF(t *testing.T) {
	files := []hfcache.TreeFile{
		{Path: "m-Q8_0.gguf"}, {Path: "m-Q4_K_M.gguf"}, {Path: "m-Q4_K_S.gguf"}, {Path: "big-f16-00001-of-00002.gguf"}, {Path: "big-f16-00002-of-00002.gguf"},
		{Path: "Q8_0.txt"}, {Path: "x-q5_0.gguf"}, {Path: "y-q5_0.gguf"},
	}
	for quant, want := range map[string]int{"Q8_0": 1, "q8_0": 1, "Q4_K_M": 1, "Q4_K": 0, "f16": 2, "Q5_0": 0, "Q6_K": 0, ".*": 0} {
		got, err := hub.PickGGUF(files, quant)
		if len(got) != want && err == nil || (err == nil) != (want > 0) {
			t.Errorf("%s: %v, %v; want %d files", quant, got, err, want)
		}
		if err != nil && !strings.Contains(err.Error(), "m-Q8_0.gguf") {
			t.Errorf("%s: the error does not list what there is: %v", quant, err)
		}
	}
}

// FetchURL brings a file that nothing names a hash of; a beginning from before is not trusted.
func TestFetchURL(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "m.gguf", time.Time{}, strings.NewReader("the whole file"))
	}))
	defer server.Close()
	c, root := clientOf(t, "http://hub.test", hub.Options{})
	path := filepath.Join(root, "m.gguf")
	if err := os.WriteFile(path+download.Partial, []byte("THE"), 0o666); err != nil {
		t.Fatal(err)
	}
	if err := c.FetchURL(context.Background(), server.URL+"/m.gguf", path); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != "the whole file" {
		t.Errorf("got %q, %v", b, err)
	}
}
