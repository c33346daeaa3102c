package cli

import (
	"context"
	"fmt"

	"github.com/systemgemma/systemgemma"
)

// searchFlags ask for answers that are found in another way than token after token from one prompt.
type searchFlags struct {
	Beams          int      `name:"beams" placeholder:"N" group:"Answer" help:"Beam search: follow the N likeliest beginnings at a time, and show the likeliest answer, or with --n as many. It takes no chance."`
	LengthPenalty  *float64 `placeholder:"X" group:"Answer" help:"With --beams: answers are ordered by their log probability, divided by their length to the power X. Above 0 long ones gain. Default: 1."`
	EarlyStopping  string   `placeholder:"WHEN" group:"Answer" help:"With --beams: end with N whole answers at once (true), when none is likely to become better (false, the default), or when none can (never)."`
	GuidanceScale  *float64 `placeholder:"X" group:"Answer" help:"Classifier-free guidance: follow the prompt more than another one, the more the higher above 1. Without --negative-prompt that is the prompt's last token."`
	NegativePrompt *string  `placeholder:"TEXT" group:"Answer" help:"With --guidance-scale: steer away from what the model says with TEXT as system prompt (empty: with none), or with --raw to TEXT itself."`
	Heal           bool     `group:"Answer" help:"With --raw: take the prompt's last tokens back where others could spell more, and go on from their text."`
}

// check refuses what contradicts. n is how many answers are asked for.
func (f *searchFlags) check(c *runCmd) error {
	switch {
	case f.Beams < 0 || f.Beams > systemgemma.MaxBeams:
		return usagef("--beams: want 1 to %d, found %d", systemgemma.MaxBeams, f.Beams)
	case f.Beams == 0 && (f.LengthPenalty != nil || f.EarlyStopping != ""):
		return usagef("--length-penalty, --early-stopping: want --beams beside them")
	case f.Beams > 0 && c.N > f.Beams:
		return usagef("--n: want at most as many as --beams, %d, found %d", f.Beams, c.N)
	case f.Beams > 0 && (c.BestOf > 0 || c.Mode != "" || c.Explain > 0 || c.PromptLogprobs || f.GuidanceScale != nil || f.Heal || c.Logprobs != nil && *c.Logprobs > 0):
		return usagef("--beams: want no --best-of, --mode, --explain, --prompt-logprobs, --logprobs above 0, --guidance-scale and --heal beside it")
	case (f.Beams > 0 || f.GuidanceScale != nil) && (c.Lookup || c.Prediction != ""):
		return usagef("--lookup, --prediction: want no --beams and no --guidance-scale beside them: what goes side by side is not guessed")
	case f.NegativePrompt != nil && f.GuidanceScale == nil:
		return usagef("--negative-prompt: want --guidance-scale beside it")
	case f.NegativePrompt != nil && c.IDs != nil:
		return usagef("--negative-prompt: want no --ids beside it")
	case f.Heal && !c.Raw:
		return usagef("--heal: want --raw beside it: after a chat template there are no tokens to take back")
	}
	return nil
}

// generate adds what is asked to options.
func (f *searchFlags) generate(o *systemgemma.GenerateOptions, raw bool) {
	if o.Heal = f.Heal; f.GuidanceScale == nil {
		return
	}
	o.Guidance = &systemgemma.Guidance{Scale: *f.GuidanceScale}
	switch {
	case f.NegativePrompt == nil:
	case raw:
		o.Guidance.Negative = systemgemma.Prompt{Text: *f.NegativePrompt, Special: true}
	default:
		o.Guidance.System = f.NegativePrompt
	}
}

// search answers by beam search.
func (c *runCmd) search(ctx context.Context, env *Env, m *systemgemma.Model, r request, a *answer) error {
	o := c.options(m, r)
	if c.Temperature == nil {
		o.Sampling.Temperature = 0 // the model's own is for drawing
	}
	b := systemgemma.Beams{Beams: c.Beams, Return: c.N, LengthPenalty: c.LengthPenalty, EarlyStopping: c.EarlyStopping}
	status := env.waiting(fmt.Sprintf("searching with %d beams", c.Beams))
	var results []systemgemma.Result
	var err error
	if c.IDs != nil || c.Raw {
		results, err = m.GenerateBeams(ctx, c.bare(r), o, b)
	} else {
		results, err = m.ChatBeams(ctx, r.messages(), &systemgemma.ChatOptions{GenerateOptions: *o, Context: c.Context()}, b)
	}
	status.Stop()
	if err != nil {
		return err
	}
	return c.showAll(env, results, a, func(i int) string { return fmt.Sprintf("--- answer %d, score %.6g\n", i+1, results[i].Score) })
}
