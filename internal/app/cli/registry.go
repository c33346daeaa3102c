package cli

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/systemgemma/systemgemma/internal/app/hub"
	"github.com/systemgemma/systemgemma/internal/app/hub/names"
	hubsettings "github.com/systemgemma/systemgemma/internal/app/hub/settings"
	"github.com/systemgemma/systemgemma/internal/app/models"
	"github.com/systemgemma/systemgemma/internal/app/pull"
	"github.com/systemgemma/systemgemma/internal/app/registry"
	"github.com/systemgemma/systemgemma/internal/app/registry/ollamastore"
)

// newRegistry is a client of the registry of a model, by the environment.
func newRegistry(env *Env, store models.Store, n names.OllamaName, insecure bool, rate int64, t *pullTeller) (*registry.Client, error) {
	return env.registryClient(n, registry.Options{
		Insecure: insecure, Rate: rate, Report: t.fetching,
		Waiting:  func(wait time.Duration, why error) { t.notice("%v; trying again in %s", why, wait) },
		Notice:   func(text string) { t.notice("%s", text) },
		LockDir:  store.LockDir(),
		Verified: models.Verified{Store: store},
	})
}

// registryClient adds to o what the environment says.
func (e *Env) registryClient(n names.OllamaName, o registry.Options) (*registry.Client, error) {
	s, err := hubsettings.FromEnv(func(k string) (string, bool) { v := e.getenv(k); return v, v != "" }, e.getenv("HOME"))
	if err != nil {
		return nil, err
	}
	if s.Offline {
		return nil, &hub.OfflineError{What: n.String(), Variable: s.OfflineFrom}
	}
	o.Version, o.Proxies, o.Key = newVersionReport(e.Build).Version, s.Proxies, e.registryKey
	return registry.New(n, o), nil
}

// registryKey is the key by which a registry knows an account: Ollama's own.
func (e *Env) registryKey() (ed25519.PrivateKey, error) {
	home := e.getenv("HOME")
	if home == "" {
		home = e.getenv("USERPROFILE")
	}
	path := filepath.Join(home, ".ollama", "id_ed25519")
	text, err := readFile(path, 64<<10)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("want the key of an account at %s; make one by: ssh-keygen -t ed25519 -N '' -f %s, and add its public half to the account", path, path)
	}
	if err != nil {
		return nil, err
	}
	key, err := registry.ParseKey([]byte(text))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return key, nil
}

// ollamaStore is the Ollama store of this user.
func (e *Env) ollamaStore() (ollamastore.Store, error) {
	s := ollamastore.Locate(e.getenv)
	if s.Dir == "" {
		return s, errors.New("--ollama-store: want HOME or OLLAMA_MODELS to be set")
	}
	return s, nil
}

// registry pulls from a registry of Ollama.
func (c *pullCmd) registry(ctx context.Context, env *Env, store models.Store, n names.OllamaName, rate int64, t *pullTeller) error {
	switch {
	case c.KeepSource:
		return usagef("--keep-source: want a repository of a hub; what a registry gives is the model itself")
	case c.OllamaStore && c.Type != "":
		return usagef("--type: want no --ollama-store beside it, which keeps what the registry gives")
	}
	client, err := newRegistry(env, store, n, c.Insecure, rate, t)
	if err != nil {
		return err
	}
	defer client.Close()
	p := &pull.RegistryPuller{
		Client: client, Store: store, Type: c.Type, Threads: c.Threads, Progress: t.converting, Notice: func(text string) { t.notice("%s", text) },
	}
	if c.OllamaStore {
		o, err := env.ollamaStore()
		if err != nil {
			return err
		}
		p.Ollama = &o
	}
	x, err := p.Plan(ctx)
	if err != nil {
		return err
	}
	if c.JSON || x.Here { // else the plan shows them
		for _, text := range x.Settings.Notices() {
			t.notice("%s", text)
		}
	}
	if err := t.registryPlan(x); err != nil || c.DryRun {
		return err
	}
	if x.Away != nil {
		t.notice("could not ask %s (%v); using what is here", x.Registry, x.Away)
	}
	if !x.Here {
		if err := accept(ctx, env, store, x.Name, x.Licence(), c.AcceptLicense); err != nil {
			return err
		}
	}
	r, err := p.Run(ctx, x)
	if err != nil {
		return err
	}
	return t.done(r)
}

// registryPlan shows what will be done.
func (t *pullTeller) registryPlan(x *pull.RegistryPlan) error {
	if t.json {
		return t.line(struct {
			Event string `json:"event"`
			*pull.RegistryPlan
		}{"plan", x})
	}
	if t.quiet {
		return nil
	}
	var b strings.Builder
	version := ""
	if x.Digest != "" {
		version = " (" + x.Digest[:8] + ")"
	}
	field(&b, "model", "%s of %s%s", x.Model, x.Registry, version)
	if x.Here {
		field(&b, "here", "%s", homePath(t.env, x.Target))
		return write(t.env.Stderr, b.String())
	}
	field(&b, "layers", "%d, %s; %s to fetch", len(x.Files), size(x.Bytes), size(x.Fetch))
	field(&b, "makes", "%s", homePath(t.env, x.Target))
	showSettings(&b, &x.Settings)
	return write(t.env.Stderr, b.String())
}

// showSettings tells what a model carries.
func showSettings(b *strings.Builder, s *models.Settings) {
	if s.System != "" {
		field(b, "system prompt", "%s", strings.ReplaceAll(s.System, "\n", "\n"+strings.Repeat(" ", 17)))
	}
	if s.SystemMode != "" {
		field(b, "template", "system mode %s", s.SystemMode)
	}
	for _, p := range s.Parameters.List() {
		field(b, "parameter", "%s %s", p[0], p[1])
	}
	for _, a := range s.Adapters {
		field(b, "adapter", "%s", filepath.Base(a))
	}
	if n := len(s.Messages); n > 0 {
		field(b, "messages", "%d, which conversations begin with", n)
	}
	for _, n := range s.Notices() {
		field(b, "note", "%s", n)
	}
}

// putModel stores a model's file in an Ollama store.
func putModel(store ollamastore.Store, path string) (ollamastore.Layer, error) {
	f, err := os.Open(path)
	if err != nil {
		return ollamastore.Layer{}, err
	}
	defer func() { _ = f.Close() }() // only read
	return store.PutBlob(f, "")
}
