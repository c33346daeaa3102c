package cli

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/systemgemma/systemgemma"
	"github.com/systemgemma/systemgemma/internal/app/models"
)

// listCmd is `systemgemma list`.
type listCmd struct {
	Name string `arg:"" optional:"" help:"Only what this name means."`
	JSON bool   `name:"json" group:"Output" help:"Write one JSON list with all that is known."`
}

// Run lists the models of this machine.
func (c *listCmd) Run(env *Env) error {
	store, err := env.store()
	if err != nil {
		return err
	}
	var all []models.Model
	if c.Name != "" {
		all, err = store.Find(c.Name)
	} else {
		all, err = store.List()
	}
	if err != nil {
		return err
	}
	store.Look(all)
	if c.JSON {
		return writeJSON(env, all)
	}
	if len(all) == 0 {
		return write(env.Stderr, fmt.Sprintf("no models in %s yet; systemgemma pull 2b gets one\n", homePath(env, store.Home)))
	}
	return write(env.Stdout, modelTable(all, time.Now()))
}

func modelTable(all []models.Model, now time.Time) string {
	rows := [][]string{{"MODEL", "SIZE", "SYSTEM MODE", "QUALITY", "LAST USED", "FROM"}}
	for _, m := range all {
		from := ""
		if m.Origin != nil {
			from = m.Origin.Source
		}
		if m.ReadOnly {
			from = strings.TrimSpace(from + " (system)")
		}
		rows = append(rows, []string{m.ID(), size(m.Bytes), cmp.Or(m.SystemMode, "?"), grade(m.Quality), ago(m.Used, now), from})
	}
	return table(rows, 1)
}

// grade is a report on quality in a few characters: how far the file is from its source.
func grade(d *systemgemma.Divergence) string {
	if d == nil {
		return "-"
	}
	return fmt.Sprintf("KL %.3g", d.KL)
}

// ago is a time in the past for people.
func ago(t, now time.Time) string {
	d := now.Sub(t)
	switch {
	case t.IsZero():
		return "never"
	case d < time.Minute:
		return "now"
	case d < time.Hour:
		return fmt.Sprintf("%d min ago", d/time.Minute)
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h ago", d/time.Hour)
	}
	return fmt.Sprintf("%d days ago", d/(24*time.Hour))
}

// overview is what systemgemma says without arguments: what is here, what is missing, what to do next.
func overview(env *Env) string {
	var b strings.Builder
	b.WriteString(description + "\n\nHere:\n")
	inside, insideErr := env.bundle()
	if inside != nil {
		fmt.Fprintf(&b, "  %s, %s: inside this program, and what its commands open\n", inside.Card.Name, size(inside.Size))
	}
	b.WriteString("  mini, embedded: tiny, obeys system prompts, knows little\n")
	store, err := env.store()
	var all []models.Model
	if err == nil {
		all, err = store.List()
	}
	next := "pull 2b"
	why := "get Gemma 2 with 2 billion parameters, made ready for this machine"
	for i, m := range all {
		if i == 5 {
			fmt.Fprintf(&b, "  and %d more: systemgemma list\n", len(all)-i)
			break
		}
		fmt.Fprintf(&b, "  %s, %s\n", m.ID(), size(m.Bytes))
	}
	switch {
	case insideErr != nil:
		fmt.Fprintf(&b, "Missing: %v\n", insideErr)
	case inside != nil:
		next, why = "run", "chat with the model inside; /help there lists its commands"
	case err != nil:
		fmt.Fprintf(&b, "Missing: %v\n", err)
	case len(all) == 0:
		fmt.Fprintf(&b, "Missing: a model that knows things; %s is empty\n", homePath(env, store.Home))
	default:
		next, why = "run "+all[0].ID(), "chat with it; /help there lists its commands"
	}
	fmt.Fprintf(&b, "\nNext:\n  systemgemma %s\n      %s\n", next, why)
	b.WriteString(`
Try:
  systemgemma run --system "Talk like a pirate." "What is the capital of France?"
  systemgemma doctor            # this computer, its models, the hub
  systemgemma --help            # all commands
`)
	return b.String()
}
