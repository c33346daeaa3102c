package chat

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"
	"github.com/systemgemma/systemgemma"
	"pgregory.net/rapid"
)

// view is what the terminal's lower part, or all of it, shows, without styles.
func (s *stage) view() string { return ansi.Strip(s.m.View().Content) }

func (s *stage) covered() bool { return s.m.View().AltScreen }

func TestModelPicker(t *testing.T) {
	models, session := newShelf()
	s := newStageOf(t, session)
	s.send(tea.WindowSizeMsg{Width: 79, Height: 20})
	s.press("one", "enter", "ctrl+o")
	if !s.covered() {
		t.Fatalf("Ctrl-O shows no list:\n%s", s.all())
	}
	if got, want := s.view(), "> a  1.0 GB\n  b  1.0 GB\n"; !strings.Contains(got, want) {
		t.Errorf("the list lacks %q, the mark on the model in force:\n%s", want, got)
	}
	s.press("B")
	if got := s.view(); strings.Contains(got, "a  1.0 GB") || !strings.Contains(got, "> b  1.0 GB") || !strings.Contains(got, "filter: B") {
		t.Errorf("after the filter B the list is\n%s", got)
	}
	s.press("enter")
	if s.covered() {
		t.Error("the list stays after the choice")
	}
	s.want(t, "(the model is b now; the conversation stays)", "a note")
	s.press("two", "enter")
	if got, want := models.models["b"].ask(), "user: one | assistant: ok | user: two"; got != want {
		t.Errorf("b was asked %q, want %q", got, want)
	}
	for _, key := range []string{"esc", "ctrl+c", "ctrl+o"} {
		s.press("/model", "enter", "a", key)
		if s.covered() || s.quit || s.m.session.name != "b" {
			t.Errorf("%s: list %v, quit %v, model %s; want the chat as it was", key, s.covered(), s.quit, s.m.session.name)
		}
	}
	s.press("/model none", "enter")
	s.want(t, "error: /model: none is not here (the model is still b)")
}

// The mark moves, wherever it is, inside the list, and the row that it is on is seen.
func TestPickerMoves(t *testing.T) {
	models, session := newShelf()
	for i := range 50 {
		models.models[fmt.Sprintf("m%02d", i)] = &fake{}
	}
	s := newStageOf(t, session)
	s.send(tea.WindowSizeMsg{Width: 40, Height: 10})
	s.press("ctrl+o")
	for _, c := range []struct{ key, at string }{
		{"up", "a"}, {"down", "b"}, {"down", "m00"}, {"pgdown", "m07"}, {"pgup", "m00"}, {"end", "m49"}, {"down", "m49"}, {"home", "a"}, {"pgup", "a"}, {"9", "m09"}, {"end", "m49"},
		{"x", ""}, {"up", ""}, {"backspace", "m09"}, {"ctrl+u", "a"},
	} {
		s.press(c.key)
		rows := strings.Split(s.view(), "\n")
		marked := ""
		for _, r := range rows {
			if name, ok := strings.CutPrefix(r, "> "); ok {
				marked, _, _ = strings.Cut(name, " ")
			}
		}
		if marked != c.at || len(rows) != 10 {
			t.Errorf("after %s %q is marked in %d rows, want %q in 10:\n%s", c.key, marked, len(rows), c.at, s.view())
		}
	}
	s.press("zzz", "enter")
	s.want(t, "(no match)", "nothing to choose")
}

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		filter, name string
		rank         int
		ok           bool
	}{
		{"", "google/gemma-2-2b-it:w8a8", 0, true}, {"GOO", "google/gemma", 0, true}, {"gemma", "google/gemma", 1, true}, {"2b it", "gemma-2-2b-it", 4, true},
		{"ggm", "google/gemma", 4, true}, {"gx", "google/gemma", 0, false}, {"ammeg", "google/gemma", 0, false}, {"é", "École", 0, true},
		{"\ufffd", "a\xffb", 1, true}, {"好", "a好", 1, true},
	} {
		if rank, ok := match(c.filter, c.name); rank != c.rank || ok != c.ok {
			t.Errorf("match(%q, %q) = %d, %v; want %d, %v", c.filter, c.name, rank, ok, c.rank, c.ok)
		}
	}
	p := picker{choices: []Choice{{Name: "mXaXb"}, {Name: "other"}, {Name: "xmab"}, {Name: "mab"}}, filter: "mab"}
	p.narrow()
	if want := []Choice{{Name: "mab"}, {Name: "xmab"}, {Name: "mXaXb"}}; !slices.Equal(p.shown, want) {
		t.Errorf("the filter mab leaves %v, want the best first: %v", p.shown, want)
	}
}

func TestPersonaPicker(t *testing.T) {
	c := cupboard{"pirate": "Talk like\na pirate.", "terse": "Be brief."}
	f := &fake{}
	s := newStageOf(t, New(f, Config{Name: "fake", Personas: c}))
	s.send(tea.WindowSizeMsg{Width: 79, Height: 20})
	s.press("hi", "enter", "ctrl+r")
	s.want(t, "> pirate  Talk like a pirate.", "  terse  Be brief.", hintPersonas)
	s.press("ter", "enter")
	s.want(t, "(persona terse: its system prompt is in force; the conversation stays)")
	s.press("more", "enter")
	if got, want := f.ask(), "system: Be brief. | user: hi | assistant: ok | user: more"; got != want {
		t.Errorf("asked %q, want %q", got, want)
	}
	s.press("/persona", "enter", "a new", "ctrl+s")
	if c["a new"] != "Be brief." {
		t.Errorf("Ctrl-S kept %q", c)
	}
	s.want(t, "> a new", "(persona a new keeps the system prompt)")
	s.press("ctrl+d", "down", "ctrl+d") // the mark is on another one by then
	if len(c) != 3 {
		t.Errorf("one Ctrl-D for each of two deletes: %v left", c)
	}
	s.want(t, "^D again deletes pirate")
	s.press("ctrl+d")
	if _, ok := c["pirate"]; ok || len(c) != 2 {
		t.Errorf("after Ctrl-D twice there are %v", c)
	}
	s.press("ctrl+s")
	s.want(t, "persona name: want letters") // without a name in the filter
	s.press("esc")
	s.want(t, "(persona pirate deleted; the system prompt in force stays)")
	if s.covered() || s.quit {
		t.Errorf("Esc: list %v, quit %v; want neither", s.covered(), s.quit)
	}
	s = newStageOf(t, New(f, Config{Name: "fake", Personas: cupboard{}}))
	s.press("ctrl+r")
	s.want(t, "No personas yet. Type a name")
	s.press("ctrl+d", "enter")
	s.want(t, "nothing to choose")
	s = newStage(t, &fake{})
	s.press("ctrl+r", "ctrl+o")
	s.want(t, "error: no folder for personas", "error: this chat has no other models")
}

// A model that takes long to open can be given up, and is closed when it comes nevertheless.
func TestOpeningIsGivenUp(t *testing.T) {
	models, session := newShelf()
	s := newStageOf(t, session)
	s.press("/model b")
	_, cmd := s.m.Update(named["enter"])
	if s.m.opening == nil {
		t.Fatal("no model is being opened")
	}
	s.want(t, "opening b; "+hintSwitch)
	s.press("text", "enter", "ctrl+o")
	if s.m.input.Value() != "text" || s.m.picker != nil {
		t.Errorf("input %q, list %v; want the text kept, and no list", s.m.input.Value(), s.m.picker)
	}
	s.press("ctrl+c")
	s.do(cmd) // the model comes all the same
	s.want(t, "(stopped; the model is still a)")
	if !slices.Equal(models.closed, []string{"b"}) || session.name != "a" {
		t.Errorf("closed %q, the model is %s; want b closed, and a", models.closed, session.name)
	}
	s.press("enter")
	if got := models.models["a"].ask(); got != "user: text" {
		t.Errorf("a was asked %q", got)
	}
}

func TestPanelInANarrowTerminal(t *testing.T) {
	s := newStage(t, &fake{})
	s.press("ctrl+x")
	s.want(t, "(nothing said yet)")
	s.press("esc", "the question", "enter", "ctrl+x")
	v := s.m.View()
	rows := strings.Split(v.Content, "\n")
	if !v.AltScreen || v.Cursor != nil || len(rows) != 20 {
		t.Errorf("other screen %v, cursor %v, %d rows; want the whole screen of 20 rows", v.AltScreen, v.Cursor, len(rows))
	}
	want := []string{"prompt: 2 tokens", "<start_of_turn>user", "the question<end_of_turn>", "<start_of_turn>assistant", "ok<end_of_turn>"}
	if got := strings.Split(s.view(), "\n"); !slices.Equal(got[:5], want) {
		t.Errorf("the panel shows %q, want %q", got[:5], want)
	}
	if want := reverse("<start_of_turn>") + "user"; rows[1] != want {
		t.Errorf("control token: %q, want %q", rows[1], want)
	}
	s.press("x", "enter", "q") // x is for no input: none is seen
	if s.covered() || s.m.input.Value() != "" {
		t.Errorf("panel %v, input %q; want it closed, and no input", s.covered(), s.m.input.Value())
	}
	s.press("/panel", "enter")
	if !s.covered() {
		t.Error("/panel opens none")
	}
	s.press("ctrl+x")
	if s.covered() {
		t.Error("Ctrl-X closes it not")
	}
}

func TestPanelBesideTheChat(t *testing.T) {
	f := &fake{answers: []string{"The answer."}}
	s := newStage(t, f)
	s.send(tea.WindowSizeMsg{Width: 100, Height: 30})
	s.press("before", "enter", "ctrl+x", "now", "enter")
	v := s.m.View()
	rows := strings.Split(s.view(), "\n")
	if !v.AltScreen || len(rows) != 30 || v.Cursor == nil || v.Cursor.Y != 27 {
		t.Errorf("other screen %v, %d rows, cursor %+v; want 30 rows and the cursor in the input, two rows above the end", v.AltScreen, len(rows), v.Cursor)
	}
	left, right := "", ""
	for i, r := range rows {
		at := strings.Index(r, divider)
		if at != 58 || ansi.StringWidth(r) > 100 {
			t.Errorf("row %d: the divider is at %d, want 58: %q", i, at, r)
		}
		left += strings.TrimRight(r[:at], " ") + "\n"
		right += r[at+len(divider):] + "\n"
	}
	if !strings.Contains(left, ">>> before\nThe answer.\n>>> now\nok\n>>>\n") {
		t.Errorf("the chat shows\n%s", left)
	}
	if !strings.Contains(right, "<start_of_turn>user\nnow<end_of_turn>\n<start_of_turn>assistant\nok<end_of_turn>\n") {
		t.Errorf("the panel shows\n%s", right)
	}
	if got := len(s.printed); got != 2 {
		t.Errorf("%d lines printed while the panel was open, want them to wait: %q", got-2, s.printed)
	}
	s.send(tea.WindowSizeMsg{Width: 40, Height: 20})
	if strings.Contains(s.view(), divider) || !s.covered() {
		t.Errorf("in 40 columns:\n%s", s.view())
	}
	s.press("esc")
	if want := []string{">>> before", "The answer.", ">>> now\nok"}; !slices.Equal(s.printed, want) {
		t.Errorf("printed %q, want %q", s.printed, want)
	}
}

// What is said while a panel is open is told at the end, also when the chat ends under it.
func TestPanelLosesNothing(t *testing.T) {
	s := newStage(t, &fake{answers: []string{strings.Repeat("word ", 100)}})
	s.send(tea.WindowSizeMsg{Width: 100, Height: 10})
	s.press("ctrl+x", "q", "enter", "/quit", "enter")
	if len(s.printed) != 0 || !s.quit {
		t.Errorf("printed %q, quit %v", s.printed, s.quit)
	}
	rest := s.m.prints.rest()
	if strings.Count(rest, "word") != 100 || !strings.HasPrefix(rest, ">>> q\n") || !strings.HasSuffix(rest, ">>> /quit\n") {
		t.Errorf("left to be printed: %q", rest)
	}
	// Not more at once than there is room for above the view.
	s = newStage(t, &fake{answers: []string{strings.Repeat("word ", 100)}})
	s.send(tea.WindowSizeMsg{Width: 100, Height: 10})
	s.press("ctrl+x", "q", "enter", "esc")
	if got := strings.Count(strings.Join(s.printed, " "), "word"); got != 100 {
		t.Errorf("%d words printed, want 100", got)
	}
	for _, p := range s.printed {
		if n := strings.Count(p, "\n") + 1; n > 4 {
			t.Errorf("%d lines at once, want at most 4 in 10 rows", n)
		}
	}
}

func TestPanelScrolls(t *testing.T) {
	var lines []string
	for i := range 60 {
		lines = append(lines, fmt.Sprintf("line %02d.", i))
	}
	s := newStage(t, &fake{})
	s.m.input.SetValue(strings.Join(lines, "\n"))
	s.press("enter", "ctrl+x")
	for _, c := range []struct{ key, want, not string }{
		{"", "ok<end_of_turn>", "line 00."}, {"up", "line 58.", "ok<end_of_turn>"}, {"home", "line 00.", "line 50."}, {"pgdown", "line 17.", "line 00."}, {"down", "line 33.", "line 16."},
		{"pgup", "line 00.", "line 30."}, {"end", "ok<end_of_turn>", "line 00."},
	} {
		s.press(c.key)
		if got := s.view(); !strings.Contains(got, c.want) || strings.Contains(got, c.not) {
			t.Errorf("after %q: want %q and no %q:\n%s", c.key, c.want, c.not, got)
		}
	}
}

// renderedOf is a prompt of these parts, every second one of control tokens.
func renderedOf(parts []string) *systemgemma.Rendered {
	r := &systemgemma.Rendered{Segments: []systemgemma.Segment{}}
	for i, p := range parts {
		r.Text += p
		r.Segments = append(r.Segments, systemgemma.Segment{Text: p, Control: i%2 == 1})
	}
	return r
}

// The rows of a prompt have all its characters, blanks too, in their order.
func TestPromptRowsLoseNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		width := rapid.IntRange(2, 40).Draw(t, "width")
		r := renderedOf(rapid.SliceOf(rapid.StringOf(rapid.SampledFrom([]rune("ab  \t\n好é\x1b\u202e<>")))).Draw(t, "segments"))
		rows := promptRows(r, width)
		text := ""
		for _, row := range rows {
			if w := ansi.StringWidth(row); w > width {
				t.Fatalf("row %q is %d wide, want %d", row, w, width)
			}
			if strings.Contains(strings.NewReplacer(reverseOn, "", styleOff, "").Replace(row), "\x1b") {
				t.Fatalf("row %q", row)
			}
			text += ansi.Strip(row)
		}
		want := ""
		for _, s := range r.Segments {
			want += strings.ReplaceAll(display(s.Text), "\n", "")
		}
		if text != want {
			t.Fatalf("rows say %q, want %q", text, want)
		}
	})
}
