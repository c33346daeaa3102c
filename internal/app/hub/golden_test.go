package hub_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/systemgemma/systemgemma/internal/app/hub"
	"github.com/systemgemma/systemgemma/internal/app/hub/download"
	"github.com/systemgemma/systemgemma/internal/app/hub/hfcache"
	"github.com/systemgemma/systemgemma/internal/app/hub/names"
	"github.com/systemgemma/systemgemma/internal/app/hub/wire"
	"github.com/systemgemma/systemgemma/internal/testkit/golden"
	"github.com/systemgemma/systemgemma/internal/testkit/scripted"
)

// kindOf names what our error is; wantKind names what the recorded one means.
func kindOf(err error) string {
	if err == nil {
		return ""
	}
	kinds := map[wire.Kind]string{
		wire.Unreachable: "unreachable", wire.NotAHub: "not a hub", wire.TooManyRedirects: "redirects", wire.RepoNotFound: "no repository",
		wire.RevisionNotFound: "no revision", wire.FileNotFound: "no file", wire.NotFound: "404", wire.Gated: "gated", wire.BadToken: "401",
		wire.Disabled: "disabled", wire.Forbidden: "403", wire.Legal: "451", wire.BadRequest: "400", wire.RateLimited: "429",
		wire.ServerError: "5xx", wire.LinkRefused: "link", wire.OtherStatus: "status",
	}
	var name *names.Error
	var offline *hub.OfflineError
	var missing *hub.NotHereError
	var token *hub.NoTokenError
	var hash *download.HashError
	var size *download.SizeError
	var layout *hfcache.LayoutError
	switch {
	case errors.As(err, &name):
		return "name"
	case errors.As(err, &missing):
		return "not here"
	case errors.As(err, &offline):
		return "offline"
	case errors.As(err, &token):
		return "no token"
	case errors.As(err, &hash):
		return "hash"
	case errors.As(err, &size):
		return "size"
	case errors.As(err, &layout):
		return "layout"
	case errors.Is(err, fs.ErrNotExist):
		return "no folder"
	case strings.Contains(err.Error(), "the connection was lost"):
		return "cut"
	}
	if k, ok := kinds[wire.KindOf(err)]; ok {
		return k
	}
	return "other: " + err.Error()
}

var statusIn = regexp.MustCompile(`\b([45]\d\d)\b`)

func (r *replay) wantKind() string {
	e := r.c.Error
	if e == nil {
		return ""
	}
	typ, message, status := e.Type, e.Message, e.Status
	if typ == "LocalEntryNotFoundError" && e.Cause != nil { // the reference hides the reason behind this
		typ, message = e.Cause.Type, e.Cause.Message
	}
	byStatus := map[string]string{"400": "400", "401": "401", "403": "403", "404": "404", "429": "429", "451": "451"}
	switch typ {
	case "HFValidationError":
		return "name"
	case "ValueError":
		if e.Cause != nil && e.Cause.Type == "OfflineModeIsEnabled" {
			return "offline"
		}
		return "name"
	case "OSError":
		return "size"
	case "RemoteEntryNotFoundError":
		return "no file"
	case "RevisionNotFoundError":
		return "no revision"
	case "RepositoryNotFoundError":
		return "no repository"
	case "GatedRepoError":
		return "gated"
	case "DisabledRepoError":
		return "disabled"
	case "BadRequestError":
		return "400"
	case "FileMetadataError":
		return "not a hub"
	case "ConnectError":
		return "unreachable"
	case "TooManyRedirects":
		return "redirects"
	case "RemoteProtocolError":
		return "cut"
	case "LocalTokenNotFoundError":
		return "no token"
	case "CacheNotFound":
		return "no folder"
	case "OfflineModeIsEnabled":
		if e.Type == "LocalEntryNotFoundError" {
			return "not here"
		}
		return "offline"
	case "IncompleteSnapshotError", "LocalEntryNotFoundError":
		return "not here"
	case "HfHubHTTPError":
		s := fmt.Sprint(status)
		if status == 0 {
			s = statusIn.FindString(message)
		}
		if k, ok := byStatus[s]; ok {
			return k
		}
		return "5xx"
	}
	return "?" + typ
}

// plain turns a value into what JSON makes of it, with clean paths, lists of objects in a fixed order and warnings counted.
func plain(v any, fill func(string) string) any {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	var out any
	if err := json.Unmarshal([]byte(fill(string(b))), &out); err != nil {
		panic(err)
	}
	return tidy(out)
}

func tidy(v any) any {
	switch v := v.(type) {
	case string:
		if strings.HasPrefix(v, "/") {
			return filepath.Clean(v)
		}
	case []any:
		for i := range v {
			v[i] = tidy(v[i])
		}
		slices.SortFunc(v, func(a, b any) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	case map[string]any:
		for k := range v {
			if list, ok := v[k].([]any); ok && k == "warnings" {
				v[k] = float64(len(list))
			} else {
				v[k] = tidy(v[k])
			}
		}
	}
	return v
}

// compareResult compares what both have: the reference answers with fields that we don't keep.
func (r *replay) compareResult(got any) {
	r.t.Helper()
	var want any
	if err := json.Unmarshal(r.c.Result, &want); err != nil {
		r.t.Fatal(err)
	}
	w, g := plain(want, r.script.Fill), plain(got, func(s string) string { return s })
	r.t.Helper()
	if diff := cmp.Diff(common(w, g), g); diff != "" {
		r.t.Errorf("result (-want +got):\n%s", diff)
	}
}

// common drops the fields of want that got has not.
func common(want, got any) any {
	switch w := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok {
			return want
		}
		out := map[string]any{}
		for k := range w {
			if _, ok := g[k]; ok {
				out[k] = common(w[k], g[k])
			}
		}
		return out
	case []any:
		g, ok := got.([]any)
		if !ok || len(g) != len(w) {
			return want
		}
		out := make([]any, len(w))
		for i := range w {
			out[i] = common(w[i], g[i])
		}
		return out
	}
	return want
}

// TestGoldenReplay makes every recorded call of the reference client against its scripted servers and compares the requests that
// count, the cache afterwards, the result and the kind of error. What must differ is in the table of exceptions_test.go, with our
// own expected outcome.
func TestGoldenReplay(t *testing.T) {
	contents, cases := scripted.Cases[recordedCase](t, "hub", "info", "download", "errors", "resume", "names", "snapshot", "settings", "cache", "xet")
	n, differ := 0, 0
	used := map[string]bool{}
	for c := range cases {
		if c.Name == "xet.upload_enabled" {
			continue // of TestGoldenUploads
		}
		n++
		t.Run(c.Name, func(t *testing.T) {
			if pattern, e := exceptionOf(c.Name); e != nil {
				differ++
				used[pattern] = true
				e.replay(newReplay(t, c, contents))
				return
			}
			newReplay(t, c, contents).compare()
		})
	}
	for pattern := range exceptions {
		if !used[pattern] && !testing.Short() {
			t.Errorf("no case for the exception %q: it can go", pattern)
		}
	}
	t.Logf("%d of them differ from the reference as the table says", differ)
	golden.Count(t, n)
}

func (r *replay) compare() {
	got, err := r.call()
	if want, k := r.wantKind(), kindOf(err); want != k {
		r.t.Errorf("error: want kind %q, got %q (%v)", want, k, err)
	}
	if r.c.Error == nil && err == nil {
		r.compareResult(got)
	}
	r.compareRequests()
	for _, d := range compareTrees(scripted.Recorded(r.c.CacheTree), scripted.Tree(r.t, r.script.Root), refsOf(r.c.CacheTree)) {
		r.t.Errorf("disk: %s", d)
	}
	if diff := cmp.Diff(r.c.Sleeps, r.sleeps); diff != "" && len(r.c.Sleeps) > 0 {
		r.t.Errorf("waits in seconds (-want +got):\n%s", diff)
	}
}

func (r *replay) compareRequests() {
	var want []string
	for _, q := range r.c.Requests {
		want = append(want, q.Line())
	}
	if diff := cmp.Diff(want, r.script.Asked(), cmp.Transformer("nil", func(s []string) []string { return append([]string{}, s...) })); diff != "" && (len(want) > 0 || len(r.script.Asked()) > 0) {
		r.t.Errorf("requests (-want +got):\n%s", diff)
	}
}
