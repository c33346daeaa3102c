package cli

import (
	"context"
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"sync"
	"syscall"

	"github.com/systemgemma/systemgemma/internal/app/bundle"
	"github.com/systemgemma/systemgemma/internal/app/cli/config"
	"github.com/systemgemma/systemgemma/internal/app/cli/terminal"
	"golang.org/x/term"
)

// Env is what commands see of the process.
type Env struct {
	Stdin                          io.Reader
	Stdout, Stderr                 io.Writer // as the process's: written by several goroutines, and by those that a second Ctrl-C leaves behind
	StdinTTY, StdoutTTY, StderrTTY bool
	Environ                        []string
	Getenv                         func(string) string
	Interrupts                     <-chan os.Signal // Ctrl-C, and the request to end; nil: never
	Build                          *debug.BuildInfo // nil: not known
	SystemConfig                   string           // settings of all users of this computer; "": none
	Executable                     string           // file of this program; "": not known

	screen io.Writer // the terminal that Stdout is, unfiltered; nil: it is none
	status io.Writer // the terminal that Stderr is, unfiltered; nil: it is none

	settings *settings
	command  string                         // the one that runs
	bundle   func() (*bundle.Bundle, error) // the model inside this program, looked for once; nil: none
}

// Process is the real one. It is the only function here that looks at the process's globals.
func Process() *Env {
	interrupts := make(chan os.Signal, 1)
	signal.Notify(interrupts, os.Interrupt, syscall.SIGTERM)
	build, _ := debug.ReadBuildInfo()
	executable, _ := os.Executable() // "": not known
	return &Env{
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
		StdinTTY: isTTY(os.Stdin), StdoutTTY: isTTY(os.Stdout), StderrTTY: isTTY(os.Stderr),
		Environ: os.Environ(), Getenv: os.Getenv, Interrupts: interrupts, Build: build,
		SystemConfig: config.SystemFile(runtime.GOOS, os.Getenv), Executable: executable,
	}
}

// findBundle looks for a model inside this program.
func (e *Env) findBundle() (*bundle.Bundle, error) {
	if e.Executable == "" {
		return nil, nil
	}
	return bundle.Find(e.Executable)
}

func isTTY(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }

// safe is e whose terminals show text only, whatever models and files say. Pipes and files get all bytes.
func (e *Env) safe() *Env {
	c := *e
	if e.StdoutTTY {
		c.screen, c.Stdout = e.Stdout, terminal.Writer{W: e.Stdout}
	}
	if e.StderrTTY {
		c.status, c.Stderr = e.Stderr, terminal.Writer{W: e.Stderr}
	}
	return &c
}

// waiting shows text from a second on, where a person can see it.
func (e *Env) waiting(text string) *terminal.Status { return terminal.StartStatus(e.status, text) }

// interrupts hands each Ctrl-C to who asked last: a chat stops its answer. Without takers, and for other signals unless the taker wants
// all, it ends the command.
type interrupts struct {
	mu     sync.Mutex
	takers []taker // guarded by mu
	end    func(os.Signal)
	done   chan struct{}
}

type taker struct {
	take func()
	all  bool // also the request to end
}

func watch(signals <-chan os.Signal, end func(os.Signal)) *interrupts {
	i := &interrupts{end: end, done: make(chan struct{})}
	go func() {
		for {
			select {
			case <-i.done:
				return
			case s := <-signals:
				i.signal(s)
			}
		}
	}()
	return i
}

func (i *interrupts) close() { close(i.done) }

func (i *interrupts) signal(s os.Signal) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if n := len(i.takers); n > 0 && (s == os.Interrupt || i.takers[n-1].all) {
		i.takers[n-1].take()
		return
	}
	i.end(s)
}

// take lets f, which must not block, have the interrupts until release is called.
func (i *interrupts) take(f func()) (release func()) { return i.add(taker{f, false}) }

// takeAll is take, of the request to end too.
func (i *interrupts) takeAll(f func()) (release func()) { return i.add(taker{f, true}) }

func (i *interrupts) add(t taker) (release func()) {
	i.mu.Lock()
	defer i.mu.Unlock()
	n := len(i.takers)
	i.takers = append(i.takers, t)
	return func() {
		i.mu.Lock()
		defer i.mu.Unlock()
		i.takers = i.takers[:n]
	}
}

// await is f's result, or ctx's error if that comes first. f then goes on until the process ends: reading a terminal or a pipe,
// or opening a file, can't be called back.
func await[T any](ctx context.Context, f func() (T, error)) (T, error) {
	type result struct {
		x   T
		err error
	}
	done := make(chan result, 1)
	go func() {
		x, err := f()
		done <- result{x, err}
	}()
	select {
	case r := <-done:
		return r.x, r.err
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}
