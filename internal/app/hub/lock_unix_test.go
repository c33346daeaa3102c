//go:build unix

package hub_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/systemgemma/systemgemma/internal/app/hub"
)

// The lock that the reference client takes for a blob, flock(2) of .locks/FOLDER/ETAG.lock, holds us up until it is free; a lock file that
// nobody holds does not.
func TestReferenceLock(t *testing.T) {
	u := startUnreliable(t, 9, 100_000)
	var told atomic.Int32
	waits := make(chan struct{}, 10)
	client, root := clientOf(t, u.hub.URL, hub.Options{Notice: func(text string) {
		if strings.Contains(text, "another process is fetching the same file") {
			told.Add(1)
			waits <- struct{}{}
		}
	}})
	dir := filepath.Join(root, "hf/hub/.locks/models--owner--model")
	if err := os.MkdirAll(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	var held *os.File
	for name, b := range u.versions[0] {
		f, err := os.Create(filepath.Join(dir, sum256(b)+".lock"))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if strings.HasSuffix(name, ".safetensors") {
			held = f
		}
	}
	if err := syscall.Flock(int(held.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() {
		_, err := client.Snapshot(context.Background(), hub.SnapshotRequest{Repo: hub.Repo{ID: "owner/model"}})
		done <- err
	}()
	select {
	case <-waits:
	case err := <-done:
		t.Fatalf("it did not wait: %v", err)
	case <-time.After(time.Minute):
		t.Fatal("it neither waits nor ends")
	}
	u.mu.Lock()
	got := u.fetched["model-0.safetensors"]
	u.mu.Unlock()
	if got != 0 {
		t.Errorf("%d downloads of a file that another process holds", got)
	}
	if err := held.Close(); err != nil { // as the reference client does, and a process that dies
		t.Fatal(err)
	}
	if err := <-done; err != nil || told.Load() != 1 {
		t.Errorf("%v, told %d times; want success, and one word", err, told.Load())
	}
	u.right(t, filepath.Join(root, "hf"))
}
