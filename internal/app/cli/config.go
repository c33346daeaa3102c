package cli

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"

	"github.com/systemgemma/systemgemma/internal/app/cli/config"
)

// configCmd is `systemgemma config`.
type configCmd struct {
	Show configShowCmd `cmd:"" help:"Show all settings, and where each comes from."`
	Path configPathCmd `cmd:"" help:"Show the path of your settings file, whether it exists or not."`
}

// configShowCmd is `systemgemma config show`.
type configShowCmd struct {
	JSON bool `name:"json" group:"Output" help:"Write one JSON object."`
}

// Help is the end of the help text.
func (*configShowCmd) Help() string {
	return `A flag on the command line counts before a variable of the environment, that before your file, that before the system's file.
Within a file, a table named after a command counts before what stands above all tables:

  model = "/srv/models/gemma-2-2b-it.gguf"     # what commands open that name no model
  threads = 4

  [run]
  temperature = 0.7

Variables are the same names: SYSTEMGEMMA_THREADS=4. bench takes flags only.
`
}

// configReport is what config show --json writes.
type configReport struct {
	Files     []settingsFile `json:"files"`
	Settings  []setting      `json:"settings"`          // from is "default" and value "" for what nothing sets; the first that fits counts
	Variables []string       `json:"unknown_variables"` // begin with SYSTEMGEMMA_ and set nothing
}

// Run shows them.
func (c *configShowCmd) Run(env *Env) error {
	s := env.settings
	if err := s.read(); err != nil {
		return err
	}
	r := configReport{Files: list(s.files), Settings: []setting{}, Variables: list(unknownVariables(env.Environ))}
	for _, key := range settingKeys {
		rows := slices.DeleteFunc(slices.Clone(s.found), func(x setting) bool { return x.Key != key })
		if !slices.ContainsFunc(rows, func(x setting) bool { return x.Command == "" }) {
			rows = append(rows, setting{Key: key, From: "default"})
		}
		r.Settings = append(r.Settings, rows...)
	}
	if c.JSON {
		return writeJSON(env, &r)
	}
	return errors.Join(write(env.Stdout, r.String()), warn(env, r.warnings()))
}

// String is the report for people: of the values for one key, only those that count somewhere.
func (r *configReport) String() string {
	var b strings.Builder
	for i, x := range r.Settings {
		hides := func(y setting) bool { return y.Key == x.Key && (y.Command == "" || y.Command == x.Command) }
		if slices.ContainsFunc(r.Settings[:i], hides) {
			continue
		}
		name, value := x.Key, x.Value
		if x.Command != "" {
			name = x.Command + "." + x.Key
		}
		if x.From == "default" {
			value = "-"
		}
		fmt.Fprintf(&b, "%-24s %-20s %s\n", name, value, x.From)
	}
	for _, f := range r.Files {
		state := "read"
		if !f.Exists {
			state = "does not exist"
		}
		fmt.Fprintf(&b, "file %s %s\n", f.Path, state)
	}
	return b.String()
}

func (r *configReport) warnings() (w []string) {
	for _, v := range r.Variables {
		w = append(w, v+" is not known and sets nothing")
	}
	return w
}

// unknownVariables are names that look like settings and are none.
func unknownVariables(environ []string) (names []string) {
	for _, v := range environ {
		name, _, _ := strings.Cut(v, "=")
		isKey := slices.ContainsFunc(settingKeys, func(key string) bool { return variable(key) == name })
		if strings.HasPrefix(name, "SYSTEMGEMMA_") && !isKey && !slices.Contains(otherVariables, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// configPathCmd is `systemgemma config path`.
type configPathCmd struct{}

// Run shows it.
func (*configPathCmd) Run(env *Env) error {
	path := config.UserFile(runtime.GOOS, env.Getenv)
	if path == "" {
		return errors.New("config path: neither HOME nor XDG_CONFIG_HOME is set to an absolute path")
	}
	return write(env.Stdout, path+"\n")
}
