package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/systemgemma/systemgemma"
	"github.com/systemgemma/systemgemma/internal/app/hub/names"
	"github.com/systemgemma/systemgemma/internal/app/modelfile"
	"github.com/systemgemma/systemgemma/internal/app/models"
)

// createCmd is `systemgemma create NAME`.
type createCmd struct {
	Name        string `arg:"" help:"What to call it: NAME or OWNER/NAME; with --ollama-store a name as Ollama has it."`
	File        string `short:"f" placeholder:"FILE" default:"Modelfile" help:"The Modelfile: FROM, SYSTEM, PARAMETER, TEMPLATE, ADAPTER, MESSAGE, LICENSE. Paths in it begin at its folder."`
	Force       bool   `help:"Replace a model of that name that was made today."`
	OllamaStore bool   `name:"ollama-store" group:"Output" help:"Make it in Ollama's own store."`
	JSON        bool   `name:"json" group:"Output" help:"Write the new model as JSON."`
}

// Help is the end of the help text.
func (*createCmd) Help() string {
	return `The weights are shared with the model of FROM where the file system can. docs/models.md has the commands of a Modelfile.

Examples:

  systemgemma create pirate -f Modelfile
  systemgemma run pirate "What is the capital of France?"
  systemgemma show pirate --modelfile
`
}

// Run makes a model from a Modelfile.
func (c *createCmd) Run(ctx context.Context, env *Env) error {
	text, err := readFile(c.File, modelfile.MaxBytes)
	if err != nil {
		return fmt.Errorf("create: %w", err)
	}
	f, err := modelfile.Parse(text)
	if err != nil {
		return fmt.Errorf("create: %s: %w", c.File, err)
	}
	store, err := env.store()
	if err != nil {
		return err
	}
	from, settings, err := c.source(env, store, f)
	if err != nil {
		return fmt.Errorf("create: %w", err)
	}
	if c.OllamaStore {
		return c.inOllama(env, from, settings)
	}
	name, err := localName(c.Name)
	if err != nil {
		return fmt.Errorf("create: %w", err)
	}
	described, err := systemgemma.Describe(from.path, nil)
	if err != nil {
		return fmt.Errorf("create: FROM %s: %w", f.From, err)
	}
	convert, typ := false, described.Metadata["systemgemma.provenance.type"]
	if info, err := os.Stat(from.path); from.path == systemgemma.Mini || err == nil && info.IsDir() {
		convert, typ = true, systemgemma.DefaultType
	}
	if typ == "" {
		typ = "gguf"
	}
	o := models.Origin{Source: f.From, Made: time.Now().UTC().Truncate(time.Second)}
	unlock, err := store.Lock(ctx, name, nil)
	if err != nil {
		return fmt.Errorf("create: %w", err)
	}
	defer unlock()
	old, to, err := c.place(store, name, typ)
	if err != nil {
		return fmt.Errorf("create: %w", err)
	}
	err = store.Make(ctx, to, o, *settings, func() error {
		if !convert {
			return models.Place(ctx, from.path, to)
		}
		p := newConvertProgress(env, f.From)
		defer p.status.Stop()
		_, err := systemgemma.Convert(ctx, from.path, &systemgemma.ConvertOptions{
			Output: to, Types: []string{typ}, Progress: p.tell, Warn: func(text string) { _ = warn(env, []string{text}) },
		})
		return err
	})
	if err == nil && old != nil {
		err = store.Discard(old)
	}
	if err != nil {
		return fmt.Errorf("create: %w", err)
	}
	return placed(env, store, to, c.JSON)
}

// place tells where a model of that name and type, made today, will lie, and which one it is to replace once it is whole; nil: none.
func (c *createCmd) place(store models.Store, name, typ string) (old *models.Model, to string, err error) {
	version := models.Version("", time.Now())
	to = store.Path(name, models.FileName(name, typ, version))
	old, err = store.At(to)
	switch {
	case errors.Is(err, models.ErrNotFound):
		return nil, to, nil
	case err != nil:
		return nil, "", err
	case !c.Force:
		return nil, "", fmt.Errorf("%s: %w; --force replaces it", to, models.ErrExists)
	}
	return old, store.NewPath(name, typ, version), nil
}

// source finds the model of FROM, and what the new one carries: what that carries, and what the Modelfile says otherwise.
func (c *createCmd) source(env *Env, store models.Store, f *modelfile.File) (found, *models.Settings, error) {
	dir := filepath.Dir(c.File)
	path := func(p string) string {
		if home := env.getenv("HOME"); strings.HasPrefix(p, "~/") && home != "" {
			return filepath.Join(home, p[2:])
		}
		if filepath.IsAbs(p) {
			return p
		}
		return filepath.Join(dir, p)
	}
	var from found
	if at := path(f.From); f.From != systemgemma.Mini && exists(at) {
		abs, err := filepath.Abs(at)
		if err != nil {
			return from, nil, err
		}
		from = found{path: abs, store: store}
	} else {
		var err error
		if from, err = resolve(env, f.From); err != nil {
			return from, nil, fmt.Errorf("FROM: %w", err)
		}
	}
	s := &models.Settings{}
	if from.model != nil {
		var err error
		if s, err = from.store.Settings(from.model); err != nil {
			return from, nil, err
		}
	}
	if s.SystemMode == "" {
		s.SystemMode = from.mode
	}
	s.From = f.From
	says := *f
	says.Adapters = nil
	for _, a := range f.Adapters {
		at := path(a)
		if _, err := os.Stat(at); err != nil {
			return from, nil, fmt.Errorf("ADAPTER: %w", err)
		}
		says.Adapters = append(says.Adapters, at)
	}
	if err := s.Change(&says); err != nil {
		return from, nil, err
	}
	return from, s, nil
}

// inOllama makes the model in Ollama's own store.
func (c *createCmd) inOllama(env *Env, from found, s *models.Settings) error {
	store, err := env.ollamaStore()
	if err != nil {
		return err
	}
	n, err := names.ParseOllama(c.Name)
	if err != nil {
		return usageError{err}
	}
	if info, err := os.Stat(from.path); err != nil || info.IsDir() {
		return fmt.Errorf("create: FROM %s: want a GGUF file for Ollama's store; systemgemma convert --to gguf makes one", s.From)
	}
	d, err := models.Draft(from.path, s)
	if err != nil {
		return fmt.Errorf("create: %w", err)
	}
	if d.Model, err = putModel(store, from.path); err != nil {
		return fmt.Errorf("create: %w", err)
	}
	for _, a := range s.Adapters {
		info, err := os.Stat(a)
		if err == nil && info.IsDir() {
			err = errors.New("want a GGUF file for Ollama's store")
		}
		if err != nil {
			return fmt.Errorf("create: adapter %s: %w", a, err)
		}
		l, err := putModel(store, a)
		if err != nil {
			return fmt.Errorf("create: %w", err)
		}
		d.Adapters = append(d.Adapters, l)
	}
	d.Overwrite = c.Force
	m, err := store.Create(n, *d)
	if err != nil {
		return fmt.Errorf("create: %w", err)
	}
	if c.JSON {
		return writeJSON(env, m)
	}
	return write(env.Stdout, fmt.Sprintf("ollama://%s, %s: %s\n", n, size(m.Bytes()), homePath(env, store.ManifestPath(n))))
}
