package cli

import (
	"context"
	"fmt"
	"runtime/debug"
	"strings"
	"time"

	"github.com/systemgemma/systemgemma"
	"github.com/systemgemma/systemgemma/internal/app/tune"
)

// tuneCmd is `systemgemma tune [MODEL]`.
type tuneCmd struct {
	Name   string `arg:"" optional:"" name:"model" complete:"MODEL" help:"As -m of run. Default: what run opens without a model."`
	KVType kvType `name:"kv-type" placeholder:"TYPE" group:"Model" help:"Number type of cached keys and values while measuring: f32, f16 or int8."`
	Preset preset `placeholder:"NAME" group:"Model" help:"As in run."`
	DryRun bool   `group:"Work" help:"Measure, and leave the settings alone."`
	Forget bool   `group:"Work" help:"Measure nothing: go back to the default."`
	JSON   bool   `name:"json" group:"Output" help:"Write one JSON object."`
}

// Help is the end of the help text.
func (*tuneCmd) Help() string {
	return `Measures how many threads, on which processors, and which prefill chunk answer soonest, in less than a minute; run and serve then use
what was found for this model on this machine. No bit of an answer depends on it. A choice must be better than the default in an
interval of 99.9 % over interleaved rounds, by 1 % or more; else the default stays. Large models are measured on some layers. Leave
the machine alone meanwhile.

--threads, and the setting of that name, count more than what tune found.
`
}

// tuneReport is what tune --json writes.
type tuneReport struct {
	Model string `json:"model"`
	tune.Report
	Saved bool      `json:"saved"`
	KV    []kvOffer `json:"kv_types"` // which change answers: never chosen, shown
}

// kvOffer is a number type of cached keys and values, and what a full context takes with it.
type kvOffer struct {
	Type  string `json:"type"`
	Bytes int64  `json:"bytes"`
	Used  bool   `json:"used"`
}

// Run measures, and remembers.
func (c *tuneCmd) Run(ctx context.Context, env *Env) error {
	f, err := resolve(env, c.Name)
	if err != nil {
		return err
	}
	store, err := env.store()
	if err != nil {
		return err
	}
	if c.Forget {
		text := "nothing was tuned for it\n"
		if tune.Forget(store, f.path) {
			text = "back to the default\n"
		}
		return write(env.Stdout, text)
	}
	machine, err := systemgemma.ThisMachine()
	if err != nil {
		return err
	}
	m, err := open(ctx, env, c.Name, &systemgemma.Options{KVType: string(c.KVType), Preset: systemgemma.Preset(c.Preset)}, systemgemma.Open)
	if err != nil {
		return err
	}
	defer m.Close()
	status := env.waiting("measuring")
	u := tune.Tuner{
		Now: time.Now, Context: m.ContextLength(), Progress: func(text string) { status.Set("%s", text) },
		Trials: func(layers int) (tune.Trials, error) { return m.NewTrials(layers) },
	}
	r, err := u.Run(ctx, machine)
	status.Stop()
	if err != nil {
		return fmt.Errorf("tune: %w", err)
	}
	out := tuneReport{Model: m.Info().Name, Report: r, KV: kvOffers(m)}
	if !c.DryRun {
		if err := tune.Save(store, f.path, machine, r.Choice, time.Now()); err != nil {
			return fmt.Errorf("tune: %w", err)
		}
		out.Saved = true
	}
	if c.JSON {
		return writeJSON(env, out)
	}
	return write(env.Stdout, out.String())
}

// kvOffers are the number types of keys and values.
func kvOffers(m *systemgemma.Model) (offers []kvOffer) {
	for _, t := range kvType("").Choices() {
		bytes, used := m.KVMemory(t, m.ContextLength())
		offers = append(offers, kvOffer{t, bytes, used})
	}
	return offers
}

// String is the report for people.
func (r *tuneReport) String() string {
	var b strings.Builder
	part := ""
	if r.Layers < r.AllLayers {
		part = fmt.Sprintf(", %d of %d layers", r.Layers, r.AllLayers)
	}
	fmt.Fprintf(&b, "%s: a turn of a prompt of 128 tokens and an answer of 128%s; %d rounds in %.0f s\n\n", r.Model, part, r.Rounds, r.Seconds)
	table := func(head string, list []tune.Found, what func(systemgemma.Tuning) string) {
		if len(list) == 0 {
			return
		}
		fmt.Fprintf(&b, "%-34s %9s %9s  %s\n", head, "prefill", "a token", "time, by that of the default")
		for _, f := range list {
			fmt.Fprintf(&b, "%-34s %9s %9s  %s\n", what(f.Tuning), milliseconds(f.Prefill), milliseconds(f.Decode), tuneVerdict(f))
		}
		b.WriteString("\n")
	}
	table("threads and processors", r.Cores, coresText)
	table("prefill chunk", r.Chunks, func(t systemgemma.Tuning) string { return chunkText(t.PrefillChunk) })
	fmt.Fprintf(&b, "keys and values of a full context")
	for i, k := range r.KV {
		used := ""
		if k.Used {
			used = " (now)"
		}
		fmt.Fprintf(&b, "%s %s %s%s", []string{":", ","}[min(i, 1)], k.Type, size(k.Bytes), used)
	}
	b.WriteString("; --kv-type changes them, and answers slightly\n")
	switch {
	case !r.Saved:
		b.WriteString("nothing was saved\n")
	case isDefault(r.Choice):
		b.WriteString("the default stays: nothing was better beyond doubt\n")
	default:
		fmt.Fprintf(&b, "run and serve now use: %s; systemgemma tune --forget goes back\n", tuningText(r.Choice))
	}
	return b.String()
}

func isDefault(t systemgemma.Tuning) bool {
	return t.Threads == 0 && len(t.Cores) == 0 && t.PrefillChunk == 0
}

func milliseconds(seconds float64) string {
	if seconds == 0 {
		return ""
	}
	return fmt.Sprintf("%.2f ms", 1000*seconds)
}

// tuneVerdict is how an option compares with the default.
func tuneVerdict(f tune.Found) string {
	text := fmt.Sprintf("%.3f", f.Ratio)
	if f.High > 0 {
		text += fmt.Sprintf(" [%.3f, %.3f]", f.Low, f.High)
	} else {
		text += " (too slow to be sure)"
	}
	if f.Chosen {
		text += "  chosen"
	}
	return text
}

func coresText(t systemgemma.Tuning) string {
	if t.Threads == 0 {
		return "default"
	}
	return fmt.Sprintf("%d on %s", t.Threads, rangesText(t.Cores))
}

// rangesText is processors as 0-3,8.
func rangesText(cores []int) string {
	if len(cores) == 0 {
		return "any"
	}
	var parts []string
	for i := 0; i < len(cores); {
		j := i
		for j+1 < len(cores) && cores[j+1] == cores[j]+1 {
			j++
		}
		if parts = append(parts, fmt.Sprint(cores[i])); j > i {
			parts[len(parts)-1] += fmt.Sprintf("-%d", cores[j])
		}
		i = j + 1
	}
	return strings.Join(parts, ",")
}

func chunkText(n int) string {
	if n == 0 {
		return "default"
	}
	return fmt.Sprintf("%d tokens", n)
}

// tuningText is a tuning in words.
func tuningText(t systemgemma.Tuning) string {
	var parts []string
	if t.Threads > 0 {
		parts = append(parts, fmt.Sprintf("%d threads on processors %s", t.Threads, rangesText(t.Cores)))
	}
	if t.PrefillChunk > 0 {
		parts = append(parts, fmt.Sprintf("prefill chunks of %d tokens", t.PrefillChunk))
	}
	if len(parts) == 0 {
		return "the default"
	}
	return strings.Join(parts, ", ")
}

// tuned is the profile of a model on this machine; nil: none.
func tuned(env *Env, f found) *tune.Profile {
	store, err := env.store()
	if err != nil {
		return nil
	}
	machine, err := systemgemma.ThisMachine()
	if err != nil {
		return nil
	}
	return tune.Load(store, f.path, machine)
}

// tunedOptions are options with what tune found for a model on this machine, unless they say otherwise.
func tunedOptions(env *Env, f found, o *systemgemma.Options) *systemgemma.Options {
	p := tuned(env, f)
	if p == nil {
		return o
	}
	with := *o
	if with.Threads == 0 && len(with.Cores) == 0 {
		with.Threads, with.Cores = p.Tuning.Threads, p.Tuning.Cores
	}
	if with.PrefillChunk == 0 {
		with.PrefillChunk = p.Tuning.PrefillChunk
	}
	return &with
}

// openTuned opens a model that shall answer, with tunedOptions.
func openTuned(ctx context.Context, env *Env, name string, o *systemgemma.Options) (*systemgemma.Model, error) {
	f, err := resolve(env, name)
	if err != nil {
		return nil, err
	}
	m, err := open(ctx, env, name, tunedOptions(env, f, o), systemgemma.Open)
	time.AfterFunc(time.Second, debug.FreeOSMemory) // some 20 MB that opening a large model left; a short answer does not wait for it
	return m, err
}
