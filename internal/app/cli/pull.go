package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/systemgemma/systemgemma"
	"github.com/systemgemma/systemgemma/internal/app/cli/terminal"
	"github.com/systemgemma/systemgemma/internal/app/hub"
	"github.com/systemgemma/systemgemma/internal/app/hub/download"
	"github.com/systemgemma/systemgemma/internal/app/hub/names"
	hubsettings "github.com/systemgemma/systemgemma/internal/app/hub/settings"
	"github.com/systemgemma/systemgemma/internal/app/models"
	"github.com/systemgemma/systemgemma/internal/app/pull"
)

// pullCmd is `systemgemma pull NAME`.
type pullCmd struct {
	Name          string `arg:"" help:"A short name (2b, 9b, 27b, with -pt for pre-trained ones), owner/name, owner/name@revision, owner/name/file.gguf, owner/name:Q8_0, ollama://[host/][namespace/]model[:tag], or the address of a .gguf file."`
	Type          string `placeholder:"TYPE" group:"Weights" help:"Kind of weights to convert to (see convert --help), or source: convert nothing. Default: w8a8 for safetensors; GGUF files stay as they are."`
	KeepSource    bool   `group:"Weights" help:"Fetch the safetensors into the hub's cache and keep them there, with a quality report; else they are converted while they come."`
	AcceptLicense bool   `name:"accept-license" help:"Accept the model's terms without a question. Read them first: https://ai.google.dev/gemma/terms"`
	OllamaStore   bool   `name:"ollama-store" group:"Output" help:"Of a registry's model: keep it in Ollama's own store, where Ollama finds it too."`
	Insecure      bool   `group:"Work" help:"Ask a registry by http instead of https."`
	DryRun        bool   `group:"Output" help:"Show what would be fetched and made, and write nothing."`
	LimitRate     string `placeholder:"SIZE" group:"Work" help:"Fetch at most so many bytes a second, such as 2MB."`
	Threads       int    `placeholder:"N" group:"Work" help:"Threads that convert. 0 is all processors."`
	Quiet         bool   `short:"q" group:"Output" help:"Say nothing unless something is wrong."`
	JSON          bool   `name:"json" group:"Output" help:"Write JSON lines: plan, progress, notice, done."`
}

// Help is the end of the help text.
func (*pullCmd) Help() string {
	return `What was interrupted goes on when the same command is given again. docs/models.md has more.

Examples:

  systemgemma pull 2b
  systemgemma pull google/gemma-2-9b-it --type w4 --dry-run
  systemgemma pull owner/name-GGUF:Q8_0
  systemgemma pull ollama://gemma2:2b
`
}

// Run pulls.
func (c *pullCmd) Run(ctx context.Context, env *Env) error {
	if c.Threads < 0 {
		return usagef("--threads: want 0 (all) or more, found %d", c.Threads)
	}
	rate, err := parseSize(c.LimitRate)
	if err != nil {
		return usagef("--limit-rate: %w", err)
	}
	name, err := names.Parse(c.Name, exists)
	if err != nil {
		return usageError{err}
	}
	store, err := env.store()
	if err != nil {
		return err
	}
	t := &pullTeller{env: env, quiet: c.Quiet, json: c.JSON, begin: time.Now()}
	defer t.stop()
	if name.Kind == names.Ollama {
		return c.registry(ctx, env, store, name.Ollama, rate, t)
	}
	if c.OllamaStore || c.Insecure {
		return usagef("--ollama-store, --insecure: want a name such as ollama://gemma2:2b, found %s", c.Name)
	}
	p, err := newPuller(env, store, rate, t)
	if err != nil {
		return err
	}
	defer func() { _ = p.Client.Close() }()
	p.Threads = c.Threads
	switch name.Kind {
	case names.Path:
		return usagef("pull: %s is here already; systemgemma import %s makes it a model of the store", name.Target, name.Target)
	case names.URL:
		return c.url(ctx, env, p, name, t)
	}
	x, err := p.Plan(ctx, pull.Request{Name: name, Type: c.Type, KeepSource: c.KeepSource, DryRun: c.DryRun})
	if err != nil {
		return err
	}
	if err := t.plan(c.Name, x); err != nil || c.DryRun {
		return err
	}
	if x.Away != nil {
		t.notice("could not ask %s (%v); using %s of %s", p.Client.Settings.Endpoint, x.Away, x.Commit[:min(len(x.Commit), 8)], since(x.Date))
	}
	if !x.Here {
		if err := c.accept(ctx, env, p, x); err != nil {
			return err
		}
	}
	r, err := p.Run(ctx, x)
	if err != nil {
		return err
	}
	return t.done(r)
}

func since(t time.Time) string {
	if t.IsZero() {
		return "an unknown date"
	}
	return t.Format(time.DateOnly)
}

// newPuller is a puller by the environment.
func newPuller(env *Env, store models.Store, rate int64, t *pullTeller) (*pull.Puller, error) {
	s, err := hubsettings.FromEnv(func(k string) (string, bool) { v := env.getenv(k); return v, v != "" }, env.getenv("HOME"))
	if err != nil {
		return nil, err
	}
	client, err := hub.New(s, hub.Options{
		Version: newVersionReport(env.Build).Version, Rate: rate, Report: t.fetching, Uploads: filepath.Join(store.Home, "state", "uploads"), Verified: models.Verified{Store: store}, Notice: func(text string) { t.notice("%s", text) },
		Waiting: func(wait time.Duration, why error) { t.notice("%v; trying again in %s", why, wait) },
	})
	if err != nil {
		return nil, err
	}
	return &pull.Puller{Client: client, Store: store, Progress: t.converting, Measuring: t.measuring, Notice: func(text string) { t.notice("%s", text) }}, nil
}

// url fetches a file that no repository describes: there is no plan, and the terms are those of whoever offers it.
func (c *pullCmd) url(ctx context.Context, env *Env, p *pull.Puller, name names.Name, t *pullTeller) error {
	if c.Type != "" || c.KeepSource || c.DryRun {
		return usagef("--type, --keep-source, --dry-run: want a repository, found an address")
	}
	model, err := pull.URLName(name.Target)
	if err != nil {
		return err
	}
	if err := accept(ctx, env, p.Store, model, "", c.AcceptLicense); err != nil {
		return err
	}
	r, err := p.FromURL(ctx, name.Target)
	if err != nil {
		return err
	}
	return t.done(r)
}

// accept asks for the terms of a model, once.
func (c *pullCmd) accept(ctx context.Context, env *Env, p *pull.Puller, x *pull.Plan) error {
	if p.Store.Licence(x.Repo) != nil {
		return nil
	}
	licence := ""
	if x.Away == nil {
		var err error
		if licence, err = p.Licence(ctx, x); err != nil {
			return err
		}
	}
	return accept(ctx, env, p.Store, x.Repo, licence, c.AcceptLicense)
}

func accept(ctx context.Context, env *Env, store models.Store, model, licence string, accepted bool) error {
	if store.Licence(model) != nil {
		return nil
	}
	text, by := models.Notice(model, licence), "--accept-license"
	if !accepted {
		by = "terminal"
		if !env.StdinTTY {
			return fmt.Errorf("the terms of %s are not accepted yet, and there is no terminal to ask at: read %s, then add --accept-license", model, models.TermsURL)
		}
		if err := write(env.Stderr, "\n"+text+"\n"); err != nil {
			return err
		}
		yes, err := ask(ctx, env, "Do you accept these terms?")
		if err != nil {
			return err
		}
		if !yes {
			return errors.New("the terms are not accepted: nothing was fetched")
		}
	}
	return store.SetLicence(models.Accept(model, text, by, time.Now()))
}

// pullTeller tells how a pull goes: on a terminal's line, or as JSON lines.
type pullTeller struct {
	env         *Env
	quiet, json bool
	begin       time.Time
	verb        string // what is done with files, default fetching

	mu     sync.Mutex
	status *terminal.Status // guarded by mu
	last   time.Time        // guarded by mu: of the last JSON line of progress
	first  map[string]int64 // guarded by mu: bytes that were here when a file began
}

func (t *pullTeller) line(e any) error {
	b, err := json.Marshal(e)
	if err != nil {
		return err
	}
	return write(t.env.Stdout, string(b)+"\n")
}

func (t *pullTeller) stop() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.status.Stop()
	t.status = nil
}

// notice is what is worth a line of its own.
func (t *pullTeller) notice(format string, args ...any) {
	t.stop()
	text := fmt.Sprintf(format, args...)
	if t.json {
		_ = t.line(map[string]string{"event": "notice", "text": text}) // stdout is gone: the end will tell
	} else if !t.quiet || strings.HasPrefix(format, "could not") {
		_ = write(t.env.Stderr, text+"\n")
	}
}

// show puts progress on the terminal's line, or writes one JSON line a second.
func (t *pullTeller) show(what, name string, done, total, before int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	switch {
	case t.json && (now.Sub(t.last) >= time.Second || done == total):
		t.last = now
		_ = t.line(map[string]any{"event": "progress", "what": what, "file": name, "done": done, "total": total})
	case !t.json && !t.quiet:
		if t.status == nil {
			t.status = t.env.waiting(what + " " + name)
		}
		text := fmt.Sprintf("%s %s: %s", what, name, size(done))
		if total > 0 {
			text = fmt.Sprintf("%s %s: %d %%, %s of %s", what, name, 100*done/total, size(done), size(total))
		}
		if rate := float64(done-before) / now.Sub(t.begin).Seconds(); rate > 0 && now.Sub(t.begin) > time.Second && total > 0 {
			left := time.Duration(float64(total-done) / rate * float64(time.Second))
			text += fmt.Sprintf(", %.1f MB/s, %s left", rate/1e6, left.Round(time.Second))
		}
		t.status.Set("%s", text)
	}
}

func (t *pullTeller) fetching(p download.Progress) {
	if p.Retry != nil {
		return // said by Waiting
	}
	t.mu.Lock()
	if t.first == nil {
		t.first = map[string]int64{}
	}
	before, seen := t.first[p.Name]
	if !seen {
		before, t.first[p.Name], t.begin = p.Done, p.Done, time.Now()
	}
	t.mu.Unlock()
	t.show(cmp.Or(t.verb, "fetching"), p.Name, p.Done, p.Total, before)
}

func (t *pullTeller) converting(p systemgemma.ConvertProgress) {
	t.mu.Lock()
	if _, seen := t.first[""]; !seen {
		if t.first == nil {
			t.first = map[string]int64{}
		}
		t.first[""], t.begin = p.Resumed, time.Now()
	}
	t.mu.Unlock()
	t.show("converting", "", p.Done, p.Total, p.Resumed)
}

// measuring is the last step: the converted file against its source.
func (t *pullTeller) measuring(done, total int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.status != nil {
		t.status.Set("measuring the quality: %d %%", 100*done/max(total, 1))
	}
}

// plan shows what will be done.
func (t *pullTeller) plan(name string, x *pull.Plan) error {
	if t.json {
		return t.line(struct {
			Event string `json:"event"`
			*pull.Plan
		}{"plan", x})
	}
	if t.quiet {
		return nil
	}
	var b strings.Builder
	field(&b, "model", "%s at %s (%s)", x.Repo, x.Revision, x.Commit[:min(len(x.Commit), 8)])
	if x.Here {
		field(&b, "here", "%s", homePath(t.env, x.Target))
		return write(t.env.Stderr, b.String())
	}
	field(&b, "files", "%d, %s; %s to fetch", len(x.Files), size(x.Bytes), size(x.Fetch))
	if x.Target != "" {
		field(&b, "makes", "%s, about %s", homePath(t.env, x.Target), size(x.Room))
	} else {
		field(&b, "makes", "nothing: the files stay in the hub's cache as they are")
	}
	if f := x.Forecast; f != nil {
		field(&b, "memory", "%s for weights (%s), %s for keys and values of %d tokens%s", size(f.WeightBytes), f.Type, size(f.KVBytes), f.Context, fits(f))
	}
	return write(t.env.Stderr, b.String())
}

// fits compares a forecast with this machine.
func fits(f *systemgemma.Forecast) string {
	m, err := systemgemma.ThisMachine()
	switch {
	case err != nil || m.MemoryTotal == 0:
		return ""
	case f.WeightBytes > m.MemoryTotal:
		return fmt.Sprintf("; this machine has %s: it will not fit, --type w4 takes about half of w8a8", size(m.MemoryTotal))
	case f.WeightBytes+f.KVBytes > m.MemoryTotal:
		return fmt.Sprintf("; this machine has %s: run it with a shorter --context-length", size(m.MemoryTotal))
	}
	return fmt.Sprintf("; this machine has %s", size(m.MemoryTotal))
}

// done tells the result.
func (t *pullTeller) done(r pull.Result) error {
	t.stop()
	if t.json {
		return t.line(struct {
			Event string `json:"event"`
			pull.Result
			Seconds float64 `json:"seconds"`
		}{"done", r, time.Since(t.begin).Seconds()})
	}
	if t.quiet {
		return nil
	}
	info, err := os.Stat(r.Path)
	if err != nil {
		return err
	}
	text := homePath(t.env, r.Path)
	if !info.IsDir() {
		text += ", " + size(info.Size())
	}
	return write(t.env.Stdout, text+"\n")
}
