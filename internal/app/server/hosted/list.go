package hosted

import (
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/systemgemma/systemgemma"
	"github.com/systemgemma/systemgemma/internal/app/models"
)

// Entry is a model that can be asked for.
type Entry struct {
	Name    string   // by which requests name it
	Aliases []string // further names
	Path    string   // mini is its own
	Bytes   int64    // of the file; of a folder, of its tensors
	Changed time.Time
	Stored  *models.Model    // nil: not of the store
	Info    systemgemma.Info // without its tensors; Name alone where the files can't be read
	Err     error            // why they can't
}

// Running is a model that is open.
type Running struct {
	Name, Path string
	Info       systemgemma.Info
	Bytes      int64 // that it is reckoned with: weights, and keys and values
	Context    int   // tokens
	Users      int   // requests
	Opened     time.Time
	Took       time.Duration // to open
	Expires    time.Time     // when it will be closed if no request comes; zero: in use, or never
	Load       systemgemma.Load
}

// descriptions remembers what files say, by path, size and time.
var descriptions sync.Map

type version struct {
	path  string
	bytes int64
	at    time.Time
}

type description struct {
	info systemgemma.Info
	err  error
}

// describe reads the head of a model's files.
func describe(v version) (systemgemma.Info, error) {
	if d, ok := descriptions.Load(v); ok {
		return d.(description).info, d.(description).err
	}
	info, err := systemgemma.Describe(v.path, nil)
	info = brief(info)
	descriptions.Store(v, description{info, err})
	return info, err
}

// brief is info without what is long.
func brief(i systemgemma.Info) systemgemma.Info {
	i.Tensors = nil
	return i
}

// List is all models that can be asked for: those given, mini, and those of the store.
func (s *Set) List() ([]Entry, error) {
	list := []Entry{}
	byName := map[string]int{}
	add := func(e Entry) {
		if _, ok := byName[e.Name]; !ok {
			byName[e.Name] = len(list)
			list = append(list, e)
		}
	}
	for _, w := range append(s.names.served(), mini) {
		add(w.describe())
	}
	if s.opt.Store != nil {
		all, err := s.opt.Store.List()
		if err != nil {
			return nil, err
		}
		named := map[string]bool{}
		for i := range all {
			m := &all[i]
			w := what{name: m.ID(), path: m.Path, entry: m}
			if !named[m.Name] { // the newest of a name is what the bare name means
				named[m.Name] = true
				w.name = m.Name
			}
			add(w.describe())
		}
	}
	for alias, name := range s.names.others() {
		if w, err := s.names.find(name); err == nil {
			for i := range list {
				if list[i].Path == w.path {
					list[i].Aliases = append(list[i].Aliases, alias)
					slices.Sort(list[i].Aliases)
					break
				}
			}
		}
	}
	return list, nil
}

// Default is the name of the model that requests without a name mean.
func (s *Set) Default() string { return s.names.served()[0].name }

// Find is the entry of one model.
func (s *Set) Find(name string) (Entry, error) {
	w, err := s.names.find(name)
	if err != nil {
		return Entry{}, err
	}
	e := w.describe()
	e.Name = strings.TrimSuffix(w.asked, latest)
	return e, e.Err
}

func (w *what) describe() Entry {
	e := Entry{Name: w.name, Path: w.path, Stored: w.entry}
	v := version{path: w.path}
	if w.entry != nil {
		e.Bytes, e.Changed = w.entry.Bytes, w.entry.Changed
	} else {
		e.Bytes, e.Changed = fileSize(w.path)
	}
	v.bytes, v.at = e.Bytes, e.Changed
	if e.Info, e.Err = describe(v); e.Err != nil {
		e.Info.Name = w.path
	}
	if e.Bytes == 0 {
		e.Bytes = e.Info.Bytes
	}
	return e
}

// Running is the models that are open, by name.
func (s *Set) Running() []Running {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := []Running{}
	for _, m := range s.models {
		if m.m == nil || m.closing {
			continue
		}
		list = append(list, Running{
			Name: m.name, Path: m.path, Info: m.info, Bytes: m.need, Context: m.m.ContextLength(), Users: m.users, Opened: m.opened, Took: m.took,
			Expires: m.expires, Load: m.m.Load(),
		})
	}
	slices.SortFunc(list, func(a, b Running) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// Used is the bytes that open models are reckoned with.
func (s *Set) Used() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.used
}

// Store is where models are kept; nil: none.
func (s *Set) Store() *models.Store { return s.opt.Store }

// Changed tells the set that files of the store were added, removed or replaced: what is open stays as it is until it is closed.
func (s *Set) Changed() {
	s.forecast.changed()
	s.names.changed()
}

// SetAlias gives a model a further name, or takes it away if name is empty.
func (s *Set) SetAlias(alias, name string) error {
	return s.names.setAlias(alias, name)
}

// fileSize is the size and time of a file; of a folder the time only.
func fileSize(path string) (int64, time.Time) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return 0, time.Time{} // mini, or gone
	case info.IsDir():
		return 0, info.ModTime()
	}
	return info.Size(), info.ModTime()
}
