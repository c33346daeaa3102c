package registry_test

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/systemgemma/systemgemma/internal/app/hub/download"
	"github.com/systemgemma/systemgemma/internal/app/hub/names"
	"github.com/systemgemma/systemgemma/internal/app/hub/wire"
	"github.com/systemgemma/systemgemma/internal/app/registry"
	"github.com/systemgemma/systemgemma/internal/app/registry/ollamastore"
	"github.com/systemgemma/systemgemma/internal/testkit/golden"
	"github.com/systemgemma/systemgemma/internal/testkit/scripted"
)

// recordedCase is what one request to Ollama's local interface, or several, made it do.
type recordedCase struct {
	scripted.Case
	Call []struct {
		Method, Path, Content string
		Body                  struct {
			Model    string
			Insecure bool
			Files    map[string]string
			Template string
			System   string
			License  string
			Params   map[string]any `json:"parameters"`
			Messages []message
		}
		LeaveAfter float64 `json:"leave_after"`
	}
	Result []struct {
		Status any
		Lines  []map[string]any
	}
}

type message struct {
	Role    string `json:"role"`
	Content string `json:"content"`
}

type replay struct {
	t      *testing.T
	c      recordedCase
	script *scripted.Servers
	store  ollamastore.Store
	key    ed25519.PrivateKey
	locks  string
}

func newReplay(t *testing.T, c recordedCase, contents map[string]scripted.Content) *replay {
	r := &replay{t: t, c: c, script: c.Start(t, contents), locks: t.TempDir()}
	r.store = ollamastore.Store{Dir: filepath.Join(r.script.Root, "models")}
	r.key = ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	return r
}

// call does what the case's requests ask for, until one fails. tags is what the last listing found.
func (r *replay) call() (tags []ollamastore.Model, err error) {
	for _, call := range r.c.Call {
		ctx, leave := context.WithCancel(context.Background())
		defer leave()
		report := func(p download.Progress) {
			for _, rule := range r.c.ServerScript { // the caller leaves while the server is silent
				if n := rule.Respond.StallAfter; n != nil && call.LeaveAfter > 0 && p.Done >= int64(*n) {
					leave()
				}
			}
		}
		var n names.OllamaName
		if call.Body.Model != "" || call.Path == "/api/pull" {
			if n, err = names.ParseOllama(r.script.Fill(call.Body.Model)); err != nil {
				return nil, err
			}
		}
		client := registry.New(n, registry.Options{
			Insecure: call.Body.Insecure, LockDir: r.locks, Report: report, Key: func() (ed25519.PrivateKey, error) { return r.key, nil },
			Clock: wire.Clock{OnSleep: func(ctx context.Context, _ time.Duration) error { return ctx.Err() }},
		})
		switch {
		case call.Path == "/api/pull":
			_, err = client.Pull(ctx, r.store)
		case call.Path == "/api/push":
			var m *ollamastore.Manifest
			if m, err = r.store.Manifest(n); err == nil {
				err = client.Push(ctx, m, r.store)
			}
		case call.Path == "/api/tags":
			tags, err = r.store.List()
		case call.Path == "/api/delete":
			err = r.store.Remove(n)
		case strings.HasPrefix(call.Path, "/api/blobs/"):
			content := r.script.Contents[call.Content].Bytes()
			_, err = r.store.PutBlob(strings.NewReader(string(content)), ollamastore.Digest(strings.TrimPrefix(call.Path, "/api/blobs/")))
		case call.Path == "/api/create":
			b := call.Body
			model := ollamastore.Layer{Digest: ollamastore.Digest(b.Files["model.gguf"])}
			model.From = r.store.BlobPath(model.Digest)
			info, statErr := os.Stat(model.From)
			if statErr != nil {
				return nil, statErr
			}
			model.Size = info.Size()
			_, err = r.store.Create(n, ollamastore.Draft{
				Model: model, Family: "gemma2", Size: "256", FileType: "unknown", Template: b.Template, System: b.System,
				Licenses: []string{b.License}, Params: b.Params, Messages: b.Messages,
			})
		default:
			r.t.Fatalf("unknown call %s %s", call.Method, call.Path)
		}
		client.Close()
		if err != nil {
			return nil, err
		}
	}
	return tags, nil
}

// kindOf names what our error is, wantKind what the recorded one means.
func kindOf(err error) string {
	var name *names.Error
	var unknown *ollamastore.UnknownError
	var digest *ollamastore.DigestError
	var mismatch *ollamastore.MismatchError
	var hash *download.HashError
	var realm *registry.RealmError
	var reg *registry.Error
	switch {
	case err == nil:
		return ""
	case errors.As(err, &name):
		return "name"
	case errors.As(err, &unknown):
		return "unknown"
	case errors.As(err, &digest):
		return "digest"
	case errors.As(err, &mismatch), errors.As(err, &hash):
		return "hash"
	case errors.As(err, &realm):
		return "realm"
	case errors.Is(err, context.Canceled):
		return "left"
	case errors.Is(err, fs.ErrNotExist):
		return "missing"
	case errors.As(err, &reg):
		kinds := map[wire.Kind]string{
			wire.NotFound: "404", wire.BadToken: "401", wire.Forbidden: "403", wire.ServerError: "5xx", wire.BadRequest: "400",
			wire.NotAHub: "not a registry", wire.TLS: "tls", wire.LinkRefused: "link",
		}
		if k, ok := kinds[reg.Err.Kind]; ok {
			return k
		}
	}
	return "other: " + err.Error()
}

func (r *replay) wantKind() string {
	last := r.c.Result[len(r.c.Result)-1]
	if last.Status == "left" {
		return "left"
	}
	for _, l := range last.Lines {
		text, failed := l["error"].(string)
		if !failed {
			continue
		}
		for _, x := range [][2]string{
			{"invalid model name", "name"}, {"invalid digest", "digest"}, {"digest mismatch", "hash"}, {`realm host ""`, "401"}, {"realm host", "realm"},
			{"unauthorized", "401"}, {"403: denied", "403"}, {"invalid character", "not a registry"}, {"tls:", "tls"}, {"not found", "unknown"},
			{"manifests/", "unknown"}, {"no such file", "missing"}, {"file does not exist", "404"}, {"500:", "5xx"}, {"400:", "400"},
		} {
			if strings.Contains(text, x[0]) {
				return x[1]
			}
		}
		return "?" + text
	}
	return ""
}

var masked = regexp.MustCompile(`nonce=[^&]*|ts=([0-9]+|\{time\})`)

// lines are the requests as far as they count; signatures are checked and masked.
func (r *replay) lines(all []scripted.Request, mine bool) []string {
	lines := []string{}
	for _, q := range all {
		s := q.Host + " " + q.Method + " " + q.Path
		if q.Query != "" {
			query := masked.ReplaceAllStringFunc(q.Query, func(m string) string { return strings.SplitN(m, "=", 2)[0] })
			s += "?" + query
		}
		auth := q.Headers["authorization"]
		if auth != "" && !strings.HasPrefix(auth, "Bearer ") {
			if mine {
				r.checkSignature(q, auth)
			}
			auth = "signed"
		}
		if auth != "" {
			s += " authorization=" + auth
		}
		for _, h := range []string{"range", "content-range", "x-redirect-uploads", "content-type"} {
			if v := q.Headers[h]; v != "" {
				s += " " + h + "=" + v
			}
		}
		if q.Method != "GET" && q.Method != "HEAD" {
			s += " " + q.Body
		}
		lines = append(lines, s)
	}
	return lines
}

func (r *replay) checkSignature(q scripted.Request, auth string) {
	r.t.Helper()
	public, signature, _ := strings.Cut(auth, ":")
	key, err := base64.StdEncoding.DecodeString(public)
	sig, err2 := base64.StdEncoding.DecodeString(signature)
	empty := sha256.Sum256(nil)
	text := "GET," + r.script.Hub.URL + q.Path + "?" + q.Query + "," + base64.StdEncoding.EncodeToString([]byte(hex.EncodeToString(empty[:])))
	if err != nil || err2 != nil || len(key) < 32 || !ed25519.Verify(ed25519.PublicKey(key[len(key)-32:]), []byte(text), sig) {
		r.t.Errorf("the signature %s is not that of %s", auth, text)
	}
}

// nothing are folders that may be there empty or not.
var nothing = regexp.MustCompile(`^models(/blobs|/manifests)?$`)

func (r *replay) compareDisk() {
	r.t.Helper()
	want := map[string]string{}
	for p, what := range scripted.Recorded(r.c.CacheTree) {
		want[r.script.Fill(p)] = what
	}
	for _, n := range r.c.CacheTree {
		if n.Type == "file" && n.Size == nil && n.Text != nil { // it holds a path of the case's folder
			text := r.script.Fill(*n.Text)
			want[r.script.Fill(n.Path)] = fmt.Sprintf("%d %x", len(text), sha256.Sum256([]byte(text)))
		}
	}
	got := scripted.Tree(r.t, r.script.Root)
	for _, m := range []map[string]string{want, got} {
		for p := range m {
			if nothing.MatchString(p) {
				delete(m, p)
			}
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		r.t.Errorf("disk (-want +got):\n%s", diff)
	}
}

func (r *replay) compare() {
	tags, err := r.call()
	if want, got := r.wantKind(), kindOf(err); want != got {
		r.t.Errorf("error: want kind %q, got %q (%v)", want, got, err)
	}
	if diff := cmp.Diff(r.lines(r.c.Requests, false), r.lines(r.script.Made(), true)); diff != "" {
		r.t.Errorf("requests (-want +got):\n%s", diff)
	}
	r.compareDisk()
	if last := r.c.Call[len(r.c.Call)-1]; last.Path == "/api/tags" {
		r.compareTags(tags)
	}
}

// compareTags compares a listing with the recorded one.
func (r *replay) compareTags(tags []ollamastore.Model) {
	r.t.Helper()
	var want, got []string
	lines := r.c.Result[len(r.c.Result)-1].Lines
	for _, x := range lines[0]["models"].([]any) {
		m := x.(map[string]any)
		d := m["details"].(map[string]any)
		want = append(want, fmt.Sprint(r.script.Fill(m["name"].(string)), " ", m["size"], " ", m["digest"], " ", d["family"], " ", d["parameter_size"], " ", d["quantization_level"]))
	}
	for _, m := range tags {
		got = append(got, fmt.Sprint(m.Name, " ", m.Manifest.Bytes(), " ", m.Digest, " ", m.Config.ModelFamily, " ", m.Config.ModelType, " ", m.Config.FileType))
	}
	sort.Strings(want)
	if diff := cmp.Diff(want, got); diff != "" {
		r.t.Errorf("models (-want +got):\n%s", diff)
	}
}

// TestGoldenReplay makes every recorded call of Ollama against its scripted registry and compares the requests that count, the store
// afterwards, the listing and the kind of error. What differs is in the table of exceptions_test.go, with our own expected outcome.
func TestGoldenReplay(t *testing.T) {
	contents, cases := scripted.Cases[recordedCase](t, "hub", "ollama")
	n, differ := 0, 0
	for c := range cases {
		n++
		t.Run(c.Name, func(t *testing.T) {
			r := newReplay(t, c, contents)
			if strings.HasPrefix(c.Name, "ollama.client2_") {
				r.readLayout(contents)
				differ++
				return
			}
			if e, ok := exceptions[c.Name]; ok {
				differ++
				e.replay(r)
				return
			}
			r.compare()
		})
	}
	t.Logf("%d of them differ from the reference as the table says", differ)
	golden.Count(t, n)
}

// readLayout reads the store that the newer client leaves: it keeps more in blobs, which is no obstacle.
func (r *replay) readLayout(contents map[string]scripted.Content) {
	bySum := map[string]string{}
	for name, c := range contents {
		bySum[c.SHA256] = name
	}
	whole := false
	for _, n := range r.c.CacheTree {
		if name, ok := bySum[n.SHA256]; ok && n.Type == "file" {
			n.Content, n.Text = name, nil
			r.script.LayOut(r.t, []scripted.Node{n})
			whole = whole || strings.Contains(n.Path, "/manifests/")
		}
	}
	all, err := r.store.List()
	if err != nil || len(all) == 1 != whole || len(all) > 1 {
		r.t.Fatalf("%d models, %v; the recorded store has a manifest: %t", len(all), err, whole)
	}
	for _, m := range all {
		if missing := registry.Missing(m.Manifest, r.store); len(missing) > 0 || m.Config.ModelFamily != "gemma2" {
			r.t.Errorf("%d blobs missing, family %q", len(missing), m.Config.ModelFamily)
		}
	}
}
