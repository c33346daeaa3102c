// Package terminal protects a person's terminal from what models and files say, and shows on it that work goes on.
//
// It must not know what a model is: it sees text and time only.
package terminal

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"
)

// Safe returns s without anything that a terminal takes for more than text: control characters (ESC among them, and the
// 8-bit ones that stand for it) except newline and tab, marks that turn the direction of text, and bytes that are no UTF-8 become U+FFFD.
// A carriage return before a newline is dropped: it would show nothing.
func Safe(s string) string {
	if !strings.ContainsFunc(s, unsafeRune) { // bytes that are no UTF-8 count as U+FFFD: unsafe
		return s
	}
	return strings.Map(func(r rune) rune {
		if unsafeRune(r) {
			return utf8.RuneError
		}
		return r
	}, strings.ReplaceAll(s, "\r\n", "\n"))
}

func unsafeRune(r rune) bool {
	switch r {
	case '\n', '\t':
		return false
	case utf8.RuneError, '\u2028', '\u2029':
		return true
	}
	embeds := r >= '\u202a' && r <= '\u202e' || r >= '\u2066' && r <= '\u2069' // text direction
	return unicode.IsControl(r) || embeds
}

// Writer passes on what Safe leaves. Each Write must hold whole characters.
type Writer struct{ W io.Writer }

// Write reports len(p) when all that is left of p was written.
func (w Writer) Write(p []byte) (int, error) {
	if _, err := io.WriteString(w.W, Safe(string(p))); err != nil {
		return 0, err
	}
	return len(p), nil
}

const (
	patience = time.Second            // work that is shorter shows nothing
	turn     = 125 * time.Millisecond // of the spinner
	frames   = "|/-\\"                // one a turn
	erase    = "\r\x1b[K"             // the whole line
)

// Status is a line on a terminal that says what is being waited for. A nil Status shows nothing.
type Status struct {
	w    io.Writer
	mu   sync.Mutex
	text string // guarded by mu
	stop chan struct{}
	done chan struct{}
	once sync.Once
}

// StartStatus shows text on w from a second on, until Stop. w nil, where there is no terminal, gives a nil Status.
func StartStatus(w io.Writer, text string) *Status {
	if w == nil {
		return nil
	}
	s := &Status{w: w, text: text, stop: make(chan struct{}), done: make(chan struct{})}
	go s.run(patience, turn)
	return s
}

// Set replaces the text.
func (s *Status) Set(format string, args ...any) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.text = fmt.Sprintf(format, args...)
}

// Stop removes the line; the terminal is then as it was before. It may be called again.
func (s *Status) Stop() {
	if s == nil {
		return
	}
	s.once.Do(func() { close(s.stop) })
	<-s.done
}

// run draws the line every turn. Errors of the terminal are no reason to stop the work.
func (s *Status) run(patience, turn time.Duration) {
	defer close(s.done)
	select {
	case <-s.stop:
		return
	case <-time.After(patience):
	}
	tick := time.NewTicker(turn)
	defer tick.Stop()
	for i := 0; ; i++ {
		s.mu.Lock()
		text := Safe(s.text)
		s.mu.Unlock()
		_, _ = fmt.Fprintf(s.w, "%s%c %s", erase, frames[i%len(frames)], text)
		select {
		case <-s.stop:
			_, _ = io.WriteString(s.w, erase)
			return
		case <-tick.C:
		}
	}
}
