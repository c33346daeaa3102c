package cli

import (
	"context"
	"fmt"

	"github.com/systemgemma/systemgemma"
)

// watermarkCmd is `systemgemma watermark`.
type watermarkCmd struct {
	modelFlag
	Keys  []int64 `required:"" placeholder:"KEY" group:"Watermark" help:"The secret numbers that the text was marked with (run --watermark-keys)."`
	Ngram int     `placeholder:"N" group:"Watermark" help:"What run --watermark-ngram said. 0 is 5."`
	JSON  bool    `name:"json" group:"Output" help:"Write one JSON object: tokens, positions, mean, weighted_mean, expected."`
}

// Help is the end of the help text.
func (*watermarkCmd) Help() string {
	return `Reads the answer, without its prompt, from standard input. Without the mark the mean is near 0.5, the more surely the more tokens there are; below some 200 nothing can be said.

  systemgemma run --temperature 1 --watermark-keys 11,22,33,44 "Tell me a story." | systemgemma watermark --keys 11,22,33,44
`
}

// watermarkJSON is what watermark --json writes.
type watermarkJSON struct {
	Tokens       int     `json:"tokens"`
	Positions    int     `json:"positions"` // that count: whose context is new
	Mean         float64 `json:"mean"`
	WeightedMean float64 `json:"weighted_mean"`
	Deviations   float64 `json:"deviations"` // how many standard deviations Mean is above that of unmarked text
}

// Run looks for a watermark.
func (c *watermarkCmd) Run(ctx context.Context, env *Env) error {
	t, err := open(ctx, env, c.Model, nil, systemgemma.OpenText)
	if err != nil {
		return err
	}
	defer t.Close()
	text, err := await(ctx, func() (string, error) { return readAll(env.Stdin, maxText) })
	if err != nil {
		return fmt.Errorf("standard input: %w", err)
	}
	ids, err := t.Tokenize(text, false)
	if err != nil {
		return err
	}
	e, err := systemgemma.DetectWatermark(systemgemma.Watermark{Keys: c.Keys, NgramLen: c.Ngram}, ids, nil)
	if err != nil {
		return usagef("watermark: %v", err)
	}
	out := watermarkJSON{len(ids), e.Positions, e.Mean, e.WeightedMean, e.Deviations()}
	if c.JSON {
		return writeJSON(env, out)
	}
	return write(env.Stdout, fmt.Sprintf("%d tokens, %d positions that count\nmean %.4f, weighted %.4f; unmarked text: 0.5\n%.1f standard deviations above unmarked text: %s\n",
		out.Tokens, out.Positions, out.Mean, out.WeightedMean, out.Deviations, verdict(e.Positions, out.Deviations)))
}

// verdict says what that means.
func verdict(positions int, deviations float64) string {
	switch {
	case positions == 0:
		return "no token counts, nothing can be said"
	case deviations >= 4:
		return "marked with these keys"
	case deviations >= 2:
		return "nothing sure; a longer text would tell"
	}
	return "no sign of a mark with these keys"
}
