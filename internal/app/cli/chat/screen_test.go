package chat

import (
	"bytes"
	"io"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"
	"pgregory.net/rapid"
)

// stage runs a screen without a terminal: it carries out commands one after the other and keeps what is printed.
type stage struct {
	m       *screen
	printed []string
	quit    bool
}

func newStage(t *testing.T, f *fake) *stage {
	t.Helper()
	return newStageOf(t, New(f, Config{Name: "fake"}))
}

func newStageOf(t *testing.T, session *Session) *stage {
	t.Helper()
	s := &stage{m: newScreen(t.Context(), session)}
	t.Cleanup(s.m.stop)
	s.do(s.m.Init())
	s.send(tea.WindowSizeMsg{Width: 40, Height: 20})
	return s
}

func (s *stage) send(msgs ...tea.Msg) {
	for _, msg := range msgs {
		_, cmd := s.m.Update(msg)
		s.do(cmd)
	}
}

// do carries out a command and what follows from it.
func (s *stage) do(cmd tea.Cmd) {
	if cmd == nil {
		return
	}
	msg := cmd()
	v := reflect.ValueOf(msg)
	switch {
	case msg == nil:
	case v.Kind() == reflect.Slice && v.Type().Elem() == reflect.TypeFor[tea.Cmd](): // a batch or a sequence
		for i := range v.Len() {
			s.do(v.Index(i).Interface().(tea.Cmd))
		}
	case v.Kind() == reflect.Struct && v.NumField() == 1 && v.Type().Field(0).Name == "messageBody": // of Println
		s.printed = append(s.printed, v.Field(0).String())
	case reflect.TypeOf(msg) == reflect.TypeFor[tea.QuitMsg]():
		s.quit = true
	default:
		s.send(msg)
	}
}

// named are the keys that tests press by name.
var named = map[string]tea.KeyPressMsg{
	"enter": {Code: tea.KeyEnter}, "alt+enter": {Code: tea.KeyEnter, Mod: tea.ModAlt}, "up": {Code: tea.KeyUp}, "down": {Code: tea.KeyDown},
	"ctrl+c": {Code: 'c', Mod: tea.ModCtrl}, "ctrl+d": {Code: 'd', Mod: tea.ModCtrl}, "left": {Code: tea.KeyLeft}, "backspace": {Code: tea.KeyBackspace},
	"ctrl+o": {Code: 'o', Mod: tea.ModCtrl}, "ctrl+r": {Code: 'r', Mod: tea.ModCtrl}, "ctrl+s": {Code: 's', Mod: tea.ModCtrl}, "ctrl+u": {Code: 'u', Mod: tea.ModCtrl},
	"ctrl+x": {Code: 'x', Mod: tea.ModCtrl}, "esc": {Code: tea.KeyEscape}, "pgup": {Code: tea.KeyPgUp}, "pgdown": {Code: tea.KeyPgDown},
	"home": {Code: tea.KeyHome}, "end": {Code: tea.KeyEnd},
}

// press sends keys by name, and other words letter by letter.
func (s *stage) press(keys ...string) {
	for _, k := range keys {
		if msg, ok := named[k]; ok {
			s.send(msg)
			continue
		}
		for _, r := range k {
			s.send(tea.KeyPressMsg{Code: r, Text: string(r)})
		}
	}
}

// all is what the terminal shows, old lines included, without styles.
func (s *stage) all() string {
	return ansi.Strip(strings.Join(s.printed, "\n") + "\n" + s.m.View().Content)
}

func (s *stage) want(t *testing.T, parts ...string) {
	t.Helper()
	all := s.all()
	for _, p := range parts {
		if !strings.Contains(all, p) {
			t.Errorf("screen lacks %q:\n%s", p, all)
		}
	}
}

func TestScreenAnswers(t *testing.T) {
	f := &fake{answers: []string{"The capital is Paris."}}
	s := newStage(t, f)
	s.press("Where?", "enter")
	if want := []string{">>> Where?", "The capital is Paris."}; !slices.Equal(s.printed, want) {
		t.Errorf("printed %q, want %q", s.printed, want)
	}
	if got := s.m.input.Value(); got != "" {
		t.Errorf("input holds %q, want it empty", got)
	}
	s.press("/undo", "enter", "/foo", "enter")
	s.want(t, "(last exchange removed, 0 left)", "error: no command /foo")
}

func TestScreenGoesOnInTheNextLine(t *testing.T) {
	for _, keys := range [][]string{{"a", "alt+enter", "b", "enter"}, {"a\\", "enter", "b", "enter"}} {
		f := &fake{}
		s := newStage(t, f)
		s.press(keys...)
		if got, want := f.ask(), "user: a\nb"; got != want {
			t.Errorf("%q: asked %q, want %q", keys, got, want)
		}
		s.want(t, ">>> a\n... b")
	}
}

func TestScreenPastesAllLines(t *testing.T) {
	f := &fake{}
	s := newStage(t, f)
	text := strings.Repeat("a line of many\n", 500) + "end"
	s.send(tea.PasteMsg{Content: text})
	s.press("enter")
	if got := f.ask(); got != "user: "+text {
		t.Errorf("asked %d bytes, want all %d", len(got), len(text)+6)
	}
}

func TestScreenRecallsInputs(t *testing.T) {
	f := &fake{}
	s := newStage(t, f)
	s.press("one", "enter", "two", "enter", "dra")
	for _, step := range []struct{ key, want string }{{"up", "two"}, {"up", "one"}, {"up", "one"}, {"down", "two"}, {"down", "dra"}, {"down", "dra"}} {
		s.press(step.key)
		if got := s.m.input.Value(); got != step.want {
			t.Errorf("%s: input holds %q, want %q", step.key, got, step.want)
		}
	}
}

// The keys move inside an input of many lines before they leave it.
func TestScreenMovesInsideTheInputFirst(t *testing.T) {
	s := newStage(t, &fake{})
	s.press("old", "enter", "a", "alt+enter", "b", "up")
	if got := s.m.input.Value(); got != "a\nb" {
		t.Errorf("after one up the input holds %q, want it unchanged", got)
	}
	s.press("up")
	if got := s.m.input.Value(); got != "old" {
		t.Errorf("after two the input holds %q, want %q", got, "old")
	}
}

func TestScreenInterruptStopsTheAnswerOnly(t *testing.T) {
	f := &fake{answers: []string{"a long answer"}, hold: make(chan struct{})}
	s := newStage(t, f)
	s.press("one")
	_, cmd := s.m.Update(tea.KeyPressMsg{Code: tea.KeyEnter})
	if s.m.running == nil {
		t.Fatal("no answer is running")
	}
	s.want(t, hintBusy)
	s.press("ctrl+c")
	s.do(cmd) // the answer's events, up to its end
	if s.m.running != nil || s.quit {
		t.Errorf("running %v, quit %v; want neither", s.m.running, s.quit)
	}
	s.want(t, "(stopped")
	f.hold = nil
	s.press("two", "enter")
	if len(f.asked) != 2 {
		t.Errorf("asked %d times, want twice", len(f.asked))
	}
}

func TestScreenTakesNoInputWhileAnswering(t *testing.T) {
	f := &fake{answers: []string{"a long answer"}, hold: make(chan struct{})}
	s := newStage(t, f)
	s.press("one")
	_, cmd := s.m.Update(tea.KeyPressMsg{Code: tea.KeyEnter})
	s.press("two", "enter")
	if len(f.asked) != 1 || s.m.input.Value() != "two" {
		t.Errorf("asked %d times, input %q; want once and the input kept", len(f.asked), s.m.input.Value())
	}
	close(f.hold)
	s.do(cmd)
	s.press("enter")
	if got, want := f.ask(), "user: one | assistant: a long answer | user: two"; got != want {
		t.Errorf("asked %q, want %q", got, want)
	}
}

func TestScreenQuits(t *testing.T) {
	for _, c := range []struct {
		keys []string
		want bool
	}{
		{[]string{"ctrl+d"}, true},
		{[]string{"ctrl+c", "ctrl+c"}, true},
		{[]string{"ctrl+c"}, false},
		{[]string{"a", "ctrl+c", "ctrl+c"}, false}, // the first emptied the input
		{[]string{"a", "ctrl+d"}, false},
		{[]string{"ctrl+c", "a", "backspace", "ctrl+c"}, false},
		{[]string{"/quit", "enter"}, true},
	} {
		s := newStage(t, &fake{})
		s.press(c.keys...)
		if s.quit != c.want {
			t.Errorf("%q: quit %v, want %v", c.keys, s.quit, c.want)
		}
		if s.quit && s.m.View().Content != "" {
			t.Errorf("%q: the view stays behind: %q", c.keys, s.m.View().Content)
		}
	}
}

// Whatever the model says, nothing but text reaches the terminal, in rows that fit, and no word is lost.
func TestScreenShowsAnyAnswerSafely(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		words := rapid.SliceOf(rapid.OneOf(rapid.SampledFrom([]string{"\x1b[31m", "\x1b]0;x\x07", "\n", "\t", "\r", "word", "好好好", "\u202e"}), rapid.StringMatching(`[a-z]{1,60}`))).Draw(rt, "words")
		answer := strings.Join(words, " ")
		s := newStage(t, &fake{answers: []string{answer}})
		s.press("q", "enter")
		out := strings.Join(s.printed[1:], "\n")
		for _, r := range out {
			if r < ' ' && r != '\n' || r == 0x7f || r == 0x202e {
				rt.Fatalf("answer %q: printed %q with %q", answer, out, r)
			}
		}
		for _, row := range strings.Split(out, "\n") {
			if w := ansi.StringWidth(row); w > 40 {
				rt.Fatalf("answer %q: row %q is %d wide, want at most 40", answer, row, w)
			}
		}
		squeeze := func(s string) string { return strings.Join(strings.Fields(s), "") }
		if got, want := squeeze(out), squeeze(display(answer)); got != want && squeeze(answer) != "" {
			rt.Fatalf("answer %q: printed %q, want %q", answer, got, want)
		}
	})
}

// An answer that nobody reads any more ends: the model could not be closed otherwise.
func TestAnswerEndsWithoutReader(t *testing.T) {
	f := &fake{answers: []string{strings.Repeat("w ", 10*backlog)}, ended: make(chan struct{})}
	r := start(t.Context(), New(f, Config{}))
	for len(r.events) < cap(r.events) {
		time.Sleep(time.Millisecond) // until it waits for a reader
	}
	r.leave()
	select {
	case <-f.ended:
	case <-time.After(5 * time.Second):
		t.Fatal("the answer still waits for a reader")
	}
}

// Two prints at once would come in any order.
func TestPrinterPrintsOneAfterTheOther(t *testing.T) {
	var p printer
	if p.add("a") == nil || p.add("b") != nil || p.add("c") != nil {
		t.Error("want one print, and the rest queued")
	}
	s := &stage{m: newScreen(t.Context(), New(&fake{}, Config{}))}
	s.do(p.printed())
	if !slices.Equal(s.printed, []string{"b\nc"}) {
		t.Errorf("then printed %q, want b and c", s.printed)
	}
	if p.printed() != nil || p.add("d") == nil {
		t.Error("want nothing more queued, and the next printed at once")
	}
}

func TestCutRows(t *testing.T) {
	for _, c := range []struct {
		text string
		want []string
	}{
		{"", []string{""}},
		{"short", []string{"short"}},
		{"one two three", []string{"one two", "three"}},
		{"a\n\nb", []string{"a", "", "b"}},
		{"ends\n", []string{"ends", ""}},
		{"abcdefghijkl", []string{"abcdefgh", "ijkl"}},
	} {
		full, rest := cutRows(c.text, 8)
		if got := append(full, rest); !slices.Equal(got, c.want) {
			t.Errorf("cutRows(%q, 8) = %q, want %q", c.text, got, c.want)
		}
	}
}

// lockedBuffer stands for a terminal, to which Bubble Tea writes from two goroutines.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// runScreen is the whole program, with a pipe for a terminal.
func runScreen(t *testing.T, f *fake, interrupts <-chan struct{}, person func(keys io.Writer)) (shown string, err error) {
	t.Helper()
	in, keys := io.Pipe()
	go person(keys)
	var out lockedBuffer
	err = Screen(t.Context(), New(f, Config{Name: "fake"}), in, &out, []string{"TERM=xterm"}, interrupts)
	return ansi.Strip(out.String()), err
}

func TestScreenRuns(t *testing.T) {
	shown, err := runScreen(t, &fake{answers: []string{"hello"}}, nil, func(keys io.Writer) {
		_, _ = io.WriteString(keys, "hi\r")
		time.Sleep(200 * time.Millisecond) // a person waits for the answer; Ctrl-D then finds an empty input
		_, _ = io.WriteString(keys, "\x04")
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Chat with fake", ">>> hi", "hello"} {
		if !strings.Contains(shown, want) {
			t.Errorf("screen lacks %q: %q", want, shown)
		}
	}
}

// Interrupts from outside act as the key: any number of them stop answers, two at an empty input end the program.
func TestScreenTakesInterruptsFromOutside(t *testing.T) {
	interrupts := make(chan struct{})
	f := &fake{answers: []string{"a long answer", "a long answer"}, hold: make(chan struct{})}
	shown, err := runScreen(t, f, interrupts, func(keys io.Writer) {
		for range 2 {
			_, _ = io.WriteString(keys, "hi\r")
			time.Sleep(100 * time.Millisecond)
			interrupts <- struct{}{}
			time.Sleep(100 * time.Millisecond)
		}
		interrupts <- struct{}{}
		interrupts <- struct{}{}
	})
	if err != nil || strings.Count(shown, "(stopped") != 2 {
		t.Errorf("error = %v, want none and two stopped answers: %q", err, shown)
	}
}
