package cli

import (
	"fmt"

	"github.com/systemgemma/systemgemma"
	"github.com/systemgemma/systemgemma/internal/app/cli/chat"
	"github.com/systemgemma/systemgemma/internal/app/modelfile"
	"github.com/systemgemma/systemgemma/internal/app/models"
)

// forChat is what a chat takes over of it.
func forChat(s *models.Settings) chat.Carried {
	c := chat.Carried{System: s.System}
	for _, m := range s.Messages {
		c.Seed = append(c.Seed, systemgemma.Message(m))
	}
	defaults(&c.Options, &s.Parameters)
	return c
}

// carriedBy is what a model carries besides its weights.
func carriedBy(env *Env, name string) (*models.Settings, error) {
	f, err := resolve(env, name)
	if err != nil {
		return &models.Settings{}, nil // opening tells
	}
	return f.settings()
}

func (f *found) settings() (*models.Settings, error) {
	switch {
	case f.model != nil:
		return f.store.Settings(f.model)
	case f.path != "" && f.path != systemgemma.Mini:
		return models.ReadSettings(f.path)
	}
	return &models.Settings{}, nil
}

// carry puts what a model carries where the command line leaves it open.
func (c *runCmd) carry(env *Env, s *models.Settings, r *request, o *systemgemma.Options) error {
	if err := warn(env, s.Notices()); err != nil {
		return err
	}
	defaults(&c.Options, &s.Parameters)
	if err := c.Options.Validate(); err != nil {
		return fmt.Errorf("the model's parameters: %w", err)
	}
	if c.ContextLength == 0 {
		o.ContextLength = s.Parameters.ContextLength()
	}
	if c.Raw || c.IDs != nil {
		return nil // no conversation
	}
	if r.system == "" && !r.systemGiven {
		r.system = s.System
	}
	for _, m := range s.Messages {
		r.seed = append(r.seed, systemgemma.Message(m))
	}
	return nil
}

// defaults fills options that are left to the model by its parameters.
func defaults(o *chat.Options, p *modelfile.Parameters) {
	if p.RepeatLastN != nil && *p.RepeatLastN == 0 { // no penalties, whatever they are
		without := *p
		without.RepeatPenalty, without.PresencePenalty, without.FrequencyPenalty = nil, nil, nil
		p = &without
	}
	for _, x := range []struct{ to, from **float64 }{
		{&o.Temperature, &p.Temperature}, {&o.TopP, &p.TopP}, {&o.MinP, &p.MinP}, {&o.TypicalP, &p.TypicalP}, {&o.RepetitionPenalty, &p.RepeatPenalty},
		{&o.PresencePenalty, &p.PresencePenalty}, {&o.FrequencyPenalty, &p.FrequencyPenalty}, {&o.MirostatTau, &p.MirostatTau},
		{&o.MirostatEta, &p.MirostatEta},
	} {
		if *x.to == nil && *x.from != nil {
			*x.to = *x.from
		}
	}
	if o.Mirostat == nil {
		o.Mirostat = p.Mirostat
	}
	if o.TopK == nil && p.TopK != nil {
		k := max(*p.TopK, 0)
		o.TopK = &k
	}
	if o.Seed == nil && p.Seed != nil {
		seed := uint64(*p.Seed)
		o.Seed = &seed
	}
	if o.PenaltyWindow == nil && p.RepeatLastN != nil && *p.RepeatLastN != 0 {
		n := max(*p.RepeatLastN, 0)
		o.PenaltyWindow = &n
	}
	if o.MaxTokens == 0 {
		o.MaxTokens = p.MaxTokens()
	}
	if o.Stop == nil {
		o.Stop = p.Stop
	}
}
