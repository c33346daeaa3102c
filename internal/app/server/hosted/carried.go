package hosted

import (
	"errors"
	"runtime/debug"
	"slices"
	"time"

	"github.com/systemgemma/systemgemma"
	"github.com/systemgemma/systemgemma/internal/app/models"
)

// carriedBy is what a model carries besides its weights: what a Modelfile or a registry said of it.
func (s *Set) carriedBy(w what) (*models.Settings, error) {
	switch {
	case w.carried != nil:
		return w.carried, nil
	case w.entry != nil && s.opt.Store != nil:
		return s.opt.Store.Settings(w.entry)
	case w.path == systemgemma.Mini || w.path == "":
		return &models.Settings{}, nil
	}
	return models.ReadSettings(w.path)
}

// apply puts what a model carries where the server's options leave it open.
func apply(c *models.Settings, o *systemgemma.Options) {
	if o.SystemMode == "" && o.Template == "" {
		o.SystemMode = c.SystemMode
	}
	if o.ContextLength == 0 {
		o.ContextLength = c.Parameters.ContextLength()
	}
}

// openAdapters opens the adapters that a model had when it was closed, else those that it carries, at strength 1, before anybody uses it.
// A file that was changed since, or made anew, is another model.
func (s *Set) openAdapters(m *systemgemma.Model, path, stamp string, c *models.Settings) (adapters, error) {
	s.mu.Lock()
	had, ok := s.loaded[path]
	s.mu.Unlock()
	list := slices.Clone(had.list)
	if !ok || had.stamp != stamp {
		list = nil
		for i, p := range c.Adapters {
			list = append(list, AdapterState{ID: i, Path: p, Scale: 1})
		}
	}
	for i := range list {
		var err error
		if list[i].Adapter, err = m.OpenAdapter(list[i].Path); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// openCarrying opens a model with what it carries.
func (s *Set) openCarrying(w what, stamp string, o *systemgemma.Options) (*systemgemma.Model, *models.Settings, adapters, error) {
	carried, err := s.carriedBy(w)
	if err != nil {
		return nil, nil, nil, err
	}
	apply(carried, o)
	m, err := s.open(w.path, o)
	if err != nil {
		return nil, nil, nil, err
	}
	time.AfterFunc(time.Second, debug.FreeOSMemory) // some 20 MB that opening a large model left; a first answer does not wait for it
	list, err := s.openAdapters(m, w.path, stamp, carried)
	if err == nil {
		sampling := carried.Parameters.Sampling(m.DefaultSampling())
		err = sampling.Validate()
	}
	if err != nil {
		return nil, nil, nil, errors.Join(err, m.Close())
	}
	for _, notice := range carried.Notices() {
		s.log.Warn("model is not all that it says", "model", w.name, "notice", notice)
	}
	return m, carried, list, nil
}

// Defaults are the options of answers that say nothing else: the model's own, with what it carries.
func (l *Lease) Defaults() systemgemma.GenerateOptions {
	p := &l.model.carried.Parameters
	s := p.Sampling(l.Model.DefaultSampling())
	return systemgemma.GenerateOptions{Sampling: &s, MaxTokens: p.MaxTokens(), Stop: slices.Clone(p.Stop)}
}

// Carried is the system prompt of conversations that bring none, and the messages that they begin with.
func (l *Lease) Carried() (system string, messages []systemgemma.Message) {
	for _, m := range l.model.carried.Messages {
		messages = append(messages, systemgemma.Message(m))
	}
	return l.model.carried.System, messages
}

// Begin puts what the model carries before a conversation.
func (l *Lease) Begin(list []systemgemma.Message) []systemgemma.Message {
	return Begin(l, list, func(m *systemgemma.Message) (role, content string) { return m.Role, m.Content }, func(m systemgemma.Message) systemgemma.Message { return m })
}

// Begin puts what a model carries before a conversation of messages of any kind: its system prompt if there is none, its messages behind
// the system prompts. A system prompt that is empty switches the model's off, and is left out: it says nothing.
func Begin[M any](l *Lease, list []M, read func(*M) (role, content string), of func(systemgemma.Message) M) []M {
	n := 0
	var begin []M
	for ; n < len(list); n++ {
		role, content := read(&list[n])
		if role != "system" && role != "developer" {
			break
		}
		if content != "" || n+1 == len(list) { // a conversation has at least one message
			begin = append(begin, list[n])
		}
	}
	system, messages := l.Carried()
	if n == 0 && system != "" {
		begin = append(begin, of(systemgemma.Message{Role: "system", Content: system}))
	}
	for _, m := range messages {
		begin = append(begin, of(m))
	}
	return append(begin, list[n:]...)
}
