//go:build amd64 || arm64

package poordisk

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/systemgemma/systemgemma/internal/testkit/sample"
)

// A child tries all that a disk is asked for, and writes what came of it.
func TestMain(m *testing.M) {
	if os.Getenv(Variable) == "" {
		os.Exit(m.Run())
	}
	if err := Enter(os.Getenv(Variable)); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	done := make(chan string) // on another thread: all are in the same state
	go func() { done <- try(os.Getenv("TEST_POOR_DISK_DIR")) }()
	fmt.Print(<-done)
}

func try(dir string) (said string) {
	tell := func(what string, err error) {
		var e syscall.Errno
		text := "ok"
		if errors.As(err, &e) {
			text = map[syscall.Errno]string{syscall.ENOSPC: "ENOSPC", syscall.EFBIG: "EFBIG", syscall.EROFS: "EROFS", syscall.EPERM: "EPERM", syscall.ENOLCK: "ENOLCK"}[e]
		} else if err != nil {
			text = err.Error()
		}
		said += what + " " + text + "\n"
	}
	old := filepath.Join(dir, "old")
	_, err := os.ReadFile(old)
	tell("read", err)
	f, err := os.Create(filepath.Join(dir, "new"))
	tell("create", err)
	if f == nil {
		f, _ = os.Open(old)
	} else {
		_, err = f.WriteAt(make([]byte, 10), 0)
		tell("beginning", err)
		_, err = f.WriteAt(make([]byte, 10), 100)
		tell("behind", err)
	}
	tell("lock", syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB))
	tell("symlink", os.Symlink(old, filepath.Join(dir, "symbolic")))
	tell("link", os.Link(old, filepath.Join(dir, "hard")))
	tell("folder", os.Mkdir(filepath.Join(dir, "folder"), 0o777))
	tell("rename", os.Rename(old, filepath.Join(dir, "renamed")))
	tell("remove", os.Remove(filepath.Join(dir, "renamed")))
	return said
}

func TestEnter(t *testing.T) {
	sample.Skip(t) // an emulated CPU has no filter of calls
	const links, rest = "symlink ok\nlink ok\n", "folder ok\nrename ok\nremove ok\n"
	for words, want := range map[string]string{
		"full=100":        "read ok\ncreate ok\nbeginning ok\nbehind ENOSPC\nlock ok\n" + links + rest,
		"short=50":        "read ok\ncreate ok\nbeginning ok\nbehind EFBIG\nlock ok\n" + links + rest,
		"nolinks,nolocks": "read ok\ncreate ok\nbeginning ok\nbehind ok\nlock ENOLCK\nsymlink EPERM\nlink EPERM\n" + rest,
		"readonly":        "read ok\ncreate EROFS\nlock ok\nsymlink EROFS\nlink EROFS\nfolder EROFS\nrename EROFS\nremove EROFS\n",
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "old"), []byte("old"), 0o666); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), Variable+"="+words, "TEST_POOR_DISK_DIR="+dir)
		got, err := cmd.CombinedOutput()
		if err != nil || string(got) != want {
			t.Errorf("%s: %v\n%s\nwant\n%s", words, err, got, want)
		}
	}
	if err := Enter("empty"); err == nil {
		t.Error("empty: want an error")
	}
}
