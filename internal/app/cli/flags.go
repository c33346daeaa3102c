package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/systemgemma/systemgemma"
	"github.com/systemgemma/systemgemma/internal/app/cli/chat"
)

// maxTemplate and maxText bound files and standard input that are read whole, in bytes.
const (
	maxTemplate = 1 << 20
	maxText     = 64 << 20
)

// modelFlag names a model.
type modelFlag struct {
	Model string `short:"m" placeholder:"MODEL" group:"Model" help:"mini (the default: the embedded model), a name of systemgemma list, a folder, or a .gguf file."`
}

// textFlags say how text becomes a prompt.
type textFlags struct {
	SystemMode chat.SystemMode `placeholder:"MODE" group:"Prompt" help:"How system prompts are rendered: auto (what the model's files say), systemgemma2, merge, merge-nl, merge-space, turn, developer-turn, exchange, strict, or custom (--template)."`
	Template   string          `placeholder:"FILE" group:"Prompt" help:"Render with the Jinja chat template in FILE instead of the model's own."`
}

// engineFlags say how a model is computed.
type engineFlags struct {
	Threads       int    `placeholder:"N" group:"Model" help:"Threads that compute. 0 is all processors."`
	Preset        preset `placeholder:"NAME" group:"Model" help:"exact: float32 arithmetic for any file, activations are not rounded. speed: activations are rounded to bfloat16 for bfloat16 weights; other weights as without. memory: keys and values in int8, none kept for later. memory_extreme: also a context of 2,048 tokens. auto: the first of none, memory and memory_extreme that fits into this machine's memory. None changes the weights of a file."`
	ContextLength int    `placeholder:"N" group:"Model" help:"Tokens that prompt and answer may have together. 0 is what the model was trained for."`
	KVType        kvType `name:"kv-type" placeholder:"TYPE" group:"Model" help:"Number type of cached keys and values: f32, f16 (the default for quantised files) or int8."`
	Draft         string `placeholder:"MODEL" group:"Model" help:"A smaller model of the same vocabulary that guesses tokens, which the model checks several at a time: the same answer, sooner."`
	PromptCache   string `placeholder:"DIR" group:"Model" help:"Keep keys and values of prompts in DIR, so that a later run with the same beginning, as a system prompt, starts at once. The files tell the conversation; only you can read them."`
}

// preset is one of the library's presets, or empty.
type preset string

// Validate reports an unknown name.
func (p preset) Validate() error {
	if p != "" && !slices.Contains(p.Choices(), string(p)) {
		names := p.Choices()
		last := len(names) - 1
		return fmt.Errorf("want %s or %s, found %q", strings.Join(names[:last], ", "), names[last], string(p))
	}
	return nil
}

// kvType is f32, f16, int8 or empty.
type kvType string

// Validate reports an unknown name.
func (k kvType) Validate() error {
	if k != "" && !slices.Contains(k.Choices(), string(k)) {
		return fmt.Errorf("want f32, f16 or int8, found %q", string(k))
	}
	return nil
}

// systemFlags give a system prompt.
type systemFlags struct {
	System     *string `placeholder:"TEXT" xor:"system" group:"Prompt" help:"System prompt. An empty one switches off what the model itself brings."`
	SystemFile string  `placeholder:"FILE" xor:"system" group:"Prompt" help:"File that holds the system prompt, which may be empty as that of --system."`
}

// prompt is the system prompt, and whether one was given, be it an empty one. A file's last line end is no part of it.
func (f *systemFlags) prompt() (system string, given bool, err error) {
	if f.SystemFile == "" {
		if f.System == nil {
			return "", false, nil
		}
		return *f.System, true, nil
	}
	text, err := readFile(f.SystemFile, maxText)
	if err != nil {
		return "", false, fmt.Errorf("--system-file: %w", err)
	}
	return strings.TrimSuffix(strings.TrimSuffix(text, "\n"), "\r"), true, nil
}

// options collects what the library wants.
func options(t textFlags, e engineFlags) (*systemgemma.Options, error) {
	o := &systemgemma.Options{
		SystemMode: string(t.SystemMode), Threads: e.Threads, Preset: systemgemma.Preset(e.Preset),
		ContextLength: e.ContextLength, KVType: string(e.KVType), PromptCache: e.PromptCache, Draft: e.Draft,
	}
	switch {
	case e.Threads < 0:
		return nil, usagef("--threads: want 0 (all) or more, found %d", e.Threads)
	case e.ContextLength < 0:
		return nil, usagef("--context-length: want 0 (the model's own) or more, found %d", e.ContextLength)
	case t.SystemMode == "custom" && t.Template == "":
		return nil, usagef("--system-mode custom: want --template FILE beside it")
	case t.Template == "":
		return o, nil
	case t.SystemMode != "" && t.SystemMode != "custom":
		return nil, usagef("--template: want --system-mode custom or none beside it, found %s", t.SystemMode)
	}
	var err error
	if o.Template, err = readFile(t.Template, maxTemplate); err != nil {
		return nil, fmt.Errorf("--template: %w", err)
	}
	if o.Template == "" {
		return nil, fmt.Errorf("--template: %s is empty", t.Template)
	}
	return o, nil
}

// open opens the model that name means here by f, which may take long.
func open[T any](ctx context.Context, env *Env, name string, o *systemgemma.Options, f func(string, *systemgemma.Options) (T, error)) (T, error) {
	var none T
	m, err := resolve(env, name)
	if err != nil {
		return none, err
	}
	if m.mode == "" {
		carried, err := m.settings()
		if err != nil {
			return none, err
		}
		m.mode = carried.SystemMode
	}
	if m.mode != "" && (o == nil || o.SystemMode == "" && o.Template == "") {
		with := systemgemma.Options{}
		if o != nil {
			with = *o
		}
		with.SystemMode = m.mode
		o = &with
	}
	defer env.waiting("opening " + name).Stop()
	x, err := await(ctx, func() (T, error) { return f(m.path, o) })
	if err == nil && m.model != nil {
		m.store.SetUsed(m.path)
	}
	return x, err
}

// readFile reads a text file of at most limit bytes.
func readFile(path string, limit int64) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	text, err := readAll(f, limit)
	if err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	return text, nil
}

func readAll(r io.Reader, limit int64) (string, error) {
	data, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("want at most %d bytes", limit)
	}
	return string(data), err
}

// idList is ids as people write them: 2,10,20.
type idList []int32

// UnmarshalText reads ids between commas or white space.
func (l *idList) UnmarshalText(text []byte) error {
	*l = nil
	for _, f := range strings.FieldsFunc(string(text), func(r rune) bool { return r == ',' || r == ' ' || r == '\n' || r == '\t' }) {
		id, err := strconv.ParseInt(f, 10, 32)
		if err != nil || id < 0 {
			return fmt.Errorf("want ids as in 2,10,20, found %q", f)
		}
		*l = append(*l, int32(id))
	}
	if *l == nil {
		return errors.New("want ids as in 2,10,20, found none")
	}
	return nil
}
