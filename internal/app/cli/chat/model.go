package chat

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/systemgemma/systemgemma"
)

// Models are those that a chat can go on with.
type Models interface {
	// List tells which are here, as people shall see them.
	List() ([]Choice, error)
	// Open opens one by its name, which may take long. It is called beside the chat, and again while an earlier call ends.
	Open(ctx context.Context, name string) (*Opened, error)
}

// Choice is a line of a list to choose from.
type Choice struct {
	Name  string
	About string // what else people want to know; may be empty
}

// Opened is a model that a chat goes on with.
type Opened struct {
	Model    Model
	Name     string // one of List's, or for people
	Carried  Carried
	Adapters []systemgemma.AdapterUse
	Notes    []string     // to be told
	Close    func() error // nil: nothing to close
}

// Carried is what a model brings besides its weights. It holds where the user leaves things open.
type Carried struct {
	System  string
	Seed    []systemgemma.Message // that the conversation begins with, before the first input
	Options Options
}

func (s *Session) cmdModel(name string) Reply {
	if name != "" && s.models != nil {
		return Reply{Model: name}
	}
	choices, err := s.modelChoices()
	if err != nil {
		return Reply{Err: fmt.Errorf("/model: %w", err)}
	}
	return Reply{Text: listed(choices, s.name) + "\n(/model NAME goes on with another one)", Overlay: OverlayModels}
}

func (s *Session) modelChoices() ([]Choice, error) {
	if s.models == nil {
		return nil, errors.New("this chat has no other models")
	}
	return s.models.List()
}

// listed shows choices to people, one a line, and marks one.
func listed(choices []Choice, marked string) string {
	width := 0
	for _, c := range choices {
		width = max(width, len(c.Name))
	}
	var lines []string
	for _, c := range choices {
		mark := " "
		if c.Name == marked {
			mark = "*"
		}
		lines = append(lines, strings.TrimRight(fmt.Sprintf("%s %-*s  %s", mark, width, c.Name, c.About), " "))
	}
	return strings.Join(lines, "\n")
}

// Open opens the model that Reply.Model names; then Use. It shares nothing with s that changes, and may be called by another goroutine.
func (s *Session) Open(ctx context.Context, name string) (*Opened, error) {
	return s.models.Open(ctx, name)
}

// Use takes what Open gave: it goes on with another model and closes the one before. Conversation, system prompt and options stay; what
// the model before brought of these goes with it. After an error all is as before. It must not be called while an answer runs.
func (s *Session) Use(o *Opened, err error) Reply {
	if err != nil {
		return Reply{Err: fmt.Errorf("/model: %w (the model is still %s)", err, s.name)}
	}
	before := s.close
	s.model, s.name, s.carried, s.adapters, s.close = o.Model, o.Name, o.Carried, o.Adapters, o.Close
	stays := ""
	if len(s.done) > 0 {
		stays = "; the conversation stays"
	}
	lines := append([]string{fmt.Sprintf("(the model is %s now%s)", s.name, stays)}, o.Notes...)
	r := Reply{}
	if before != nil {
		if err := before(); err != nil {
			r.Err = fmt.Errorf("closing the model before: %w", err)
		}
	}
	r.Text = strings.Join(lines, "\n")
	return r
}

// Close closes the model, if the chat opened it or was given it to close. No answer may run.
func (s *Session) Close() error {
	if s.close == nil {
		return nil
	}
	closing := s.close
	s.close = nil
	return closing()
}
