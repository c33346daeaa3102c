package cli

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/systemgemma/systemgemma"
	"github.com/systemgemma/systemgemma/internal/app/hub"
	"github.com/systemgemma/systemgemma/internal/app/hub/names"
	"github.com/systemgemma/systemgemma/internal/app/models"
	"github.com/systemgemma/systemgemma/internal/app/push"
	"github.com/systemgemma/systemgemma/internal/app/registry"
	"github.com/systemgemma/systemgemma/internal/app/registry/ollamastore"
)

// pushCmd is `systemgemma push NAME TO`.
type pushCmd struct {
	Name      string `arg:"" help:"A model of systemgemma list, a .gguf file, or a folder whose files are all pushed."`
	To        string `arg:"" help:"owner/name on the hub, or ollama://[host/]namespace/model[:tag]."`
	Private   bool   `group:"Work" help:"Make the repository private, if it is made."`
	Revision  string `placeholder:"BRANCH" group:"Work" help:"Push to this branch, which is made if need be, instead of main."`
	PR        bool   `name:"pr" group:"Work" help:"Open a pull request instead of changing the branch."`
	Message   string `placeholder:"TEXT" group:"Work" help:"What the commit says it does."`
	Card      string `placeholder:"FILE" xor:"card" group:"Work" help:"Push FILE as README.md. Default: one is made of what a file of the product's own format says, if the repository has none."`
	NoCard    bool   `xor:"card" group:"Work" help:"Push no README.md."`
	Insecure  bool   `group:"Work" help:"Ask a registry by http instead of https."`
	LimitRate string `placeholder:"SIZE" group:"Work" help:"Send at most so many bytes a second, such as 2MB."`
	DryRun    bool   `group:"Output" help:"Show what would be sent, and send nothing."`
	Quiet     bool   `short:"q" group:"Output" help:"Say nothing unless something is wrong."`
	JSON      bool   `name:"json" group:"Output" help:"Write JSON lines: plan, progress, notice, done."`
}

// Help is the end of the help text.
func (*pushCmd) Help() string {
	return `What was interrupted goes on when the same command is given again: what is there is not sent again. The hub wants a token with write access
(HF_TOKEN), a registry the key ~/.ollama/id_ed25519. docs/hub.md has more.

Examples:

  systemgemma push 2b:w4 me/gemma-2-2b-it-systemgemma --private
  systemgemma push ./folder me/model --pr --message "Better card"
  systemgemma push pirate ollama://me/pirate
`
}

// pushed is a file to be sent.
type pushed struct {
	Name  string `json:"name"`
	Bytes int64  `json:"bytes"`
}

// Run pushes.
func (c *pushCmd) Run(ctx context.Context, env *Env) error {
	rate, err := parseSize(c.LimitRate)
	if err != nil {
		return usagef("--limit-rate: %w", err)
	}
	to, err := names.Parse(c.To, nil)
	if err != nil {
		return usageError{err}
	}
	m, err := resolve(env, c.Name)
	if err != nil {
		return err
	}
	if m.path == "" || m.path == systemgemma.Mini {
		return usagef("push: the embedded model is in every program; systemgemma convert makes a file of it")
	}
	store, err := env.store()
	if err != nil {
		return err
	}
	t := &pullTeller{env: env, quiet: c.Quiet, json: c.JSON, begin: time.Now(), verb: "sending"}
	defer t.stop()
	switch {
	case to.Kind == names.Ollama:
		return c.registry(ctx, env, store, &m, to.Ollama, rate, t)
	case to.Kind != names.Hub || to.File != "" || to.Quant != "" || !strings.Contains(to.Repo, "/"):
		return usagef("push: want owner/name or ollama://..., found %s", c.To)
	case to.Revision != "" && c.Revision != "":
		return usagef("--revision: want it once, found %s too", c.To)
	case c.Insecure:
		return usagef("--insecure: want a registry, found %s; HF_ENDPOINT says how a hub is asked", c.To)
	case c.Revision == "":
		c.Revision = to.Revision
	}
	if to.Short != "" {
		return usagef("push: %s is a short name of %s, which is its owner's; want owner/name of your own", to.Short, to.Repo)
	}
	return c.hub(ctx, env, store, &m, hub.Repo{ID: to.Repo}, rate, t)
}

// hub pushes to a repository of a hub.
func (c *pushCmd) hub(ctx context.Context, env *Env, store models.Store, m *found, repo hub.Repo, rate int64, t *pullTeller) error {
	p, err := newPuller(env, store, rate, t)
	if err != nil {
		return err
	}
	defer func() { _ = p.Client.Close() }()
	carried, err := m.settings()
	if err != nil {
		return fmt.Errorf("push: %w", err)
	}
	model := &push.Model{Path: m.path, Stored: m.model, Carried: carried}
	if c.DryRun {
		ops, err := push.Files(model)
		if err != nil {
			return fmt.Errorf("push: %w", err)
		}
		return c.plan(t, repo.ID, ops)
	}
	r := push.Request{Repo: repo, Revision: c.Revision, Private: c.Private, PR: c.PR, Message: c.Message, Card: c.Card, NoCard: c.NoCard}
	commit, err := push.Push(ctx, p.Client, model, r, func(ops []hub.Operation) error { return c.plan(t, repo.ID, ops) })
	if err != nil {
		return fmt.Errorf("push: %w", err)
	}
	t.stop()
	if c.JSON {
		return t.line(struct {
			Event string `json:"event"`
			hub.Commit
		}{"done", commit})
	}
	if c.Quiet {
		return nil
	}
	at := commit.URL
	if commit.PullRequest != "" {
		at = commit.PullRequest
	}
	if commit.Unchanged {
		at += ", which has all of it already"
	}
	return write(env.Stdout, at+"\n")
}

func (c *pushCmd) plan(t *pullTeller, to string, ops []hub.Operation) error {
	var files []pushed
	for _, op := range ops {
		f := pushed{op.Path, int64(len(op.Data))}
		if info, err := os.Stat(op.File); op.File != "" && err == nil {
			f.Bytes = info.Size()
		}
		files = append(files, f)
	}
	return t.pushPlan(to, files)
}

func (t *pullTeller) pushPlan(to string, files []pushed) error {
	if t.json {
		return t.line(map[string]any{"event": "plan", "to": to, "files": files})
	}
	if t.quiet {
		return nil
	}
	var b strings.Builder
	field(&b, "to", "%s", to)
	for _, f := range files {
		field(&b, "file", "%s, %s", f.Name, size(f.Bytes))
	}
	return write(t.env.Stderr, b.String())
}

// registry pushes to a registry of Ollama.
func (c *pushCmd) registry(ctx context.Context, env *Env, store models.Store, m *found, n names.OllamaName, rate int64, t *pullTeller) error {
	if c.Private || c.Revision != "" || c.PR || c.Message != "" || c.Card != "" || c.NoCard {
		return usagef("--private, --revision, --pr, --message, --card, --no-card: want a hub, found a registry")
	}
	manifest, source, err := layers(ctx, m)
	if err != nil {
		return fmt.Errorf("push: %w", err)
	}
	var files []pushed
	for _, l := range manifest.All() {
		files = append(files, pushed{l.Kind() + " " + l.Digest.Hex()[:12], l.Size})
	}
	if err := t.pushPlan("ollama://"+n.String(), files); err != nil || c.DryRun {
		return err
	}
	client, err := newRegistry(env, store, n, c.Insecure, rate, t)
	if err != nil {
		return err
	}
	defer client.Close()
	if err := client.Push(ctx, manifest, source); err != nil {
		return fmt.Errorf("push: %w", err)
	}
	t.stop()
	if c.JSON {
		return t.line(map[string]any{"event": "done", "model": "ollama://" + n.String()})
	}
	if c.Quiet {
		return nil
	}
	return write(env.Stdout, "ollama://"+n.String()+"\n")
}

// layers are a model as a registry takes it.
func layers(ctx context.Context, m *found) (*ollamastore.Manifest, registry.Source, error) {
	if m.model != nil && m.model.Ollama != nil {
		return m.model.Ollama.Manifest, m.model.OllamaStore(), nil
	}
	carried, err := m.settings()
	if err != nil {
		return nil, nil, err
	}
	if m.mode != "" && carried.SystemMode == "" {
		carried.SystemMode = m.mode
	}
	return models.Layers(ctx, m.path, carried)
}
