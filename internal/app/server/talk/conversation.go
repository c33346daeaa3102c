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
	IDs      []int32 // the prompt, before Want.Context leaves any message out
	bare     bool    // the prompt ends after the last message, which is not continued
}

// Converse makes a conversation of messages, at least one, with what the model carries before them.
func (q *Request) Converse(list []tools.Message, all []tools.Tool, choice tools.Choice) (*Conversation, error) {
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
	c, err := q.Turns(tools.Render(tools.Begin(q.Lease, list), all, choice))
	if err == nil {
		c.Tools, c.Choice = all, choice
	}
	return c, err
}

// Turns makes a conversation of messages, at least one, as they are. What is wrong with them is told here, before a stream begins.
func (q *Request) Turns(messages []systemgemma.Message) (*Conversation, error) {
	last := messages[len(messages)-1].Role
	final := last == "assistant" || last == "model"
	switch {
	case q.Want.ContinueFinal != nil && *q.Want.ContinueFinal && !final:
		return nil, problem.Invalid("continue_final_message", "want an assistant's message at the end, found one of %s", last)
	case q.Want.ContinueFinal != nil && !*q.Want.ContinueFinal && final:
		return nil, problem.Unsupported("continue_final_message", "an assistant's message at the end is continued; want a user's message after it")
	}
	generation := q.Want.AddGenerationPrompt == nil || *q.Want.AddGenerationPrompt
	continued := final && (generation || q.Want.ContinueFinal != nil) // transformers wants both said
	x, err := q.Lease.Model.Render(messages, systemgemma.RenderOptions{SystemMode: q.Want.SystemMode, GenerationPrompt: generation, ContinueFinal: continued})
	if err != nil {
		return nil, problem.OfModel(err)
	}
	return &Conversation{Request: q, Messages: messages, IDs: x.IDs, bare: !generation && !continued}, nil
}

// options are those of answer i.
func (c *Conversation) options(i int) *systemgemma.ChatOptions {
	return &systemgemma.ChatOptions{GenerateOptions: c.Options(i), SystemMode: c.Want.SystemMode, Context: c.Want.Context}
}

// Answer begins answer i.
func (c *Conversation) Answer(ctx context.Context, i int) hosted.Events {
	o := c.options(i)
	if !c.bare {
		return c.Lease.Chat(ctx, c.Messages, o)
	}
	return c.Lease.Generate(ctx, systemgemma.Prompt{IDs: c.IDs}, &o.GenerateOptions)
}

// Search answers by the beam search that is wanted: at least one answer, the best one first.
func (c *Conversation) Search(ctx context.Context) ([]systemgemma.Result, error) {
	if !c.bare {
		return c.Lease.ChatBeams(ctx, c.Messages, c.options(0), *c.Want.Beams)
	}
	return c.Request.Search(ctx, systemgemma.Prompt{IDs: c.IDs})
}
