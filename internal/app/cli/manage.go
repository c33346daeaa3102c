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
	"github.com/systemgemma/systemgemma/internal/app/models"
)

// removeCmd is `systemgemma rm NAME...`.
type removeCmd struct {
	Names []string `arg:"" name:"name" help:"Models, as systemgemma list names them."`
	Yes   bool     `short:"y" help:"Do not ask."`
	JSON  bool     `name:"json" group:"Output" help:"Write the removed models as JSON."`
}

// Run removes models.
func (c *removeCmd) Run(ctx context.Context, env *Env) error {
	store, err := env.store()
	if err != nil {
		return err
	}
	var all []models.Model
	for _, name := range c.Names { // all names first: one mistyped removes nothing
		m, err := one(store, name)
		if err != nil {
			return fmt.Errorf("rm: %w", err)
		}
		all = append(all, *m)
	}
	for i := range all {
		m := &all[i]
		if !c.Yes {
			yes, err := ask(ctx, env, fmt.Sprintf("remove %s (%s, %s)?", m.ID(), size(m.Bytes), homePath(env, m.Path)))
			if err != nil {
				return err
			}
			if !yes {
				return fmt.Errorf("rm: %s is kept; --yes removes it without a question", m.ID())
			}
		}
		if err := store.Remove(ctx, m); err != nil {
			return fmt.Errorf("rm: %w", err)
		}
		if !c.JSON {
			if err := write(env.Stdout, "removed "+m.ID()+"\n"); err != nil {
				return err
			}
		}
	}
	if c.JSON {
		return writeJSON(env, all)
	}
	return nil
}

// localName is NAME or OWNER/NAME as people give it to a model of their own.
func localName(name string) (string, error) {
	if !strings.Contains(name, "/") {
		name = "local/" + name
	}
	return name, models.CheckName(name)
}

// placed is the model that was made, for --json and for people.
func placed(env *Env, store models.Store, path string, asJSON bool) error {
	m, err := store.At(path)
	if err != nil {
		return err
	}
	if asJSON {
		return writeJSON(env, m)
	}
	return write(env.Stdout, fmt.Sprintf("%s, %s: %s\n", m.ID(), size(m.Bytes), homePath(env, m.Path)))
}

// copyCmd is `systemgemma cp NAME NEW`.
type copyCmd struct {
	Name string `arg:"" help:"A model of systemgemma list."`
	New  string `arg:"" help:"Its second name: NAME or OWNER/NAME."`
	JSON bool   `name:"json" group:"Output" help:"Write the new model as JSON."`
}

// Run gives a model a second name. Both share their bytes where the file system can; removing one leaves the other.
func (c *copyCmd) Run(ctx context.Context, env *Env) error {
	store, err := env.store()
	if err != nil {
		return err
	}
	m, err := one(store, c.Name)
	if err != nil {
		return fmt.Errorf("cp: %w", err)
	}
	name, err := localName(c.New)
	if err != nil {
		return fmt.Errorf("cp: %w", err)
	}
	typ, version := m.Type, m.Commit
	if typ == "" {
		typ, version = strings.TrimSuffix(filepath.Base(m.Path), ".gguf"), models.Version("", time.Now())
	}
	o := models.Origin{Source: m.Name, Made: time.Now().UTC()}
	if m.Origin != nil {
		o = *m.Origin
	}
	to := store.Path(name, models.FileName(name, typ, version))
	carried, err := store.Settings(m)
	if err != nil {
		return fmt.Errorf("cp: %w", err)
	}
	err = keep(ctx, store, name, to, o, carried, func() error { return models.Place(ctx, m.Path, to) })
	if err != nil {
		return fmt.Errorf("cp: %w", err)
	}
	return placed(env, store, to, c.JSON)
}

// keep makes a file of the store under its model's lock, with what it carries.
func keep(ctx context.Context, store models.Store, name, to string, o models.Origin, carried *models.Settings, place func() error) error {
	unlock, err := store.Lock(ctx, name, nil)
	if err != nil {
		return err
	}
	defer unlock()
	return store.Make(ctx, to, o, *carried, place)
}

// importCmd is `systemgemma import PATH`.
type importCmd struct {
	Path string `arg:"" help:"A .gguf file, which is copied as it is, a folder with safetensors, which is converted, or a model of Ollama's store (ollama://gemma2:2b)."`
	Name string `placeholder:"NAME" help:"What to call it: NAME or OWNER/NAME. Default: the file's own name."`
	Type string `placeholder:"TYPE" help:"Convert to this kind of weights (see convert --help). Default: w8a8 for folders, none for files."`
	JSON bool   `name:"json" group:"Output" help:"Write the new model as JSON."`
}

// Run brings a model of this machine into the store. It becomes independent of the original.
func (c *importCmd) Run(ctx context.Context, env *Env) error {
	store, err := env.store()
	if err != nil {
		return err
	}
	path, err := filepath.Abs(c.Path)
	if err != nil {
		return err
	}
	carried := &models.Settings{}
	if _, err := os.Lstat(path); err != nil && strings.HasPrefix(c.Path, "ollama://") {
		m, err := one(store, c.Path)
		if err != nil {
			return fmt.Errorf("import: %w", err)
		}
		if carried, err = store.Settings(m); err != nil {
			return fmt.Errorf("import: %w", err)
		}
		path = m.Path
		if c.Name == "" {
			c.Name = filepath.Base(m.Name) + "-" + m.Type
		}
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if c.Name == "" {
		c.Name = strings.TrimSuffix(filepath.Base(path), ".gguf")
	}
	name, err := localName(c.Name)
	if err != nil {
		return fmt.Errorf("%w; --name gives it another one", err)
	}
	described, err := systemgemma.Describe(path, nil)
	if err != nil {
		return err
	}
	typ := c.Type
	if typ == "" {
		if typ = described.Metadata["systemgemma.provenance.type"]; typ == "" {
			typ = "gguf"
		}
		if info.IsDir() {
			typ = systemgemma.DefaultType
		}
	}
	to := store.Path(name, models.FileName(name, typ, models.Version("", time.Now())))
	o := models.Origin{Source: path, Made: time.Now().UTC()}
	err = keep(ctx, store, name, to, o, carried, func() error {
		if c.Type == "" && !info.IsDir() {
			return models.Copy(ctx, path, to)
		}
		p := newConvertProgress(env, c.Path)
		defer p.status.Stop()
		_, err := systemgemma.Convert(ctx, path, &systemgemma.ConvertOptions{
			Output: to, Types: []string{typ}, Progress: p.tell, Warn: func(text string) { _ = warn(env, []string{text}) },
		})
		return err
	})
	if err != nil {
		return fmt.Errorf("import: %w", err)
	}
	return placed(env, store, to, c.JSON)
}

// exportCmd is `systemgemma export NAME`.
type exportCmd struct {
	Name   string `arg:"" help:"A model of systemgemma list."`
	Output string `short:"o" placeholder:"PATH" help:"File to make, or folder to make it in. Default: the current folder, under the name it has in the store."`
	JSON   bool   `name:"json" group:"Output" help:"Write path and size as JSON."`
}

// Run copies a model out of the store, as it is.
func (c *exportCmd) Run(ctx context.Context, env *Env) error {
	store, err := env.store()
	if err != nil {
		return err
	}
	m, err := one(store, c.Name)
	if err != nil {
		return fmt.Errorf("export: %w", err)
	}
	to := c.Output
	if to == "" {
		to = "."
	}
	if info, err := os.Stat(to); err == nil && info.IsDir() {
		to = filepath.Join(to, filepath.Base(m.Path))
	}
	if err := models.Copy(ctx, m.Path, to); err != nil {
		return fmt.Errorf("export: %w", err)
	}
	if c.JSON {
		return writeJSON(env, struct {
			Path  string `json:"path"`
			Bytes int64  `json:"bytes"`
		}{to, m.Bytes})
	}
	return write(env.Stdout, fmt.Sprintf("%s, %s\n", to, size(m.Bytes)))
}

// pruneCmd is `systemgemma prune`.
type pruneCmd struct {
	DryRun bool `help:"Only show what would go."`
	Yes    bool `short:"y" help:"Do not ask."`
	JSON   bool `name:"json" group:"Output" help:"Write what was removed as JSON."`
}

// Run removes what interrupted work left in the store, and what is remembered of files that are gone.
func (c *pruneCmd) Run(ctx context.Context, env *Env) error {
	store, err := env.store()
	if err != nil {
		return err
	}
	left, err := store.Leftovers()
	if err != nil {
		return err
	}
	var total int64
	for _, l := range left {
		total += l.Bytes
		if !c.JSON {
			if err := write(env.Stdout, fmt.Sprintf("%s, %s\n", homePath(env, l.Path), size(l.Bytes))); err != nil {
				return err
			}
		}
	}
	if !c.DryRun && len(left) > 0 && !c.Yes {
		yes, err := ask(ctx, env, fmt.Sprintf("remove %d files, %s? work that they belong to begins anew", len(left), size(total)))
		if err != nil {
			return err
		}
		if !yes {
			return errors.New("prune: all is kept; --yes removes it without a question")
		}
	}
	if !c.DryRun {
		var skipped []string
		if left, skipped, err = store.Prune(ctx, left); err != nil {
			return err
		}
		for _, name := range skipped {
			if err := write(env.Stderr, name+": another process works on it; left alone\n"); err != nil {
				return err
			}
		}
	}
	if c.JSON {
		return writeJSON(env, left)
	}
	if len(left) == 0 {
		return write(env.Stdout, "nothing to remove\n")
	}
	return nil
}
