package chat

import (
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"
	"github.com/systemgemma/systemgemma"
)

func TestMeterMeasuresAnAnswer(t *testing.T) {
	now := time.Unix(0, 0)
	m := meter{now: func() time.Time { return now }, prompt: 30, context: 100, speed: 7}
	m.begin()
	m.add(0)
	m.add(1)
	if m.speed != 0 || m.used() != 31 {
		t.Errorf("after the first token: %v tok/s, %d used; want none yet, and 31", m.speed, m.used())
	}
	now = now.Add(2 * time.Second)
	m.add(4)
	if m.speed != 2 || m.used() != 35 {
		t.Errorf("after 4 more in 2 s: %v tok/s, %d used; want 2, 35", m.speed, m.used())
	}
	m.end(&systemgemma.Result{IDs: make([]int32, 11), Decode: 2 * time.Second})
	if m.speed != 5 || m.used() != 30 {
		t.Errorf("at the end: %v tok/s, %d used; want the engine's 5, and the prompt's 30 until it is counted anew", m.speed, m.used())
	}
	m.begin()
	m.end(nil)
	if m.speed != 0 {
		t.Errorf("after an answer that failed: %v tok/s, want none", m.speed)
	}
}

func TestStatusLine(t *testing.T) {
	for _, c := range []struct {
		prompt, context int
		speed           float64
		width           int
		want            string
	}{
		{41, 256, 0, 80, "a/model:w8a8  ctx 41/256 [#.........] 16%"},
		{41, 256, 12.34, 80, "a/model:w8a8  12.3 tok/s  ctx 41/256 [#.........] 16%"},
		{41, 256, 12.34, 40, "a/model:w8a8  12.3 tok/s  ctx 41/256 16%"},
		{41, 256, 12.34, 26, "12.3 tok/s  ctx 41/256 16%"},
		{41, 256, 12.34, 25, "a/model:…  ctx 41/256 16%"},
		{41, 256, 0, 20, "a/m…  ctx 41/256 16%"},
		{41, 256, 0, 19, "ctx 41/256 16%"},
		{8100, 8192, 0, 20, "ctx 8100/8192 98%!"},
		{8100, 8192, 3, 10, "ctx 98%!"},
		{8100, 8192, 3, 5, "98%!"},
		{8100, 8192, 3, 2, "98"},
		{256, 256, 0, 60, "a/model:w8a8  ctx 256/256 [##########] 100%!"},
		{300, 256, 0, 60, "a/model:w8a8  ctx 300/256 [##########] 117%!"},
		{0, 256, 0, 60, "a/model:w8a8  ctx 0/256 [..........] 0%"},
		{-1, 256, 9, 40, "a/model:w8a8  9.0 tok/s"},
		{5, 0, 0, 40, "a/model:w8a8"},
	} {
		m := meter{prompt: c.prompt, context: c.context, speed: c.speed}
		if got := m.status("a/model:w8a8", c.width); got != c.want {
			t.Errorf("%d of %d at %v in %d columns: %q, want %q", c.prompt, c.context, c.speed, c.width, got, c.want)
		}
	}
	for width := range 120 {
		m := meter{prompt: 12345, context: 8192, speed: 1234.5}
		got := m.status("好好/\x1b[31m"+strings.Repeat("n", 100), width)
		if ansi.StringWidth(got) > width || strings.Contains(got, "\x1b") {
			t.Errorf("%d columns: %q", width, got)
		}
	}
}

// The gauge counts what the model would get, warns near the end, and follows commands.
func TestScreenGauge(t *testing.T) {
	s := newStage(t, &fake{context: 10, answers: []string{"one two"}})
	s.want(t, "ctx 0/10 0%")
	s.press("a b c", "enter") // user: a b c | assistant: one two
	s.want(t, "ctx 8/10 80%")
	if all := s.all(); strings.Contains(all, hintFull) {
		t.Errorf("warned at 80%%:\n%s", all)
	}
	s.press("/system S", "enter") // system: S | and so on
	s.want(t, "ctx 11/10 110%!", hintFull)
	s.press("/clear", "enter")
	s.want(t, "ctx 2/10 20%", "/help  ^O model  ^R persona  ^X prompt")
}

// While an answer runs its tokens are counted, and their speed is told.
func TestScreenSpeed(t *testing.T) {
	f := &fake{context: 100, answers: []string{"a b c d"}, hold: make(chan struct{})}
	s := newStage(t, f)
	now := time.Unix(0, 0)
	s.m.meter.now = func() time.Time { now = now.Add(time.Second); return now }
	s.press("q")
	s.m.Update(named["enter"])
	s.m.Update(eventMsg{text: "a ", tokens: 1})
	s.m.Update(eventMsg{text: "b ", tokens: 1})
	s.want(t, "1.0 tok/s", "ctx 4/100") // user: q, and two tokens
	s.m.running.cancel()
	s.m.Update(eventMsg{last: true, result: &systemgemma.Result{Text: "a b", IDs: make([]int32, 9), Decode: 2 * time.Second}})
	s.want(t, "4.0 tok/s", "ctx 6/100") // user: q | assistant: a b
}
