package cli

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"

	"github.com/alecthomas/kong"
	"github.com/systemgemma/systemgemma/internal/app/cli/man"
	"github.com/systemgemma/systemgemma/internal/app/cli/wholefile"
)

// manCmd is `systemgemma man [DIR]`.
type manCmd struct {
	Dir string `arg:"" optional:"" complete:"DIR" help:"Existing folder to write all pages to: systemgemma.1, systemgemma-run.1 ... Without it, the first goes to standard output."`
}

// Help is the end of the help text.
func (*manCmd) Help() string {
	return `Examples:

  systemgemma man | man -l -
  systemgemma man ~/.local/share/man/man1      # then: man systemgemma-run
`
}

// Run writes the pages.
func (c *manCmd) Run(env *Env, k *kong.Kong) error {
	v := newVersionReport(env.Build)
	pages := man.Pages(k.Model, man.Source{Version: "systemgemma " + v.Version, Date: buildDate(env.Build)})
	if c.Dir == "" {
		return write(env.Stdout, pages[0].Text)
	}
	if info, err := os.Stat(c.Dir); err != nil || !info.IsDir() {
		return fmt.Errorf("man: want an existing folder, found %q; mkdir -p makes one", c.Dir)
	}
	for _, p := range pages {
		if err := wholefile.Write(filepath.Join(c.Dir, p.Name), 0o644, func(w io.Writer) error { return write(w, p.Text) }); err != nil {
			return fmt.Errorf("man: %w", err)
		}
	}
	return write(env.Stderr, fmt.Sprintf("%d pages written to %s\n", len(pages), c.Dir))
}

// buildDate is the day of the source's commit, if the builder recorded it.
func buildDate(build *debug.BuildInfo) string {
	if build == nil {
		return ""
	}
	for _, s := range build.Settings {
		if s.Key == "vcs.time" {
			day, _, _ := strings.Cut(s.Value, "T")
			return day
		}
	}
	return ""
}
