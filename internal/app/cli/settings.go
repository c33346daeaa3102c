package cli

import (
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/alecthomas/kong"
	"github.com/systemgemma/systemgemma/internal/app/cli/config"
)

// settingKeys are the flags whose defaults a file or the environment may set. What a person decides each time, as to replace a
// file, is not among them. model is what a command opens that names none.
var settingKeys = []string{
	"model", "threads", "preset", "context-length", "kv-type", "prompt-cache", "temperature", "top-k", "top-p", "min-p",
	"repetition-penalty", "presence-penalty", "frequency-penalty", "penalty-window", "seed", "max-tokens", "stats",
	"listen", "api-keys", "allow-host", "allow-origin", "keep-alive", "parallel", "queue", "kv-memory",
}

// fixed are commands that no setting changes: a measurement is what its own flags say.
var fixed = []string{"bench"}

// variable is the name of the environment variable of a key.
func variable(key string) string {
	return "SYSTEMGEMMA_" + strings.ToUpper(strings.ReplaceAll(key, "-", "_"))
}

// otherVariables begin as those of settings do and are read elsewhere, or by tests.
var otherVariables = []string{
	"SYSTEMGEMMA_KERNEL", "SYSTEMGEMMA_HOME", "SYSTEMGEMMA_API_KEY", "SYSTEMGEMMA_GOLDEN", "SYSTEMGEMMA_WANT_KERNEL", "SYSTEMGEMMA_TEST_SAMPLE", "SYSTEMGEMMA_GEMMA_TOKENIZER",
}

// setting is a value and where it comes from. Without a command it is for all that have such a flag.
type setting struct {
	Command string `json:"command,omitempty"`
	Key     string `json:"key"`
	Value   string `json:"value"`
	From    string `json:"from"` // a variable, or path:line
}

// settings are what files and the environment say, read when a command first asks.
type settings struct {
	env   *Env
	read  func() error // once
	found []setting    // the first that fits counts
	files []settingsFile
}

type settingsFile struct {
	Path   string `json:"path"`
	Exists bool   `json:"exists"`
}

// settingsError is a wrong file or variable: exit status 1, since the command line is right.
type settingsError struct{ error }

func newSettings(env *Env) *settings {
	s := &settings{env: env}
	s.read = sync.OnceValue(s.load)
	return s
}

// load reads variables, the user's file and the system's, and refuses what no flag would take.
func (s *settings) load() error {
	check, err := newChecker()
	if err != nil {
		return err
	}
	for _, key := range settingKeys {
		if value := s.env.Getenv(variable(key)); value != "" {
			if err := check.value("", key, value); err != nil {
				return settingsError{fmt.Errorf("%s: %w", variable(key), err)}
			}
			s.found = append(s.found, setting{"", key, value, variable(key)})
		}
	}
	for _, path := range s.paths() {
		entries, exists, err := config.Read(path)
		s.files = append(s.files, settingsFile{path, exists})
		if err != nil {
			return settingsError{err}
		}
		slices.SortStableFunc(entries, func(a, b config.Entry) int { return strings.Compare(b.Table, a.Table) }) // "" last: a command's own counts first
		for _, e := range entries {
			if err := check.value(e.Table, e.Key, e.Value); err != nil {
				return settingsError{fmt.Errorf("config: %s: %s: %w", e.Where(), e.Name(), err)}
			}
			s.found = append(s.found, setting{e.Table, e.Key, e.Value, e.Where()})
		}
	}
	return nil
}

// paths are the files to read: the user's counts before the system's.
func (s *settings) paths() (paths []string) {
	for _, p := range []string{config.UserFile(runtime.GOOS, s.env.Getenv), s.env.SystemConfig} {
		if p != "" {
			paths = append(paths, p)
		}
	}
	return paths
}

// get is the setting of a key for a command.
func (s *settings) get(command, key string) (x setting, found bool, err error) {
	if slices.Contains(fixed, command) || !slices.Contains(settingKeys, key) {
		return x, false, nil
	}
	if err := s.read(); err != nil {
		return x, false, err
	}
	i := slices.IndexFunc(s.found, func(x setting) bool { return x.Key == key && (x.Command == "" || x.Command == command) })
	if i < 0 {
		return x, false, nil
	}
	return s.found[i], true, nil
}

// Validate implements kong.Resolver.
func (s *settings) Validate(*kong.Application) error { return nil }

// Resolve implements kong.Resolver: it is asked for each flag that the command line does not give. model is no default of -m: a
// model that is given without -m, as the first argument of run, counts more. See open.
func (s *settings) Resolve(_ *kong.Context, parent *kong.Path, flag *kong.Flag) (any, error) {
	if parent.Command == nil || flag.Name == "model" {
		return nil, nil
	}
	x, found, err := s.get(parent.Command.Name, flag.Name)
	if !found || err != nil {
		return nil, err
	}
	return x.Value, nil
}

// blame adds to an error about a flag where its value comes from, if it is no flag of the command line.
func (s *settings) blame(command *kong.Context, err error) error {
	if err == nil || command == nil {
		return err
	}
	for _, p := range command.Path {
		if p.Resolved && p.Flag != nil && strings.Contains(strings.ReplaceAll(err.Error(), " ", "-"), p.Flag.Name) {
			if x, found, _ := s.get(command.Selected().Name, p.Flag.Name); found {
				err = fmt.Errorf("%w (%s = %s comes from %s)", err, x.Key, x.Value, x.From)
			}
		}
	}
	return err
}

// checker knows which command has which flag, in a copy of the commands.
type checker struct{ app *kong.Application }

func newChecker() (*checker, error) {
	k, err := kong.New(&commands{}, kong.Exit(func(int) {}))
	if err != nil {
		return nil, err
	}
	return &checker{k.Model}, nil
}

// value reports a key or a value that no flag takes. Without a command, one command that takes it is enough.
func (c *checker) value(command, key, value string) error {
	known := slices.ContainsFunc(c.app.Leaves(true), func(n *kong.Node) bool { return n.Name == command })
	switch {
	case slices.Contains(fixed, command):
		return fmt.Errorf("no setting changes %s; give flags", command)
	case command != "" && !known:
		return fmt.Errorf("no command is called %q; want a table named after one, such as [run]", command)
	}
	if !slices.Contains(settingKeys, key) {
		if c.flag(command, key) != nil {
			return fmt.Errorf("can't be set here; give --%s on the command line", key)
		}
		return fmt.Errorf("not known; want one of %s", strings.Join(settingKeys, ", "))
	}
	f := c.flag(command, key)
	if f == nil {
		return fmt.Errorf("%s has no flag --%s", command, key)
	}
	target := reflect.New(f.Target.Type()).Elem()
	if err := f.Parse(kong.Scan().PushTyped(value, kong.FlagValueToken), target); err != nil {
		return errors.New(strings.TrimPrefix(err.Error(), "--"+key+": "))
	}
	if v, ok := target.Interface().(interface{ Validate() error }); ok {
		return v.Validate()
	}
	return nil
}

func (c *checker) flag(command, key string) *kong.Flag {
	for _, n := range c.app.Leaves(true) {
		if (command != "" && n.Name != command) || slices.Contains(fixed, n.Name) {
			continue
		}
		for _, f := range n.Flags {
			if f.Name == key {
				return f
			}
		}
	}
	return nil
}
