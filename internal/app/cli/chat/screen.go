package chat

import (
	"context"
	"fmt"
	"io"

	"charm.land/bubbles/v2/key"
	"charm.land/bubbles/v2/textarea"
	tea "charm.land/bubbletea/v2"
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
