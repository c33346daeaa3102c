package hub_test

import (
	"context"
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/systemgemma/systemgemma/internal/app/hub"
	"github.com/systemgemma/systemgemma/internal/app/hub/settings"
)

// reference pulls, or with HF_HUB_OFFLINE finds, a snapshot by the reference client, and tells what a scan of its cache says.
const reference = `
import json, os, hashlib
from huggingface_hub import snapshot_download, scan_cache_dir
p = snapshot_download("owner/model", token=False)
s = scan_cache_dir()
print(json.dumps({
    "files": {f: hashlib.sha256(open(os.path.join(p, f), "rb").read()).hexdigest() for f in sorted(os.listdir(p))},
    "warnings": [str(w) for w in s.warnings], "repos": sorted(r.repo_id for r in s.repos),
    "refs": sorted(ref for r in s.repos for v in r.revisions for ref in v.refs),
}))`

// The reference client (huggingface_hub 2.4.0) finds what we pulled, whole and without a warning, and we find what it pulled; and
// neither fetches again what the other left. SYSTEMGEMMA_HUB_PYTHON is a Python that has it.
func TestReferenceClientReadsOursAndWeIts(t *testing.T) {
	python := os.Getenv("SYSTEMGEMMA_HUB_PYTHON")
	if python == "" {
		t.Skip("SYSTEMGEMMA_HUB_PYTHON names no Python with huggingface_hub")
	}
	u := startUnreliable(t, 7, 2<<20, 1<<20)
	want := map[string]string{}
	for name, b := range u.versions[0] {
		want[name] = sum256(b)
	}
	run := func(home string, offline string) {
		t.Helper()
		cmd := exec.Command(python, "-c", reference)
		cmd.Env = append(os.Environ(), "HF_ENDPOINT="+u.hub.URL, "HF_HOME="+home, "HF_HUB_OFFLINE="+offline, "HF_HUB_DISABLE_XET=1",
			"HF_HUB_DISABLE_PROGRESS_BARS=1", "HF_HUB_DISABLE_TELEMETRY=1")
		cmd.Stderr = os.Stderr
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("reference client: %v", err)
		}
		var got struct {
			Files       map[string]string
			Warnings    []string
			Repos, Refs []string
		}
		if err := json.Unmarshal(out, &got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got.Files); diff != "" || len(got.Warnings) > 0 || len(got.Repos) != 1 || len(got.Refs) != 1 || got.Refs[0] != "main" {
			t.Errorf("the reference client sees %+v (-want +got):\n%s", got, diff)
		}
	}
	ours := func(home string, local bool) {
		t.Helper()
		env := map[string]string{"HF_ENDPOINT": u.hub.URL, "HF_HOME": home}
		s, err := settings.FromEnv(func(k string) (string, bool) { v, ok := env[k]; return v, ok }, home)
		if err != nil {
			t.Fatal(err)
		}
		c, err := hub.New(s, hub.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		snapshot, err := c.Snapshot(context.Background(), hub.SnapshotRequest{Repo: hub.Repo{ID: "owner/model"}, Local: local})
		if err != nil || len(snapshot.Files) != len(want) {
			t.Errorf("we see %d files, want %d: %v", len(snapshot.Files), len(want), err)
		}
		u.right(t, home)
	}
	for _, first := range []string{"ours", "reference"} {
		home := filepath.Join(t.TempDir(), "hf")
		if first == "ours" {
			ours(home, false)
			before := maps.Clone(u.fetched)
			run(home, "1")
			run(home, "0")
			if diff := cmp.Diff(before, u.fetched); diff != "" {
				t.Errorf("the reference client fetched again what we had:\n%s", diff)
			}
		} else {
			run(home, "0")
			before := maps.Clone(u.fetched)
			ours(home, true)
			ours(home, false)
			if diff := cmp.Diff(before, u.fetched); diff != "" {
				t.Errorf("we fetched again what the reference client had:\n%s", diff)
			}
		}
		sound(t, filepath.Dir(home), nil)
	}
}
