package cli

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/systemgemma/systemgemma/internal/testkit/poordisk"
	"github.com/systemgemma/systemgemma/internal/testkit/sample"
	"golang.org/x/sys/unix"
)

// on runs the program with a disk as package poordisk makes it; "" is a good one.
func on(disk string, hub *testHub, home string, args ...string) (said string, status int) {
	cmd, out := command(hub, home, args...)
	cmd.Dir = home
	cmd.Env = append(cmd.Env, poordisk.Variable+"="+disk)
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		return out.String(), exit.ExitCode()
	case err != nil:
		return err.Error(), -1
	}
	return out.String(), 0
}

// failedClearly checks an end with an error that says what to do, after which nothing wrong has a final name and nothing is half written
// that nobody will go on with.
func failedClearly(t *testing.T, home, said string, status int, hint string) {
	t.Helper()
	if status != 1 || !strings.Contains("\n"+said, "\nsystemgemma: ") || !strings.Contains(said, "\nhint: ") || !strings.Contains(said, hint) ||
		strings.Contains(said, "panic") || strings.Contains(said, "goroutine ") {
		t.Errorf("status %d, want 1 and a hint %q:\n%s", status, hint, said)
	}
	if files := pulled(t, home); len(files) > 0 {
		t.Errorf("under a final name: %v", files)
	}
	wholeBlobs(t, home)
	err := filepath.WalkDir(home, func(path string, d fs.DirEntry, err error) error {
		if strings.HasSuffix(path, ".tmp") {
			t.Errorf("left behind: %s", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// wholeBlobs checks that what the hub's cache holds under the name of a hash has it.
func wholeBlobs(t *testing.T, home string) {
	t.Helper()
	blobs, err := filepath.Glob(filepath.Join(home, "hf/hub/*/blobs/*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range blobs {
		if base := filepath.Base(path); len(base) == 64 {
			if b, err := os.ReadFile(path); err != nil || fmt.Sprintf("%x", sha256.Sum256(b)) != base {
				t.Errorf("%s: other bytes than its name says (%v)", path, err)
			}
		}
	}
}

func put(t *testing.T, path string, b []byte) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(path), 0o777), os.WriteFile(path, b, 0o666))
}

const (
	hintFull  = "make room on it and give the same command again"
	hintLarge = "takes no file of that size"
)

// A disk that takes no more in the middle of a write, wherever that is: the error says so, nothing has a final name, and once there is
// room the same command goes on.
func TestFullDisk(t *testing.T) {
	sample.Skip(t) // it starts many processes
	h := newTestHub(t)
	q8 := h.files["owner/mini-GGUF"]["mini-Q8_0.gguf"]
	for _, c := range []struct {
		args    []string
		disks   []string
		resumes string // file of the hub that is gone on with
		makes   string // file, below home; "": a model of the store
	}{
		{args: []string{"pull", "2b", "--accept-license"}, disks: []string{"short=0", "full=0", "short=2000", "full=1000000", "full=3000000"}, resumes: "google/gemma-2-2b-it/model.safetensors"},
		{args: []string{"pull", "owner/licensed", "--accept-license", "--keep-source"}, disks: []string{"short=0", "full=0", "full=1000000", "short=4000000"}, resumes: "owner/licensed/model.safetensors"},
		{args: []string{"pull", "owner/mini-GGUF:q8_0", "--accept-license"}, disks: []string{"full=0", "short=1000000", "full=2000000"}, resumes: "owner/mini-GGUF/mini-Q8_0.gguf"},
		{args: []string{"pull", "owner/mini-GGUF/mini-F16.gguf", "--type", "w8a8", "--accept-license"}, disks: []string{"full=1000000", "short=3000000", "full=3000000"}, resumes: "owner/mini-GGUF/mini-F16.gguf"},
		{args: []string{"import", "mini.gguf"}, disks: []string{"short=0", "short=1000000"}},
		{args: []string{"create", "own", "-f", "Modelfile"}, disks: []string{"short=0", "short=1000", "full=1000000"}},
		{args: []string{"convert", "mini.gguf", "-o", "out.gguf", "--no-report"}, disks: []string{"short=0", "full=0", "short=1000000", "full=1000000"}, makes: "out.gguf"},
	} {
		t.Run(c.args[0]+" "+c.args[1], func(t *testing.T) {
			home := t.TempDir()
			put(t, filepath.Join(home, "mini.gguf"), q8)
			put(t, filepath.Join(home, "Modelfile"), []byte("FROM mini\nSYSTEM You are terse.\n"))
			for _, disk := range c.disks {
				hint := hintFull
				if strings.HasPrefix(disk, "short") {
					hint = hintLarge
				}
				said, status := on(disk, h, home, c.args...)
				failedClearly(t, home, said, status, hint)
				if c.makes != "" {
					if _, err := os.Stat(filepath.Join(home, c.makes)); err == nil {
						t.Errorf("%s: %s is there", disk, c.makes)
					}
				}
			}
			before := h.count(h.later, c.resumes)
			if said, status := on("", h, home, c.args...); status != 0 {
				t.Fatalf("with room: status %d\n%s", status, said)
			}
			if c.resumes != "" && h.count(h.later, c.resumes) == before {
				t.Errorf("%s came from its beginning again", c.resumes)
			}
			made := pulled(t, home)
			if c.makes != "" {
				made = []string{filepath.Join(home, c.makes)}
			}
			if len(made) != 1 {
				t.Fatalf("made %v", made)
			}
			name := made[0]
			if strings.Contains(c.args[1], "GGUF") {
				name = "owner/mini-GGUF" // as a file alone it has no checksums
			}
			if said, status := on("", h, home, "verify", name); status != 0 && c.args[0] != "import" { // nor has one that was imported
				t.Errorf("status %d\n%s", status, said)
			}
			if said, status := on("", h, home, "run", "-m", made[0], "What is the capital of France?"); status != 0 || !strings.Contains(said, "Paris") {
				t.Errorf("status %d\n%s", status, said)
			}
			wholeBlobs(t, home)
		})
	}
}

// With a disk that is only read, what is here is used as ever, and what wants to write says why not.
func TestReadOnlyDisk(t *testing.T) {
	sample.Skip(t) // it starts many processes
	h, home := newTestHub(t), t.TempDir()
	if said, status := on("", h, home, "pull", "2b", "--accept-license"); status != 0 {
		t.Fatalf("status %d\n%s", status, said)
	}
	readOnly(t, h, home, "readonly")
}

func readOnly(t *testing.T, h *testHub, home, disk string) {
	t.Helper()
	for _, x := range []struct{ args, want string }{
		{"", "google/gemma-2-2b-it:w8a8-"}, {"list", "systemgemma2"}, {"show 2b", "last used"}, {"verify 2b", "all checksums hold"}, {"doctor", "store"}, {"tokenize -m 2b hi", "tokens"},
		{"run 2b capital?", ""}, {"prune --dry-run", "nothing to remove"}, {"pull 2b --dry-run", "here"},
	} {
		if said, status := on(disk, h, home, strings.Fields(x.args)...); status != 0 || !strings.Contains(said, x.want) {
			t.Errorf("%s: status %d, want 0 and %q\n%s", x.args, status, x.want, said)
		}
	}
	for _, args := range []string{
		"pull owner/licensed --accept-license", "pull 2b --type w4", "convert mini -o out.gguf", "import mini", "cp 2b second", "rm 2b --yes", "export 2b -o out.gguf",
	} {
		if args == "import mini" {
			args = "import " + pulled(t, home)[0]
		}
		said, status := on(disk, h, home, strings.Fields(args)...)
		if status != 1 || !strings.Contains(said, "read-only file system") || !strings.Contains(said, "\nhint: ") || !strings.Contains(said, "SYSTEMGEMMA_HOME moves") {
			t.Errorf("%s: status %d, want 1 and what to do\n%s", args, status, said)
		}
	}
	if len(pulled(t, home)) != 1 {
		t.Errorf("in the store: %v", pulled(t, home))
	}
}

// On a file system without links and locks (FAT, some NFS) all works by copies, which is said once, and eight processes still make one
// download; names on the disk are ones that every file system takes.
func TestDiskWithoutLinksAndLocks(t *testing.T) {
	sample.Skip(t) // it starts many processes
	const disk = "nolinks,nolocks"
	h, home := newTestHub(t), t.TempDir()
	type end struct {
		said   string
		status int
	}
	ends := make(chan end)
	for range 8 {
		go func() {
			said, status := on(disk, h, home, "pull", "2b", "--accept-license")
			ends <- end{said, status}
		}()
	}
	notices := 0
	for range 8 {
		e := <-ends
		if e.status != 0 {
			t.Errorf("status %d\n%s", e.status, e.said)
		}
		n := strings.Count(e.said, "the cache holds copies instead of links")
		if n > 1 {
			t.Errorf("said %d times:\n%s", n, e.said)
		}
		notices += n
	}
	if n := h.count(h.ends, "google/gemma-2-2b-it/model.safetensors"); n != 1 || notices == 0 {
		t.Errorf("the weights were downloaded %d times, want once; said of copies: %d times, want it said", n, notices)
	}
	without(t, h, home, disk)
}

// without uses all that makes files, on a disk without links.
func without(t *testing.T, h *testHub, home, disk string) {
	t.Helper()
	put(t, filepath.Join(home, "Modelfile"), []byte("FROM second\nSYSTEM You are terse.\n"))
	for _, args := range []string{
		"pull owner/licensed --accept-license --keep-source", "pull owner/licensed --type w4", "pull owner/mini-GGUF:q8_0 --accept-license", "verify 2b", "cp 2b second",
		"create terse -f Modelfile", "export terse -o out.gguf", "import out.gguf --name again", "rm second --yes", "convert mini -o made.gguf", "prune --yes", "list",
		"run terse hi", "run again hi", "pull owner/licensed --type source",
	} {
		if said, status := on(disk, h, home, strings.Fields(args)...); status != 0 {
			t.Errorf("%s: status %d\n%s", args, status, said)
		}
	}
	wholeBlobs(t, home)
	err := filepath.WalkDir(home, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if strings.ContainsAny(name, "<>:\"|?*\\") || strings.HasSuffix(name, ".") || strings.HasSuffix(name, " ") {
			t.Errorf("%s: FAT takes no such name", path)
		}
		if d.Type()&fs.ModeSymlink != 0 || strings.HasSuffix(name, ".held") || strings.HasSuffix(name, ".tmp") {
			t.Errorf("%s: a link, or left behind", path)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// mounted is a file system of its own, or the test is skipped by name.
func mounted(t *testing.T, what, source, kind string, flags uintptr, data string) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount(source, dir, kind, flags, data); err != nil {
		t.Skipf("not run here: %s (mount: %v)", what, err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	return dir
}

// The same on a real disk that gets full while the weights come, by somebody else: then there is room again. Then it is only read.
func TestRealFullDisk(t *testing.T) {
	sample.Skip(t) // it starts many processes
	home := mounted(t, "a real disk that gets full", "tmpfs", "tmpfs", 0, "size=16m")
	h := newTestHub(t)
	ballast := filepath.Join(home, "ballast")
	fill := func() {
		f, err := os.Create(ballast)
		if err != nil {
			return // once more than there is room
		}
		for b := make([]byte, 4096); err == nil; {
			_, err = f.Write(b)
		}
		_ = f.Close() // full, as was wanted
	}
	for _, x := range []struct{ args, file string }{
		{"pull 2b --accept-license", "google/gemma-2-2b-it/model.safetensors"}, {"pull owner/mini-GGUF:q8_0 --accept-license", "owner/mini-GGUF/mini-Q8_0.gguf"},
	} {
		args := strings.Fields(x.args)
		h.mu.Lock()
		h.middle = map[string]func(){x.file: fill}
		h.mu.Unlock()
		said, status := on("", h, home, args...)
		failedClearly(t, home, said, status, hintFull)
		said, status = on("", h, home, args...) // still full: refused before the first byte, or in the middle again
		if status != 1 || len(pulled(t, home)) > 0 {
			t.Errorf("a full disk: status %d\n%s", status, said)
		}
		must(t, os.Remove(ballast))
		h.mu.Lock()
		h.middle = nil
		h.mu.Unlock()
		before := h.count(h.later, x.file)
		if said, status := on("", h, home, args...); status != 0 {
			t.Errorf("with room: status %d\n%s", status, said)
		}
		t.Logf("%s: gone on %d times", x.file, h.count(h.later, x.file)-before) // how much had come when it was full, nobody knows
		name, isGGUF := "2b", strings.Contains(x.args, "GGUF")
		if isGGUF {
			name = "owner/mini-GGUF"
		}
		if said, status := on("", h, home, "verify", name); status != 0 {
			t.Errorf("status %d\n%s", status, said)
		}
		if isGGUF {
			must(t, os.RemoveAll(filepath.Join(home, "store", "models", "owner")))
		} else {
			must(t, os.Rename(filepath.Join(home, "store"), filepath.Join(home, "first")))
		}
	}
	must(t, os.RemoveAll(filepath.Join(home, "store")), os.Rename(filepath.Join(home, "first"), filepath.Join(home, "store")))
	if err := unix.Mount("tmpfs", home, "tmpfs", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Skipf("not run here: a real disk that is only read (remount: %v)", err)
	}
	readOnly(t, h, home, "")
}

// The same on a real FAT file system.
func TestRealFAT(t *testing.T) {
	sample.Skip(t) // it starts many processes
	const what = "a real FAT file system"
	image := filepath.Join(t.TempDir(), "fat")
	must(t, os.WriteFile(image, nil, 0o600), os.Truncate(image, 64<<20))
	if said, err := exec.Command("mkfs.vfat", "-F", "32", image).CombinedOutput(); err != nil {
		t.Skipf("not run here: %s (mkfs.vfat: %v %s)", what, err, said)
	}
	loop, err := exec.Command("losetup", "-f", "--show", image).CombinedOutput()
	if err != nil {
		t.Skipf("not run here: %s (losetup: %v %s)", what, err, loop)
	}
	device := strings.TrimSpace(string(loop))
	t.Cleanup(func() { _ = exec.Command("losetup", "-d", device).Run() })
	home := mounted(t, what, device, "vfat", 0, "")
	h := newTestHub(t)
	if said, status := on("", h, home, "pull", "2b", "--accept-license"); status != 0 || !strings.Contains(said, "copies instead of links") {
		t.Fatalf("status %d\n%s", status, said)
	}
	without(t, h, home, "")
}

// What is here already stays whole and in use when a disk is too full to copy or to replace it.
func TestFullDiskKeepsWhatIsHere(t *testing.T) {
	sample.Skip(t) // it starts many processes
	h, home := newTestHub(t), t.TempDir()
	put(t, filepath.Join(home, "Modelfile"), []byte("FROM mini\nSYSTEM You are terse.\n"))
	put(t, filepath.Join(home, "Other"), []byte("FROM own\nSYSTEM Talk like a pirate.\n"))
	if said, status := on("", h, home, "create", "own"); status != 0 {
		t.Fatalf("status %d\n%s", status, said)
	}
	before := pulled(t, home)
	for _, x := range []struct{ disk, args string }{
		{"short=0", "cp own second"}, {"short=0", "create own -f Other --force"}, {"short=100", "create own --force"}, {"full=1000000", "create own --force"}, {"short=1000", "export own -o out.gguf"},
	} {
		said, status := on(x.disk, h, home, strings.Fields(x.args)...)
		if after := pulled(t, home); status != 1 || !strings.Contains(said, "\nhint: ") || len(after) != 1 || after[0] != before[0] {
			t.Errorf("%s, %s: status %d, in the store %v, want %v\n%s", x.disk, x.args, status, after, before, said)
		}
		if said, status := on("", h, home, "show", "own", "--modelfile"); status != 0 || !strings.Contains(said, "SYSTEM You are terse.") {
			t.Errorf("%s, %s: status %d\n%s", x.disk, x.args, status, said)
		}
	}
	for _, args := range []string{"create own -f Other --force", "cp own second", "run own hi", "run second hi"} { // of itself, with room
		if said, status := on("", h, home, strings.Fields(args)...); status != 0 {
			t.Errorf("%s: status %d\n%s", args, status, said)
		}
	}
	if said, status := on("", h, home, "show", "second", "--modelfile"); status != 0 || !strings.Contains(said, "SYSTEM Talk like a pirate.") {
		t.Errorf("status %d\n%s", status, said)
	}
}
