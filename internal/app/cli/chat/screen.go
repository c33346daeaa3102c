package chat

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"charm.land/bubbles/v2/key"
	"charm.land/bubbles/v2/textarea"
	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"
	"github.com/systemgemma/systemgemma/internal/app/cli/terminal"
)

// Screen runs a chat on a terminal, below what is there already, so that scrolling back works. environ is the process's;
// interrupts are those from outside, since the key comes as a key.
func Screen(ctx context.Context, s *Session, in io.Reader, out io.Writer, environ []string, interrupts <-chan struct{}) error {
	// Before the program: it prints above its view, whose place it knows only after the first drawing.
	if _, err := fmt.Fprintf(out, "Chat with %s. %s.\n", terminal.Safe(s.name), hintHelp); err != nil {
		return err
	}
	m := newScreen(ctx, s)
	p := tea.NewProgram(m, tea.WithContext(ctx), tea.WithInput(in), tea.WithOutput(out), tea.WithEnvironment(environ), tea.WithoutSignalHandler())
	done := make(chan struct{})
	defer close(done)
	go func() {
		for {
			select {
			case <-interrupts:
				p.Send(ctrlC)
			case <-done:
				return
			}
		}
	}()
	_, err := p.Run()
	m.stop()
	return err
}

// ctrlC is the key, which a signal from outside is taken for.
var ctrlC = tea.KeyPressMsg{Code: 'c', Mod: tea.ModCtrl}

const (
	inputRows = 10      // that the input grows to
	manyRows  = 1 << 20 // no limit on what is pasted
	hintBusy  = "Ctrl-C stops the answer"
	hintQuit  = "Ctrl-C again or Ctrl-D quits"
	hintHelp  = "/help lists the commands, Ctrl-D quits"
)

// screen is the state of the terminal. It changes in Update only.
type screen struct {
	ctx     context.Context
	session *Session
	input   textarea.Model
	history history
	running *running // nil: idle
	tail    string   // what the answer's last, unfinished row shows
	prints  printer
	hint    string
	reading bool // the hint tells how far the prompt is
	armed   bool // one more Ctrl-C quits
	leaving bool
	width   int
}

func newScreen(ctx context.Context, s *Session) *screen {
	t := textarea.New()
	t.ShowLineNumbers = false
	t.DynamicHeight, t.MinHeight, t.MaxHeight, t.MaxContentHeight = true, 1, inputRows, manyRows
	t.SetVirtualCursor(false)
	t.SetStyles(textarea.Styles{})
	t.SetPromptFunc(len(firstPrompt), func(i textarea.PromptInfo) string {
		if i.LineNumber > 0 {
			return morePrompt
		}
		return firstPrompt
	})
	// The terminal pastes by itself; other programs are not asked for their clipboard.
	t.KeyMap.Paste.SetEnabled(false)
	t.KeyMap.CopySelection.SetEnabled(false)
	t.KeyMap.InsertNewline = key.NewBinding(key.WithKeys("alt+enter", "shift+enter", "ctrl+j"))
	t.Focus()
	return &screen{ctx: ctx, session: s, input: t, width: 80}
}

// Init has nothing to start.
func (m *screen) Init() tea.Cmd { return nil }

// Update is the only place where state changes.
func (m *screen) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		if msg.Width > 0 { // 0: a serial line that does not know
			m.width = max(msg.Width, len(firstPrompt)+2)
		}
		m.input.SetWidth(m.width)
		return m, nil
	case printedMsg:
		return m, m.prints.printed()
	case eventMsg:
		return m, m.event(msg)
	case tea.KeyPressMsg:
		return m, m.key(msg)
	}
	var cmd tea.Cmd
	m.input, cmd = m.input.Update(msg)
	return m, cmd
}

// key handles the keys that the input does not.
func (m *screen) key(k tea.KeyPressMsg) tea.Cmd {
	armed := m.armed
	m.armed, m.hint = false, ""
	switch k.String() {
	case "ctrl+c":
		return m.interrupt(armed)
	case "ctrl+d":
		if m.input.Value() == "" {
			return m.quit()
		}
	case "ctrl+z":
		return tea.Suspend
	case "enter":
		return m.enter()
	case "up":
		if m.input.Line() == 0 && m.input.LineInfo().RowOffset == 0 {
			m.recall(m.history.up(m.input.Value()))
			return nil
		}
	case "down":
		if i := m.input.LineInfo(); m.input.Line() == m.input.LineCount()-1 && i.RowOffset >= i.Height-1 {
			m.recall(m.history.down())
			return nil
		}
	}
	var cmd tea.Cmd
	m.input, cmd = m.input.Update(k)
	return cmd
}

func (m *screen) recall(input string, ok bool) {
	if ok {
		m.input.SetValue(input)
		m.input.MoveToEnd()
	}
}

// interrupt stops the answer, or empties the input, or quits when asked twice.
func (m *screen) interrupt(armed bool) tea.Cmd {
	switch {
	case m.running != nil:
		m.running.cancel()
	case m.input.Value() != "":
		m.input.Reset()
	case armed:
		return m.quit()
	default:
		m.armed, m.hint = true, hintQuit
	}
	return nil
}

func (m *screen) quit() tea.Cmd {
	m.leaving = true
	return tea.Quit
}

// stop ends the running answer, if any, when nothing is shown any more.
func (m *screen) stop() {
	if m.running != nil {
		m.running.leave()
	}
}

// enter takes the input, or goes on in the next line after a backslash.
func (m *screen) enter() tea.Cmd {
	text := m.input.Value()
	if m.running != nil {
		m.hint = hintBusy
		return nil
	}
	if before, ok := strings.CutSuffix(text, `\`); ok {
		m.input.SetValue(before + "\n")
		m.input.MoveToEnd()
		return nil
	}
	m.input.Reset()
	if strings.TrimSpace(text) == "" {
		return nil
	}
	m.history.add(text)
	echo := m.prints.add(firstPrompt + strings.ReplaceAll(display(text), "\n", "\n"+morePrompt))
	r := m.session.Submit(text)
	show := m.show(r)
	switch {
	case r.Quit:
		return tea.Sequence(echo, m.quit())
	case r.Answer:
		m.running, m.hint = start(m.ctx, m.session), hintBusy
		return tea.Batch(echo, show, m.running.next())
	}
	return tea.Batch(echo, show)
}

// show prints a reply.
func (m *screen) show(r Reply) tea.Cmd {
	text := r.Text
	if r.Err != nil {
		text = "error: " + r.Err.Error()
	}
	if text == "" {
		return nil
	}
	return m.prints.add(ansi.Wrap(display(text), m.width, ""))
}

// event takes new text of the answer, and its end.
func (m *screen) event(e eventMsg) tea.Cmd {
	if m.running == nil || m.leaving {
		return nil
	}
	if p := e.progress; p != nil && p.Took >= time.Second { // shorter ones need no telling
		m.hint, m.reading = reading(p)+"; "+hintBusy, true
	} else if p == nil && m.reading {
		m.hint, m.reading = hintBusy, false
	}
	full, rest := cutRows(m.tail+display(e.text), m.width)
	m.tail = rest
	if !e.last {
		return tea.Batch(m.prints.add(full...), m.running.next())
	}
	m.running, m.tail, m.hint, m.reading = nil, "", "", false
	if rest != "" {
		full = append(full, rest)
	}
	print := m.prints.add(full...)
	return tea.Batch(print, m.show(m.session.Finish(e.result, e.err)))
}

// View shows the unfinished row of the answer, the input and a hint.
func (m *screen) View() tea.View {
	var v tea.View
	if m.leaving {
		return v
	}
	above := ""
	if m.running != nil {
		above = m.tail + "\n"
	}
	v.SetContent(above + m.input.View() + "\n" + ansi.Truncate(m.hint, m.width, "…"))
	v.Cursor = m.input.Cursor()
	if v.Cursor != nil {
		v.Cursor.Y += strings.Count(above, "\n")
	}
	return v
}

// display is text as the screen may show it: safe, and without tabs, whose width depends on where they stand.
func display(text string) string { return strings.ReplaceAll(terminal.Safe(text), "\t", "    ") }

// cutRows splits text into full rows of a terminal and the last one, which may still grow. Words are kept whole.
func cutRows(text string, width int) (full []string, rest string) {
	rows := strings.Split(ansi.Wrap(text, width, ""), "\n")
	return rows[:len(rows)-1], rows[len(rows)-1]
}
