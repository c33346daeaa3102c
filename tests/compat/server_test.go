package compat

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// program is the path of the program that TestMain builds.
var program string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "compat")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	program = filepath.Join(dir, "systemgemma")
	build := exec.Command("go", "build", "-o", program, "./cmd/systemgemma")
	build.Dir = "../.."
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// server is a running program.
type server struct {
	url string // without a path
	pid int
}

// serve starts the program at a free port, with a home of its own, until the test ends.
func serve(t testing.TB, args ...string) server {
	t.Helper()
	cmd := exec.Command(program, append([]string{"serve", "--listen", "127.0.0.1:0"}, args...)...)
	home := t.TempDir()
	cmd.Env = append(os.Environ(), "HOME="+home, "SYSTEMGEMMA_HOME="+filepath.Join(home, "store"), "HF_HOME="+filepath.Join(home, "hf"))
	var log strings.Builder
	cmd.Stderr = &log
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	t.Cleanup(func() {
		if err := cmd.Process.Signal(os.Interrupt); err != nil {
			t.Errorf("the server did not live to the end: %v", err)
		}
		select {
		case err := <-ended:
			var exit *exec.ExitError
			if err != nil && !(errors.As(err, &exit) && exit.ExitCode() == 130) {
				t.Errorf("the server ended with %v", err)
			}
		case <-time.After(time.Minute):
			_ = cmd.Process.Kill()
			t.Error("the server did not end within a minute")
		}
		if strings.Contains(log.String(), "panic") {
			t.Errorf("the server's log: %s", &log)
		}
	})
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if _, rest, ok := strings.Cut(lines.Text(), " at http://"); ok {
			go func() {
				for lines.Scan() {
				}
				ended <- cmd.Wait()
			}()
			address, _, _ := strings.Cut(rest, " ")
			return server{"http://" + address, cmd.Process.Pid}
		}
	}
	ended <- cmd.Wait()
	t.Fatalf("the server did not say where it is: %s", &log)
	return server{}
}

const pirate = "Talk like a pirate."

// question is one that the embedded model answers with Paris.
const question = "What is the capital of France?"
