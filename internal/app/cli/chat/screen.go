package chat

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

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
	return newScreen(ctx, s).run(in, out, environ, interrupts)
}

// run is the program, until the person leaves it.
func (m *screen) run(in io.Reader, out io.Writer, environ []string, interrupts <-chan struct{}, more ...tea.ProgramOption) error {
	m.gate = &gate{w: out}
	p := tea.NewProgram(m, append([]tea.ProgramOption{tea.WithContext(m.ctx), tea.WithInput(in), tea.WithOutput(m.gate.output()),
		tea.WithEnvironment(environ), tea.WithoutSignalHandler()}, more...)...)
	m.gate.left = func() { go p.Send(uncoveredMsg{}) } // the program draws while it holds what Send may wait for
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
	_, printErr := io.WriteString(out, m.prints.rest()) // what waited for a panel to be closed
	return errors.Join(err, printErr)
}

// ctrlC is the key, which a signal from outside is taken for.
var ctrlC = tea.KeyPressMsg{Code: 'c', Mod: tea.ModCtrl}

const (
	inputRows  = 10      // that the input grows to, where the terminal has room
	manyRows   = 1 << 20 // no limit on what is pasted
	hintBusy   = "Ctrl-C stops the answer"
	hintQuit   = "Ctrl-C again or Ctrl-D quits"
	hintHelp   = "/help lists the commands, Ctrl-D quits"
	hintKeys   = "/help  ^O model  ^R persona  ^X prompt"
	hintFull   = "context nearly full: /undo or /clear"
	hintSwitch = "Ctrl-C keeps the model"
)

// screen is the state of the terminal. It changes in Update only.
type screen struct {
	ctx        context.Context
	session    *Session
	input      textarea.Model
	history    history
	running    *running // nil: idle
	opening    *opening // another model; nil: none
	tail       string   // what the answer's last, unfinished row shows
	said       string   // the end of the running answer, for a panel's neighbour
	prints     printer
	scrollback scrollback
	meter      meter
	panel      *panel  // nil: closed
	picker     *picker // nil: closed
	gate       *gate   // nil: no terminal, in tests
	hint       string
	reading    bool // the hint tells how far the prompt is
	armed      bool // one more Ctrl-C quits
	leaving    bool
	width      int // columns
	height     int // rows
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
	m := &screen{ctx: ctx, session: s, input: t, meter: meter{now: time.Now}}
	m.resize(80, 24)
	m.measure()
	return m
}

// Init has nothing to start.
func (m *screen) Init() tea.Cmd { return nil }

// Update is the only place where state changes.
func (m *screen) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.resize(msg.Width, msg.Height)
		return m, nil
	case printedMsg:
		return m, m.prints.printed()
	case eventMsg:
		return m, m.event(msg)
	case openedMsg:
		return m, m.opened(msg)
	case closedMsg:
		return m, m.uncover(m.gate != nil && m.gate.inside.Load())
	case uncoveredMsg:
		return m, m.uncover(false)
	case tea.KeyPressMsg:
		return m, m.key(msg)
	case tea.PasteMsg:
		if m.picker != nil {
			m.picker.typed(msg.Content)
			return m, nil
		}
		if m.panel != nil && !m.wide() {
			return m, nil // there is no input to be seen
		}
	}
	var cmd tea.Cmd
	m.input, cmd = m.input.Update(msg)
	return m, cmd
}

// resize lays everything out for a terminal of that size. 0 is a serial line that does not know.
func (m *screen) resize(width, height int) {
	if width > 0 {
		m.width = max(width, len(firstPrompt)+2)
	}
	if height > 0 {
		m.height = height
	}
	m.input.MaxHeight = min(inputRows, max(1, m.height/2-2))
	m.prints.limit = max(1, m.height/2-1) // with input, tail and two rows below: the whole terminal
	left := m.width
	if m.panel != nil {
		right := m.width
		if m.wide() {
			right = m.width * 2 / 5
			left = m.width - right - len(divider)
		}
		m.panel.resize(right, m.height)
	}
	m.input.SetWidth(left)
}

// wide tells that there is room for the chat beside a panel.
func (m *screen) wide() bool { return m.width >= wideScreen }

// measure looks at the conversation after it has changed.
func (m *screen) measure() {
	r, err := m.session.rendered()
	m.meter.prompt, m.meter.context = -1, m.session.model.ContextLength()
	switch {
	case errors.Is(err, errNothingSaid):
		m.meter.prompt = 0
	case err == nil && r.IDs != nil:
		m.meter.prompt = len(r.IDs)
	}
	if m.panel != nil {
		m.panel.set(r, err)
	}
}
