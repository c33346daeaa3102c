package cli

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/systemgemma/systemgemma"
	"github.com/systemgemma/systemgemma/internal/app/cli/chat"
	"github.com/systemgemma/systemgemma/internal/app/models"
)

// runCmd is `systemgemma run [MODEL] [PROMPT]`.
type runCmd struct {
	Args []string `arg:"" optional:"" name:"prompt" complete:"MODEL" help:"[MODEL] PROMPT: of two arguments the first is the model. With -m, or after --, all are the prompt. What is piped in follows the prompt. Without both: a chat."`
	modelFlag
	systemFlags
	textFlags
	chat.Options
	detailFlags
	searchFlags
	engineFlags
	loraFlags
	formatFlags
	Raw      bool   `group:"Prompt" help:"Continue the prompt without a chat template, after one <bos>. Control tokens written in it count."`
	IDs      idList `name:"ids" placeholder:"2,10,20" group:"Prompt" help:"Continue these token ids, as they are."`
	Forecast bool   `group:"Output" help:"Load nothing: tell memory and speed that the model will have here, and what would fit."`
	JSON     bool   `name:"json" group:"Output" help:"Write one JSON object: text, ids, prompt_ids, finish_reason, counts, seconds, seed, warnings, stop, cut; logprobs and steps where asked for."`
	Stats    bool   `group:"Output" help:"Tell load time, time to first token, speeds and peak memory on stderr."`
	Plain    bool   `group:"Output" help:"Chat line by line, without cursor control. Reads one input a line from a pipe, too."`
}

// Help is the end of the help text.
func (*runCmd) Help() string {
	return `Examples:

  systemgemma run --system "Talk like a pirate." "What is the capital of France?"
  cat notes.txt | systemgemma run -m ./gemma-2-2b-it "Summarise this."
  systemgemma run --json-schema person.json "Invent a person."
  systemgemma run -m model.gguf          # chat
  systemgemma run -- "-1 + 3 = ?"        # after --, all is prompt

In a chat /help lists commands and keys: /model (Ctrl-O) goes on with another model, /persona (Ctrl-R) uses a system prompt that was kept
by name, /panel (Ctrl-X) shows the exact prompt that the model sees. Personas are text files NAME.txt in the folder personas beside the
settings file (systemgemma config path). Chats are private: nothing of them is kept on disk unless /save is asked for.
`
}

// Run answers once, or chats.
func (c *runCmd) Run(ctx context.Context, env *Env, i *interrupts, after literal) error {
	if c.Forecast {
		return c.forecast(ctx, env, after)
	}
	r, err := c.request(ctx, env, after)
	if err != nil {
		return err
	}
	o, err := options(c.textFlags, c.engineFlags)
	if err != nil {
		return err
	}
	start := time.Now()
	if err := offerPull(ctx, env, r.model); err != nil {
		return err
	}
	carried, err := carriedBy(env, r.model)
	if err != nil {
		return err
	}
	r.given, r.carried = c.Options, carried
	if err := c.carry(env, carried, &r, o); err != nil {
		return err
	}
	if err := warnMemory(env, r.model, o); err != nil {
		return err
	}
	m, err := openTuned(ctx, env, r.model, o)
	if err != nil {
		return err
	}
	r.close = sync.OnceValue(m.Close)
	defer func() { _ = r.close() }() // nothing is lost with a model
	if err := c.checkText(m); err != nil {
		return err
	}
	if r.adapters, err = c.loraFlags.open(ctx, env, m, carried.Adapters); err != nil {
		return err
	}
	warnings := c.Unused(m.DefaultSampling())
	if p, reason := m.Preset(); reason != "" && c.Preset != "" {
		if err := write(env.Stderr, fmt.Sprintf("preset %s: %s\n", p, reason)); err != nil {
			return err
		}
	}
	if r.chat {
		return c.chat(ctx, env, i, m, r, warnings)
	}
	a := answer{command: c, hasText: m.Info().Vocabulary > 0, load: time.Since(start), warnings: warnings, piece: m.Piece}
	if c.Beams > 0 {
		return c.search(ctx, env, m, r, &a)
	}
	if c.N > 1 || c.BestOf > 0 {
		return c.several(ctx, env, m, r, &a)
	}
	return a.run(env, c.events(ctx, m, r))
}

// forecast tells what the model would take.
func (c *runCmd) forecast(ctx context.Context, env *Env, after literal) error {
	name, words, err := c.split(env, after)
	if err != nil {
		return err
	}
	if len(words) > 0 {
		return usagef("--forecast: want no prompt beside it, found %q", words[0])
	}
	o, err := options(c.textFlags, c.engineFlags)
	if err != nil {
		return err
	}
	f, err := forecast(ctx, env, name, o)
	if err != nil {
		return err
	}
	if c.JSON {
		return writeJSON(env, f)
	}
	return write(env.Stdout, f.String())
}

// request is what the arguments and standard input ask for.
type request struct {
	model, system, prompt string
	systemGiven           bool // also an empty one, which none of the model's takes the place of
	chat                  bool
	seed                  []systemgemma.Message // of the model: conversations begin with them
	adapters              []systemgemma.AdapterUse
	prediction            string // of the answer
	format                *systemgemma.Format

	given   chat.Options     // as the command line has them, without what the model brings
	carried *models.Settings // what it brings
	close   func() error     // closes the model; may be called again
}

func (c *runCmd) request(ctx context.Context, env *Env, after literal) (r request, err error) {
	if r.system, r.systemGiven, err = c.prompt(); err != nil {
		return r, err
	}
	if r.format, err = c.format(); err != nil {
		return r, err
	}
	if c.Prediction != "" {
		if r.prediction, err = readFile(c.Prediction, maxText); err != nil {
			return r, fmt.Errorf("--prediction: %w", err)
		}
	}
	if r.format != nil && c.IgnoreEOS {
		return r, usagef("--ignore-eos: want no format beside it: an answer ends where its format does")
	}
	var words []string
	if r.model, words, err = c.split(env, after); err != nil {
		return r, err
	}
	if err := c.checkUse(r.systemGiven, words); err != nil {
		return r, err
	}
	if err := c.bundledSystem(env, &r); err != nil {
		return r, err
	}
	system, err := c.detailFlags.apply(&c.Options)
	if err != nil {
		return r, err
	}
	if system != "" && !r.systemGiven && r.system == "" && !c.Raw && c.IDs == nil {
		r.system, r.systemGiven = system, true
		told := fmt.Sprintf("mode %s: the system prompt is %q\n", c.Mode, system)
		if c.quiet {
			told = ""
		}
		if err := write(env.Stderr, told); err != nil {
			return r, err
		}
	}
	r.prompt = strings.Join(words, " ")
	if c.IDs != nil {
		return r, nil
	}
	piped := ""
	if !env.StdinTTY && !c.Plain {
		if piped, err = await(ctx, func() (string, error) { return readAll(env.Stdin, maxText) }); err != nil {
			return r, fmt.Errorf("standard input: %w", err)
		}
	}
	switch {
	case len(words) == 0 && (env.StdinTTY || c.Plain):
		r.chat = true
	case r.prompt == "":
		r.prompt = piped
	case piped != "":
		r.prompt += "\n\n" + piped
	}
	if !r.chat && r.prompt == "" {
		return r, usagef("run: want a prompt as argument or on standard input, found none")
	}
	if r.model != c.Model && len(words) == 0 {
		note := fmt.Sprintf("%s is here, so it is the model; systemgemma run -- %q takes it as a prompt\n", r.model, r.model)
		err = write(env.Stderr, note)
	}
	return r, err
}

// bundledSystem takes the system prompt of the model inside this program, where no other one is given.
func (c *runCmd) bundledSystem(env *Env, r *request) error {
	if r.systemGiven || c.Raw || c.IDs != nil {
		return nil
	}
	system, err := defaultSystem(env, r.model)
	r.system = system
	return err
}

// defaultSystem is the system prompt that a model of that name comes with: that of the one inside this program; "" for none.
func defaultSystem(env *Env, model string) (string, error) {
	if model != "" && model != bundledName {
		return "", nil
	}
	b, err := env.bundle()
	if err != nil || b == nil {
		return "", err
	}
	return b.Card.System, nil
}

// split tells the model from the prompt.
func (c *runCmd) split(env *Env, after literal) (model string, words []string, err error) {
	switch n := len(c.Args); {
	case c.Model != "":
		return c.Model, append(slices.Clone(c.Args), after...), nil
	case len(after) > 0 && n == 0:
		return "", after, nil
	case len(after) > 0 && n == 1:
		return c.Args[0], after, nil
	case n == 2 && len(after) == 0:
		return c.Args[0], c.Args[1:], nil
	case n > 1:
		return "", nil, usagef("run: want PROMPT or MODEL PROMPT, found %d arguments; quote a prompt of several words", n+len(after))
	case n == 1 && isModel(env, c.Args[0]):
		return c.Args[0], nil, nil
	}
	return "", c.Args, nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// checkUse refuses options that would be ignored.
func (c *runCmd) checkUse(system bool, words []string) error {
	bare := c.Raw || c.IDs != nil
	if err := c.detailFlags.check(c.JSON); err != nil {
		return err
	}
	if err := c.searchFlags.check(c); err != nil {
		return err
	}
	switch {
	case c.IDs != nil && len(words) > 0:
		return usagef("--ids: want no prompt beside it, found %q", words[0])
	case c.IDs != nil && c.Raw:
		return usagef("--ids: want no --raw beside it: ids are raw already")
	case bare && system:
		return usagef("--system: want no --raw and no --ids beside it: they use no chat template")
	case bare && (c.SystemMode != "" || c.Template != ""):
		return usagef("--system-mode, --template: want no --raw and no --ids beside them: they use no chat template")
	case bare && c.ContextOverflow != "":
		return usagef("--context-overflow: want no --raw and no --ids beside it: they are no conversation")
	case c.Plain && (c.JSON || bare || len(words) > 0):
		return usagef("--plain: want a chat, without prompt, --json, --raw and --ids")
	}
	return nil
}

// checkText refuses what needs a tokenizer when the model has none.
func (c *runCmd) checkText(m *systemgemma.Model) error {
	if m.Info().Vocabulary == 0 && (c.IDs == nil || !c.JSON) {
		return fmt.Errorf("%s: %w; give the prompt by --ids and take the answer by --json", m.Info().Name, systemgemma.ErrNoTokenizer)
	}
	return nil
}

// options are those of one answer.
func (c *runCmd) options(m *systemgemma.Model, r request) *systemgemma.GenerateOptions {
	o := c.Generate(m.DefaultSampling())
	o.Adapters, o.Format, o.Prediction = r.adapters, r.format, r.prediction
	c.detailFlags.generate(&o)
	c.searchFlags.generate(&o, c.Raw)
	return &o
}

// messages are the conversation that is to be answered.
func (r *request) messages() []systemgemma.Message {
	var messages []systemgemma.Message
	if r.system != "" {
		messages = append(messages, systemgemma.Message{Role: "system", Content: r.system})
	}
	return append(append(messages, r.seed...), systemgemma.Message{Role: "user", Content: r.prompt})
}

// bare is the prompt when no template is used.
func (c *runCmd) bare(r request) systemgemma.Prompt {
	return systemgemma.Prompt{IDs: c.IDs, Text: r.prompt, Special: true}
}

// events starts the answer.
func (c *runCmd) events(ctx context.Context, m *systemgemma.Model, r request) iter.Seq2[systemgemma.Event, error] {
	o := c.options(m, r)
	o.Progress = true
	if c.IDs != nil || c.Raw {
		return m.Generate(ctx, c.bare(r), o)
	}
	return m.Chat(ctx, r.messages(), &systemgemma.ChatOptions{GenerateOptions: *o, Context: c.Context()})
}

// results are n answers.
func (c *runCmd) results(ctx context.Context, m *systemgemma.Model, r request, n int) ([]systemgemma.Result, error) {
	if c.IDs != nil || c.Raw {
		return m.GenerateN(ctx, c.bare(r), c.options(m, r), n)
	}
	return m.ChatN(ctx, r.messages(), &systemgemma.ChatOptions{GenerateOptions: *c.options(m, r), Context: c.Context()}, n)
}

// chat runs a conversation until the user leaves it.
func (c *runCmd) chat(ctx context.Context, env *Env, i *interrupts, m *systemgemma.Model, r request, warnings []string) (err error) {
	if c.JSON || c.Raw {
		return usagef("--json, --raw: want a prompt; a chat has none")
	}
	if c.N > 1 || c.BestOf > 0 || c.Explain > 0 || c.Beams > 0 || c.GuidanceScale != nil || c.Prediction != "" {
		return usagef("--n, --best-of, --explain, --beams, --guidance-scale, --prediction: want a prompt; a chat has none")
	}
	if err := warn(env, warnings); err != nil {
		return err
	}
	shelf := newShelf(env, c, r.model)
	begin := chat.Config{
		Name: shelf.first.Name, SystemGiven: r.systemGiven, Carried: forChat(r.carried), SystemMode: c.SystemMode, Options: r.given, Stats: c.Stats,
		Adapters: r.adapters, Format: r.format, Models: shelf, Close: r.close,
	}
	if r.systemGiven {
		begin.System = r.system
	} else {
		begin.Carried.System = r.system // also that of the model inside this program
	}
	if folder := personas(env); folder != "" {
		begin.Personas = folder
	}
	s := chat.New(m, begin)
	defer func() { err = errors.Join(err, s.Close()) }()
	stop := make(chan struct{}, 1)
	defer i.take(func() {
		select {
		case stop <- struct{}{}:
		default: // one is waiting already
		}
	})()
	if env.StdinTTY && env.screen != nil && !c.Plain && env.Getenv("TERM") != "dumb" {
		return chat.Screen(ctx, s, env.Stdin, env.screen, env.Environ, stop)
	}
	return chat.Plain(ctx, s, chat.Streams{In: env.Stdin, Out: env.Stdout, Err: env.Stderr, Status: env.status, Prompt: env.StdinTTY, Interrupts: stop})
}

// warn tells warnings on stderr.
func warn(env *Env, warnings []string) error {
	var errs []error
	for _, w := range warnings {
		errs = append(errs, write(env.Stderr, "warning: "+w+"\n"))
	}
	return errors.Join(errs...)
}
