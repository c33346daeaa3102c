package cli

import (
	"fmt"
	"strings"

	"github.com/systemgemma/systemgemma"
	"github.com/systemgemma/systemgemma/internal/app/models"
)

// migrateCmd is `systemgemma migrate`.
type migrateCmd struct {
	JSON bool `name:"json" group:"Output" help:"Write one JSON object."`
}

// Help is the end of the help text.
func (*migrateCmd) Help() string {
	return `Looks at the version of each file of the store. There is one version so far, so nothing is ever rewritten; files that a newer program
made are named, since this one refuses them.
`
}

// formatReport is what is known of the versions of the store's files.
type formatReport struct {
	Version int      `json:"version"` // that this program writes and reads
	Files   int      `json:"files"`   // of our own format
	Newer   []string `json:"newer"`   // models whose file a newer program made
	Unread  []string `json:"unread"`  // files that could not be read, and why
}

// lookAtFormats reads the beginnings of the files.
func lookAtFormats(all []models.Model) formatReport {
	r := formatReport{Version: systemgemma.FormatVersion, Newer: []string{}, Unread: []string{}}
	for _, m := range all {
		switch v, err := systemgemma.FileVersion(m.Path); {
		case err != nil:
			r.Unread = append(r.Unread, err.Error())
		case v > r.Version:
			r.Newer = append(r.Newer, fmt.Sprintf("%s (version %d)", m.ID(), v))
		case v > 0:
			r.Files++
		}
	}
	return r
}

// String is the report in a line.
func (r *formatReport) String() string {
	text := fmt.Sprintf("version %d, all current: %d files", r.Version, r.Files)
	if len(r.Newer) > 0 {
		text = fmt.Sprintf("version %d: %d files current; a newer program made %s: update this one, or pull them again", r.Version, r.Files, strings.Join(r.Newer, ", "))
	}
	return text
}

// Run looks; with files that this program can't read it fails.
func (c *migrateCmd) Run(env *Env) error {
	store, err := env.store()
	if err != nil {
		return err
	}
	all, err := store.List()
	if err != nil {
		return err
	}
	r := lookAtFormats(all)
	if c.JSON {
		err = writeJSON(env, r)
	} else {
		err = write(env.Stdout, r.String()+"\n")
	}
	if err == nil && len(r.Newer)+len(r.Unread) > 0 {
		err = fmt.Errorf("migrate: %s", strings.Join(append(r.Newer, r.Unread...), "; "))
	}
	return err
}
