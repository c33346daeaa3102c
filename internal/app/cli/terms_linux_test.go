package cli

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// onTerminal runs the program on a pseudo terminal, types answer once it has asked for the terms, and gives all that the screen showed.
func onTerminal(t *testing.T, hub *testHub, home, answer string, args ...string) (screen string, err error) {
	t.Helper()
	terminal, slave, err := openTerminal()
	must(t, err)
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), childVariable+"=1", "HF_ENDPOINT="+hub.URL, "HF_HOME="+filepath.Join(home, "hf"), "TERM=xterm",
		"SYSTEMGEMMA_HOME="+filepath.Join(home, "store"), "HF_HUB_OFFLINE=", "HF_TOKEN=", "HOME="+home)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	must(t, cmd.Start(), slave.Close())
	late := time.AfterFunc(2*time.Minute, func() { _ = cmd.Process.Kill() })
	defer late.Stop()
	var said bytes.Buffer
	var once sync.Once
	buf := make([]byte, 4096)
	for {
		n, err := terminal.Read(buf)
		said.Write(buf[:n])
		if strings.Contains(said.String(), "accept these terms?") {
			once.Do(func() { _, _ = io.WriteString(terminal, answer) })
		}
		if err != nil { // EIO: the program is gone
			break
		}
	}
	err = cmd.Wait()
	_ = terminal.Close()
	return said.String(), err
}

// On a terminal the terms are shown and asked for once: yes fetches and is remembered, anything else fetches no weights and leaves no
// record.
func TestTermsOnATerminal(t *testing.T) {
	h := newTestHub(t)
	for _, answer := range []string{"n\n", "\n", "\x04", "maybe\n"} {
		home := t.TempDir()
		screen, err := onTerminal(t, h, home, answer, "pull", "owner/licensed")
		if err == nil || !strings.Contains(screen, "accept these terms?") || !strings.Contains(screen, "Do as you like.") {
			t.Errorf("%q: %v; want the notice with the repository's licence, the question, and a failure:\n%s", answer, err, screen)
		}
		if n := h.count(h.ends, "owner/licensed/model.safetensors"); n != 0 || len(pulled(t, home)) != 0 {
			t.Errorf("%q: the weights were fetched", answer)
		}
		if left, _ := filepath.Glob(filepath.Join(home, "store/state/licences/*")); len(left) != 0 {
			t.Errorf("%q: a record %v of terms that nobody accepted", answer, left)
		}
	}
	home := t.TempDir()
	screen, err := onTerminal(t, h, home, "yes\n", "pull", "owner/licensed")
	if err != nil || len(pulled(t, home)) != 1 || !strings.Contains(screen, "gemma/prohibited_use_policy") {
		t.Fatalf("yes: %v, in the store %v:\n%s", err, pulled(t, home), screen)
	}
	screen, err = onTerminal(t, h, home, "n\n", "pull", "owner/licensed", "--type", "w4")
	if err != nil || strings.Contains(screen, "accept these terms?") || len(pulled(t, home)) != 2 {
		t.Errorf("the second time: %v, want no question:\n%s", err, screen)
	}
	if cmd, out := child(t, h, home, "show", "owner/licensed:w4"); cmd.Wait() != nil || !strings.Contains(out.String(), "accepted") {
		t.Errorf("show does not tell the terms: %s", out)
	}
}
