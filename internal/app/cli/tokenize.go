package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/systemgemma/systemgemma"
)

// tokenizeCmd is `systemgemma tokenize`.
type tokenizeCmd struct {
	Text *string `arg:"" optional:"" help:"Text to show as ids and pieces. Without it, JSON lines are read from standard input."`
	modelFlag
	Special bool `group:"Prompt" help:"Read control tokens that TEXT spells as such."`
}

// Help is the end of the help text.
func (*tokenizeCmd) Help() string {
	return `Lines of standard input: {"text": "...", "special": false} gives {"ids": [...]}, {"ids": [...]} gives {"text": "..."}. ` +
		`Text is mere text unless special is true, and no <bos> is added.`
}

type tokenizeRequest struct {
	Text    *string `json:"text"`
	Special *bool   `json:"special"`
	IDs     []int32 `json:"ids"`
}

// tokenizeResponse has one of the two.
type tokenizeResponse struct {
	IDs  *[]int32 `json:"ids,omitempty"`
	Text *string  `json:"text,omitempty"`
}

// Run tokenizes an argument, or lines.
func (c *tokenizeCmd) Run(ctx context.Context, env *Env) error {
	if c.Text == nil && c.Special {
		return usagef("--special: want TEXT beside it; in JSON lines it is a field")
	}
	t, err := open(ctx, env, c.Model, nil, systemgemma.OpenText)
	if err != nil {
		return err
	}
	defer t.Close()
	if c.Text == nil {
		return eachLine(ctx, env, func(_ context.Context, _ int, r *tokenizeRequest) (*tokenizeResponse, error) { return tokenize(t, r) })
	}
	ids, err := t.Tokenize(*c.Text, c.Special)
	if err != nil {
		return err
	}
	var b strings.Builder
	for _, id := range ids {
		fmt.Fprintf(&b, "%7d  %q\n", id, t.Piece(id))
	}
	fmt.Fprintf(&b, "%d tokens\n", len(ids))
	return write(env.Stdout, b.String())
}

func tokenize(t *systemgemma.Text, r *tokenizeRequest) (*tokenizeResponse, error) {
	switch {
	case (r.Text == nil) == (r.IDs == nil):
		return nil, errors.New("want text or ids, one of them")
	case r.IDs != nil && r.Special != nil:
		return nil, errors.New("special: want it beside text only")
	case r.IDs != nil:
		text, err := t.Detokenize(r.IDs)
		return &tokenizeResponse{Text: &text}, err
	}
	ids, err := t.Tokenize(*r.Text, r.Special != nil && *r.Special)
	ids = list(ids)
	return &tokenizeResponse{IDs: &ids}, err
}
