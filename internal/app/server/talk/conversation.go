package talk

import (
	"context"

	"github.com/systemgemma/systemgemma"
	"github.com/systemgemma/systemgemma/internal/app/server/hosted"
	"github.com/systemgemma/systemgemma/internal/app/server/problem"
	"github.com/systemgemma/systemgemma/internal/app/server/tools"
)

// MaxMessages bounds a conversation; each takes several tokens, so longer ones fit into no context.
const MaxMessages = 10_000

// Conversation is a chat that is ready to be answered: it renders.
type Conversation struct {
	*Request
	Tools    []tools.Tool
	Choice   tools.Choice
	Messages []systemgemma.Message
	Tokens   int // of the prompt, before Want.Context leaves any message out
}

// Converse makes a conversation of messages, at least one, with what the model carries before them.
func (q *Request) Converse(list []tools.Message, all []tools.Tool, choice tools.Choice) (*Conversation, error) {
	c := &Conversation{Request: q, Tools: all, Choice: choice, Messages: tools.Render(tools.Begin(q.Lease, list), all, choice)}
	format, err := tools.Format(all, choice)
	if err != nil {
		return nil, err
	}
	if format != nil && q.Want.Format != nil {
		return nil, problem.Invalid("tool_choice", "want no format beside a call that must come: an answer has one form")
	}
	if format != nil {
		q.Want.Format = format
	}
	last, final := c.final()
	switch {
	case q.Want.ContinueFinal != nil && *q.Want.ContinueFinal && !final:
		return nil, problem.Invalid("continue_final_message", "want an assistant's message at the end, found one of %s", last)
	case q.Want.ContinueFinal != nil && !*q.Want.ContinueFinal && final:
		return nil, problem.Unsupported("continue_final_message", "an assistant's message at the end is continued; want a user's message after it")
	}
	x, err := c.render(final) // tells what is wrong before a stream begins
	if err != nil {
		return nil, err
	}
	c.Tokens = len(x.IDs)
	return c, nil
}

// final says whether the last message is an assistant's, which is continued.
func (c *Conversation) final() (last string, final bool) {
	last = c.Messages[len(c.Messages)-1].Role
	return last, last == "assistant" || last == "model"
}

// render renders the messages, the last one left open if it is continued.
func (c *Conversation) render(final bool) (*systemgemma.Rendered, error) {
	x, err := c.Lease.Model.Render(c.Messages, systemgemma.RenderOptions{SystemMode: c.Want.SystemMode, GenerationPrompt: c.generation(), ContinueFinal: final})
	return x, problem.OfModel(err)
}

// generation says whether the prompt ends with the begin of the model's turn.
func (c *Conversation) generation() bool {
	return c.Want.AddGenerationPrompt == nil || *c.Want.AddGenerationPrompt
}

// options are those of answer i.
func (c *Conversation) options(i int) *systemgemma.ChatOptions {
	return &systemgemma.ChatOptions{GenerateOptions: c.Options(i), SystemMode: c.Want.SystemMode, Context: c.Want.Context}
}

// Answer begins answer i.
func (c *Conversation) Answer(ctx context.Context, i int) hosted.Events {
	o := c.options(i)
	if c.generation() {
		return c.Lease.Chat(ctx, c.Messages, o)
	}
	x, err := c.render(false)
	if err != nil {
		return func(yield func(systemgemma.Event, error) bool) { yield(systemgemma.Event{ID: -1}, err) }
	}
	return c.Lease.Generate(ctx, systemgemma.Prompt{IDs: x.IDs}, &o.GenerateOptions)
}

// Search answers by the beam search that is wanted: at least one answer, the best one first.
func (c *Conversation) Search(ctx context.Context) ([]systemgemma.Result, error) {
	if c.generation() {
		return c.Lease.ChatBeams(ctx, c.Messages, c.options(0), *c.Want.Beams)
	}
	x, err := c.render(false)
	if err != nil {
		return nil, err
	}
	return c.Request.Search(ctx, systemgemma.Prompt{IDs: x.IDs})
}
