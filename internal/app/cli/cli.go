// Package cli is the command line: one file per command, over the library's public API.
//
// Results go to stdout, the rest to stderr. Commands get streams and interrupts from an Env; they read no global and exit
// nowhere. Exit status: 0 success, 1 failure, 2 wrong use, 130 interrupted (Ctrl-C), 143 terminated.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/alecthomas/kong"
	"github.com/systemgemma/systemgemma/internal/app/cli/chat"
)

// commands lists all there are, in the order of the help.
type commands struct {
	Run      runCmd      `cmd:"" help:"Answer a prompt, or chat."`
	Serve    serveCmd    `cmd:"" help:"Answer programs and browsers: OpenAI's and Ollama's APIs, and a page."`
	Tokenize tokenizeCmd `cmd:"" help:"Turn text into token ids, and back."`
	Template templateCmd `cmd:"" help:"Show the exact prompt that the model sees."`
	Score    scoreCmd    `cmd:"" help:"Tell how likely a model finds given tokens."`
	Embed    embedCmd    `cmd:"" help:"Turn texts into vectors."`
	Show     showCmd     `cmd:"" help:"Describe a model: config, tensors, tokenizer, template, provenance."`
	Doctor   doctorCmd   `cmd:"" help:"Look at this computer: CPU level, kernels, threads, memory, models."`
	Bench    benchCmd    `cmd:"" help:"Measure how fast this machine runs a model, and what bounds it."`
	Convert  convertCmd  `cmd:"" help:"Make a file of the product's own format: int8, 4 bits, floats."`
	Compare  compareCmd  `cmd:"" help:"Tell how far one model is from another: KL divergence, agreement, perplexity, tensors."`
	Pull     pullCmd     `cmd:"" help:"Get a model from a hub, and make it ready for this machine."`
	Create   createCmd   `cmd:"" help:"Make a model of another one and a Modelfile: system prompt, parameters, adapters."`
	Push     pushCmd     `cmd:"" help:"Bring a model to a hub or an Ollama registry."`
	List     listCmd     `cmd:"" help:"List the models of this machine."`
	Ps       psCmd       `cmd:"" help:"List the models that a server has open."`
	Copy     copyCmd     `cmd:"" name:"cp" help:"Give a model a second name."`
	Remove   removeCmd   `cmd:"" name:"rm" help:"Remove models."`
	Import   importCmd   `cmd:"" help:"Bring a file or folder into the store of models."`
	Export   exportCmd   `cmd:"" help:"Copy a model out of the store."`
	Prune    pruneCmd    `cmd:"" help:"Remove what interrupted work left behind."`
	Migrate  migrateCmd  `cmd:"" help:"Look whether the store's files are of the current version."`
	Tune     tuneCmd     `cmd:"" help:"Find the threads, processors and prefill chunk that are fastest here."`
	Bundle   bundleCmd   `cmd:"" help:"Make one executable of this program and a model."`
	Verify   verifyCmd   `cmd:"" help:"Compare a model with its checksums."`
	Version  versionCmd  `cmd:"" help:"Show the version of this program."`

	Watermark  watermarkCmd  `cmd:"" help:"Tell whether a text was marked by run --watermark-keys."`
	Config     configCmd     `cmd:"" help:"Show the settings that files and the environment make."`
	LocalGemma localGemmaCmd `cmd:"" name:"local-gemma" help:"Run as the program local-gemma does, with its options."`
	Completion completionCmd `cmd:"" help:"Write the completion script of a shell."`
	Man        manCmd        `cmd:"" help:"Write the manual pages."`
	Complete   completeCmd   `cmd:"" name:"__complete" hidden:"" help:"Answer a completion script."`
}

const description = "Gemma 2 with system prompts, on the machine you own."

// literal are the arguments of run after --: prompt, whatever they look like.
type literal []string

// Main runs one command line, args without the program's name, and returns the exit status.
func Main(ctx context.Context, args []string, env *Env) int {
	env = env.safe()
	env.settings = newSettings(env)
	env.bundle = sync.OnceValues(env.findBundle)
	if len(args) == 0 {
		return status(env, write(env.Stdout, overview(env)))
	}
	args = familiar(args)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var ended atomic.Pointer[os.Signal]
	interrupts := watch(env.Interrupts, func(s os.Signal) {
		ended.CompareAndSwap(nil, &s)
		cancel()
	})
	defer interrupts.close()

	var after literal
	if i := slices.Index(args, "--"); i >= 0 && args[0] == "run" { // kong takes no arguments on both sides
		args, after = args[:i], args[i+1:]
	}
	command, helped, err := parse(args, env)
	if helped {
		return 0
	}
	if err == nil {
		command.BindTo(ctx, (*context.Context)(nil))
		env.command = command.Selected().Name
		err = env.settings.blame(command, command.Run(env, interrupts, after))
	}
	if s := ended.Load(); s != nil && err != nil {
		err = errTerminated
		if *s == os.Interrupt {
			err = errInterrupted
		}
	}
	return status(env, err)
}

// familiar understands what other programs have taught people to type.
func familiar(args []string) []string {
	switch {
	case args[0] == "help":
		return append(slices.Clone(args[1:]), "--help")
	case len(args) == 1 && args[0] == "--version":
		return []string{"version"}
	}
	return args
}

// parse reads args. helped says that they asked for help, which is written.
func parse(args []string, env *Env) (command *kong.Context, helped bool, err error) {
	k, err := kong.New(&commands{}, kong.Name("systemgemma"), kong.Description(description), kong.Writers(env.Stdout, env.Stderr),
		kong.Exit(func(int) { helped = true }), kong.WithHyphenPrefixedParameters(true),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 120}), kong.ExplicitGroups(groups),
		kong.Resolvers(env.settings))
	if err != nil {
		return nil, false, err
	}
	command, err = k.Parse(args)
	if wrong := new(settingsError); errors.As(err, wrong) {
		return nil, helped, *wrong
	}
	if err != nil {
		hint := "see systemgemma --help"
		var p *kong.ParseError
		if errors.As(err, &p) && p.Context.Selected() != nil {
			hint = "see systemgemma " + p.Context.Selected().Name + " --help"
		}
		err = usageError{fmt.Errorf("%w; %s", err, hint)}
	}
	return command, helped, err
}

// groups are the headings of the flags in help texts.
var groups = []kong.Group{
	{Key: "Model", Title: "Model:"}, {Key: "Prompt", Title: "Prompt:"}, {Key: "Answer", Title: "Answer:"},
	{Key: "Format", Title: "Format of the answer (docs/structured.md): one of"},
	{Key: "Sampling", Title: "Sampling (what is not given comes from the model's files):"}, {Key: "Weights", Title: "Weights:"}, {Key: "Work", Title: "Work:"}, {Key: "Measure", Title: "Measure:"}, {Key: "Server", Title: "Server:"}, {Key: "Limits", Title: "Limits:"}, {Key: "Output", Title: "Output:"},
}

// usageError is wrong use: exit status 2.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// errInterrupted is the end by Ctrl-C, errTerminated that by SIGTERM: exit status 130 and 143, as a shell would give.
var (
	errInterrupted = errors.New("interrupted")
	errTerminated  = errors.New("terminated")
)

// status tells an error and gives its exit status.
func status(env *Env, err error) int {
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errInterrupted), errors.Is(err, chat.ErrInterrupted):
		return 130
	case errors.Is(err, errTerminated):
		return 143
	}
	text := fmt.Sprintf("systemgemma: %v\n", err)
	if h := diskHint(err); h != "" {
		text += "hint: " + h + "\n"
	}
	_ = write(env.Stderr, text) // nowhere left to tell that stderr is gone
	if errors.As(err, new(usageError)) {
		return 2
	}
	return 1
}

func write(w io.Writer, text string) error {
	_, err := io.WriteString(w, text)
	return err
}
