package ollama

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/systemgemma/systemgemma/internal/app/hub/names"
	"github.com/systemgemma/systemgemma/internal/app/hub/wire"
	"github.com/systemgemma/systemgemma/internal/app/models"
	"github.com/systemgemma/systemgemma/internal/app/registry"
	"github.com/systemgemma/systemgemma/internal/app/registry/ollamastore"
	"github.com/systemgemma/systemgemma/internal/testkit/ask"
	"github.com/systemgemma/systemgemma/internal/testkit/golden"
	"github.com/systemgemma/systemgemma/internal/testkit/scripted"
)

// recordedCall is what a request to Ollama's own interface said, and how it was answered.
type recordedCall struct {
	Name string
	Call []struct {
		Method, Path string
		Body         map[string]any
		LeaveAfter   float64 `json:"leave_after"`
	}
	DiskBefore   []scripted.Node  `json:"disk_before"`
	ServerScript []*scripted.Rule `json:"server_script"`
	Result       []struct {
		Status any
		Lines  []map[string]any
	}
}

// streamed are the recorded pulls that end alike here until the model is looked at: what was recorded is no model that can be run. Pulls
// that differ in their requests are package registry's.
var streamed = []string{
	"ollama.pull", "ollama.pull_manifest_missing", "ollama.pull_manifest_not_json", "ollama.pull_auth_realm_other_host",
}

// otherwise are cases that we answer in another way, with the reason.
var otherwise = map[string]string{
	"ollama.pull_https_only":                 "a name with a scheme is an address here, and is refused: Ollama drops the scheme",
	"ollama.name.10":                         "a name with a scheme is an address here, and is refused: Ollama drops the scheme",
	"ollama.push_redirect_auth":              "a token is never sent to another host",
	"ollama.push_redirect_location_only":     "a token is never sent to another host",
	"ollama.push_upload_location_other_host": "a token is never sent to another host",
}

// told are lines as far as they count: each once, as they were recorded.
func told(list []map[string]any) (out []string) {
	for _, x := range list {
		line := ""
		switch text, _ := x["status"].(string); {
		case x["error"] != nil:
			line = "error"
		case strings.HasPrefix(text, "its ") || strings.Contains(text, "trying again in"):
			continue // what we say beyond Ollama
		default:
			b, _ := json.Marshal([]any{text, x["digest"], x["total"]})
			line = string(b)
		}
		if !slices.Contains(out, line) {
			out = append(out, line)
		}
	}
	return out
}

// Streams of pulls and pushes have the lines of Ollama's own, in their order, and fail where those do.
func TestGoldenStreams(t *testing.T) {
	dir := golden.Dir(t, "hub")
	var contents map[string]scripted.Content
	if err := json.Unmarshal(golden.Read(t, filepath.Join(dir, "contents.json")), &contents); err != nil {
		t.Fatal(err)
	}
	n := 0
	for c := range golden.Lines[recordedCall](t, filepath.Join(dir, "ollama.jsonl.gz")) {
		name := strings.HasPrefix(c.Name, "ollama.name.")
		if otherwise[c.Name] != "" || !name && !strings.HasPrefix(c.Name, "ollama.push_") && !slices.Contains(streamed, c.Name) {
			continue
		}
		n++
		t.Run(c.Name, func(t *testing.T) {
			script := scripted.Start(t, t.TempDir(), contents, c.ServerScript)
			script.LayOut(t, c.DiskBefore)
			store := &models.Store{Home: t.TempDir(), Ollama: []ollamastore.Store{{Dir: filepath.Join(script.Root, "models")}}}
			key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
			s := newServer(t, store, Options{Registry: func(n names.OllamaName, o registry.Options) (*registry.Client, error) {
				o.Key = func() (ed25519.PrivateKey, error) { return key, nil }
				o.Clock = wire.Clock{OnSleep: func(ctx context.Context, _ time.Duration) error { return ctx.Err() }}
				return registry.New(n, o), nil
			}})
			for i, call := range c.Call {
				call.Body["accept_license"] = true
				if model, ok := call.Body["model"].(string); ok {
					call.Body["model"] = script.Fill(model)
				}
				body, err := json.Marshal(call.Body)
				if err != nil {
					t.Fatal(err)
				}
				if call.Path == "/api/pull" && !name { // a library of ours would take the names apart from registries
					store.Ollama = nil
				}
				w := ask.Post(s, call.Path, string(body))
				want := c.Result[i]
				if status, _ := want.Status.(float64); w.Code != int(status) {
					t.Fatalf("%s: status %d, want %v: %s", body, w.Code, want.Status, w.Body)
				}
				if w.Code != http.StatusOK {
					continue
				}
				raw := w.Body.String()
				got, wanted := told(ask.Lines[map[string]any](t, w)), told(want.Lines)
				if k := slices.Index(wanted, `["writing manifest",null,null]`); k >= 0 {
					wanted = append(wanted[:k:k], "error") // it is no model that can be run
				}
				if diff := cmp.Diff(wanted, got); diff != "" {
					t.Errorf("lines (-want +got):\n%s\n%s", diff, raw)
				}
			}
		})
	}
	golden.Count(t, n)
}
