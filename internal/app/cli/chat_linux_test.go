package cli

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// pane is the program in a real terminal: a pane of tmux, with a server of its own.
type pane struct {
	t      *testing.T
	socket string
	home   string // of the program: its settings, personas and models
}

// startPane runs the program, and afterwards tells its exit status, in a pane of that size.
func startPane(t *testing.T, width, height int, args ...string) *pane {
	t.Helper()
	if _, err := exec.LookPath("tmux"); err != nil {
		t.Skip("not run here: tmux (not installed; apt-get install tmux)")
	}
	dir := t.TempDir()
	p := &pane{t: t, socket: filepath.Join(dir, "tmux"), home: filepath.Join(dir, "home")}
	self, err := os.Executable()
	must(t, err, os.Mkdir(p.home, 0o700))
	environ := []string{
		childVariable + "=1", "HOME=" + p.home, "SYSTEMGEMMA_HOME=" + filepath.Join(p.home, "store"), "PATH=" + os.Getenv("PATH"), "TERM=screen", "LC_ALL=C.UTF-8", "NO_COLOR=1",
		"SSH_TTY=/dev/pts/0", "GORACE=atexit_sleep_ms=0",
	}
	command := "env -i"
	for _, word := range append(append(environ, self, "run"), args...) {
		command += " '" + strings.ReplaceAll(word, "'", `'\''`) + "'"
	}
	t.Cleanup(func() { _ = exec.Command("tmux", "-S", p.socket, "kill-server").Run() })
	p.tmux("-u", "-f", "/dev/null", "new-session", "-d", "-x", fmt.Sprint(width), "-y", fmt.Sprint(height), command+`; echo "status $?"; exec sleep 600`)
	return p
}

func (p *pane) tmux(args ...string) string {
	p.t.Helper()
	out, err := exec.Command("tmux", append([]string{"-S", p.socket}, args...)...).CombinedOutput()
	if err != nil {
		p.t.Fatalf("tmux %q: %v: %s", args, err, out)
	}
	return string(out)
}

// screen is what the pane shows.
func (p *pane) screen() string { return p.tmux("capture-pane", "-p") }

// typed sends text, and a key after it.
func (p *pane) typed(text, key string) {
	p.t.Helper()
	if text != "" {
		p.tmux("send-keys", "-l", "--", text)
	}
	if key != "" {
		p.tmux("send-keys", key)
	}
}

// wait looks at the screen until it has all these texts, where those that begin with ! must be missing.
func (p *pane) wait(texts ...string) string {
	p.t.Helper()
	screen := ""
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		screen = p.screen()
		all := true
		for _, text := range texts {
			text, missing := strings.CutPrefix(text, "!")
			all = all && strings.Contains(screen, text) != missing
		}
		if all {
			return screen
		}
	}
	p.t.Fatalf("the screen has not %q:\n%s", texts, screen)
	return ""
}

// history is all that was printed, what has scrolled away too, in whole lines.
func (p *pane) history() string { return p.tmux("capture-pane", "-p", "-J", "-S", "-") }

// colours sets a colour of text or background (ECMA-48, 8.3.117).
var colours = regexp.MustCompile(`\x1b\[([0-9]*;)*(3[0-8]|4[0-8]|9[0-7]|10[0-7])[;m]`)

const capital = "What is the capital of France?"

// A chat in a narrow terminal: an answer, lists, the panel, which takes the whole of it, and sizes that change under it.
func TestChatInANarrowTerminal(t *testing.T) {
	p := startPane(t, 40, 20)
	p.wait("Chat with mini", "/help  ^O model  ^R persona  ^X prompt", "ctx 0/")
	p.typed(capital, "Enter")
	p.wait("Paris", " tok/s", "!ctx 0/", "!Ctrl-C stops")

	p.typed("", "C-o")
	p.wait("Go on with another model", "> mini", "!>>>")
	p.typed("zz", "")
	p.wait("filter: zz", "(no match)")
	p.typed("", "Escape")
	p.wait("Paris", ">>>", "!Go on with")

	p.typed("/system Talk like a pirate.", "Enter")
	p.wait("(system prompt set)")
	p.typed("", "C-r")
	p.wait("No personas yet")
	p.typed("pirate", "C-s")
	p.wait("> pirate  Talk like a pirate.", "(persona pirate keeps")
	p.typed("", "Escape")
	p.wait("(persona pirate keeps the system prompt)", ">>>")
	file := filepath.Join(p.home, ".config", "systemgemma", "personas", "pirate.txt")
	if text, err := os.ReadFile(file); err != nil || string(text) != "Talk like a pirate.\n" {
		t.Errorf("the persona's file holds %q, %v", text, err)
	}

	p.typed("", "C-x")
	screen := p.wait("prompt: ", "<start_of_turn>", "Esc closes", "!>>>")
	if !strings.HasPrefix(screen, "prompt: ") || strings.Contains(screen, "Chat with") {
		t.Errorf("the panel has not the whole terminal:\n%s", screen)
	}
	p.tmux("resize-window", "-x", "100", "-y", "30")
	p.wait(">>> "+capital, "| prompt: ", "<start_of_turn>", "tok/s", "^O model")
	p.typed(capital, "Enter")
	p.wait("Arr!", "!Ctrl-C stops")
	p.tmux("resize-window", "-x", "20", "-y", "8")
	p.wait("prompt: ", "!>>>")
	p.tmux("resize-window", "-x", "100", "-y", "30")
	p.wait("| prompt: ", ">>>")
	if found := colours.FindString(p.tmux("capture-pane", "-p", "-e")); found != "" {
		t.Errorf("colour %q with NO_COLOR", found)
	}
	p.typed("", "C-x")
	p.wait("Arr!", ">>>", "!| prompt", "!<start_of_turn>")

	p.tmux("resize-window", "-x", "20", "-y", "10")
	p.wait("ctx ")
	p.typed("a", "M-Enter")
	p.typed("b", "")
	p.wait(">>> a", "... b")
	p.typed("", "C-c")
	p.tmux("resize-window", "-x", "100", "-y", "30")
	p.wait("^X prompt")
	p.typed("/model mini", "Enter")
	p.wait("(the model is mini now; the conversation stays)")
	p.typed("/model none", "Enter")
	p.wait("error: /model: model \"none\"")
	p.typed("/quit", "Enter")
	p.wait("status 0")
	history := p.history()
	for _, want := range []string{"Chat with mini", ">>> " + capital, "Arr!", "(persona pirate keeps the system prompt)", ">>> /quit"} {
		if !strings.Contains(history, want) {
			t.Errorf("the terminal has not %q afterwards:\n%s", want, history)
		}
	}
	if strings.Contains(history, "<start_of_turn>") || strings.Contains(history, "Go on with another model") {
		t.Errorf("a panel or list stays behind:\n%s", history)
	}
}

// In a wide one the panel stands beside the chat, which goes on, and what was said there is on the terminal after the chat was left.
func TestChatBesideItsPrompt(t *testing.T) {
	p := startPane(t, 100, 30, "--system", "Talk like a pirate.")
	p.wait("Chat with mini", "^X prompt")
	p.typed("/panel", "Enter")
	p.wait("| prompt: ", "Talk like a pirate.", ">>> /panel")
	p.typed(capital, "Enter")
	screen := p.wait("Arr!", "ctx ", "!Ctrl-C stops")
	for _, row := range strings.Split(strings.TrimRight(screen, "\n"), "\n") {
		if !strings.HasPrefix(row[min(len(row), 58):], "|") {
			t.Errorf("a row without the divider: %q", row)
		}
	}
	p.typed("", "C-c")
	p.wait("Ctrl-C again")
	p.typed("", "C-c")
	p.wait("status 0", "!| prompt")
	if history := p.history(); !strings.Contains(history, ">>> "+capital) || !strings.Contains(history, "Arr!") {
		t.Errorf("what was said beside the panel is lost:\n%s", history)
	}
}
