package hosted

import (
	"context"
	"iter"
	"time"

	"github.com/systemgemma/systemgemma"
	"github.com/systemgemma/systemgemma/internal/app/server/problem"
)

// Events are an answer as it comes.
type Events = iter.Seq2[systemgemma.Event, error]

// Chat is Model.Chat, counted. Errors are those of a client.
func (l *Lease) Chat(ctx context.Context, messages []systemgemma.Message, o *systemgemma.ChatOptions) Events {
	return l.counted(ctx, l.Model.Chat(ctx, messages, o))
}

// Generate is Model.Generate, counted as Chat is.
func (l *Lease) Generate(ctx context.Context, p systemgemma.Prompt, o *systemgemma.GenerateOptions) Events {
	return l.counted(ctx, l.Model.Generate(ctx, p, o))
}

func (l *Lease) counted(ctx context.Context, events Events) Events {
	return func(yield func(systemgemma.Event, error) bool) {
		m := l.set.meter
		ended := false
		defer func() {
			if !ended {
				m.Cancelled.Add(1) // who reads wanted no more
			}
		}()
		for e, err := range events {
			if e.ID >= 0 {
				m.Token()
			}
			if r := e.Result; r != nil {
				ended = true
				m.Prompt(len(r.PromptIDs)-r.CachedTokens, r.CachedTokens, r.Prefill)
				m.DecodeTime.Add(int64(r.Decode))
				m.DraftedTokens.Add(int64(r.DraftedTokens))
				m.AcceptedTokens.Add(int64(r.AcceptedTokens))
			}
			switch {
			case err == nil && e.Result != nil:
				m.Answers.Add(1)
			case err != nil && ctx.Err() != nil:
				ended = true
				m.Cancelled.Add(1)
			case err != nil:
				ended = true
				m.Failed.Add(1)
			}
			if err != nil {
				if ctx.Err() != nil {
					err = context.Cause(ctx)
				}
				err = problem.OfModel(err)
			}
			if !yield(e, err) {
				return
			}
		}
	}
}

// ChatBeams is Model.ChatBeams, counted.
func (l *Lease) ChatBeams(ctx context.Context, messages []systemgemma.Message, o *systemgemma.ChatOptions, b systemgemma.Beams) ([]systemgemma.Result, error) {
	list, err := l.Model.ChatBeams(ctx, messages, o, b)
	return list, l.searched(ctx, list, err)
}

// GenerateBeams is Model.GenerateBeams, counted. There is at least one answer, or an error.
func (l *Lease) GenerateBeams(ctx context.Context, p systemgemma.Prompt, o *systemgemma.GenerateOptions, b systemgemma.Beams) ([]systemgemma.Result, error) {
	list, err := l.Model.GenerateBeams(ctx, p, o, b)
	return list, l.searched(ctx, list, err)
}

// searched counts the answers of a beam search.
func (l *Lease) searched(ctx context.Context, list []systemgemma.Result, err error) error {
	m := l.set.meter
	switch {
	case err != nil && ctx.Err() != nil:
		m.Cancelled.Add(1)
		return problem.OfModel(context.Cause(ctx))
	case err != nil:
		m.Failed.Add(1)
		return problem.OfModel(err)
	case len(list) == 0:
		m.Failed.Add(1)
		return problem.Invalid("max_time", "it was over before there was an answer; want more")
	}
	m.Answers.Add(1)
	m.Prompt(len(list[0].PromptIDs)-list[0].CachedTokens, list[0].CachedTokens, list[0].Prefill)
	m.DecodeTime.Add(int64(list[0].Decode))
	for _, r := range list {
		for range r.IDs {
			m.Token()
		}
	}
	return nil
}

// Score is Model.Score, counted.
func (l *Lease) Score(ctx context.Context, ids []int32, from int, adapters ...systemgemma.AdapterUse) (*systemgemma.Score, error) {
	start := time.Now()
	s, err := l.Model.Score(ctx, ids, from, adapters...)
	return s, l.read(ctx, len(ids), start, err)
}

// Embed is Model.Embed, counted.
func (l *Lease) Embed(ctx context.Context, p systemgemma.Prompt, o *systemgemma.EmbedOptions) (vector []float32, tokens int, err error) {
	start := time.Now()
	vector, tokens, err = l.Model.Embed(ctx, p, o)
	return vector, tokens, l.read(ctx, tokens, start, err)
}

// read counts a request that reads a prompt and answers nothing.
func (l *Lease) read(ctx context.Context, tokens int, start time.Time, err error) error {
	m := l.set.meter
	switch {
	case err == nil:
		m.Answers.Add(1)
		m.Prompt(tokens, 0, time.Since(start))
		return nil
	case ctx.Err() != nil:
		m.Cancelled.Add(1)
		return context.Cause(ctx)
	}
	m.Failed.Add(1)
	return problem.OfModel(err)
}
