package chat

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"

	"github.com/systemgemma/systemgemma"
)

// plainRun runs a chat whose input is a text.
func plainRun(t *testing.T, f *fake, input string, person bool) (out, errs string, err error) {
	t.Helper()
	var o, e strings.Builder
	err = Plain(t.Context(), New(f, Config{}), Streams{In: strings.NewReader(input), Out: &o, Err: &e, Prompt: person})
	return o.String(), e.String(), err
}

func TestPlainFromAPipe(t *testing.T) {
	f := &fake{answers: []string{"first answer", "second\n"}}
	out, errs, err := plainRun(t, f, "one\r\n\n/system S\ntwo", false)
	if err != nil || errs != "" {
		t.Errorf("error = %v, stderr %q; want none", err, errs)
	}
	if want := "first answer\n(system prompt set)\nsecond\n"; out != want {
		t.Errorf("stdout = %q, want %q", out, want)
	}
	if got, want := f.ask(), "system: S | user: one | assistant: first answer | user: two"; got != want {
		t.Errorf("asked %q, want %q", got, want)
	}
}

func TestPlainShowsPromptsToAPerson(t *testing.T) {
	out, errs, err := plainRun(t, &fake{}, "one \\\ntwo\n", true)
	if err != nil || out != "ok\n" {
		t.Errorf("stdout = %q, %v; want the answer only", out, err)
	}
	if want := ">>> ... >>> \n"; errs != want {
		t.Errorf("stderr = %q, want %q", errs, want)
	}
}

func TestPlainInputsOfManyLines(t *testing.T) {
	for _, c := range []struct{ name, input, want string }{
		{"backslash", "a\\\nb\\\nc\n", "user: a\nb\nc"},
		{"backslash at the end of all", "a\\", "user: a"},
		{"block", "\"\"\"a\nb\n\"\"\"\n", "user: a\nb\n"},
		{"block on one line", "\"\"\"a\\\"\"\"\n", "user: a\\"},
		{"block keeps backslashes", "\"\"\"a\\\nb\"\"\"\n", "user: a\\\nb"},
		{"block without end", "\"\"\"a\nb", "user: a\nb"},
		{"no newline at the end", "a", "user: a"},
		{"bytes", "\xff\x00\n", "user: \xff\x00"},
	} {
		f := &fake{}
		if _, _, err := plainRun(t, f, c.input, false); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if got := f.ask(); got != c.want || len(f.asked) != 1 {
			t.Errorf("%s: asked %q (%d times), want %q once", c.name, got, len(f.asked), c.want)
		}
	}
}

func TestPlainFailuresGiveAnError(t *testing.T) {
	f := &fake{fail: systemgemma.ErrContextLength}
	out, errs, err := plainRun(t, f, "one\n/foo\ntwo\n", false)
	if !errors.Is(err, ErrFailed) || out != "ok\n" {
		t.Errorf("error = %v, stdout %q; want %v and the second answer", err, out, ErrFailed)
	}
	if !strings.Contains(errs, "error: "+systemgemma.ErrContextLength.Error()) || !strings.Contains(errs, "error: no command /foo") {
		t.Errorf("stderr = %q, want both errors", errs)
	}
	if _, _, err := plainRun(t, &fake{}, "/foo\n", true); err != nil {
		t.Errorf("with a person: error = %v, want none", err)
	}
}

func TestPlainQuitLeavesTheRestUnread(t *testing.T) {
	f := &fake{}
	if out, _, err := plainRun(t, f, "/quit\nmore\n", false); err != nil || out != "" || len(f.asked) != 0 {
		t.Errorf("stdout %q, error %v, asked %d times; want nothing", out, err, len(f.asked))
	}
}

// signalWriter tells of its first write.
type signalWriter struct {
	text    strings.Builder
	once    sync.Once
	written chan struct{}
}

func (w *signalWriter) String() string { return w.text.String() }

func newSignalWriter() *signalWriter { return &signalWriter{written: make(chan struct{})} }

func (w *signalWriter) Write(p []byte) (int, error) {
	n, err := w.text.Write(p)
	w.once.Do(func() { close(w.written) })
	return n, err
}

// An interrupt while the model answers stops the answer; a person's chat goes on, a pipe's ends.
func TestPlainInterruptStopsTheAnswer(t *testing.T) {
	for _, person := range []bool{true, false} {
		f := &fake{answers: []string{"a long answer"}, hold: make(chan struct{})}
		out, interrupts := newSignalWriter(), make(chan struct{}, 1)
		go func() {
			<-out.written
			interrupts <- struct{}{}
		}()
		var errs strings.Builder
		err := Plain(t.Context(), New(f, Config{}), Streams{In: strings.NewReader("one\n/show\n"), Out: out, Err: &errs, Prompt: person, Interrupts: interrupts})
		want, wantErr := "a \nuser: one | assistant: a \n\n2 tokens: 2 7\n", error(nil)
		if !person {
			want, wantErr = "a \n", ErrInterrupted
		}
		if out.String() != want || !errors.Is(err, wantErr) {
			t.Errorf("person %v: stdout %q, error %v; want %q, %v", person, out.String(), err, want, wantErr)
		}
		if !strings.Contains(errs.String(), "(stopped; what there is of the answer is kept") {
			t.Errorf("person %v: stderr %q, want it to say that the answer was stopped", person, errs.String())
		}
	}
}

func TestPlainInterruptsAtThePrompt(t *testing.T) {
	in, w := io.Pipe() // nothing comes
	defer w.Close()
	interrupts := make(chan struct{}, 2)
	interrupts <- struct{}{}
	if err := Plain(t.Context(), New(&fake{}, Config{}), Streams{In: in, Out: io.Discard, Err: io.Discard, Interrupts: interrupts}); !errors.Is(err, ErrInterrupted) {
		t.Errorf("from a pipe: error = %v, want %v", err, ErrInterrupted)
	}
	interrupts <- struct{}{}
	interrupts <- struct{}{}
	if err := Plain(t.Context(), New(&fake{}, Config{}), Streams{In: in, Out: io.Discard, Err: io.Discard, Prompt: true, Interrupts: interrupts}); err != nil {
		t.Errorf("twice, from a person: error = %v, want none", err)
	}
}

func TestPlainEndsWithItsContext(t *testing.T) {
	in, w := io.Pipe()
	defer w.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Plain(ctx, New(&fake{}, Config{}), Streams{In: in, Out: io.Discard, Err: io.Discard}); !errors.Is(err, context.Canceled) {
		t.Errorf("error = %v, want %v", err, context.Canceled)
	}
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestPlainEndsWhenNobodyReads(t *testing.T) {
	for _, input := range []string{"hi\n", "/help\n"} {
		err := Plain(t.Context(), New(&fake{}, Config{}), Streams{In: strings.NewReader(input), Out: broken{}, Err: io.Discard})
		if !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("%q: error = %v, want %v", input, err, io.ErrClosedPipe)
		}
	}
}

type failingReader struct{}

func (failingReader) Read([]byte) (int, error) { return 0, io.ErrNoProgress }

func TestPlainTellsReadErrors(t *testing.T) {
	err := Plain(t.Context(), New(&fake{}, Config{}), Streams{In: failingReader{}, Out: io.Discard, Err: io.Discard})
	if !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("error = %v, want %v", err, io.ErrNoProgress)
	}
}
