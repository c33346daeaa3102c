package chat

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"
	"pgregory.net/rapid"
)

// check reports what a terminal should not get: more than its size, or a control character other than those of the screen's own styles.
func (s *stage) check(width, height int) error {
	v := s.m.View()
	content := strings.NewReplacer(boldOn, "", faintOn, "", reverseOn, "", styleOff, "").Replace(v.Content)
	rows := strings.Split(content, "\n")
	if v.AltScreen && len(rows) > height {
		return fmt.Errorf("%d rows, want at most %d", len(rows), height)
	}
	for _, row := range rows {
		if w := ansi.StringWidth(row); w > width {
			return fmt.Errorf("row %q is %d wide, want at most %d", row, w, width)
		}
	}
	if v.AltScreen && v.Cursor != nil && (v.Cursor.X > width || v.Cursor.Y >= height) {
		return fmt.Errorf("cursor at %d, %d in %dx%d", v.Cursor.X, v.Cursor.Y, width, height)
	}
	for _, text := range append([]string{content}, s.printed...) {
		for _, r := range text {
			if r < ' ' && r != '\n' || r >= 0x7f && r <= 0x9f || r >= '\u202a' && r <= '\u202e' {
				return fmt.Errorf("%q in %q", r, text)
			}
		}
	}
	return nil
}

// hostile is what files, models and people may say.
const hostile = "a\x1b[31mb\x1b]0;title\x07c\x9b2Jd\u202ee\x00f\r\ng\th"

// Nothing but text reaches the terminal, whoever says it, wherever it is shown.
func TestNothingHostileReachesTheTerminal(t *testing.T) {
	models := &shelf{models: map[string]*fake{hostile: {answers: []string{hostile}}}}
	f := &fake{answers: []string{hostile}, context: 100}
	s := newStageOf(t, New(f, Config{Name: "1" + hostile, System: hostile, Models: models, Personas: cupboard{hostile: hostile}}))
	for _, size := range []tea.WindowSizeMsg{{Width: 40, Height: 20}, {Width: 100, Height: 30}} {
		s.send(size)
		for _, keys := range [][]string{
			{"hi", "enter"}, {"/system", "enter"}, {"/show", "enter"}, {"ctrl+x"}, {"esc"}, {"ctrl+r"}, {"ctrl+d"}, {"enter"}, {"/persona", "enter"}, {"esc"},
			{"ctrl+o"}, {"enter"}, {"more", "enter"}, {"/model none", "enter"}, {"ctrl+x", "up"}, {"ctrl+x"},
		} {
			s.press(keys...)
			if err := s.check(size.Width, size.Height); err != nil {
				t.Errorf("%dx%d, %q: %v", size.Width, size.Height, keys, err)
			}
		}
		s.send(tea.PasteMsg{Content: strings.ReplaceAll(hostile, "\u202e", "")}) // the person's own text stays as it is
		s.press("ctrl+o")
		s.send(tea.PasteMsg{Content: hostile})
		if err := s.check(size.Width, size.Height); err != nil {
			t.Errorf("%dx%d, pasted: %v", size.Width, size.Height, err)
		}
		s.press("esc", "ctrl+c")
	}
	if all := strings.Join(s.printed, "\n"); !strings.Contains(all, "a\ufffd[31mb\ufffd]0;title\ufffdc") {
		t.Errorf("what was said is not shown: %q", all)
	}
}

// Any keys in a terminal of any size: no panic, nothing wider or higher than it, and nothing lost.
func TestAnyKeysInAnySize(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		models, _ := newShelf()
		models.models["a"].answers = []string{strings.Repeat("word ", 50), "好好好好好好好好好好好好", "", "a\nb\n\n\nc"}
		models.models["a"].context = 20
		s := newStageOf(t, New(models.models["a"], Config{Name: "a", Models: models, Personas: cupboard{"pirate": "Arr!", "terse": "Be brief."}}))
		width, height := 40, 20
		names := append(sortedKeys(), "x", "/panel", "/model", "/persona", "/persona pirate", "/model b", "/clear", "/retry", "好", " ")
		for range rapid.IntRange(1, 40).Draw(rt, "steps") {
			if rapid.IntRange(0, 5).Draw(rt, "resize") == 0 {
				width, height = rapid.IntRange(6, 120).Draw(rt, "width"), rapid.IntRange(1, 40).Draw(rt, "height")
				s.send(tea.WindowSizeMsg{Width: width, Height: height})
			} else {
				s.press(rapid.SampledFrom(names).Draw(rt, "key"))
			}
			if s.quit {
				return
			}
			if err := s.check(max(width, 6), height); err != nil {
				rt.Fatalf("%dx%d: %v", width, height, err)
			}
		}
		s.send(tea.WindowSizeMsg{Width: 1, Height: 1})
		s.press("esc", "esc", "esc")
		if rest := s.m.prints.rest(); rest != "" || s.covered() {
			rt.Fatalf("with all closed, not printed: %q", rest)
		}
	})
}

// sortedKeys are the named keys in one order.
func sortedKeys() []string {
	var names []string
	for name := range named {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func TestGateKnowsTheScreen(t *testing.T) {
	var out bytes.Buffer
	left := 0
	g := &gate{w: &out, left: func() { left++ }}
	for _, x := range []struct {
		text   string
		inside bool
		left   int
	}{
		{"text", false, 0}, {"a" + ansi.SetModeAltScreenSaveCursor + "b", true, 0}, {"more\x1b[2J", true, 0}, {ansi.ResetModeAltScreenSaveCursor, false, 1}, {"text", false, 1},
		{ansi.SetModeAltScreenSaveCursor + ansi.ResetModeAltScreenSaveCursor, false, 2},
	} {
		if _, err := io.WriteString(g.output(), x.text); err != nil || g.inside.Load() != x.inside || left != x.left {
			t.Errorf("%q: inside %v, left %d times, %v; want %v, %d", x.text, g.inside.Load(), left, err, x.inside, x.left)
		}
	}
	if _, isDevice := g.output().(device); isDevice || !strings.Contains(out.String(), "a"+ansi.SetModeAltScreenSaveCursor+"b") {
		t.Errorf("device %v, written %q", isDevice, out.String())
	}
}

// Lines wait for the small view to be drawn, however long that takes, and come when it was never left.
func TestLinesWaitForTheOtherScreen(t *testing.T) {
	s := newStage(t, &fake{})
	s.m.gate = &gate{w: io.Discard, left: func() {}}
	s.press("ctrl+x")
	s.m.gate.inside.Store(true) // it is drawn
	s.press("esc", "/undo", "enter")
	if len(s.printed) != 0 {
		t.Errorf("printed %q on the other screen", s.printed)
	}
	s.m.gate.inside.Store(false)
	s.send(uncoveredMsg{})
	s.want(t, ">>> /undo", "error: /undo: nothing to undo")
	n := len(s.printed)
	s.press("ctrl+x", "esc", "/undo", "enter") // never drawn
	if len(s.printed) == n {
		t.Error("nothing more is printed")
	}
}

// The whole program, over ssh, on a terminal that answers no question: it neither waits nor asks for colours, and leaves the other screen.
func TestScreenOverSSH(t *testing.T) {
	var out lockedBuffer
	in, keys := io.Pipe()
	wait := func(what string) {
		for end := time.Now().Add(time.Minute); !strings.Contains(ansi.Strip(out.String()), what) && time.Now().Before(end); {
			time.Sleep(time.Millisecond)
		}
	}
	go func() {
		_, _ = io.WriteString(keys, "hi\r")
		wait("hello")
		_, _ = io.WriteString(keys, "\x18") // Ctrl-X
		wait("prompt: 2 tokens")
		_, _ = io.WriteString(keys, "more\r")
		wait("second")
		_, _ = io.WriteString(keys, "\x18")
	}()
	done := make(chan error, 1)
	interrupts := make(chan struct{})
	go func() {
		environ := []string{"TERM=xterm-256color", "SSH_TTY=/dev/pts/0", "SSH_CONNECTION=1", "NO_COLOR=1"}
		m := newScreen(t.Context(), New(&fake{answers: []string{"hello", "second"}}, Config{Name: "fake"}))
		done <- m.run(in, &out, environ, interrupts, tea.WithWindowSize(100, 30))
	}()
	after := func() string {
		_, after, _ := strings.Cut(out.String(), ansi.ResetModeAltScreenSaveCursor)
		return ansi.Strip(after)
	}
	for end := time.Now().Add(time.Minute); !strings.Contains(after(), ">>> more") || !strings.Contains(after(), "second"); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("what was said beside the panel is not printed after it: %q", out.String())
		}
	}
	for running := true; running; {
		select {
		case interrupts <- struct{}{}:
		case err := <-done:
			if err != nil {
				t.Fatal(err)
			}
			running = false
		}
	}
	shown := out.String()
	if strings.Contains(shown, ansi.RequestModeSynchronizedOutput) || strings.Contains(shown, ansi.RequestBackgroundColor) {
		t.Errorf("the terminal is asked questions: %q", shown)
	}
	if colours := sgrColours(shown); colours != "" {
		t.Errorf("colour %q in %q", colours, shown)
	}
}

// sgrColours is the first sequence that sets a colour, "" if there is none.
func sgrColours(text string) string {
	for _, part := range strings.Split(text, "\x1b[")[1:] {
		end := strings.IndexFunc(part, func(r rune) bool { return r >= '@' && r <= '~' })
		if end < 0 || part[end] != 'm' {
			continue
		}
		for _, n := range strings.Split(part[:end], ";") {
			if len(n) == 2 && strings.ContainsAny(n[:1], "349") || len(n) == 3 && n[0] == '1' {
				return part[:end+1]
			}
		}
	}
	return ""
}
