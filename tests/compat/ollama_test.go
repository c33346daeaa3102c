package compat

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ollama/ollama/api"
)

func TestGoOllama(t *testing.T) {
	s := serve(t)
	base, err := url.Parse(s.url)
	if err != nil {
		t.Fatal(err)
	}
	c, ctx := api.NewClient(base, http.DefaultClient), t.Context()
	no, options := false, map[string]any{"temperature": 0, "num_predict": 48}
	messages := []api.Message{{Role: "system", Content: pirate}, {Role: "user", Content: question}}
	chat := func(t *testing.T, r *api.ChatRequest) (text string, last api.ChatResponse, pieces int) {
		t.Helper()
		err := c.Chat(ctx, r, func(p api.ChatResponse) error {
			text += p.Message.Content
			if last = p; p.Message.Content != "" {
				pieces++
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return text, last, pieces
	}
	t.Run("chat", func(t *testing.T) {
		whole, _, _ := chat(t, &api.ChatRequest{Model: "mini", Messages: messages, Options: options, Stream: &no})
		text, last, pieces := chat(t, &api.ChatRequest{Model: "mini:latest", Messages: messages, Options: options})
		if text != whole || !strings.Contains(text, "Paris") || pieces < 3 || !last.Done || last.DoneReason != "stop" || last.EvalCount < 2 || last.EvalDuration <= 0 {
			t.Errorf("%d pieces: %q, want %q; last %+v", pieces, text, whole, last)
		}
	})
	t.Run("generate", func(t *testing.T) {
		text, done := "", false
		err := c.Generate(ctx, &api.GenerateRequest{Model: "mini", System: pirate, Prompt: question, Options: options}, func(p api.GenerateResponse) error {
			text += p.Response
			done = p.Done
			return nil
		})
		if err != nil || !done || !strings.Contains(text, "Paris") {
			t.Errorf("%q, %v", text, err)
		}
	})
	t.Run("format", func(t *testing.T) {
		text, _, _ := chat(t, &api.ChatRequest{Model: "mini", Messages: messages, Options: map[string]any{"temperature": 0, "num_predict": 200},
			Format: json.RawMessage(`{"type": "object", "properties": {"city": {"type": "string", "maxLength": 10}}, "required": ["city"], "additionalProperties": false}`)})
		var x struct{ City *string }
		if err := json.Unmarshal([]byte(text), &x); err != nil || x.City == nil {
			t.Errorf("%v in %q", err, text)
		}
	})
	t.Run("tools", func(t *testing.T) {
		properties := api.NewToolPropertiesMap()
		properties.Set("city", api.ToolProperty{Type: api.PropertyType{"string"}})
		tool := api.Tool{Type: "function", Function: api.ToolFunction{Name: "weather", Description: "The weather of a city.",
			Parameters: api.ToolFunctionParameters{Type: "object", Required: []string{"city"}, Properties: properties}}}
		_, last, _ := chat(t, &api.ChatRequest{Model: "mini", Messages: messages, Options: options, Tools: api.Tools{tool}})
		if !last.Done {
			t.Errorf("found %+v", last)
		}
	})
	t.Run("models", func(t *testing.T) {
		list, err := c.List(ctx)
		if err != nil || len(list.Models) == 0 || list.Models[0].Details.Family == "" {
			t.Fatalf("%+v, %v", list, err)
		}
		show, err := c.Show(ctx, &api.ShowRequest{Model: "mini"})
		if err != nil || len(show.Capabilities) < 2 || len(show.ModelInfo) == 0 {
			t.Errorf("%+v, %v", show, err)
		}
		if ps, err := c.ListRunning(ctx); err != nil || len(ps.Models) != 1 {
			t.Errorf("%+v, %v", ps, err)
		}
		// Programs ask for 0.6.5 at least.
		if v, err := c.Version(ctx); err != nil || !regexp.MustCompile(`^(0\.[1-9][0-9]+|[1-9][0-9]*\.[0-9]+)\.[0-9]+$`).MatchString(v) {
			t.Errorf("%q, %v", v, err)
		}
	})
	t.Run("embed", func(t *testing.T) {
		r, err := c.Embed(ctx, &api.EmbedRequest{Model: "mini", Input: []string{"a", "b"}})
		if err != nil || len(r.Embeddings) != 2 || len(r.Embeddings[0]) == 0 {
			t.Errorf("%+v, %v", r, err)
		}
	})
	t.Run("errors", func(t *testing.T) {
		err := c.Chat(ctx, &api.ChatRequest{Model: "no-such-model", Messages: messages}, func(api.ChatResponse) error { return nil })
		var status api.StatusError
		if !errors.As(err, &status) || status.StatusCode != http.StatusNotFound {
			t.Errorf("found %v", err)
		}
	})
}

// The Go client makes a model of a file, and one of it with another type of weights, brings it to a registry, and gets it from there.
func TestGoOllamaModels(t *testing.T) {
	s := serve(t)
	base, err := url.Parse(s.url)
	if err != nil {
		t.Fatal(err)
	}
	c, ctx := api.NewClient(base, http.DefaultClient), t.Context()
	file := filepath.Join(t.TempDir(), "mini.gguf")
	if out, err := exec.Command(program, "convert", "mini", "--to", "gguf", "-o", file).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	digest := fmt.Sprintf("sha256:%x", sha256.Sum256(b))
	if err := c.CreateBlob(ctx, digest, bytes.NewReader(b)); err != nil {
		t.Fatal(err)
	}
	var steps []string
	step := func(p api.ProgressResponse) error {
		if n := len(steps); n == 0 || steps[n-1] != p.Status {
			steps = append(steps, p.Status)
		}
		if p.Completed > p.Total {
			t.Errorf("%+v", p)
		}
		return nil
	}
	said := func() string { defer func() { steps = nil }(); return strings.Join(steps, ", ") }
	if err := c.Create(ctx, &api.CreateRequest{Model: "mine", Files: map[string]string{"mini.gguf": digest}, System: pirate}, step); err != nil {
		t.Fatal(err)
	}
	if got := said(); got != "success" {
		t.Errorf("create: %s", got)
	}
	if err := c.Create(ctx, &api.CreateRequest{Model: "small", From: "mine", Quantize: "q4_0"}, step); err != nil {
		t.Fatal(err)
	}
	if got := said(); !strings.HasSuffix(got, "quantizing model to q4_0, success") || !strings.Contains(got, "rounded already") {
		t.Errorf("create with other weights: %s", got)
	}
	if err := c.Create(ctx, &api.CreateRequest{Model: "other", From: "mine", Quantize: "q4_K_M"}, step); err == nil || !strings.Contains(err.Error(), "q4_K_M") {
		t.Errorf("K-quants: %v", err)
	}
	g := httptest.NewServer(&registry{blobs: map[string][]byte{}})
	defer g.Close()
	name := strings.TrimPrefix(g.URL, "http://") + "/me/mine:v1"
	if err := c.Copy(ctx, &api.CopyRequest{Source: "mine", Destination: name}); err != nil {
		t.Fatal(err)
	}
	if err := c.Push(ctx, &api.PushRequest{Model: name, Insecure: true}, step); err != nil {
		t.Fatal(err)
	}
	if got := said(); !strings.HasPrefix(got, "retrieving manifest, pushing "+digest[7:19]+", ") || !strings.HasSuffix(got, ", pushing manifest, success") {
		t.Errorf("push: %s", got)
	}
	// Terms are nothing that a client of Ollama accepts: a person does, once, by the program, or by a request's own field.
	err = c.Pull(ctx, &api.PullRequest{Model: name, Insecure: true}, step)
	if err == nil || !strings.Contains(err.Error(), "accept_license") {
		t.Errorf("pull: %v", err)
	}
	said()
	body := fmt.Sprintf(`{"model":%q,"insecure":true,"stream":false,"accept_license":true}`, name)
	resp, err := http.Post(s.url+"/api/pull", "application/json", strings.NewReader(body))
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%v, %v", resp, err)
	}
	_ = resp.Body.Close()
	if err := c.Pull(ctx, &api.PullRequest{Model: name, Insecure: true}, step); err != nil {
		t.Fatal(err)
	}
	if got := said(); !strings.HasPrefix(got, "pulling manifest, pulling "+digest[7:19]+", ") || !strings.HasSuffix(got, ", success") {
		t.Errorf("pull: %s", got)
	}
}

// registry is a registry of Ollama that takes what is pushed, one blob after the other.
type registry struct {
	mu     sync.Mutex
	blobs  map[string][]byte // guarded by mu; by path
	upload []byte            // guarded by mu
}

func (g *registry) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	g.mu.Lock()
	defer g.mu.Unlock()
	switch path := r.URL.Path; {
	case strings.HasSuffix(path, "/uploads/"):
		g.upload = nil
		w.Header().Set("Location", "/take"+strings.TrimSuffix(path, "uploads/"))
		w.WriteHeader(http.StatusAccepted)
	case strings.HasPrefix(path, "/take") && r.Method == http.MethodPatch:
		g.upload = append(g.upload, body...)
		w.Header().Set("Location", path)
		w.WriteHeader(http.StatusAccepted)
	case strings.HasPrefix(path, "/take"):
		g.blobs[strings.TrimPrefix(path, "/take")+r.URL.Query().Get("digest")] = g.upload
		w.WriteHeader(http.StatusCreated)
	case r.Method == http.MethodPut:
		g.blobs[path] = body
		w.WriteHeader(http.StatusCreated)
	case g.blobs[path] == nil:
		w.WriteHeader(http.StatusNotFound)
	default:
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(g.blobs[path]))
	}
}
