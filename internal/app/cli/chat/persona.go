package chat

import (
	"errors"
	"fmt"
	"strings"
)

// Personas are system prompts kept by name.
type Personas interface {
	List() ([]string, error)
	Read(name string) (system string, err error)
	Save(name, system string) (replaced bool, err error) // refuses names that it can't keep
	Delete(name string) error
}

// errNoPersonas says what is missing.
var errNoPersonas = errors.New("no folder for personas: want HOME or XDG_CONFIG_HOME to be set to one")

// aboutBytes bounds how much of a persona a list shows.
const aboutBytes = 200

func (s *Session) cmdPersona(arg string) Reply {
	verb, name, _ := strings.Cut(arg, " ")
	name = strings.TrimSpace(name)
	switch {
	case s.personas == nil:
		return Reply{Err: fmt.Errorf("/persona: %w", errNoPersonas)}
	case arg == "":
		return s.listPersonas()
	case verb == "add" && name != "":
		return s.addPersona(name)
	case verb == "delete" && name != "":
		return s.deletePersona(name)
	case verb == "add", verb == "delete":
		return Reply{Err: fmt.Errorf("/persona %s: want /persona %s NAME", verb, verb)}
	}
	return s.usePersona(arg)
}

func (s *Session) listPersonas() Reply {
	choices, err := s.personaChoices()
	if err != nil {
		return Reply{Err: fmt.Errorf("/persona: %w", err)}
	}
	text := "(no personas yet; /system TEXT and /persona add NAME keep one)"
	if len(choices) > 0 {
		text = listed(choices, s.persona) + "\n(/persona NAME uses one; /persona add NAME keeps the system prompt; /persona delete NAME)"
	}
	return Reply{Text: text, Overlay: OverlayPersonas}
}

// personaChoices are the personas, each with its beginning.
func (s *Session) personaChoices() ([]Choice, error) {
	if s.personas == nil {
		return nil, errNoPersonas
	}
	names, err := s.personas.List()
	if err != nil {
		return nil, err
	}
	var choices []Choice
	for _, name := range names {
		about, err := s.personas.Read(name)
		if err != nil {
			about = "can't be read: " + err.Error()
		}
		if len(about) > aboutBytes {
			about = strings.ToValidUTF8(about[:aboutBytes], "") + "…"
		}
		choices = append(choices, Choice{Name: name, About: strings.Join(strings.Fields(about), " ")})
	}
	return choices, nil
}

func (s *Session) usePersona(name string) Reply {
	system, err := s.personas.Read(name)
	if err != nil {
		return Reply{Err: fmt.Errorf("/persona: %w", err)}
	}
	s.setSystem(system)
	s.persona = name
	stays := ""
	if len(s.done) > 0 {
		stays = "; the conversation stays"
	}
	return Reply{Text: fmt.Sprintf("(persona %s: its system prompt is in force%s)", name, stays)}
}

func (s *Session) addPersona(name string) Reply {
	system := s.systemPrompt()
	if system == "" {
		return Reply{Err: errors.New("/persona add: no system prompt to keep; /system TEXT sets one")}
	}
	replaced, err := s.personas.Save(name, system)
	if err != nil {
		return Reply{Err: fmt.Errorf("/persona add: %w", err)}
	}
	s.persona = name
	if replaced {
		return Reply{Text: fmt.Sprintf("(persona %s replaced by the system prompt)", name)}
	}
	return Reply{Text: fmt.Sprintf("(persona %s keeps the system prompt)", name)}
}

func (s *Session) deletePersona(name string) Reply {
	if err := s.personas.Delete(name); err != nil {
		return Reply{Err: fmt.Errorf("/persona delete: %w", err)}
	}
	if s.persona == name {
		s.persona = ""
	}
	return Reply{Text: fmt.Sprintf("(persona %s deleted; the system prompt in force stays)", name)}
}
