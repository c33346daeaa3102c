package terminal

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestSafeReplacesWhatATerminalWouldObey(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"plain text", "Grüße,\n\tКак дела? 你好 👍", "Grüße,\n\tКак дела? 你好 👍"},
		{"colour", "\x1b[31mred", "�[31mred"},
		{"window title", "\x1b]0;owned\x07", "�]0;owned�"},
		{"8-bit escape as UTF-8", "\u009b31m", "�31m"},
		{"8-bit escape as a byte", "\x9b31m", "�31m"},
		{"carriage return hides text", "rm -rf /\rls", "rm -rf /�ls"},
		{"line ends of Windows", "a\r\nb\r\n", "a\nb\n"},
		{"backspace and delete", "a\bb\x7f", "a�b�"},
		{"right to left override", "a\u202eb", "a�b"},
		{"line separator", "a\u2028b", "a�b"},
		{"NUL", "a\x00b", "a�b"},
		{"empty", "", ""},
	} {
		if got := Safe(c.in); got != c.want {
			t.Errorf("%s: Safe(%q) = %q, want %q", c.name, c.in, got, c.want)
		}
	}
}

// Any bytes: what comes out is UTF-8 without control characters, and safe already.
func TestSafeIsSafe(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := string(rapid.SliceOf(rapid.Byte()).Draw(t, "in"))
		out := Safe(in)
		if !utf8.ValidString(out) {
			t.Fatalf("Safe(%q) = %q: no UTF-8", in, out)
		}
		for _, r := range out {
			if r < ' ' && r != '\n' && r != '\t' || r >= 0x7f && r < 0xa0 {
				t.Fatalf("Safe(%q) = %q: has control character %#x", in, out, r)
			}
		}
		if again := Safe(out); again != out {
			t.Fatalf("Safe(%q) = %q: want it unchanged", out, again)
		}
	})
}

func TestWriterCountsWhatItWasGiven(t *testing.T) {
	var b strings.Builder
	n, err := Writer{&b}.Write([]byte("a\x1bb"))
	if n != 3 || err != nil || b.String() != "a�b" {
		t.Errorf("Write = %d, %v, wrote %q; want 3, nil, %q", n, err, b.String(), "a�b")
	}
	if _, err := (Writer{failing{}}).Write([]byte("a")); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("error = %v, want that of the writer below", err)
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestStatusShowsNothingForShortWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b strings.Builder
		s := StartStatus(&b, "loading")
		time.Sleep(patience / 2)
		s.Stop()
		if b.Len() != 0 {
			t.Errorf("wrote %q, want nothing", b.String())
		}
	})
}

func TestStatusTurnsAndLeavesNothingBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b strings.Builder
		s := StartStatus(&b, "loading")
		time.Sleep(patience + turn/2)
		s.Set("read %d %%\x1b", 50)
		time.Sleep(turn)
		s.Stop()
		s.Stop()
		want := erase + "| loading" + erase + "/ read 50 %�" + erase
		if b.String() != want {
			t.Errorf("wrote %q, want %q", b.String(), want)
		}
	})
}

func TestStatusWithoutTerminal(t *testing.T) {
	s := StartStatus(nil, "loading")
	s.Set("more")
	s.Stop() // nothing to see: no panic
}
