package cli

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/systemgemma/systemgemma"
	"github.com/systemgemma/systemgemma/internal/app/hub"
	hubsettings "github.com/systemgemma/systemgemma/internal/app/hub/settings"
	"github.com/systemgemma/systemgemma/internal/app/models"
	"github.com/systemgemma/systemgemma/internal/app/server"
	"github.com/systemgemma/systemgemma/internal/app/server/access"
	"github.com/systemgemma/systemgemma/internal/app/server/anthropic"
	"github.com/systemgemma/systemgemma/internal/app/server/gate"
	"github.com/systemgemma/systemgemma/internal/app/server/hosted"
	"github.com/systemgemma/systemgemma/internal/app/server/native"
	"github.com/systemgemma/systemgemma/internal/app/server/ollama"
	"github.com/systemgemma/systemgemma/internal/app/server/openai"
	"github.com/systemgemma/systemgemma/internal/app/webui"
)

// serveCmd is `systemgemma serve`.
type serveCmd struct {
	Model []string `short:"m" sep:"none" placeholder:"MODEL" group:"Model" help:"A model to serve, by name, folder or .gguf file; may be given several times. The first answers requests that name none. Those of systemgemma list, and mini, are served in any case."`
	Alias []string `sep:"none" placeholder:"NAME=MODEL" group:"Model" help:"A further name of a model, as gpt-4o=2b for programs that insist on one. May be given several times."`
	textFlags
	engineFlags
	KVMemory  string        `name:"kv-memory" placeholder:"SIZE" group:"Model" help:"Memory of a model's keys and values, for all its requests and what ended ones leave, as 2GB. Default: eight full contexts, at most a quarter of --memory."`
	Memory    string        `placeholder:"SIZE" group:"Model" help:"Memory of all open models together. Models that nobody uses are closed to make room. Default: nine tenths of what is free."`
	KeepAlive time.Duration `default:"5m" placeholder:"TIME" group:"Model" help:"Close a model that nobody has used for TIME. Negative: never."`

	listenFlags
	limitFlags
	ShareCache   bool   `group:"Server" help:"With several API keys: let requests of one key start from what prompts of another left computed. Faster where all have one long system prompt, but the time that a prompt takes then tells whether another key's began alike."`
	LMEvalCompat bool   `name:"lm-eval-compat" group:"Server" help:"Serve /tokenizer_info, and give prompts of /v1/completions the <bos> that lm-evaluation-harness leaves out when it uses this server's tokenizer; no answer shows it."`
	LogFormat    string `enum:"text,json" default:"text" placeholder:"FORMAT" group:"Output" help:"Form of the log on stderr: text or json. It never tells prompts, answers or keys."`
	Verbose      bool   `short:"v" group:"Output" help:"Log refused requests too, and why; and files of the page."`
}

// listenFlags say where, and to whom.
type listenFlags struct {
	Listen        string   `default:"127.0.0.1:11434" placeholder:"ADDRESS" group:"Server" help:"HOST:PORT or unix:PATH. The default is where clients of Ollama look. An address that others can reach needs API keys."`
	MetricsListen string   `placeholder:"ADDRESS" group:"Server" help:"Serve /metrics at an address of its own, HOST:PORT, instead."`
	Insecure      bool     `group:"Server" help:"Let everybody who can reach the address use the server, without API keys."`
	APIKey        []string `name:"api-key" sep:"none" placeholder:"[NAME=]KEY" group:"Server" help:"Answer only requests that have this key; may be given several times. Better in SYSTEMGEMMA_API_KEY: command lines are seen by all users."`
	APIKeys       string   `name:"api-keys" placeholder:"FILE" group:"Server" help:"File of further keys: lines NAME SHA256, the hash as of: printf %s KEY | sha256sum."`
	AllowHost     []string `placeholder:"NAME" group:"Server" help:"A further name of this computer that requests may use, as board.local. * is any, for servers behind a proxy that checks."`
	AllowOrigin   []string `placeholder:"ORIGIN" group:"Server" help:"Let pages of another origin use the server, as https://app.example. * is any."`
	TLSCert       string   `name:"tls-cert" placeholder:"FILE" group:"Server" help:"Certificate chain for HTTPS, in PEM; with --tls-key."`
	TLSKey        string   `name:"tls-key" placeholder:"FILE" group:"Server" help:"Its private key, in PEM."`
}

// limitFlags bound what requests may take.
type limitFlags struct {
	Parallel    int           `default:"32" placeholder:"N" group:"Limits" help:"Requests that work at a time."`
	Queue       int           `default:"256" placeholder:"N" group:"Limits" help:"Requests that wait beyond those; more are answered 503 at once."`
	QueueWait   time.Duration `default:"5m" placeholder:"TIME" group:"Limits" help:"Longest time that a request waits."`
	StepTokens  int           `default:"32" placeholder:"N" group:"Limits" help:"Tokens of prompts that are computed between two tokens of running answers: with fewer answers go on more evenly, with more prompts are read sooner. No answer depends on it."`
	KeyParallel int           `placeholder:"N" group:"Limits" help:"Requests of one API key that work at a time. 0: no limit of its own."`
	KeyRate     float64       `placeholder:"N" group:"Limits" help:"Requests of one API key in a minute; more are answered 429. 0: no limit."`
	MaxN        int           `default:"8" placeholder:"N" group:"Limits" help:"Most answers to one prompt (n, best_of), and beams of a search (num_beams)."`
	MaxBody     string        `default:"4MiB" placeholder:"SIZE" group:"Limits" help:"Longest body of a request."`
	Grace       time.Duration `default:"30s" placeholder:"TIME" group:"Limits" help:"When the server is to end (Ctrl-C, SIGTERM), running answers have TIME to end. A second Ctrl-C ends at once."`
}

// Help is the end of the help text.
func (*serveCmd) Help() string {
	return `Programs for OpenAI's API use http://127.0.0.1:11434/v1, a browser http://127.0.0.1:11434/.

Examples:

  systemgemma serve
  systemgemma serve -m 2b -m ./other.gguf --alias gpt-4o=2b
  SYSTEMGEMMA_API_KEY=... systemgemma serve --listen 0.0.0.0:11434 --allow-host board.local

docs/serve.md has the endpoints.
`
}

// Run serves until it is told to end.
func (c *serveCmd) Run(ctx context.Context, env *Env, i *interrupts) error {
	keys, err := c.keys(env)
	if err != nil {
		return err
	}
	set, err := c.models(env)
	if err != nil {
		return err
	}
	s, err := c.server(env, set, keys)
	if err != nil {
		return err
	}
	l, err := server.Listen(c.Listen, keys, c.Insecure)
	if err != nil {
		return err
	}
	stop, begin := context.WithCancel(ctx)
	defer begin()
	now, end := context.WithCancel(context.Background())
	defer end()
	defer i.takeAll(func() {
		if stop.Err() != nil {
			end() // the second signal
		}
		begin()
	})()
	closeMetrics, err := c.metrics(env, s, keys)
	if err != nil {
		return errors.Join(err, l.Close())
	}
	defer closeMetrics()
	if err := write(env.Stdout, c.greeting(l, set)); err != nil {
		return errors.Join(err, l.Close())
	}
	err = s.Serve(stop, now, l)
	last, cancel := context.WithTimeout(now, 10*time.Second)
	defer cancel()
	if closeErr := set.Close(last); closeErr != nil && now.Err() == nil {
		err = errors.Join(err, fmt.Errorf("closing models: %w", closeErr))
	}
	return err
}

// greeting says where the server is.
func (c *serveCmd) greeting(l net.Listener, set *hosted.Set) string {
	at := l.Addr().String()
	if l.Addr().Network() == "unix" {
		return fmt.Sprintf("systemgemma serves %s at %s\n", set.Default(), at)
	}
	scheme := "http"
	if c.TLSCert != "" {
		scheme = "https"
	}
	return fmt.Sprintf("systemgemma serves %s at %s://%s (Ctrl-C ends it)\n", set.Default(), scheme, at)
}

// keys are those of the flags, the environment and the file.
func (c *serveCmd) keys(env *Env) (*access.Keys, error) {
	k := &access.Keys{}
	given := c.APIKey
	if text := env.getenv("SYSTEMGEMMA_API_KEY"); text != "" {
		given = append(slices.Clone(given), text)
	}
	for i, text := range given {
		name, secret, named := strings.Cut(text, "=")
		if !named {
			name, secret = fmt.Sprintf("key%d", i+1), text
		}
		if err := k.Add(name, secret); err != nil {
			return nil, usagef("--api-key: %w", err)
		}
	}
	if c.APIKeys == "" {
		return k, nil
	}
	text, err := readFile(c.APIKeys, 1<<20)
	if err == nil {
		if err = k.Read(strings.NewReader(text)); err != nil {
			err = fmt.Errorf("%s: %w", c.APIKeys, err)
		} else if k.None() {
			err = fmt.Errorf("%s: want at least one key, found none", c.APIKeys)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("--api-keys: %w", err)
	}
	return k, nil
}

// models are those that are served.
func (c *serveCmd) models(env *Env) (*hosted.Set, error) {
	o, err := options(c.textFlags, c.engineFlags)
	if err != nil {
		return nil, err
	}
	if o.KVMemory, err = parseSize(c.KVMemory); err != nil {
		return nil, usagef("--kv-memory: %w", err)
	}
	h := hosted.Options{Models: c.Model, Open: *o, KeepAlive: c.KeepAlive, Log: c.log(env), Aliases: map[string]string{}}
	if h.Memory, err = parseSize(c.Memory); err != nil {
		return nil, usagef("--memory: %w", err)
	}
	if h.Open.Draft, err = c.draft(env); err != nil {
		return nil, err
	}
	h.Open.Parallel, h.Open.Queue = 128, 1024 // the gate's limits count requests, these sequences
	if h.Open.StepTokens = c.StepTokens; c.StepTokens < 1 || c.StepTokens > 128 {
		return nil, usagef("--step-tokens: want 1 to 128, found %d", c.StepTokens)
	}
	for _, a := range c.Alias {
		name, model, ok := strings.Cut(a, "=")
		if !ok || name == "" || model == "" {
			return nil, usagef("--alias: want NAME=MODEL, found %q", a)
		}
		h.Aliases[name] = model
	}
	if store, err := env.store(); err == nil {
		h.Store = &store
	}
	h.Resolve = func(name string) (hosted.Found, error) {
		f, err := resolve(env, name)
		x := hosted.Found{Name: servedName(name, f), Path: f.path, SystemMode: f.mode, Stored: f.model}
		if err == nil && f.bundle != nil {
			x.Carried = &models.Settings{System: f.bundle.Card.System}
		}
		return x, err
	}
	h.Tuned = func(path string, o *systemgemma.Options) *systemgemma.Options {
		return tunedOptions(env, found{path: path}, o)
	}
	return hosted.New(h)
}

// draft is the path of the draft model.
func (c *serveCmd) draft(env *Env) (string, error) {
	if c.Draft == "" {
		return "", nil
	}
	f, err := resolve(env, c.Draft)
	if err != nil {
		return "", fmt.Errorf("--draft: %w", err)
	}
	return f.path, nil
}

// servedName is what requests call a model: that of the store as it was given, a file or folder by its name.
func servedName(given string, f found) string {
	switch {
	case f.bundle != nil:
		return bundledName
	case f.model != nil && given != "":
		return given
	case f.model != nil:
		return f.model.Name
	case f.path == "" || f.path == systemgemma.Mini:
		return systemgemma.Mini
	}
	return strings.TrimSuffix(filepath.Base(filepath.Clean(f.path)), ".gguf")
}

// server puts everything together.
func (c *serveCmd) server(env *Env, set *hosted.Set, keys *access.Keys) (*server.Server, error) {
	switch {
	case c.Parallel < 1 || c.Parallel > 128:
		return nil, usagef("--parallel: want 1 to 128, found %d", c.Parallel)
	case c.Queue < 1:
		return nil, usagef("--queue: want 1 or more, found %d", c.Queue)
	case c.QueueWait <= 0:
		return nil, usagef("--queue-wait: want a time above 0, found %v", c.QueueWait)
	case c.KeyParallel < 0 || c.KeyRate < 0:
		return nil, usagef("--key-parallel, --key-rate: want 0 (no limit) or more")
	case c.MaxN < 1 || c.MaxN > 128:
		return nil, usagef("--max-n: want 1 to 128, found %d", c.MaxN)
	case c.Grace < 0:
		return nil, usagef("--grace: want 0 or more, found %v", c.Grace)
	case c.PromptCache != "" && keys.Several() && !c.ShareCache:
		return nil, usagef("--prompt-cache: want --share-cache beside it when there are several API keys: its files are one for all")
	case c.ShareCache && !keys.Several():
		return nil, usagef("--share-cache: want several API keys beside it; requests of one key, or of none, share anyway")
	case (c.TLSCert == "") != (c.TLSKey == ""):
		return nil, usagef("--tls-cert: want --tls-key beside it, and the other way round")
	}
	cfg := server.Config{
		Keys: keys, Policy: access.Policy{Hosts: c.AllowHost, Origins: c.AllowOrigin},
		Gate: gate.Options{Parallel: c.Parallel, Queue: c.Queue, Wait: c.QueueWait, PerKey: c.KeyParallel, Rate: c.KeyRate},
		MaxN: c.MaxN, Grace: max(c.Grace, time.Nanosecond), Compat: c.LMEvalCompat, ShareCache: c.ShareCache, NoMetrics: c.MetricsListen != "", Log: c.log(env),
	}
	v := newVersionReport(env.Build)
	cfg.Version = server.Version{Version: v.Version, Revision: v.Revision, Go: v.Go, OS: v.OS, Arch: v.Arch}
	var err error
	if cfg.MaxBody, err = parseSize(c.MaxBody); err != nil || cfg.MaxBody == 0 {
		return nil, usagef("--max-body: want a size as 4MiB, found %q", c.MaxBody)
	}
	if c.TLSCert != "" {
		pair, err := tls.LoadX509KeyPair(c.TLSCert, c.TLSKey)
		if err != nil {
			return nil, fmt.Errorf("--tls-cert: %w", err)
		}
		cfg.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	}
	if c.LMEvalCompat {
		cfg.Log.Info("prompts of /v1/completions without <bos> get one that no answer shows (--lm-eval-compat)")
	}
	s := server.New(set, cfg)
	s.Add(openai.New(s))
	s.Add(anthropic.New(s))
	s.Add(ollama.New(s, ollama.Options{Hub: func(o hub.Options) (*hub.Client, error) {
		settings, err := hubsettings.FromEnv(func(k string) (string, bool) { v := env.getenv(k); return v, v != "" }, env.getenv("HOME"))
		if err != nil {
			return nil, err
		}
		o.Version = v.Version
		return hub.New(settings, o)
	}, Registry: env.registryClient}))
	var adapters string
	if store := set.Store(); store != nil {
		adapters = filepath.Join(store.Home, "adapters")
	}
	s.Add(native.New(s, native.Options{Adapters: adapters}))
	s.Mount("GET /", served())
	return s, nil
}

// served is what browsers get; programs that ask whether something is here get a line.
func served() http.Handler {
	ui := webui.Handler()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/" && !strings.Contains(r.Header.Get("Accept"), "text/html") {
			w.Header().Set("Content-Type", "text/plain; charset=utf-8")
			_, _ = io.WriteString(w, "SystemGemma is running\n") // nobody to tell
			return
		}
		ui.ServeHTTP(w, r)
	})
}

// metrics serves /metrics at an address of its own, if that is wanted.
func (c *serveCmd) metrics(env *Env, s *server.Server, keys *access.Keys) (stop func(), err error) {
	if c.MetricsListen == "" {
		return func() {}, nil
	}
	l, err := server.Listen(c.MetricsListen, nil, c.Insecure || !keys.None())
	if err != nil {
		return nil, fmt.Errorf("--metrics-listen: %w", err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", s.MetricsHandler())
	h := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := h.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			c.log(env).Error("metrics", "error", err)
		}
	}()
	return func() {
		_ = h.Close() // no scrape is worth waiting for
		<-done
	}, nil
}

// log writes to stderr.
func (c *serveCmd) log(env *Env) *slog.Logger {
	o := &slog.HandlerOptions{Level: slog.LevelInfo}
	if c.Verbose {
		o.Level = slog.LevelDebug
	}
	if c.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(env.Stderr, o))
	}
	return slog.New(slog.NewTextHandler(env.Stderr, o))
}
