package ollama

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/systemgemma/systemgemma"
	"github.com/systemgemma/systemgemma/internal/app/hub/names"
	"github.com/systemgemma/systemgemma/internal/app/models"
	"github.com/systemgemma/systemgemma/internal/app/registry"
	"github.com/systemgemma/systemgemma/internal/testkit/ask"
	"github.com/systemgemma/systemgemma/internal/testkit/sample"
)

// testRegistry is a registry that takes what is pushed.
type testRegistry struct {
	*httptest.Server

	mu        sync.Mutex
	blobs     map[string][]byte // guarded by mu; by digest
	manifests map[string][]byte // guarded by mu; by namespace/model/tag
	upload    []byte            // guarded by mu
	stall     chan struct{}     // guarded by mu; closed by a GET of a large blob, which then says nothing until its client leaves; nil: it is answered
}

func startRegistry(t *testing.T) *testRegistry {
	g := &testRegistry{blobs: map[string][]byte{}, manifests: map[string][]byte{}}
	g.Server = httptest.NewServer(g)
	t.Cleanup(g.Close)
	return g
}

func (g *testRegistry) host() string { return strings.TrimPrefix(g.URL, "http://") }

// layer keeps a blob.
func (g *testRegistry) layer(mediaType string, b []byte) map[string]any {
	digest := fmt.Sprintf("sha256:%x", sha256.Sum256(b))
	g.blobs[digest] = b
	return map[string]any{"mediaType": mediaType, "digest": digest, "size": len(b)}
}

// has makes a model of a name, with a system prompt.
func (g *testRegistry) has(name string, weights []byte) {
	const image = "application/vnd.ollama.image."
	g.mu.Lock()
	defer g.mu.Unlock()
	g.manifests[name], _ = json.Marshal(map[string]any{
		"schemaVersion": 2, "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
		"config": g.layer("application/vnd.docker.container.image.v1+json", []byte(`{"model_family":"gemma2"}`)),
		"layers": []any{g.layer(image+"model", weights), g.layer(image+"system", []byte("Talk like a pirate.")), g.layer(image+"license", []byte("Do as you like."))},
	})
}

func (g *testRegistry) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	g.mu.Lock()
	defer g.mu.Unlock()
	give := func(b []byte, found bool) {
		if !found {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		if g.stall != nil && r.Method == http.MethodGet && len(b) > 1<<20 {
			w.Header().Set("Content-Length", fmt.Sprint(len(b)))
			_, _ = w.Write(b[:1<<19])
			_ = http.NewResponseController(w).Flush()
			close(g.stall)
			g.stall = nil
			<-r.Context().Done()
			return
		}
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(b))
	}
	parts := strings.Split(strings.TrimPrefix(r.URL.Path, "/v2/"), "/")
	switch {
	case r.URL.Path == "/upload" && r.Method == http.MethodPatch:
		g.upload = append(g.upload, body...)
		w.Header().Set("Location", g.URL+"/upload")
		w.WriteHeader(http.StatusAccepted)
	case r.URL.Path == "/upload":
		if digest := fmt.Sprintf("sha256:%x", sha256.Sum256(g.upload)); r.URL.Query().Get("digest") == digest {
			g.blobs[digest] = g.upload
			w.WriteHeader(http.StatusCreated)
			return
		}
		w.WriteHeader(http.StatusBadRequest)
	case len(parts) < 4:
		w.WriteHeader(http.StatusNotFound)
	case parts[3] == "uploads":
		g.upload = nil
		w.Header().Set("Location", g.URL+"/upload")
		w.WriteHeader(http.StatusAccepted)
	case parts[2] == "manifests" && r.Method == http.MethodPut:
		g.manifests[parts[0]+"/"+parts[1]+"/"+parts[3]] = body
		w.WriteHeader(http.StatusCreated)
	case parts[2] == "manifests":
		b, ok := g.manifests[parts[0]+"/"+parts[1]+"/"+parts[3]]
		give(b, ok)
	default:
		b, ok := g.blobs[parts[3]]
		give(b, ok)
	}
}

func asks(n names.OllamaName, o registry.Options) (*registry.Client, error) {
	return registry.New(n, o), nil
}

// A registry's model is pulled in the lines that clients of Ollama know, answers under the name that it was pulled by, and is here then.
func TestPullOfARegistry(t *testing.T) {
	g := startRegistry(t)
	g.has("library/tiny/q8", miniFile(t))
	store := &models.Store{Home: t.TempDir()}
	s := newServer(t, store, Options{Registry: asks})
	name := g.host() + "/library/tiny:q8"
	for _, x := range []struct {
		body   string
		status int
		want   string
	}{
		{`{"model":"` + name + `","stream":false,"insecure":true}`, 403, "accept_license"},
		{`{"model":"` + name + `","stream":false}`, 502, "http instead of https"},
		{`{"model":"` + g.host() + `/library/none","stream":false,"insecure":true}`, 404, "not found"},
		{`{"model":"hf.co/owner/repo:Q8_0","stream":false}`, 501, "pull is not supported"},
		{`{"model":"` + g.host() + `/a/../b","stream":false}`, 400, "model"},
	} {
		if w := ask.Post(s, "/api/pull", x.body); w.Code != x.status || !strings.Contains(w.Body.String(), x.want) {
			t.Errorf("%s: %d %s, want %d %q", x.body, w.Code, w.Body, x.status, x.want)
		}
	}
	body := `{"model":"ollama://` + name + `","insecure":true,"accept_license":true}`
	list := ask.Lines[status](t, ask.Post(s, "/api/pull", body))
	var steps []string
	whole := map[string]bool{}
	for _, x := range list {
		if x.Digest == "" {
			steps = append(steps, x.Status)
			continue
		}
		if !strings.HasPrefix(x.Digest, "sha256:") || x.Status != "pulling "+x.Digest[7:19] || x.Total <= 0 || x.Completed > x.Total {
			t.Errorf("%+v", x)
		}
		whole[x.Digest] = x.Completed == x.Total
	}
	if got := strings.Join(steps, ", "); got != "pulling manifest, verifying sha256 digest, writing manifest, success" {
		t.Error(got)
	}
	if len(whole) != 4 || slices.Contains([]bool{whole[list[1].Digest], whole[list[2].Digest]}, false) {
		t.Errorf("layers %v", whole)
	}
	const asked = `","prompt":"What is the capital of France?","stream":false,"options":{"temperature":0}`
	want := ask.JSON[answer](t, ask.Post(s, "/api/generate", `{"model":"tiny:q8`+asked+`,"system":"Talk like a pirate."}`))
	for _, as := range []string{name, "ollama://" + name, "tiny:q8", "tiny"} {
		if x := ask.JSON[answer](t, ask.Post(s, "/api/generate", `{"model":"`+as+asked+`}`)); x.text() != want.text() || x.PromptCount != want.PromptCount {
			t.Errorf("%s says %q, want %q", as, x.text(), want.text())
		}
	}
	if x := ask.JSON[status](t, ask.Post(s, "/api/pull", `{"model":"`+name+`","stream":false,"insecure":true}`)); x.Status != "success" {
		t.Errorf("again: %+v", x)
	}
	g.Close()
	list = ask.Lines[status](t, ask.Post(s, "/api/pull", `{"model":"`+name+`","insecure":true}`))
	if !slices.ContainsFunc(list, func(x status) bool { return strings.Contains(x.Status, "using what is here") }) || list[len(list)-1].Status != "success" {
		t.Errorf("without its registry: %+v", list)
	}
}

// A pull whose client leaves stops, and what it has fetched is gone on with.
func TestPullWhoseClientLeaves(t *testing.T) {
	g := startRegistry(t)
	g.has("library/tiny/latest", miniFile(t))
	stalled := make(chan struct{})
	g.stall = stalled
	store := &models.Store{Home: t.TempDir()}
	s := newServer(t, store, Options{Registry: asks})
	ctx, leave := context.WithCancel(context.Background())
	defer leave()
	r := httptest.NewRequestWithContext(ctx, "POST", "/api/pull", strings.NewReader(`{"model":"`+g.host()+`/library/tiny","insecure":true,"accept_license":true}`))
	r.Host = "localhost"
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.Handler().ServeHTTP(httptest.NewRecorder(), r)
	}()
	for _, what := range []chan struct{}{stalled, done} {
		select {
		case <-what:
			leave()
		case <-time.After(time.Minute):
			t.Fatal("the pull does not begin, or goes on without its client")
		}
	}
	if left, err := store.Find("tiny"); err == nil {
		t.Errorf("a pull that was left made %+v", left)
	}
	if x := ask.JSON[status](t, ask.Post(s, "/api/pull", `{"model":"`+g.host()+`/library/tiny","insecure":true,"stream":false}`)); x.Status != "success" {
		t.Errorf("again: %+v", x)
	}
}

// plainFile is Mini as a plain GGUF file.
func plainFile(t *testing.T) []byte {
	t.Helper()
	at := filepath.Join(t.TempDir(), "x.gguf")
	o := systemgemma.ConvertOptions{Output: at, To: systemgemma.FormatGGUF, NoReport: true}
	if _, err := systemgemma.Convert(context.Background(), systemgemma.Mini, &o); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(at)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// bring uploads a blob and returns its digest.
func bring(t *testing.T, s http.Handler, b []byte) string {
	t.Helper()
	digest := fmt.Sprintf("sha256:%x", sha256.Sum256(b))
	r := httptest.NewRequest("POST", "/api/blobs/"+digest, bytes.NewReader(b))
	r.Host = "localhost"
	w := httptest.NewRecorder()
	if s.ServeHTTP(w, r); w.Code != http.StatusCreated {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	return digest
}

// A model goes to the registry of its name, with all that it carries, and comes back the same.
func TestPush(t *testing.T) {
	sample.Skip(t) // it converts
	g := startRegistry(t)
	store := &models.Store{Home: t.TempDir()}
	s := newServer(t, store, Options{Registry: asks})
	digest := bring(t, s.Handler(), plainFile(t))
	body := `{"model":"mine","files":{"mini.gguf":"` + digest + `"},"system":"Talk like a pirate.","parameters":{"num_predict":3},"stream":false}`
	if w := ask.Post(s, "/api/create", body); w.Code != http.StatusOK {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	name := g.host() + "/me/mine:v1"
	if w := ask.Post(s, "/api/copy", `{"source":"mine","destination":"`+name+`"}`); w.Code != http.StatusOK {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	for _, x := range []struct {
		body   string
		status int
		want   string
	}{
		{`{"model":"mine"}`, 400, "namespace of your own"},
		{`{"model":"hf://me/mine"}`, 501, "no hub"},
		{`{"model":"me/mine","create_pr":true}`, 400, "create_pr"},
		{`{"model":"me/mine","commit_message":"x"}`, 400, "commit_message"},
		{`{"model":"a b"}`, 400, "model"},
		{`{"model":"me/mine","password":"x"}`, 400, "password"},
		{`{"model":"` + g.host() + `/me/none","stream":false}`, 404, "not found"},
	} {
		if w := ask.Post(s, "/api/push", x.body); w.Code != x.status || !strings.Contains(w.Body.String(), x.want) {
			t.Errorf("%s: %d %s, want %d %q", x.body, w.Code, w.Body, x.status, x.want)
		}
	}
	list := ask.Lines[status](t, ask.Post(s, "/api/push", `{"model":"`+name+`","insecure":true}`))
	sent := map[string]bool{}
	for _, x := range list {
		if x.Digest != "" {
			sent[x.Digest] = sent[x.Digest] || x.Completed == x.Total
		}
	}
	if list[0].Status != "retrieving manifest" || list[len(list)-2].Status != "pushing manifest" || list[len(list)-1].Status != "success" || !sent[digest] {
		t.Errorf("%+v", list)
	}
	if x := ask.JSON[status](t, ask.Post(s, "/api/push", `{"model":"`+name+`","insecure":true,"stream":false}`)); x.Status != "success" {
		t.Errorf("again: %+v", x)
	}
	other := newServer(t, &models.Store{Home: t.TempDir()}, Options{Registry: asks})
	if x := ask.JSON[status](t, ask.Post(other, "/api/pull", `{"model":"`+name+`","insecure":true,"stream":false,"accept_license":true}`)); x.Status != "success" {
		t.Errorf("%+v", x)
	}
	show := ask.JSON[shown](t, ask.Post(other, "/api/show", `{"model":"`+name+`"}`))
	if !strings.Contains(show.Modelfile, "SYSTEM Talk like a pirate.") || !strings.Contains(show.Parameters, "num_predict") {
		t.Errorf("%+v", show)
	}
}
