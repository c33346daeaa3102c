package hfcache

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// What is written as a listing is read as it was, and any text gives a listing or an error.
func FuzzParseTree(f *testing.F) {
	f.Add([]byte(TreeText([]TreeFile{{Path: "a/b \u00e4\U0001f600\"\\\x7f.json", Size: 3, BlobID: "x", LFSSHA256: "y", LFSSize: 3, XetHash: "z"}})))
	f.Add([]byte(TreeText(nil)))
	f.Add([]byte(`{"format_version": 1, "files": {"a": null, "a": {"size": -1}}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		files, err := ParseTree(b)
		if err != nil {
			return
		}
		for i := range files {
			if files[i].LFSSHA256 == "" {
				files[i].LFSSize = 0 // not written without the hash
			}
		}
		again, err := ParseTree([]byte(TreeText(files)))
		if diff := cmp.Diff(files, again); diff != "" || err != nil {
			t.Fatalf("%v (-read +written and read):\n%s", err, diff)
		}
	})
}

// A file without a holder is no obstacle, a held one is waited for, and a heartbeat that stopped is taken over.
func TestLocks(t *testing.T) {
	for kind, lock := range map[string]func(context.Context, string, func()) (func(), error){"flock": LockFile, "heartbeat": heartbeatLock} {
		name := filepath.Join(t.TempDir(), "x.lock")
		if kind == "flock" {
			if err := os.WriteFile(name, nil, 0o666); err != nil { // left behind
				t.Fatal(err)
			}
		}
		unlock, err := lock(context.Background(), name, nil)
		if err != nil {
			t.Fatalf("%s: %v", kind, err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		waited := 0
		if _, err := lock(ctx, name, func() { waited++; time.AfterFunc(3*pollLock, cancel) }); err == nil || waited != 1 {
			t.Errorf("%s: a held lock was given out, or its wait not told once (%d): %v", kind, waited, err)
		}
		cancel()
		unlock()
		if unlock, err = lock(context.Background(), name, nil); err != nil {
			t.Fatalf("%s: after its release: %v", kind, err)
		}
		unlock()
	}
	name := filepath.Join(t.TempDir(), "x.lock")
	if err := os.WriteFile(name, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	old := time.Now().Add(-2 * stale)
	if err := os.Chtimes(name, old, old); err != nil {
		t.Fatal(err)
	}
	unlock, err := heartbeatLock(context.Background(), name, nil)
	if err != nil {
		t.Fatalf("a heartbeat that stopped: %v", err)
	}
	unlock()
}
