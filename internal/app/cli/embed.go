package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/systemgemma/systemgemma"
)

// embedCmd is `systemgemma embed`.
type embedCmd struct {
	Text *string `arg:"" optional:"" help:"Text to turn into a vector. Without it, JSON lines are read from standard input."`
	modelFlag
	engineFlags
	Pooling string `default:"mean" placeholder:"WHICH" group:"Output" help:"mean: of the hidden states of all tokens. last: the state of the last one, which alone has seen the whole text."`
	Raw     bool   `group:"Output" help:"Leave vectors as they are. Without it each has the length 1."`
}

// Help is the end of the help text.
func (*embedCmd) Help() string {
	return `Lines of standard input: {"text": "..."} or {"ids": [...]} gives {"embedding": [...], "tokens": n}. Vectors are made of the hidden states after the final norm. ` +
		`Gemma 2 was not trained to embed: texts with like vectors are often, not always, alike. score --states writes the states themselves.`
}

type embedRequest struct {
	Text *string `json:"text"`
	IDs  []int32 `json:"ids"`
}

type embedResponse struct {
	Embedding []float32 `json:"embedding"`
	Tokens    int       `json:"tokens"`
}

// Run embeds an argument, or lines.
func (c *embedCmd) Run(ctx context.Context, env *Env) error {
	eo := &systemgemma.EmbedOptions{Pooling: systemgemma.Pooling(c.Pooling), Raw: c.Raw}
	if eo.Pooling != systemgemma.PoolMean && eo.Pooling != systemgemma.PoolLast {
		return usagef("--pooling: want %s or %s, found %q", systemgemma.PoolMean, systemgemma.PoolLast, c.Pooling)
	}
	o, err := options(textFlags{}, c.engineFlags)
	if err != nil {
		return err
	}
	m, err := open(ctx, env, c.Model, o, systemgemma.Open)
	if err != nil {
		return err
	}
	defer m.Close()
	if c.Text == nil {
		return eachLine(ctx, env, func(ctx context.Context, _ int, r *embedRequest) (*embedResponse, error) { return embed(ctx, m, r, eo) })
	}
	x, err := embed(ctx, m, &embedRequest{Text: c.Text}, eo)
	if err != nil {
		return err
	}
	var b strings.Builder
	for _, v := range x.Embedding {
		fmt.Fprintf(&b, "%v\n", v)
	}
	return write(env.Stdout, b.String())
}

func embed(ctx context.Context, m *systemgemma.Model, r *embedRequest, o *systemgemma.EmbedOptions) (*embedResponse, error) {
	if (r.Text == nil) == (len(r.IDs) == 0) {
		return nil, errors.New("want text or ids, one of them")
	}
	p := systemgemma.Prompt{IDs: r.IDs}
	if r.Text != nil {
		p.Text = *r.Text
	}
	vector, tokens, err := m.Embed(ctx, p, o)
	if err != nil {
		return nil, err
	}
	return &embedResponse{vector, tokens}, nil
}
