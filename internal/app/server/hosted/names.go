package hosted

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/systemgemma/systemgemma"
	"github.com/systemgemma/systemgemma/internal/app/hub/names"
	"github.com/systemgemma/systemgemma/internal/app/models"
	"github.com/systemgemma/systemgemma/internal/app/server/problem"
)

// what is what a name means.
type what struct {
	asked string // the name of the request
	name  string // the model's own
	path  string // for systemgemma.Open
	mode  string // system mode that the name asks for; "": none
	entry *models.Model

	carried *models.Settings // nil: what lies beside it
}

// directory knows the models that were asked for by name, and looks the others up in the store.
type directory struct {
	store *models.Store

	mu      sync.RWMutex
	given   []what            // guarded by mu; the first is what no name means
	aliases map[string]string // guarded by mu; alias -> name
	looked  map[string]looked // guarded by mu; what the store said lately, by name
}

// looked is what the store said of a name.
type looked struct {
	w  *what // nil: nothing
	at time.Time
}

// fresh is how long that counts: a model that another process pulls is seen after it at the latest.
const fresh = 2 * time.Second

// latest is the tag that Ollama's clients add to names without one.
const latest = ":latest"

func (d *directory) fill(o *Options) error {
	d.store, d.aliases = o.Store, map[string]string{}
	list := o.Models
	if len(list) == 0 {
		list = []string{""}
	}
	for _, arg := range list {
		w, err := d.locate(arg, o.Resolve)
		if err != nil {
			return err
		}
		if i := slices.IndexFunc(d.given, func(x what) bool { return x.name == w.name }); i >= 0 {
			if d.given[i].path == w.path {
				continue
			}
			return fmt.Errorf("model %q: want models of different names, found %s and %s, both called %s; give one of them a second name by cp", arg, d.given[i].path, w.path, w.name)
		}
		d.given = append(d.given, w)
	}
	for _, alias := range slices.Sorted(maps.Keys(o.Aliases)) {
		if err := d.setAlias(alias, o.Aliases[alias]); err != nil {
			return fmt.Errorf("alias %s=%s: %w", alias, o.Aliases[alias], err)
		}
	}
	return nil
}

// maxName bounds a model's name, in bytes.
const maxName = 200

// setAlias gives a model a further name, or takes it away if name is empty.
func (d *directory) setAlias(alias, name string) error {
	alias = strings.TrimSuffix(alias, latest)
	if alias == "" || len(alias) > maxName || strings.ContainsFunc(alias, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return problem.Invalid("model", "want an alias of 1 to %d characters without spaces, found %.40q", maxName, alias)
	}
	if name != "" {
		if _, err := d.find(name); err != nil {
			return err
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if delete(d.aliases, alias); name != "" {
		d.aliases[alias] = name
	}
	return nil
}

// served are those that were given.
func (d *directory) served() []what {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return slices.Clone(d.given)
}

// replaced notes that a file of the store was made in the place of another one.
func (d *directory) replaced(old string, by *models.Model) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := range d.given {
		if w := &d.given[i]; w.path == old {
			w.path, w.entry = by.Path, by
		}
	}
	d.looked = nil
}

// others are all aliases and their names.
func (d *directory) others() map[string]string {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return maps.Clone(d.aliases)
}

// locate is a model as the command line names it: also by its path, which requests can't.
func (d *directory) locate(arg string, resolve func(string) (Found, error)) (what, error) {
	if resolve != nil {
		f, err := resolve(arg)
		if f.Path == "" {
			f.Path = systemgemma.Mini
		}
		return what{name: f.Name, path: f.Path, mode: f.SystemMode, entry: f.Stored, carried: f.Carried}, err
	}
	if arg == "" || arg == systemgemma.Mini {
		return mini, nil
	}
	w, err := d.stored(arg)
	if err == nil && w == nil {
		err = fmt.Errorf("model %q: want mini or a model of the store; nothing of that name is here", arg)
	}
	if err != nil {
		return what{}, err
	}
	return *w, nil
}

var mini = what{name: systemgemma.Mini, path: systemgemma.Mini}

// stored is a model of the store; nil: none of that name.
func (d *directory) stored(name string) (*what, error) {
	if d.store == nil {
		return nil, nil
	}
	d.mu.RLock()
	had, ok := d.looked[name]
	d.mu.RUnlock()
	if ok && time.Since(had.at) < fresh {
		return had.w, nil
	}
	w, err := d.lookUp(name)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.looked) >= maxLooked || d.looked == nil {
		d.looked = map[string]looked{}
	}
	d.looked[name] = looked{w, time.Now()}
	return w, nil
}

// maxLooked bounds the names that are remembered, which requests choose.
const maxLooked = 1000

// changed forgets what the store said.
func (d *directory) changed() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.looked = nil
}

// lookUp asks the store.
func (d *directory) lookUp(name string) (*what, error) {
	all, err := d.store.Find(name)
	var ambiguous *models.AmbiguousError
	switch {
	case errors.Is(err, models.ErrNotFound):
		return nil, nil
	case errors.As(err, &ambiguous):
		return nil, problem.Invalid("model", "%v", err)
	case err != nil:
		return nil, err
	}
	w := what{name: name, path: all[0].Path, entry: &all[0]}
	if row, ok := names.Lookup(strings.SplitN(name, ":", 2)[0]); ok {
		w.mode = row.Template
	}
	return &w, nil
}

// find is a model as requests name it. "" is the first one; NAME:latest is NAME.
func (d *directory) find(name string) (what, error) {
	if len(name) > maxName {
		return what{}, problem.NoModel("model: want a name of at most %d bytes, found %d", maxName, len(name))
	}
	given := d.served()
	if name == "" {
		w := given[0]
		w.asked = w.name
		return w, nil
	}
	for _, try := range []string{name, strings.TrimSuffix(name, latest)} {
		d.mu.RLock()
		to, ok := d.aliases[try]
		d.mu.RUnlock()
		if ok {
			try = strings.TrimSuffix(to, latest)
		}
		for _, w := range append(given, mini) {
			if w.name == try {
				w.asked = name
				return w, nil
			}
		}
		w, err := d.stored(try)
		if err != nil {
			return what{}, err
		}
		if w != nil {
			found := *w
			found.asked = name
			return found, nil
		}
	}
	return what{}, problem.NoModel("model %.100q is not here; want one of those that /v1/models lists, or get it by: systemgemma pull", name)
}
