package chat

import (
	"errors"
	"fmt"
	"strings"

	"github.com/systemgemma/systemgemma"
)

// command is one of the words that begin with /.
type command struct {
	name, args, help string
	run              func(s *Session, arg string) Reply
}

// commands is a function because the help lists them.
func commands() []command {
	return []command{
		{"/system", "[TEXT]", "show the system prompt, or set it; \"\" removes it", (*Session).cmdSystem},
		{"/clear", "", "forget the conversation; the system prompt and options stay", (*Session).cmdClear},
		{"/undo", "", "remove the last exchange", (*Session).cmdUndo},
		{"/retry", "", "answer the last message again, with a new seed", (*Session).cmdRetry},
		{"/model", "[NAME]", "go on with another model, or show which are here", (*Session).cmdModel},
		{"/persona", "[NAME]", "use a kept system prompt, or show them; add NAME keeps, delete NAME forgets", (*Session).cmdPersona},
		{"/show", "", "show the prompt as the model sees it, with ids", (*Session).cmdShow},
		{"/panel", "", "open or close a panel with that prompt", (*Session).cmdPanel},
		{"/set", "[NAME VALUE]", "show the options, or set one; the value default resets it", (*Session).cmdSet},
		{"/save", "FILE", "write the chat as JSON", (*Session).cmdSave},
		{"/load", "FILE", "go on with a saved chat", (*Session).cmdLoad},
		{"/help", "", "show this", (*Session).cmdHelp},
		{"/quit", "", "leave; Ctrl-D does too", func(*Session, string) Reply { return Reply{Quit: true} }},
	}
}

// aliases are words that people know from other programs.
var aliases = map[string]string{"/?": "/help", "/bye": "/quit", "/exit": "/quit"}

func (s *Session) command(input string) Reply {
	name, arg, _ := strings.Cut(strings.TrimSpace(input), " ")
	if head, rest, ok := strings.Cut(name, "\n"); ok {
		name, arg = head, strings.TrimSpace(rest+" "+arg)
	}
	if a, ok := aliases[name]; ok {
		name = a
	}
	arg = strings.TrimSpace(arg)
	for _, c := range commands() {
		switch {
		case c.name != name:
		case c.args == "" && arg != "":
			return Reply{Err: fmt.Errorf("%s: want no argument, found %q", name, arg)}
		case c.args != "" && c.args[0] != '[' && arg == "":
			return Reply{Err: fmt.Errorf("%s: want %s %s", name, name, c.args)}
		default:
			return c.run(s, arg)
		}
	}
	return Reply{Err: fmt.Errorf("no command %s; /help lists them (to send a text that begins with /, put a space before it)", name)}
}

func (s *Session) cmdSystem(arg string) Reply {
	switch arg {
	case "":
		if system := s.systemPrompt(); system != "" {
			return Reply{Text: system}
		}
		return Reply{Text: "(no system prompt)"}
	case `""`:
		s.setSystem("")
		return Reply{Text: "(no system prompt from now on)"}
	}
	s.setSystem(arg)
	return Reply{Text: "(system prompt set)"}
}

func (s *Session) cmdClear(string) Reply {
	s.done = nil
	return Reply{Text: "(conversation cleared)"}
}

func (s *Session) cmdUndo(string) Reply {
	if len(s.done) == 0 {
		return Reply{Err: errors.New("/undo: nothing to undo")}
	}
	s.done = s.done[:len(s.done)-1]
	return Reply{Text: fmt.Sprintf("(last exchange removed, %d left)", len(s.done))}
}

func (s *Session) cmdRetry(string) Reply {
	if len(s.done) == 0 {
		return Reply{Err: errors.New("/retry: nothing to answer again")}
	}
	last := s.done[len(s.done)-1]
	s.done = s.done[:len(s.done)-1]
	s.retried, s.running, s.newSeed = &last, &exchange{user: last.user}, true
	r := Reply{Answer: true}
	if s.options().Sampling(s.model.DefaultSampling()).Temperature == 0 {
		r.Text = "(temperature is 0: the answer will be the same; try /set temperature 1)"
	}
	return r
}

func (s *Session) cmdShow(string) Reply {
	r, err := s.rendered()
	if err != nil {
		return Reply{Err: fmt.Errorf("/show: %w", err)}
	}
	return Reply{Text: Prompt(r)}
}

// cmdPanel shows what /show does where there is no screen.
func (s *Session) cmdPanel(arg string) Reply {
	r := s.cmdShow(arg)
	r.Overlay = OverlayPrompt
	return r
}

// errNothingSaid: there is no prompt yet.
var errNothingSaid = errors.New("nothing said yet")

// rendered is the conversation as the model sees it; while an answer runs, the prompt of that answer.
func (s *Session) rendered() (*systemgemma.Rendered, error) {
	messages := s.messages()
	if len(messages) == 0 {
		return nil, errNothingSaid
	}
	return s.model.Render(messages, systemgemma.RenderOptions{SystemMode: string(s.settings.SystemMode), GenerationPrompt: s.running != nil})
}

// Prompt shows a rendered prompt and its ids to people.
func Prompt(r *systemgemma.Rendered) string {
	text := strings.TrimSuffix(r.Text, "\n")
	if r.IDs == nil {
		return text
	}
	return fmt.Sprintf("%s\n\n%d tokens: %s", text, len(r.IDs), strings.Trim(fmt.Sprint(r.IDs), "[]"))
}

func (s *Session) cmdSet(arg string) Reply {
	if arg == "" {
		all := settings{Options: *s.options(), SystemMode: s.settings.SystemMode}
		return Reply{Text: all.String()}
	}
	name, value, ok := strings.Cut(arg, " ")
	if !ok {
		return Reply{Err: fmt.Errorf("/set: want /set NAME VALUE, found %q only", arg)}
	}
	if err := s.settings.set(name, strings.TrimSpace(value)); err != nil {
		return Reply{Err: fmt.Errorf("/set: %w", err)}
	}
	return Reply{Text: strings.Join(s.options().Unused(s.model.DefaultSampling()), "\n")}
}

// helpKeys is the end of the help: what a screen's keys do.
const helpKeys = `  Alt+Enter or \ at the end of a line goes on in the next; Ctrl-C stops an answer.
  On a screen: Ctrl-O lists models, Ctrl-R personas, Ctrl-X shows the prompt; Esc closes them.`

func (s *Session) cmdHelp(string) Reply {
	var b strings.Builder
	for _, c := range commands() {
		fmt.Fprintf(&b, "  %-20s %s\n", c.name+" "+c.args, c.help)
	}
	b.WriteString(helpKeys)
	return Reply{Text: b.String()}
}
