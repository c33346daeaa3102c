package registry_test

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/systemgemma/systemgemma/internal/app/registry/ollamastore"
)

// exception is a case where we must differ from the reference: why, and what we do instead.
type exception struct {
	why      string
	kind     string   // of error, "" for success
	requests []string // METHOD host [range] [auth], in order
	whole    bool     // the model is in the store afterwards, all its blobs right
}

// exceptions are all cases that differ, but for the newer client's (client2_*), of which only the stores are read.
var exceptions = map[string]exception{
	"ollama.pull_no_redirect": {
		why:      "a registry that serves its blobs itself will do",
		requests: append([]string{"GET hub"}, repeat(8, "HEAD hub", "GET hub")...), whole: true,
	},
	"ollama.pull_redirect_same_host_name": {
		why:      "a link to another port is followed like every other, without the token",
		requests: []string{"GET hub", "HEAD hub", "GET hub", "GET cdn 0-1343"}, whole: true,
	},
	"ollama.pull_part_file_damaged": {
		why:      "a damaged part file is removed and the blob fetched from its beginning",
		requests: []string{"GET hub", "HEAD hub", "GET hub", "GET cdn 0-1343"}, whole: true,
	},
	"ollama.pull_resume_range_ignored": {
		why:      "a whole file where a range was asked for is taken as that, from its beginning",
		requests: []string{"GET hub", "GET hub", "GET cdn 300-1343", "GET cdn 0-1343"}, whole: true,
	},
	"ollama.pull_wrong_cached_blob": {
		why:      "blobs that are there are hashed; a damaged one is asked for again, which the script answers with 599",
		kind:     "5xx",
		requests: []string{"GET hub", "HEAD hub"},
	},
	"ollama.push_upload_location_other_host": {
		why: "the token goes to the registry only",
		requests: []string{
			"HEAD hub", "GET hub signed", "HEAD hub token", "HEAD hub token", "HEAD hub token", "HEAD hub token", "POST hub token", "PATCH cdn", "PUT cdn",
			"HEAD hub token", "HEAD hub token", "HEAD hub token", "HEAD hub token", "PUT hub token",
		},
	},
	"ollama.push_redirect_auth": {
		why: "the token goes to the registry only",
		requests: []string{
			"HEAD hub", "GET hub signed", "HEAD hub token", "HEAD hub token", "HEAD hub token", "HEAD hub token", "POST hub token", "PATCH hub token", "PUT cdn", "PUT cdn",
			"HEAD hub token", "HEAD hub token", "HEAD hub token", "HEAD hub token", "PUT hub token",
		},
	},
}

func repeat(n int, s ...string) (all []string) {
	for range n {
		all = append(all, s...)
	}
	return all
}

// replay makes the call and compares with our own expected outcome. Whatever it is, every blob is what its name says.
func (e *exception) replay(r *replay) {
	_, err := r.call()
	var requests []string
	for _, q := range r.script.Made() {
		s := q.Method + " " + q.Host
		if v := q.Headers["range"]; v != "" {
			s += " " + strings.TrimPrefix(v, "bytes=")
		}
		switch v := q.Headers["authorization"]; {
		case strings.HasPrefix(v, "Bearer "):
			s += " token"
		case v != "":
			s += " signed"
		}
		requests = append(requests, s)
	}
	if kind, got, want := kindOf(err), strings.Join(requests, ", "), strings.Join(e.requests, ", "); kind != e.kind || got != want {
		r.t.Errorf("%s\nwant kind %q, requests %s\n got kind %q, requests %s (%v)", e.why, e.kind, want, kind, got, err)
	}
	blobs, globErr := filepath.Glob(filepath.Join(r.store.Dir, "blobs", "*"))
	if globErr != nil {
		r.t.Fatal(globErr)
	}
	for _, p := range blobs {
		if err := ollamastore.Digest(filepath.Base(p)).Sum().CheckFile(p); err != nil {
			r.t.Error(err)
		}
		if strings.Contains(p, "partial") {
			r.t.Errorf("%s is left", p)
		}
	}
	all, err := r.store.List()
	if err != nil || e.whole && len(all) != 1 {
		r.t.Errorf("%d models in the store, %v; want whole: %t", len(all), err, e.whole)
	}
	for _, m := range all {
		for _, l := range m.Manifest.All() {
			if _, err := os.Stat(r.store.BlobPath(l.Digest)); err != nil && e.whole {
				r.t.Error(err)
			}
		}
	}
}
