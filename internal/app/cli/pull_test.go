package cli

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/systemgemma/systemgemma/internal/testkit/sample"
)

// command is the program with a hub and a home of its own.
func command(hub *testHub, home string, args ...string) (*exec.Cmd, *bytes.Buffer) {
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), childVariable+"=1", "HF_ENDPOINT="+hub.URL, "HF_HOME="+filepath.Join(home, "hf"),
		"SYSTEMGEMMA_HOME="+filepath.Join(home, "store"), "HF_HUB_OFFLINE=", "HF_TOKEN=", "HOME="+home)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	return cmd, &said
}

// child starts it.
func child(t *testing.T, hub *testHub, home string, args ...string) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	cmd, said := command(hub, home, args...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, said
}

func newTestHub(t *testing.T) *testHub {
	t.Helper()
	files, err := testModels(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	h := startTestHub(files)
	t.Cleanup(h.Close)
	return h
}

// pulled are the models in a store; nothing else may lie beside them.
func pulled(t *testing.T, home string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(home, "store/models/*/*/*.gguf"))
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// Eight processes that pull the same model at once: one download, one conversion, eight successes.
func TestEightPulls(t *testing.T) {
	h, home := newTestHub(t), t.TempDir()
	var all []*exec.Cmd
	var said []*bytes.Buffer
	for range 8 {
		cmd, out := child(t, h, home, "pull", "2b", "--accept-license")
		all, said = append(all, cmd), append(said, out)
	}
	for i, cmd := range all {
		if err := cmd.Wait(); err != nil {
			t.Errorf("%v: %s", err, said[i])
		}
	}
	if n := h.count(h.ends, "google/gemma-2-2b-it/model.safetensors"); n != 1 {
		t.Errorf("the weights were downloaded %d times, want once", n)
	}
	if files := pulled(t, home); len(files) != 1 {
		t.Errorf("in the store: %v", files)
	}
	if cmd, out := child(t, h, home, "verify", "2b"); cmd.Wait() != nil {
		t.Errorf("%s", out)
	}
}

// Different commands on the same models at the same time: each works or says why not, and what is left is whole.
func TestEightAtOnce(t *testing.T) {
	sample.Skip(t) // it starts many processes
	h, home := newTestHub(t), t.TempDir()
	if cmd, out := child(t, h, home, "pull", "2b", "--accept-license"); cmd.Wait() != nil {
		t.Fatalf("%s", out)
	}
	var all []*exec.Cmd
	var said []*bytes.Buffer
	for _, args := range [][]string{
		{"cp", "2b", "copy"}, {"cp", "2b", "copy"}, {"pull", "2b", "--type", "w4"}, {"rm", "google/gemma-2-2b-it:w8a8", "--yes"}, {"list"},
		{"prune", "--yes"}, {"pull", "2b"}, {"export", "2b:w8a8", "-o", filepath.Join(home, "out.gguf")},
	} {
		cmd, out := child(t, h, home, args...)
		all, said = append(all, cmd), append(said, out)
	}
	failed := 0
	for i, cmd := range all {
		if err := cmd.Wait(); err != nil {
			failed++
			if s := said[i].String(); !strings.Contains(s, "systemgemma: ") || strings.Contains(s, "panic") {
				t.Errorf("%v: %v\n%s", cmd.Args[1:], err, s)
			}
		}
	}
	t.Logf("%d of 8 commands came too late", failed)
	if files := pulled(t, home); len(files) == 0 {
		t.Error("nothing is left")
	}
	for _, path := range pulled(t, home) {
		if cmd, out := child(t, h, home, "verify", path); cmd.Wait() != nil {
			t.Errorf("%s: %s", path, out)
		}
	}
}

// A pull killed (-9) at any moment goes on where it was: nothing wrong lies under a final name, and what it fetched for itself is gone
// in the end.
func TestKilledPull(t *testing.T) {
	sample.Skip(t) // it starts many processes
	h, home := newTestHub(t), t.TempDir()
	h.slow = 3 * time.Millisecond // about 300 ms for the weights
	pull := []string{"pull", "2b", "--accept-license", "--quiet"}
	blobs := filepath.Join(home, "hf/hub/models--google--gemma-2-2b-it/blobs")
	written := func() (n int64) { // of what says which pieces are made
		files, _ := filepath.Glob(filepath.Join(home, "store/models/*/*/*.partial.journal"))
		for _, f := range files {
			if info, err := os.Stat(f); err == nil {
				n += info.Size()
			}
		}
		return n
	}
	killed := 0
	for wait := range 12 {
		before := written()
		cmd, _ := child(t, h, home, pull...)
		for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline) && len(pulled(t, home)) == 0; {
			if n := written(); n > before && wait > 0 { // it has done something
				break
			} else if files, _ := filepath.Glob(filepath.Join(home, "store/models/*/*/*.partial")); len(files) > 0 && wait == 0 {
				break // it has begun
			}
			time.Sleep(2 * time.Millisecond)
		}
		time.Sleep(time.Duration(wait) * 3 * time.Millisecond)
		if cmd.Process.Kill() == nil && cmd.Wait() != nil {
			killed++
		}
		for _, path := range pulled(t, home) {
			if verify, out := child(t, h, home, "verify", path); verify.Wait() != nil {
				t.Fatalf("after kill %d: %s", wait, out)
			}
		}
	}
	cmd, out := child(t, h, home, pull...)
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if cmd, out := child(t, h, home, "verify", "2b"); cmd.Wait() != nil {
		t.Errorf("%s", out)
	}
	if h.count(h.later, "google/gemma-2-2b-it/model.safetensors") == 0 {
		t.Error("no attempt went on where the one before was")
	}
	left, err := filepath.Glob(filepath.Join(blobs, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range left {
		if info, err := os.Stat(path); err == nil && info.Size() > 1<<20 {
			t.Errorf("left in the hub's cache: %s, %d bytes", path, info.Size())
		}
	}
	t.Logf("%d kills", killed)
}
