package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// process is an Env whose streams are in memory.
type process struct {
	Env
	out, err strings.Builder
}

func newProcess(stdin string) *process {
	p := &process{}
	p.Env = Env{Stdin: strings.NewReader(stdin), Stdout: &p.out, Stderr: &p.err, Getenv: func(string) string { return "" }}
	return p
}

func (p *process) run(t *testing.T, args ...string) int {
	t.Helper()
	return Main(t.Context(), args, &p.Env)
}

// Bytes that are no text come to the model as they are: bytes have tokens of their own.
func TestPromptOfAnyBytes(t *testing.T) {
	ids := func(stdin string, args ...string) []int32 {
		p := newProcess(stdin)
		if status := p.run(t, append([]string{"run", "--json", "--max-tokens", "1"}, args...)...); status != 0 {
			t.Fatalf("status %d: %s", status, p.err.String())
		}
		var a answerJSON
		if err := json.Unmarshal([]byte(p.out.String()), &a); err != nil {
			t.Fatal(err)
		}
		return a.PromptIDs
	}
	piped, argument := ids("\xff\x00\x80 a"), ids("", "--", "\xff\x00\x80 a")
	if !slices.Equal(piped, argument) || len(piped) < 12 {
		t.Errorf("piped %v, as argument %v; want the same ids", piped, argument)
	}
	if joined, one := ids("c", "a b"), ids("", "a b\n\nc"); !slices.Equal(joined, one) {
		t.Errorf("joined %v, want %v", joined, one)
	}
}

func TestLinesMustBeUTF8(t *testing.T) {
	p := newProcess("{\"text\": \"\xff\"}\n{\"text\": \"\"}")
	if status := p.run(t, "tokenize"); status != 1 {
		t.Errorf("status %d, want 1", status)
	}
	if want := "{\"error\":\"want a JSON object in UTF-8, found bytes that are none\"}\n{\"ids\":[]}\n"; p.out.String() != want {
		t.Errorf("stdout = %q, want %q", p.out.String(), want)
	}
}

// Each answer is there before the next line is read: programs talk to these commands line by line.
func TestLinesAreAnsweredAtOnce(t *testing.T) {
	in, lines := io.Pipe()
	answers, out := io.Pipe()
	p := newProcess("")
	p.Stdin, p.Stdout = in, out
	status := make(chan int)
	go func() { status <- p.run(t, "tokenize") }()
	for range 3 {
		if _, err := io.WriteString(lines, "{\"text\": \"\"}\n"); err != nil {
			t.Fatal(err)
		}
		answer := make([]byte, 64)
		if n, err := answers.Read(answer); err != nil || string(answer[:n]) != "{\"ids\":[]}\n" {
			t.Fatalf("answer %q, %v", answer[:n], err)
		}
	}
	_ = lines.Close()
	if got := <-status; got != 0 {
		t.Errorf("status %d, want 0", got)
	}
}

// A terminal shows text only; a pipe gets all bytes.
func TestTerminalsGetNoEscapes(t *testing.T) {
	file := filepath.Join(t.TempDir(), "jinja")
	if err := os.WriteFile(file, []byte("\x1b]0;owned\x07{{ messages[0]['content'] }}"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tty := range []bool{true, false} {
		p := newProcess("")
		p.StdoutTTY = tty
		if status := p.run(t, "template", "--template", file, "hi"); status != 0 {
			t.Fatalf("status %d: %s", status, p.err.String())
		}
		if got := strings.ContainsAny(p.out.String(), "\x1b\x07"); got == tty || !strings.Contains(p.out.String(), "owned") {
			t.Errorf("terminal %v: stdout %q", tty, p.out.String())
		}
		q := newProcess("")
		q.StderrTTY = tty
		q.run(t, "run", "--system-file", "none\x1b[31m", "hi")
		if got := strings.Contains(q.err.String(), "\x1b"); got == tty || !strings.Contains(q.err.String(), "none") {
			t.Errorf("terminal %v: stderr %q", tty, q.err.String())
		}
	}
}

// writes tells of the first thing written.
type writes struct {
	mu    sync.Mutex
	buf   bytes.Buffer
	once  sync.Once
	first chan struct{}
}

func (w *writes) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.once.Do(func() { close(w.first) })
	return w.buf.Write(p)
}

func (w *writes) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.buf.String()
}

// An interrupt stops an answer in the middle: what there is stays, and the status is 130.
func TestInterruptStopsAnAnswer(t *testing.T) {
	interrupts := make(chan os.Signal, 1)
	out := &writes{first: make(chan struct{})}
	p := newProcess("")
	p.Stdout, p.Interrupts = out, interrupts
	go func() {
		<-out.first
		interrupts <- os.Interrupt
	}()
	if status := p.run(t, "run", "--stats", "--ignore-eos", "--temperature", "1", "--seed", "3", "Tell me a long story."); status != 130 {
		t.Errorf("status %d, want 130 (stderr %q)", status, p.err.String())
	}
	if out.String() == "" || !strings.HasSuffix(out.String(), "\n") {
		t.Errorf("stdout %q, want the beginning of an answer and a line end", out.String())
	}
	if !strings.Contains(p.err.String(), "first token after") {
		t.Errorf("stderr %q, want the statistics of what there is", p.err.String())
	}
}

// Signals also end waiting for input that does not come.
func TestSignalsEndWaiting(t *testing.T) {
	for s, want := range map[os.Signal]int{os.Interrupt: 130, syscall.SIGTERM: 143} {
		signalEndsWaiting(t, s, want)
	}
}

func signalEndsWaiting(t *testing.T, s os.Signal, want int) {
	t.Helper()
	for _, args := range [][]string{{"run"}, {"run", "hi"}, {"tokenize"}, {"score"}, {"run", "--plain"}} {
		interrupts := make(chan os.Signal, 1)
		interrupts <- s
		in, w := io.Pipe()
		p := newProcess("")
		p.Stdin, p.Interrupts = in, interrupts
		if status := p.run(t, args...); status != want || p.err.String() != "" {
			t.Errorf("%q, %v: status %d, stderr %q; want %d and nothing", args, s, status, p.err.String(), want)
		}
		_ = w.Close()
	}
}

func TestInterruptsGoToWhoAskedLast(t *testing.T) {
	signals := make(chan os.Signal)
	got := make(chan string, 1)
	i := watch(signals, func(s os.Signal) { got <- s.String() })
	defer i.close()
	releaseOuter := i.take(func() { got <- "outer" })
	release := i.take(func() { got <- "inner" })
	ask := func(want string, s os.Signal) {
		t.Helper()
		signals <- s
		if who := <-got; who != want {
			t.Errorf("interrupt went to %s, want %s", who, want)
		}
	}
	ask("inner", os.Interrupt)
	ask("inner", os.Interrupt)
	ask(syscall.SIGTERM.String(), syscall.SIGTERM)
	release()
	ask("outer", os.Interrupt)
	releaseOuter()
	ask(os.Interrupt.String(), os.Interrupt)
}

// At a terminal that can do little, and with --plain, a chat goes line by line with prompts on stderr.
func TestChatOnASimpleTerminal(t *testing.T) {
	for _, args := range [][]string{{"run"}, {"run", "--plain"}} {
		p := newProcess("What is the capital of France?\n")
		p.StdinTTY, p.StdoutTTY, p.StderrTTY = true, true, true
		p.Getenv = func(name string) string { return map[string]string{"TERM": "dumb"}[name] }
		if status := p.run(t, args...); status != 0 {
			t.Errorf("%q: status %d", args, status)
		}
		if !strings.Contains(p.out.String(), "Paris") || !strings.Contains(p.err.String(), ">>> ") {
			t.Errorf("%q: stdout %q, stderr %q; want an answer and a prompt", args, p.out.String(), p.err.String())
		}
	}
}

func TestChatNeedsNoJSON(t *testing.T) {
	p := newProcess("")
	p.StdinTTY = true
	if status := p.run(t, "run", "--json"); status != 2 {
		t.Errorf("status %d, want 2 (stderr %q)", status, p.err.String())
	}
}

func TestLinesFromATerminalSayWhatIsAwaited(t *testing.T) {
	p := newProcess("{\"text\": \"\"}\n")
	p.StdinTTY = true
	if status := p.run(t, "tokenize"); status != 0 || !strings.Contains(p.err.String(), "Ctrl-D ends them") {
		t.Errorf("status %d, stderr %q; want 0 and a hint", status, p.err.String())
	}
}

func TestAwaitDoesNotWaitForever(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	hold := make(chan struct{})
	defer close(hold)
	if _, err := await(ctx, func() (int, error) { <-hold; return 0, nil }); err == nil {
		t.Error("no error, want the context's")
	}
	if x, err := await(t.Context(), func() (int, error) { return 3, nil }); x != 3 || err != nil {
		t.Errorf("await = %d, %v; want 3", x, err)
	}
}

func TestVersionReport(t *testing.T) {
	build := &debug.BuildInfo{Main: debug.Module{Version: "v1.2.3"}, Settings: []debug.BuildSetting{{Key: "vcs.revision", Value: "abc"}, {Key: "vcs.modified", Value: "true"}}}
	p := newProcess("")
	p.Build = build
	if status := p.run(t, "version"); status != 0 || !strings.HasPrefix(p.out.String(), "systemgemma v1.2.3 abc (modified), go") {
		t.Errorf("status %d, stdout %q", status, p.out.String())
	}
}

func TestBrokenOutputIsAnError(t *testing.T) {
	for _, args := range [][]string{{}, {"version"}, {"show"}, {"doctor"}, {"run", "hi"}, {"run", "--json", "hi"}, {"tokenize", "hi"}, {"template", "hi"}, {"score", "hi"}} {
		p := newProcess("")
		var broken brokenWriter
		p.Stdout = &broken
		if status := p.run(t, args...); status != 1 || !strings.Contains(p.err.String(), io.ErrClosedPipe.Error()) {
			t.Errorf("%q: status %d, stderr %q; want 1 and the fault", args, status, p.err.String())
		}
		if broken != 1 {
			t.Errorf("%q: written %d times, want once", args, broken)
		}
	}
}

// brokenWriter counts its writes.
type brokenWriter int

func (w *brokenWriter) Write([]byte) (int, error) {
	*w++
	return 0, io.ErrClosedPipe
}
