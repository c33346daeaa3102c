package cli

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/systemgemma/systemgemma"
	"github.com/systemgemma/systemgemma/internal/app/cli/chat"
)

// detailFlags ask for more than one answer, or for more than its text.
type detailFlags struct {
	Mode           string `placeholder:"NAME" group:"Sampling" help:"chat (temperature 0.7), factual (0.3, repetition penalty 1.2) or creative (1.5, min-p 0.08). What you give beside it counts more. Each brings a short system prompt, which is told on stderr, unless you give one."`
	N              int    `name:"n" default:"1" placeholder:"N" group:"Answer" help:"Give N answers, with seeds that follow each other. Their prompt is computed once."`
	BestOf         int    `name:"best-of" placeholder:"N" group:"Answer" help:"Make N answers and show the likeliest, by the mean log probability of its tokens."`
	Logprobs       *int   `name:"logprobs" placeholder:"N" group:"Output" help:"With --json: tell the log probability of each token, and the N best tokens there. 0 tells no others."`
	PromptLogprobs bool   `group:"Output" help:"With --json: tell the same of the prompt's tokens."`
	quiet          bool   `kong:"-"` // of the mode's system prompt nothing is told
	Prediction     string `placeholder:"FILE" group:"Answer" help:"A file whose text the answer is expected to resemble, as the one it edits: guesses come from there, too. Implies --lookup."`
	Explain        int    `placeholder:"N" group:"Output" help:"Show the N best candidates of each token before and after each sampler, instead of the text: as a table, or with --json."`
}

// check refuses what contradicts.
func (d *detailFlags) check(json bool) error {
	switch {
	case d.N < 1:
		return usagef("--n: want 1 or more, found %d", d.N)
	case d.BestOf < 0 || d.BestOf == 1:
		return usagef("--best-of: want 2 or more, found %d", d.BestOf)
	case d.N > 1 && d.BestOf > 0:
		return usagef("--best-of: want no --n beside it: it shows one answer")
	case (d.N > 1 || d.BestOf > 0) && d.Explain > 0:
		return usagef("--explain: want one answer, without --n and --best-of")
	case d.Logprobs != nil && !json:
		return usagef("--logprobs: want --json beside it")
	case d.PromptLogprobs && !json:
		return usagef("--prompt-logprobs: want --json beside it")
	case d.Logprobs != nil && (*d.Logprobs < 0 || *d.Logprobs > 1000):
		return usagef("--logprobs: want 0 to 1000, found %d", *d.Logprobs)
	case d.Explain < 0 || d.Explain > 1000:
		return usagef("--explain: want 0 (off) to 1000, found %d", d.Explain)
	}
	return nil
}

// apply puts the mode's values where options leave them open, and returns its system prompt.
func (d *detailFlags) apply(o *chat.Options) (system string, err error) {
	if d.Mode == "" {
		return "", nil
	}
	m, err := systemgemma.FindMode(d.Mode)
	if err != nil {
		return "", usagef("--%v", err)
	}
	for _, f := range []struct {
		to    **float64
		value float64
	}{{&o.Temperature, m.Sampling.Temperature}, {&o.MinP, m.Sampling.MinP}, {&o.RepetitionPenalty, m.Sampling.RepetitionPenalty}} {
		if *f.to == nil && f.value != 0 {
			*f.to = &f.value
		}
	}
	return m.System, nil
}

// generate adds what is asked to options.
func (d *detailFlags) generate(o *systemgemma.GenerateOptions) {
	if d.Logprobs != nil {
		o.TopLogprobs = *d.Logprobs
	}
	o.PromptLogprobs, o.Explain = d.PromptLogprobs, d.Explain
}

// several answers more than once and shows one answer after the other, or the best. With --json each is a line.
func (c *runCmd) several(ctx context.Context, env *Env, m *systemgemma.Model, r request, a *answer) error {
	n := max(c.N, c.BestOf)
	status := env.waiting(fmt.Sprintf("answering %d times", n))
	results, err := c.results(ctx, m, r, n)
	status.Stop()
	if err != nil {
		return err
	}
	if c.BestOf > 0 {
		best := systemgemma.Best(results)
		results = results[best : best+1]
	}
	return c.showAll(env, results, a, func(i int) string { return fmt.Sprintf("--- answer %d, seed %d\n", i+1, results[i].Seed) })
}

// showAll shows answers one after the other, each under a title where --n asks for several.
func (c *runCmd) showAll(env *Env, results []systemgemma.Result, a *answer, title func(i int) string) error {
	for i := range results {
		if !c.JSON {
			head := ""
			if c.N > 1 {
				head = title(i)
			}
			if err := write(env.Stdout, head+strings.TrimSuffix(results[i].Text, "\n")+"\n"); err != nil {
				return err
			}
		}
		if err := a.show(env, &results[i]); err != nil {
			return err
		}
	}
	return nil
}

// steps is how one token came about, for --explain.
type steps struct {
	ID    int32                      `json:"id"`
	Text  string                     `json:"text"`
	Steps []systemgemma.SamplingStep `json:"steps"`
}

// tellSteps writes the steps of a token as a table: a line for each step, with the number of candidates left and the best of them.
func tellSteps(b *strings.Builder, n int, e systemgemma.Event, piece func(int32) string) {
	fmt.Fprintf(b, "token %d: %s (id %d)\n", n, strconv.Quote(piece(e.ID)), e.ID)
	for _, s := range e.Steps {
		fmt.Fprintf(b, "  %-26s %6d left ", s.Name, s.Left)
		if s.Chose != nil {
			fmt.Fprintf(b, " chose %s of", strconv.Quote(piece(*s.Chose)))
		}
		for _, x := range s.Best {
			fmt.Fprintf(b, "  %s %.4f", strconv.Quote(piece(x.ID)), x.Prob)
		}
		b.WriteByte('\n')
	}
}
