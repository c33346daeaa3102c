package cli

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/systemgemma/systemgemma/internal/testkit/sample"
)

// onTerminal runs the program on a pseudo terminal, types answer once it has asked for the terms, and gives all that the screen showed.
func onTerminal(t *testing.T, hub *testHub, home, answer string, args ...string) (screen string, err error) {
	t.Helper()
	return dialogue(t, hub, home, map[string]string{"accept these terms?": answer}, args...)
}

// dialogue runs the program on a pseudo terminal and types each answer once its question is on the screen.
func dialogue(t *testing.T, hub *testHub, home string, answers map[string]string, args ...string) (screen string, err error) {
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
	buf := make([]byte, 4096)
	for {
		n, err := terminal.Read(buf)
		said.Write(buf[:n])
		for question, answer := range answers {
			if strings.Contains(said.String(), question) {
				_, _ = io.WriteString(terminal, answer)
				delete(answers, question)
			}
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

// A model that is not here is offered to whoever sits at a terminal: yes pulls it and answers, no ends with the command that does.
func TestRunOffersToPull(t *testing.T) {
	sample.Skip(t) // it starts many processes
	h, home := newTestHub(t), t.TempDir()
	screen, err := dialogue(t, h, home, map[string]string{"Pull it now": "n\n"}, "run", "2b", "capital of France?")
	if err == nil || !strings.Contains(screen, "2b is not here. Pull it now (5.2 GB to fetch") || !strings.Contains(screen, "get it by: systemgemma pull 2b") || len(pulled(t, home)) != 0 {
		t.Errorf("no: %v, want an offer and the command:\n%s", err, screen)
	}
	screen, err = dialogue(t, h, home, map[string]string{"Pull it now": "y\n", "accept these terms?": "y\n"}, "run", "2b", "What is the capital of France?")
	if err != nil || len(pulled(t, home)) != 1 || !strings.Contains(screen, "Paris") {
		t.Errorf("yes: %v:\n%s", err, screen)
	}
	before := h.asked()
	for _, args := range [][]string{{"run", "2b", "What is the capital of France?"}, {"show", "2b"}, {"list"}, {"template", "-m", "2b", "hi"}} {
		if screen, err := dialogue(t, h, home, nil, args...); err != nil || strings.Contains(screen, "Pull it now") {
			t.Errorf("%v: %v\n%s", args, err, screen)
		}
	}
	if n := h.asked() - before; n != 0 {
		t.Errorf("the hub was asked %d times for a model that is here", n)
	}
	screen, err = dialogue(t, h, home, nil, "template", "-m", "systemgemma2", "--system", "Be brief.", "hi")
	if err != nil || !strings.Contains(screen, "<start_of_turn>") {
		t.Errorf("systemgemma2: %v\n%s", err, screen)
	}
}
