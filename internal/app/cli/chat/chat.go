// Package chat is a conversation with a model at a terminal: its state and commands (Session), an inline screen (Screen) and
// a plain line mode for pipes and simple terminals (Plain).
//
// It must not know how a model is opened, where personas lie, nor read the process's globals: streams and interrupts come from the
// caller.
package chat

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"

	"github.com/systemgemma/systemgemma"
)

// Model is what a chat needs of a model; *systemgemma.Model is one.
type Model interface {
	Chat(ctx context.Context, messages []systemgemma.Message, o *systemgemma.ChatOptions) iter.Seq2[systemgemma.Event, error]
	Render(messages []systemgemma.Message, o systemgemma.RenderOptions) (*systemgemma.Rendered, error)
	DefaultSampling() systemgemma.Sampling
	ContextLength() int
}

// Config is how a chat begins.
type Config struct {
	Name        string // of the model, for people; one of Models, if it is among them
	System      string
	SystemGiven bool    // System holds also where it is empty
	Carried     Carried // what the model brings
	SystemMode  SystemMode
	Options     Options // of the user
	Stats       bool    // show speed after each answer
	Adapters    []systemgemma.AdapterUse
	Format      *systemgemma.Format // of every answer; nil: free
	Models      Models              // to go on with; nil: none
	Personas    Personas            // nil: no place to keep them
	Close       func() error        // closes the model when the chat goes on with another one, or is closed; nil: the caller does
}

// Session is the state of a chat: a system prompt, finished exchanges and at most one running. It does no terminal I/O, and
// is used by one goroutine at a time.
type Session struct {
	model       Model
	name        string
	system      string
	systemGiven bool // system holds, whatever the model brings
	carried     Carried
	persona     string // that the system prompt came from, or was kept as; "": none
	settings    settings
	adapters    []systemgemma.AdapterUse
	format      *systemgemma.Format
	models      Models
	personas    Personas
	close       func() error
	stats       bool
	done        []exchange
	running     *exchange // nil: idle
	retried     *exchange // what running replaces, to be kept if it fails
	newSeed     bool      // running draws a seed, whatever the settings say
}

// exchange is what the user wrote and what the model answered.
type exchange struct{ user, assistant string }

// New begins a chat.
func New(m Model, c Config) *Session {
	return &Session{
		model: m, name: c.Name, system: c.System, systemGiven: c.SystemGiven || c.System != "", carried: c.Carried,
		settings: settings{Options: c.Options, SystemMode: c.SystemMode}, adapters: c.Adapters, format: c.Format,
		models: c.Models, personas: c.Personas, close: c.Close, stats: c.Stats,
	}
}

// Reply is what became of an input.
type Reply struct {
	Text   string // to show
	Err    error  // to show
	Answer bool   // an answer is wanted: call Answer, then Finish
	Model  string // another model is wanted: call Open, then Use
	Quit   bool
	// Overlay is what a screen shows in place of Text and Err.
	Overlay Overlay
}

// Overlay is what a screen can show instead of a text.
type Overlay int

// OverlayNone leaves a reply as it is; the others are lists to choose from, and the prompt as the model sees it.
const (
	OverlayNone Overlay = iota
	OverlayModels
	OverlayPersonas
	OverlayPrompt
)

// Submit takes an input: a command if it begins with /, else what the user says. It must not be called while an answer runs.
func (s *Session) Submit(input string) Reply {
	switch {
	case strings.TrimSpace(input) == "":
		return Reply{}
	case strings.HasPrefix(input, "/"):
		return s.command(input)
	}
	s.running = &exchange{user: input}
	return Reply{Answer: true}
}

// Answer starts the answer that Submit wanted. The sequence shares nothing with s and may be read by another goroutine.
func (s *Session) Answer(ctx context.Context) iter.Seq2[systemgemma.Event, error] {
	o := &systemgemma.ChatOptions{
		GenerateOptions: s.options().Generate(s.model.DefaultSampling()),
		SystemMode:      string(s.settings.SystemMode),
		Context:         s.settings.Context(),
	}
	o.Adapters, o.Format, o.Progress = s.adapters, s.format, true
	if s.newSeed {
		o.Sampling.Seed = 0
	}
	return s.model.Chat(ctx, s.messages(), o)
}

// options are the user's, with what the model brings where these leave things open.
func (s *Session) options() *Options {
	o := s.settings.Options
	o.fill(&s.carried.Options)
	return &o
}

// systemPrompt is the one in force, "" if there is none.
func (s *Session) systemPrompt() string {
	if s.systemGiven {
		return s.system
	}
	return s.carried.System
}

// setSystem is what the user wants from now on, be it none.
func (s *Session) setSystem(text string) {
	s.system, s.systemGiven, s.persona = text, true, ""
}

// messages is the conversation as the model gets it: with the running exchange, its answer open.
func (s *Session) messages() []systemgemma.Message {
	var list []systemgemma.Message
	if system := s.systemPrompt(); system != "" {
		list = append(list, systemgemma.Message{Role: "system", Content: system})
	}
	list = append(list, s.carried.Seed...)
	for _, x := range s.done {
		list = append(list, systemgemma.Message{Role: "user", Content: x.user}, systemgemma.Message{Role: "assistant", Content: x.assistant})
	}
	if s.running != nil {
		list = append(list, systemgemma.Message{Role: "user", Content: s.running.user})
	}
	return list
}

// Finish takes the last event of an answer. An answer that was stopped is kept as far as it came; one that failed, or was
// stopped before its first word, leaves the chat as it was.
func (s *Session) Finish(r *systemgemma.Result, err error) Reply {
	running, retried := s.running, s.retried
	s.running, s.retried, s.newSeed = nil, nil, false
	cancelled := r != nil && r.FinishReason == systemgemma.FinishCancel
	switch {
	case running == nil:
		return Reply{Err: errors.New("no answer is running")}
	case err != nil && !cancelled, r == nil, cancelled && r.Text == "":
		if retried != nil {
			s.done = append(s.done, *retried)
		}
		if cancelled || err == nil {
			return Reply{Text: "(stopped; nothing kept)"}
		}
		return Reply{Err: advise(err)}
	}
	running.assistant = r.Text
	s.done = append(s.done, *running)
	return Reply{Text: s.notes(r)}
}

// notes are the lines that follow an answer.
func (s *Session) notes(r *systemgemma.Result) string {
	var lines []string
	switch r.FinishReason {
	case systemgemma.FinishCancel:
		lines = append(lines, "(stopped; what there is of the answer is kept: /retry or /undo)")
	case systemgemma.FinishLength:
		lines = append(lines, "(ended by max-tokens or the end of the context)")
	case systemgemma.FinishStop:
	}
	if r.Cut {
		lines = append(lines, "(the answer has only a part of its format)")
	}
	for _, w := range r.Warnings {
		lines = append(lines, "warning: "+w)
	}
	if s.stats {
		lines = append(lines, Stats(r))
	}
	return strings.Join(lines, "\n")
}

// advise adds what to do to an error.
func advise(err error) error {
	if errors.Is(err, systemgemma.ErrContextLength) || errors.Is(err, systemgemma.ErrKVMemory) {
		return fmt.Errorf("%w; /undo removes the last exchange, /clear all of them", err)
	}
	return err
}

// Stats says how fast an answer was, in one line, and what guesses brought.
func Stats(r *systemgemma.Result) string {
	computed := len(r.PromptIDs) - r.CachedTokens
	more := ""
	if r.DraftedTokens > 0 {
		more = fmt.Sprintf("; %d of %d guesses right (%.0f %%)", r.AcceptedTokens, r.DraftedTokens, 100*float64(r.AcceptedTokens)/float64(r.DraftedTokens))
	}
	if r.CertainTokens > 0 {
		more += fmt.Sprintf("; %d tokens certain by the format", r.CertainTokens)
	}
	return fmt.Sprintf("prompt %d tokens (%d cached), prefill %s; answer %d tokens, decode %s; first token after %.3f s%s",
		len(r.PromptIDs), r.CachedTokens, rate(computed, r.Prefill.Seconds()),
		len(r.IDs), rate(len(r.IDs)-1, r.Decode.Seconds()), r.TTFT.Seconds(), more)
}

// rate is a speed, if there was any work.
func rate(tokens int, seconds float64) string {
	if tokens <= 0 || seconds <= 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f tok/s", float64(tokens)/seconds)
}
