package cli

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/systemgemma/systemgemma"
	"github.com/systemgemma/systemgemma/internal/app/cli/chat"
)

// templateCmd is `systemgemma template`.
type templateCmd struct {
	Prompt *string `arg:"" optional:"" help:"What the user says. Without it, JSON lines are read from standard input."`
	modelFlag
	systemFlags
	textFlags
}

// Help is the end of the help text.
func (*templateCmd) Help() string {
	return `Lines of standard input: {"messages": [{"role": "user", "content": "..."}], "add_generation_prompt": true} gives ` +
		`{"text": "...", "ids": [...]}. The ids go to the model as they are: control tokens come from the template only, never from a message.`
}

type templateRequest struct {
	Messages             json.RawMessage `json:"messages"`
	AddGenerationPrompt  bool            `json:"add_generation_prompt"`
	ContinueFinalMessage bool            `json:"continue_final_message"`
}

type templateResponse struct {
	Text string  `json:"text"`
	IDs  []int32 `json:"ids"` // null without a tokenizer
}

// Run renders an argument, or lines.
func (c *templateCmd) Run(ctx context.Context, env *Env) error {
	system, _, err := c.prompt()
	if err != nil {
		return err
	}
	if c.Prompt == nil && system != "" {
		return usagef("--system: want PROMPT beside it; in JSON lines it is a message")
	}
	o, err := options(c.textFlags, engineFlags{})
	if err != nil {
		return err
	}
	t, err := open(ctx, env, c.Model, o, systemgemma.OpenText)
	if err != nil {
		return err
	}
	defer t.Close()
	if c.Prompt == nil {
		return eachLine(ctx, env, func(_ context.Context, _ int, r *templateRequest) (*templateResponse, error) {
			return render(env, t, r)
		})
	}
	messages := []systemgemma.Message{{Role: "user", Content: *c.Prompt}}
	if system != "" {
		messages = append([]systemgemma.Message{{Role: "system", Content: system}}, messages...)
	}
	r, err := t.Render(messages, systemgemma.RenderOptions{GenerationPrompt: true})
	if err != nil {
		return err
	}
	if err := warn(env, r.Warnings); err != nil {
		return err
	}
	return write(env.Stdout, chat.Prompt(r)+"\n")
}

func render(env *Env, t *systemgemma.Text, r *templateRequest) (*templateResponse, error) {
	if r.Messages == nil {
		return nil, errors.New("messages: want a list, found none")
	}
	x, err := t.RenderJSON(r.Messages, systemgemma.RenderOptions{GenerationPrompt: r.AddGenerationPrompt, ContinueFinal: r.ContinueFinalMessage})
	if err != nil {
		return nil, err
	}
	return &templateResponse{x.Text, x.IDs}, warn(env, x.Warnings)
}
