package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/systemgemma/systemgemma"
	"github.com/systemgemma/systemgemma/internal/app/bundle"
	"github.com/systemgemma/systemgemma/internal/app/hub/names"
	"github.com/systemgemma/systemgemma/internal/app/models"
)

// store is the models of this machine.
func (e *Env) store() (models.Store, error) { return models.Locate(e.getenv) }

func (e *Env) getenv(name string) string {
	if e.Getenv == nil {
		return ""
	}
	return e.Getenv(name)
}

// found is what a model's name means on this machine.
type found struct {
	path   string
	mode   string        // system mode that the name asks for, "" for none
	model  *models.Model // nil: not of the store
	store  models.Store
	bundle *bundle.Bundle // nil: not inside this program
}

// notHereError is a model that could be pulled.
type notHereError struct{ name string }

func (e *notHereError) Error() string {
	return fmt.Sprintf("%s is not here; get it by: systemgemma pull %s", e.name, e.name)
}

// resolve finds a model by its name: the one inside this program, the embedded one, an existing path, which wins over a name, or
// one of the store. A bundle is made for its model: no setting replaces that.
func resolve(env *Env, name string) (found, error) {
	if name == "" || name == bundledName {
		b, err := env.bundle()
		if err != nil {
			return found{}, err
		}
		if b != nil {
			return found{path: systemgemma.SectionName(b.Path, b.Offset, b.Size), mode: b.Card.SystemMode, bundle: b}, nil
		}
	}
	if name == "" {
		s, _, err := env.settings.get(env.command, "model")
		if err != nil {
			return found{}, err
		}
		if s.Value != "" {
			f, err := resolve(env, s.Value)
			if err != nil {
				err = fmt.Errorf("%w (model comes from %s)", err, s.From)
			}
			return f, err
		}
	}
	if name == "" || name == systemgemma.Mini {
		return found{path: name}, nil
	}
	if exists(name) {
		return found{path: name}, nil
	}
	store, err := env.store()
	if err != nil {
		return found{}, fmt.Errorf("model %q: nothing of that name is here; %w", name, err)
	}
	row, isShort := names.Lookup(strings.SplitN(name, ":", 2)[0])
	all, err := store.Find(name)
	if err == nil {
		return found{path: all[0].Path, mode: row.Template, model: &all[0], store: store}, nil
	}
	if !errors.Is(err, models.ErrNotFound) {
		return found{}, fmt.Errorf("model: %w", err)
	}
	if n, parseErr := names.Parse(name, nil); isShort || parseErr == nil && (n.Kind == names.URL || n.Kind == names.Ollama || n.Kind == names.Hub && strings.Contains(n.Repo, "/") && !looksLikePath(name)) {
		return found{}, &notHereError{name}
	}
	return found{}, fmt.Errorf("model %q: want mini, a folder or a .gguf file, a model of systemgemma list, or one to pull (%s, owner/name); "+
		"nothing of that name is here (quote a prompt of several words)", name, names.ShortNames())
}

// offerPull gets a model that is not here, if there is a person who wants it.
func offerPull(ctx context.Context, env *Env, name string) error {
	_, err := resolve(env, name)
	var missing *notHereError
	if !errors.As(err, &missing) || !env.StdinTTY || !env.StderrTTY {
		return nil // opening tells
	}
	about := ""
	if row, ok := names.Lookup(missing.name); ok {
		about = fmt.Sprintf(" (%s to fetch, computed from its shape)", size(row.Bytes))
	}
	yes, err := ask(ctx, env, fmt.Sprintf("%s is not here. Pull it now%s?", missing.name, about))
	if err != nil || !yes {
		return err
	}
	return (&pullCmd{Name: missing.name}).Run(ctx, env)
}

// looksLikePath tells a mistyped file of this machine from a repository.
func looksLikePath(name string) bool {
	return strings.HasPrefix(name, ".") || strings.HasSuffix(name, ".gguf") && strings.Count(name, "/") < 2
}

// isModel tells whether the only argument of run is a model rather than a prompt.
func isModel(env *Env, arg string) bool {
	if exists(arg) || arg == systemgemma.Mini {
		return true
	}
	if b, err := env.bundle(); arg == bundledName && (b != nil || err != nil) {
		return true
	}
	if _, ok := names.Lookup(arg); ok {
		return true
	}
	if n, err := names.Parse(arg, nil); err == nil && n.Kind == names.Ollama {
		return true
	}
	store, err := env.store()
	if err != nil {
		return false
	}
	_, err = store.Find(arg)
	return err == nil || errors.As(err, new(*models.AmbiguousError))
}

// one finds exactly one model of the store.
func one(store models.Store, name string) (*models.Model, error) {
	all, err := store.Find(name)
	switch {
	case errors.Is(err, models.ErrNotFound):
		return nil, fmt.Errorf("%s is not in %s; systemgemma list shows what is", name, store.Home)
	case err != nil:
		return nil, err
	case len(all) == 1:
		return &all[0], nil
	}
	for i := range all {
		if all[i].ID() == name { // as list writes it
			return &all[i], nil
		}
	}
	return nil, models.Ambiguous(name, all)
}

// ask puts a yes-or-no question to the person at the terminal; no is the default, and the answer where there is nobody.
func ask(ctx context.Context, env *Env, question string) (bool, error) {
	if !env.StdinTTY {
		return false, nil
	}
	if err := write(env.Stderr, question+" [y/N] "); err != nil {
		return false, err
	}
	line, err := await(ctx, func() (string, error) { return readAnswer(env.Stdin) })
	if err != nil && !errors.Is(err, io.EOF) {
		return false, err
	}
	answer := strings.ToLower(strings.TrimSpace(line))
	return answer == "y" || answer == "yes", nil
}

// readAnswer takes no more from r than the line, so that what follows is left for a chat.
func readAnswer(r io.Reader) (string, error) {
	var line []byte
	for b := make([]byte, 1); len(line) < 4096; {
		n, err := r.Read(b)
		if n == 1 && b[0] == '\n' {
			return string(line), nil
		}
		line = append(line, b[:n]...)
		if err != nil {
			return string(line), err
		}
	}
	return string(line), nil
}

// homePath shortens a path below the user's home for people.
func homePath(env *Env, path string) string {
	home := env.getenv("HOME")
	if rest, ok := strings.CutPrefix(path, home+string(os.PathSeparator)); ok && home != "" {
		return "~" + string(os.PathSeparator) + rest
	}
	return path
}
