package chat

import (
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kong"
	"github.com/systemgemma/systemgemma"
)

// Options say how an answer is made, on the command line, in /set and in saved chats. A nil field leaves it to the model.
type Options struct {
	Temperature       *float64 `json:"temperature,omitempty" placeholder:"T" group:"Sampling" help:"Divide the logits by T: 0 always takes the most likely token, 1 samples as the model was trained."`
	TopK              *int     `json:"top_k,omitempty" placeholder:"K" group:"Sampling" help:"Sample from the K most likely tokens. 0 is off."`
	TopP              *float64 `json:"top_p,omitempty" placeholder:"P" group:"Sampling" help:"Sample from the fewest tokens whose probabilities reach P. 1 is off."`
	MinP              *float64 `json:"min_p,omitempty" placeholder:"P" group:"Sampling" help:"Sample from tokens at least P times as likely as the best one. 0 is off."`
	RepetitionPenalty *float64 `json:"repetition_penalty,omitempty" placeholder:"R" group:"Sampling" help:"Divide the logits of tokens that occurred by R. 1 is off."`
	PresencePenalty   *float64 `json:"presence_penalty,omitempty" placeholder:"X" group:"Sampling" help:"Subtract X from the logits of tokens that occurred. 0 is off."`
	FrequencyPenalty  *float64 `json:"frequency_penalty,omitempty" placeholder:"X" group:"Sampling" help:"Subtract X from a token's logit for each time it occurred. 0 is off."`
	PenaltyWindow     *int     `json:"penalty_window,omitempty" placeholder:"N" group:"Sampling" help:"Let penalties see the last N tokens. 0 is all."`
	Seed              *uint64  `json:"seed,omitempty" placeholder:"N" group:"Sampling" help:"Random numbers to sample with: the same seed gives the same answer on every machine. 0 draws one."`
	Samplers          `embed:""`
	MaxTokens         int      `json:"max_tokens,omitempty" placeholder:"N" group:"Answer" help:"End the answer after N tokens. 0 leaves it to the model and its context."`
	MinTokens         int      `json:"min_tokens,omitempty" placeholder:"N" group:"Answer" help:"Keep end tokens away for N tokens."`
	Stop              []string `json:"stop,omitempty" sep:"none" placeholder:"TEXT" group:"Answer" help:"End the answer before TEXT. May be given several times."`
	StopIDs           []int32  `json:"stop_ids,omitempty" name:"stop-ids" placeholder:"ID" group:"Answer" help:"End the answer at these tokens, too."`
	MaxTime           float64  `json:"max_time,omitempty" placeholder:"SECONDS" group:"Answer" help:"End the answer when that long has passed. 0 is no limit."`
	IgnoreEOS         bool     `json:"ignore_eos,omitempty" name:"ignore-eos" group:"Answer" help:"Go on after the model's end tokens, until --max-tokens or the end of the context."`
	Lookup            bool     `json:"lookup,omitempty" group:"Answer" help:"Guess that the answer goes on as the prompt or the answer did after the same words, and check several guesses at a time: the same answer, sooner where it repeats much, as edits, summaries and code do."`
	ContextOverflow   string   `json:"context_overflow,omitempty" placeholder:"WHAT" group:"Answer" help:"What becomes of a conversation that is longer than the context: error (the default), or drop-oldest-turns, which leaves out the oldest questions and answers, never the system prompt, and says so."`
}

// maxSeconds bounds MaxTime: some thirty years.
const maxSeconds = 1e9

// Validate reports the first option out of range, before any model is opened.
func (o *Options) Validate() error {
	if o.MaxTokens < 0 {
		return fmt.Errorf("max tokens: want 0 or more, found %d", o.MaxTokens)
	}
	if o.MinTokens < 0 {
		return fmt.Errorf("min tokens: want 0 or more, found %d", o.MinTokens)
	}
	if !(o.MaxTime >= 0 && o.MaxTime <= maxSeconds) {
		return fmt.Errorf("max time: want 0 to %g seconds, found %g", maxSeconds, o.MaxTime)
	}
	if c := o.Context(); c != "" && c != systemgemma.ContextError && c != systemgemma.ContextDropOldest {
		return fmt.Errorf("context overflow: want %s or %s, found %q", systemgemma.ContextError, systemgemma.ContextDropOldest, o.ContextOverflow)
	}
	if slices.Contains(o.Stop, "") {
		return fmt.Errorf("stop: want a text, found an empty one")
	}
	if err := o.Samplers.add(&systemgemma.Sampling{}); err != nil {
		return err
	}
	s := o.Sampling(systemgemma.Sampling{})
	if o.Temperature == nil && s.Temperature == 0 {
		s.Temperature = 1 // what needs one, the model may have
	}
	return s.Validate()
}

// Sampling is the model's own sampling with what the options say otherwise.
func (o *Options) Sampling(s systemgemma.Sampling) systemgemma.Sampling {
	override(&s.Temperature, o.Temperature)
	override(&s.TopK, o.TopK)
	override(&s.TopP, o.TopP)
	override(&s.MinP, o.MinP)
	override(&s.RepetitionPenalty, o.RepetitionPenalty)
	override(&s.PresencePenalty, o.PresencePenalty)
	override(&s.FrequencyPenalty, o.FrequencyPenalty)
	override(&s.PenaltyWindow, o.PenaltyWindow)
	override(&s.Seed, o.Seed)
	_ = o.Samplers.add(&s) // Validate has seen errors
	return s
}

func override[T any](p *T, value *T) {
	if value != nil {
		*p = *value
	}
}

// fill takes from what a model carries where o leaves things open.
func (o *Options) fill(carried *Options) {
	fill(reflect.ValueOf(o).Elem(), reflect.ValueOf(carried).Elem())
}

// fill sets the fields of to that are zero, those of structs inside it one by one.
func fill(to, from reflect.Value) {
	for i := range to.NumField() {
		switch f := to.Field(i); {
		case f.Kind() == reflect.Struct:
			fill(f, from.Field(i))
		case f.IsZero():
			f.Set(from.Field(i))
		}
	}
}

// Generate is what the library is asked for, given the model's own sampling.
func (o *Options) Generate(defaults systemgemma.Sampling) systemgemma.GenerateOptions {
	s := o.Sampling(defaults)
	return systemgemma.GenerateOptions{
		Sampling: &s, MaxTokens: o.MaxTokens, MinTokens: o.MinTokens, Stop: o.Stop, StopIDs: o.StopIDs, IgnoreEOS: o.IgnoreEOS,
		MaxTime: time.Duration(o.MaxTime * float64(time.Second)), Lookup: o.Lookup,
	}
}

// Context is what becomes of conversations that are too long.
func (o *Options) Context() systemgemma.ContextPolicy {
	return systemgemma.ContextPolicy(o.ContextOverflow)
}

// Unused names the options that change nothing because the temperature is 0. Nothing is ignored in silence.
func (o *Options) Unused(defaults systemgemma.Sampling) []string {
	if o.Sampling(defaults).Temperature != 0 {
		return nil
	}
	var names []string
	for _, x := range []struct {
		name string
		used bool
	}{{"top-k", o.TopK != nil}, {"top-p", o.TopP != nil}, {"min-p", o.MinP != nil}, {"seed", o.Seed != nil}} {
		if x.used {
			names = append(names, x.name)
		}
	}
	names = append(names, o.Samplers.unused()...)
	if names == nil {
		return nil
	}
	return []string{strings.Join(names, ", ") + ": no effect at temperature 0, which always takes the most likely token"}
}

// SystemMode is the name of a way to render system prompts; empty leaves it to the model's files.
type SystemMode string

// systemModes are the names that the library knows (docs/design.md section 8).
var systemModes = []string{
	"auto", "systemgemma2", "merge", "merge-nl", "merge-space", "turn", "developer-turn", "exchange", "strict", "custom",
}

// Choices are all names.
func (SystemMode) Choices() []string { return slices.Clone(systemModes) }

// Validate reports an unknown name.
func (m SystemMode) Validate() error {
	if m == "" || slices.Contains(systemModes, string(m)) {
		return nil
	}
	return fmt.Errorf("want %s, found %q", strings.Join(systemModes, ", "), string(m))
}

// settings are all that /set can change.
type settings struct {
	Options    `embed:""`
	SystemMode SystemMode `json:"system_mode,omitempty" help:"How system prompts are rendered."`
}

// Validate reports the first setting out of range.
func (s *settings) Validate() error {
	if err := s.SystemMode.Validate(); err != nil {
		return fmt.Errorf("system mode: %w", err)
	}
	return s.Options.Validate()
}

// parser reads settings as the command line does, so that /set takes the same names and values.
func (s *settings) parser() (*kong.Kong, error) {
	return kong.New(s, kong.Name("/set"), kong.NoDefaultHelp(), kong.Exit(func(int) {}), kong.Writers(io.Discard, io.Discard))
}

// names are the options in the order of the fields.
func (s *settings) names() []string {
	p, err := s.parser()
	if err != nil {
		return nil
	}
	var names []string
	for _, f := range p.Model.Flags {
		names = append(names, f.Name)
	}
	return names
}

// set changes one option; s is unchanged after an error. The value "default" leaves it to the model again; a value in double
// quotes may have Go's escapes.
func (s *settings) set(name, value string) error {
	name = strings.ReplaceAll(name, "_", "-")
	if !slices.Contains(s.names(), name) {
		return fmt.Errorf("option %q: want one of %s", name, strings.Join(s.names(), ", "))
	}
	if strings.HasPrefix(value, `"`) {
		unquoted, err := strconv.Unquote(value)
		if err != nil {
			return fmt.Errorf("%s: value %s: want a closing quote, and escapes as in \"\\n\"", name, value)
		}
		value = unquoted
	}
	var one settings
	if value != "default" {
		p, err := one.parser()
		if err != nil {
			return err
		}
		if _, err := p.Parse([]string{"--" + name + "=" + value}); err != nil {
			return fmt.Errorf("%s", strings.TrimPrefix(err.Error(), "--"))
		}
	}
	merged, err := s.with(strings.ReplaceAll(name, "-", "_"), &one)
	if err != nil {
		return err
	}
	if err := merged.Validate(); err != nil {
		return err
	}
	*s = merged
	return nil
}

// with is a copy of s whose field of that JSON key is as in one.
func (s *settings) with(key string, one *settings) (merged settings, err error) {
	var fields, change map[string]json.RawMessage
	if fields, err = s.fields(); err != nil {
		return merged, err
	}
	if change, err = one.fields(); err != nil {
		return merged, err
	}
	delete(fields, key)
	if v, ok := change[key]; ok {
		fields[key] = v
	}
	data, err := json.Marshal(fields)
	if err != nil {
		return merged, err
	}
	return merged, json.Unmarshal(data, &merged)
}

// fields are the options that are set, by JSON key.
func (s *settings) fields() (map[string]json.RawMessage, error) {
	data, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	var m map[string]json.RawMessage
	return m, json.Unmarshal(data, &m)
}

// String lists all options, one a line.
func (s *settings) String() string {
	fields, err := s.fields()
	if err != nil {
		return err.Error()
	}
	var b strings.Builder
	for _, name := range s.names() {
		value := "default"
		if v, ok := fields[strings.ReplaceAll(name, "-", "_")]; ok {
			value = string(v)
		}
		fmt.Fprintf(&b, "  %-27s %s\n", name, value)
	}
	return strings.TrimSuffix(b.String(), "\n")
}
