package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/systemgemma/systemgemma"
	"github.com/systemgemma/systemgemma/internal/app/cli/chat"
	"github.com/systemgemma/systemgemma/internal/app/cli/config"
	"github.com/systemgemma/systemgemma/internal/app/cli/persona"
)

// shelf is the models that a chat of run can go on with: those of the store, the one inside this program, mini, and the one that it
// began with. It implements chat.Models.
type shelf struct {
	env     *Env
	command *runCmd
	first   chat.Choice // what the chat began with
}

// newShelf is for a chat with the model of that name.
func newShelf(env *Env, c *runCmd, name string) *shelf {
	s := &shelf{env: env, command: c, first: chat.Choice{Name: name}}
	if f, err := resolve(env, name); err == nil { // else opening has told
		s.first.Name = f.name()
	}
	return s
}

// name is what the model is called, for resolve to find it again.
func (f *found) name() string {
	switch {
	case f.bundle != nil:
		return bundledName
	case f.model != nil:
		return f.model.ID()
	case f.path == "":
		return systemgemma.Mini
	}
	return f.path
}

// List implements chat.Models.
func (s *shelf) List() ([]chat.Choice, error) {
	choices := []chat.Choice{{Name: systemgemma.Mini, About: "embedded: tiny, obeys system prompts, knows little"}}
	inside, err := s.env.bundle()
	if err != nil {
		return nil, err
	}
	if inside != nil {
		choices = append(choices, chat.Choice{Name: bundledName, About: fmt.Sprintf("%s, %s: inside this program", inside.Card.Name, size(inside.Size))})
	}
	if store, err := s.env.store(); err == nil { // without a folder for models there are none
		all, err := store.List()
		if err != nil {
			return nil, err
		}
		for _, m := range all {
			choices = append(choices, chat.Choice{Name: m.ID(), About: size(m.Bytes) + ", used " + ago(m.Used, time.Now())})
		}
	}
	if !slices.ContainsFunc(choices, func(c chat.Choice) bool { return c.Name == s.first.Name }) {
		choices = append(choices, s.first)
	}
	return choices, nil
}

// Open implements chat.Models: it does what run does before a chat, with the same flags. What run tells on stderr becomes notes: the
// screen is the chat's.
func (s *shelf) Open(ctx context.Context, name string) (_ *chat.Opened, err error) {
	var said bytes.Buffer
	env := *s.env
	env.Stderr, env.StderrTTY, env.status = &said, false, nil
	c := s.command
	f, err := resolve(&env, name)
	if err != nil {
		return nil, err
	}
	o, err := options(c.textFlags, c.engineFlags)
	if err != nil {
		return nil, err
	}
	settings, err := f.settings()
	if err != nil {
		return nil, err
	}
	carried := forChat(settings)
	if err := carried.Options.Validate(); err != nil {
		return nil, fmt.Errorf("the model's parameters: %w", err)
	}
	if c.ContextLength == 0 {
		o.ContextLength = settings.Parameters.ContextLength()
	}
	if f.bundle != nil && carried.System == "" {
		carried.System = f.bundle.Card.System
	}
	if forecast, err := systemgemma.ForecastRun(f.path, o); err == nil { // else opening tells
		if err := roomFor(f.name(), &forecast); err != nil {
			return nil, err
		}
	}
	if err := errors.Join(warn(&env, settings.Notices()), warnMemory(&env, name, o)); err != nil {
		return nil, err
	}
	m, err := openTuned(ctx, &env, name, o)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, m.Close())
		}
	}()
	if m.Info().Vocabulary == 0 {
		return nil, systemgemma.ErrNoTokenizer
	}
	adapters, err := c.loraFlags.open(ctx, &env, m, settings.Adapters)
	if err != nil {
		return nil, err
	}
	opened := &chat.Opened{Model: m, Name: f.name(), Carried: carried, Adapters: adapters, Close: m.Close}
	if text := strings.TrimSpace(said.String()); text != "" {
		opened.Notes = strings.Split(text, "\n")
	}
	return opened, nil
}

// roomFor refuses a model that would take more memory than there is while the one before is still open, weights that stay in their file
// left out: the system would end the chat, and the conversation with it.
func roomFor(name string, f *systemgemma.RunForecast) error {
	need := f.Bytes() - f.MappedBytes
	if f.Available == 0 || need <= f.Available {
		return nil
	}
	return fmt.Errorf("%s takes up to %s beside the model that is open, and %s are available; /save FILE, and /load it in a chat with the other model", name, size(need), size(f.Available))
}

// personas is the folder of system prompts kept by name, beside the settings file; "": the environment tells of none.
func personas(env *Env) persona.Folder {
	file := config.UserFile(runtime.GOOS, env.getenv)
	if file == "" {
		return ""
	}
	return persona.Folder(filepath.Join(filepath.Dir(file), "personas"))
}
