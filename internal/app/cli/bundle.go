package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/systemgemma/systemgemma"
	"github.com/systemgemma/systemgemma/internal/app/bundle"
	"github.com/systemgemma/systemgemma/internal/app/cli/chat"
	"github.com/systemgemma/systemgemma/internal/app/cli/wholefile"
	"github.com/systemgemma/systemgemma/internal/app/hub/hfcache"
)

// bundledName names the model that a program carries.
const bundledName = "bundled"

// bundleCmd is `systemgemma bundle MODEL`.
type bundleCmd struct {
	Model  string `arg:"" complete:"MODEL" help:"A name of systemgemma list, or a .gguf file that this program wrote."`
	Output string `short:"o" placeholder:"FILE" group:"Output" help:"Program to make. Default: the model's name, in the current folder."`
	Binary string `placeholder:"PATH" group:"Work" help:"The systemgemma program to put the model into, of linux, darwin or windows on amd64 or arm64. Default: this one."`
	Name   string `placeholder:"NAME" group:"Model" help:"What the program calls its model. Default: the model's own name."`
	systemFlags
	SystemMode chat.SystemMode `placeholder:"MODE" group:"Prompt" help:"How the program renders system prompts (see run --help). Default: what the model says."`
	Force      bool            `group:"Output" help:"Replace an existing file."`
	JSON       bool            `name:"json" group:"Output" help:"Write one JSON object."`
}

// Help is the end of the help text.
func (*bundleCmd) Help() string {
	return `Makes one executable that has the model inside, where it is mapped and not copied: whoever has that file needs no other. Its commands
open that model when they name none; all else works as before, and -m names other models. With --system it answers with that
system prompt unless it is given another one (--system-file of an empty file: none).

Bundles for darwin and windows have never been started on the real systems by those who test this program: try them there.
Who passes a bundle on passes the model on: its terms go with it (Gemma: https://ai.google.dev/gemma/terms).

Examples:

  systemgemma bundle 2b -o assistant --system "You are terse."
  systemgemma bundle model.gguf --binary ./systemgemma_darwin_arm64 -o assistant-mac
`
}

// bundleReport is what bundle --json writes.
type bundleReport struct {
	Path       string `json:"path"`
	Bytes      int64  `json:"bytes"`
	OS         string `json:"os"`
	Arch       string `json:"arch"`
	Model      string `json:"model"`
	Offset     int64  `json:"offset"` // of the model in the file
	ModelBytes int64  `json:"model_bytes"`
	System     string `json:"system,omitempty"`
	Tried      bool   `json:"tried"` // programs for this system are started when bundles are tested
}

// Run makes the program.
func (c *bundleCmd) Run(ctx context.Context, env *Env) error {
	system, _, err := c.prompt()
	if err != nil {
		return err
	}
	m, err := resolve(env, c.Model)
	if err != nil {
		return err
	}
	path, info, err := bundleSource(c.Model, m)
	if err != nil {
		return fmt.Errorf("bundle: %w", err)
	}
	card := bundle.Card{Name: c.Name, System: system, SystemMode: string(c.SystemMode)}
	if card.Name == "" {
		card.Name = strings.TrimSuffix(filepath.Base(path), ".gguf")
		if m.model != nil {
			card.Name = m.model.ID()
		}
	}
	if card.SystemMode == "" {
		card.SystemMode = m.mode
	}
	if c.Binary == "" {
		c.Binary = env.Executable
	}
	if c.Binary == "" {
		return errors.New("bundle: this system does not tell where the program is; --binary names it")
	}
	program, err := bundle.OpenProgram(c.Binary)
	if err != nil {
		return fmt.Errorf("bundle: %w", err)
	}
	if room := program.Room(card); info.Size() > room {
		return fmt.Errorf("bundle: %w", tooLarge(program, info.Size(), room, path))
	}
	if c.Output == "" {
		c.Output = filepath.Base(path)
		c.Output = strings.TrimSuffix(c.Output, filepath.Ext(c.Output))
		if program.OS == "windows" {
			c.Output += ".exe"
		}
	}
	if err := c.checkOutput(info); err != nil {
		return fmt.Errorf("bundle: %w", err)
	}
	status := env.waiting("verifying " + c.Model)
	err = systemgemma.Verify(ctx, path, func(done, total int64) { status.Set("verifying %s: %s of %s", c.Model, size(done), size(total)) })
	status.Stop()
	if err != nil {
		return fmt.Errorf("bundle: %w", err)
	}
	status = env.waiting("writing " + c.Output)
	err = writeBundle(ctx, c.Output, program, path, info.Size(), card)
	status.Stop()
	if err != nil {
		return fmt.Errorf("bundle: %w", err)
	}
	return c.tell(env, program)
}

// bundleSource is the file of a model, which must be of our own format.
func bundleSource(name string, m found) (string, os.FileInfo, error) {
	switch {
	case m.bundle != nil:
		return "", nil, errors.New("the model of this program is in a bundle already: copy the program")
	case m.path == "" || m.path == systemgemma.Mini:
		return "", nil, errors.New("mini is in every program; systemgemma convert mini makes a file of it, which can have a system prompt (--system)")
	}
	info, err := os.Stat(m.path)
	if err != nil {
		return "", nil, err
	}
	d, err := systemgemma.Describe(m.path, nil)
	if err == nil && d.Format != systemgemma.FormatOwn {
		err = fmt.Errorf("%s: want a file that systemgemma convert made, found %s; convert it first", name, d.Format)
	}
	return m.path, info, err
}

// checkOutput keeps what is there.
func (c *bundleCmd) checkOutput(model os.FileInfo) error {
	info, err := os.Stat(c.Output)
	if err != nil {
		return nil // nothing is there, or writing will tell
	}
	binary, _ := os.Stat(c.Binary) // it was read a moment ago
	switch {
	case info.IsDir():
		return fmt.Errorf("%s is a folder; -o names a file", c.Output)
	case os.SameFile(info, model) || binary != nil && os.SameFile(info, binary):
		return fmt.Errorf("%s is what the bundle is made of; -o names another file", c.Output)
	case !c.Force:
		return fmt.Errorf("%s exists already; choose another name (--force replaces it)", c.Output)
	}
	return nil
}

func writeBundle(ctx context.Context, to string, program *bundle.Program, path string, size int64, card bundle.Card) error {
	dir := filepath.Dir(to)
	if free, err := hfcache.FreeBytes(dir); err == nil && free < size {
		return fmt.Errorf("%s: want more than %d bytes of room, found %d", dir, size, free)
	}
	model, err := os.Open(path)
	if err != nil {
		return err
	}
	defer model.Close() // only read
	return wholefile.Write(to, 0o777, func(w io.Writer) error { return program.Write(ctx, w, model, size, card) })
}

// tell says what was made, as it is found in the file.
func (c *bundleCmd) tell(env *Env, program *bundle.Program) error {
	b, err := bundle.Find(c.Output)
	if err != nil {
		return err
	}
	info, err := os.Stat(c.Output)
	if err != nil || b == nil {
		return errors.Join(fmt.Errorf("bundle: %s: want the model that was written, found none", c.Output), err)
	}
	if c.JSON {
		return writeJSON(env, bundleReport{c.Output, info.Size(), program.OS, program.Arch, b.Card.Name, b.Offset, b.Size, b.Card.System, program.Tried()})
	}
	if !program.Tried() {
		text := "note: no bundle for " + program.OS + " has ever been started on a real system by those who test this program: try it there before you pass it on\n"
		if err := write(env.Stderr, text); err != nil {
			return err
		}
	}
	return write(env.Stdout, fmt.Sprintf("%s: %s/%s, %s, with %s inside\n", c.Output, program.OS, program.Arch, size(info.Size()), b.Card.Name))
}

// tooLarge says which types of a model would fit.
func tooLarge(program *bundle.Program, bytes, room int64, path string) error {
	err := fmt.Errorf("want a model of at most %d bytes (programs of %s end before 4 GiB), found %d", room, program.OS, bytes)
	d, describeErr := systemgemma.Describe(path, nil)
	if describeErr != nil || d.Config == nil {
		return err
	}
	fit := typesThatFit(d.Config, room)
	if len(fit) == 0 {
		return fmt.Errorf("%w; no type of this model is that small", err)
	}
	return fmt.Errorf("%w; types that fit: %s (systemgemma convert --type)", err, strings.Join(fit, ", "))
}

// typesThatFit are the kinds of weights that a model of that shape has at most that many bytes with, its tokenizer included.
func typesThatFit(shape *systemgemma.Config, room int64) (fit []string) {
	config, err := json.Marshal(struct {
		ModelType string `json:"model_type"`
		*systemgemma.Config
	}{"gemma2", shape})
	if err != nil {
		return nil
	}
	const tokenizer = 16 << 20 // that of Gemma has 256,000 pieces
	for _, t := range systemgemma.WeightTypes() {
		if f, err := systemgemma.ForecastConvert(config, t); err == nil && f.WeightBytes+tokenizer <= room && !slices.Contains(fit, t) {
			fit = append(fit, t)
		}
	}
	return fit
}
