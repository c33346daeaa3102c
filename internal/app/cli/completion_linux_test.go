package cli

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Real shells, on a pseudo terminal: what is typed with the tab key and then entered reaches the program as the whole word.
func TestCompletionInShells(t *testing.T) {
	typed := []struct {
		line string
		want []string
	}{
		{"systemgemma toke\t", []string{"tokenize"}},
		{"systemgemma run --kv-t\tf32", []string{"run", "--kv-type", "f32"}},
		{"systemgemma run --kv-type int\t", []string{"run", "--kv-type", "int8"}},
		{"systemgemma run --kv-type=int\t", []string{"run", "--kv-type=int8"}},
		{"systemgemma run --preset ex\t --system-mode sys\t", []string{"run", "--preset", "exact", "--system-mode", "systemgemma2"}},
		{"systemgemma run --system-file note\t", []string{"run", "--system-file", "notes of mine.txt"}},
		{"systemgemma run --system-file=note\t", []string{"run", "--system-file=notes of mine.txt"}},
		{"systemgemma verify mod\t", []string{"verify", "model.gguf"}},
		{"systemgemma tokenize -m min\t --spec\t", []string{"tokenize", "-m", "mini", "--special"}},
		{"systemgemma run --system 'two words' --kv-type int\t", []string{"run", "--system", "two words", "--kv-type", "int8"}},
	}
	shells := []struct {
		name string
		args []string
		load []string
	}{
		{"bash", []string{"--norc", "--noprofile", "-i"}, []string{"source <(systemgemma completion bash)"}},
		{"zsh", []string{"-f", "-i"}, []string{"autoload -Uz compinit; compinit -u -D", "source <(systemgemma completion zsh)"}},
		{"zsh", []string{"-f", "-i"}, []string{"systemgemma completion zsh > $HOME/_systemgemma; fpath+=($HOME)", "autoload -Uz compinit; compinit -u -D"}},
		{"fish", []string{"--no-config", "-i"}, []string{"systemgemma completion fish | source"}},
	}
	for i, sh := range shells {
		t.Run(fmt.Sprint(i, sh.name), func(t *testing.T) {
			path, err := exec.LookPath(sh.name)
			if err != nil {
				t.Skipf("not run here: %s (not installed)", sh.name)
			}
			s := startShell(t, path, sh.args)
			for _, line := range sh.load {
				s.send(line + "\n")
			}
			for _, x := range typed {
				if got := s.enter(x.line); !slices.Equal(got, x.want) {
					t.Errorf("%q gives %q, want %q", x.line, got, x.want)
				}
			}
			if t.Failed() {
				t.Logf("screen: %q", s.screen())
			}
		})
	}
}

// shell is one on a pseudo terminal, in a folder of its own. Its systemgemma writes down its arguments.
type shell struct {
	t        *testing.T
	terminal *os.File
	args     string // the file that they are written to
	mu       sync.Mutex
	out      bytes.Buffer // guarded by mu
}

func startShell(t *testing.T, path string, args []string) *shell {
	dir := t.TempDir()
	s := &shell{t: t, args: filepath.Join(dir, "args")}
	program := filepath.Join(dir, "real", "systemgemma") // the test program, which runs Main under that name
	self, err := os.Executable()
	must(t, err)
	must(t, os.MkdirAll(filepath.Join(dir, "real"), 0o700), os.MkdirAll(filepath.Join(dir, "bin"), 0o700), os.MkdirAll(filepath.Join(dir, "work"), 0o700), os.Symlink(self, program))
	stub := fmt.Sprintf("#!/bin/sh\ncase $1 in __complete|completion) exec %s \"$@\" ;; esac\nprintf '%%s\\n' \"$@\" > %s.new && mv %[2]s.new %[2]s\n", program, s.args)
	must(t, os.WriteFile(filepath.Join(dir, "bin", "systemgemma"), []byte(stub), 0o700),
		os.WriteFile(filepath.Join(dir, "work", "notes of mine.txt"), nil, 0o600), os.WriteFile(filepath.Join(dir, "work", "model.gguf"), nil, 0o600))

	terminal, slave, err := openTerminal()
	must(t, err)
	s.terminal = terminal
	cmd := exec.Command(path, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.Dir = filepath.Join(dir, "work")
	cmd.Env = []string{"HOME=" + dir, "PATH=" + filepath.Join(dir, "bin") + ":/usr/local/bin:/usr/bin:/bin", "TERM=xterm", "LC_ALL=C.UTF-8", "GORACE=atexit_sleep_ms=0"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	must(t, cmd.Start(), slave.Close())
	read := make(chan struct{})
	go func() {
		defer close(read)
		_, _ = io.Copy(s, terminal) // ends by EIO when the shell does
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = terminal.Close()
		<-read
	})
	for range 20 { // until it reads its terminal
		if got := s.enterWithin("systemgemma ready", 3*time.Second); slices.Equal(got, []string{"ready"}) {
			return s
		}
	}
	t.Fatalf("%s does not start: %q", path, s.screen())
	return nil
}

// Write collects the screen.
func (s *shell) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.out.Write(p)
}

func (s *shell) screen() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.out.String()
}

func (s *shell) send(text string) {
	_, err := io.WriteString(s.terminal, text)
	must(s.t, err)
}

// enter types a line and the return key, and gives the arguments that the program got.
func (s *shell) enter(line string) []string { return s.enterWithin(line, 30*time.Second) }

func (s *shell) enterWithin(line string, limit time.Duration) []string {
	_ = os.Remove(s.args)
	s.send(line + "\n")
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if data, err := os.ReadFile(s.args); err == nil {
			return strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
		}
	}
	return nil
}

// openTerminal makes a pseudo terminal (pts(4)).
func openTerminal() (master, slave *os.File, err error) {
	master, err = os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		return nil, nil, err
	}
	if err = unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err == nil {
		var n int
		if n, err = unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN); err == nil {
			slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|syscall.O_NOCTTY, 0)
		}
	}
	if err != nil {
		_ = master.Close()
	}
	return master, slave, err
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}
