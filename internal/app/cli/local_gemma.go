package cli

import (
	"context"
	"fmt"

	"github.com/systemgemma/systemgemma"
	"github.com/systemgemma/systemgemma/internal/app/cli/chat"
)

// localGemmaCmd is `systemgemma local-gemma`: the options of the program local-gemma, so that its commands work with one word before
// them.
type localGemmaCmd struct {
	Prompt       []string `arg:"" optional:"" name:"prompt" help:"The prompt; what is piped in follows it. Without both: a chat."`
	Model        string   `default:"9b" placeholder:"MODEL" complete:"MODEL" group:"Model" help:"2b, 9b, 27b (Gemma 2, instruction-tuned), a repository, or any model that run takes."`
	Token        string   `placeholder:"TOKEN" group:"Model" help:"Token of the hub, for a model that is pulled first. HF_TOKEN, or the token file, does not show in lists of processes."`
	Preset       string   `default:"auto" enum:"auto,exact,speed,memory,memory_extreme" group:"Model" help:"auto, exact, speed, memory or memory_extreme: as --preset of run."`
	Mode         string   `default:"chat" enum:"chat,factual,creative" group:"Sampling" help:"chat, factual or creative: as --mode of run."`
	MaxNewTokens int      `name:"max_new_tokens" placeholder:"N" group:"Answer" help:"End the answer after N tokens. Default: where the model ends it, or its context."`
	Device       string   `placeholder:"NAME" group:"Model" help:"cpu. Others are refused: this program computes on the CPU."`
	Dtype        string   `name:"dtype" placeholder:"TYPE" group:"Model" help:"float32, which is --preset exact. Others are refused: weights are computed as their file has them."`
	Silent       bool     `group:"Output" help:"Write the model's answers only."`
	Seed         *int64   `placeholder:"N" group:"Sampling" help:"Random numbers to sample with, from 1 on."`
	Benchmark    bool     `group:"Measure" help:"Measure how fast the model runs here: as the command bench."`
	systemFlags
}

// Help is the end of the help text.
func (*localGemmaCmd) Help() string {
	return `For commands of the program local-gemma (https://github.com/huggingface/local-gemma): put systemgemma before them. Each option means what
it means there, or is refused by name. What differs: the text of a mode is a system prompt, which is told on stderr, and not a part of
your first prompt; the presets memory and memory_extreme save on keys, values and context, while the type of the weights is that of the
file (pull --type w4 makes a small one); commands of a chat begin with / and not with !.

Examples:

  systemgemma local-gemma --model 2b --preset speed "What is the capital of France?"
  cat notes.txt | systemgemma local-gemma --model 2b --mode factual --max_new_tokens 200 "Summarise this."
`
}

// Run translates the options, and runs.
func (c *localGemmaCmd) Run(ctx context.Context, env *Env, i *interrupts) error {
	if err := c.check(); err != nil {
		return err
	}
	if c.Token != "" {
		getenv := env.Getenv
		with := *env
		with.Getenv = func(name string) string {
			if name == "HF_TOKEN" {
				return c.Token
			}
			return getenv(name)
		}
		env = &with
	}
	if c.Benchmark {
		return c.benchmark(ctx, env)
	}
	if !c.Silent {
		text := fmt.Sprintf("model %s, preset %s, mode %s\n", c.Model, c.Preset, c.Mode)
		if err := write(env.Stderr, text); err != nil {
			return err
		}
	}
	return c.command().Run(ctx, env, i, nil)
}

// check refuses what can't be honoured.
func (c *localGemmaCmd) check() error {
	switch {
	case c.Device != "" && c.Device != "cpu":
		return usagef("--device: want cpu, found %s: this program computes on the CPU", c.Device)
	case c.Dtype != "" && c.Dtype != "float32":
		return usagef("--dtype: want float32 (which is --preset exact), found %s: weights are computed as their file has them; systemgemma convert --type makes another file", c.Dtype)
	case c.Dtype != "" && c.Preset != "auto" && c.Preset != "exact":
		return usagef("--dtype float32: want --preset exact or none beside it, found %s", c.Preset)
	case c.MaxNewTokens < 0:
		return usagef("--max_new_tokens: want 1 or more, found %d", c.MaxNewTokens)
	case c.Seed != nil && *c.Seed < 1:
		return usagef("--seed: want 1 or more, found %d", *c.Seed)
	case c.Benchmark && (len(c.Prompt) > 0 || c.System != nil || c.SystemFile != ""):
		return usagef("--benchmark: want no prompt beside it")
	}
	if c.Dtype != "" {
		c.Preset = string(systemgemma.PresetExact)
	}
	return nil
}

// command is the same as run takes it.
func (c *localGemmaCmd) command() *runCmd {
	r := &runCmd{
		Args: c.Prompt, modelFlag: modelFlag{c.Model}, systemFlags: c.systemFlags, Options: chat.Options{MaxTokens: c.MaxNewTokens},
		detailFlags: detailFlags{Mode: c.Mode, N: 1, quiet: c.Silent}, engineFlags: engineFlags{Preset: preset(c.Preset)},
	}
	if c.Seed != nil {
		r.Seed = new(uint64(*c.Seed))
	}
	return r
}

// benchmark measures the model.
func (c *localGemmaCmd) benchmark(ctx context.Context, env *Env) error {
	if err := offerPull(ctx, env, c.Model); err != nil {
		return err
	}
	b := &benchCmd{modelFlag: modelFlag{c.Model}, Repeat: 5}
	if p := systemgemma.Preset(c.Preset); p == systemgemma.PresetExact || p == systemgemma.PresetSpeed {
		b.Preset = preset(p)
	} else if c.Preset != "auto" {
		return usagef("--benchmark: want --preset auto, exact or speed beside it, found %s: what is saved in memory is not measured", c.Preset)
	}
	return b.Run(ctx, env)
}
