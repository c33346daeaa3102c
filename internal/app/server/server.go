// Package server is an HTTP server for models: it owns the way of a request before and after an endpoint. Who may ask, how many at a
// time, how long a body is; request ids, logs, metrics; errors and panics in the form of the dialect that was spoken; streams; a
// stop that lets running answers end.
//
// It must not know a dialect. One is a value of type Dialect, made by a package of its own below this one:
//
//	func New(s *server.Server) server.Dialect {
//		return server.Dialect{
//			Name: "openai", Prefixes: []string{"/v1/"}, Error: writeError,
//			Routes: []server.Route{{Pattern: "POST /v1/completions", Work: true, Handle: d.completions}},
//		}
//	}
//
// and added by Server.Add. A handler
//   - reads its body by ReadJSON, its own fields first, then all options by option.Answer.Read;
//   - acquires the model by Server.Models().Acquire, and calls the Lease's Chat, Generate, Score or Embed, which count;
//   - answers by Reply, or piece by piece by NewStream; the first piece sends the head, so what fails before it is a plain error;
//   - returns its errors, those of package problem for what a client did. Routes of Work are let in by the gate.
//
// r.Context() ends when the client has left, and when the server must end: pass it on.
package server

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/systemgemma/systemgemma/internal/app/server/access"
	"github.com/systemgemma/systemgemma/internal/app/server/gate"
	"github.com/systemgemma/systemgemma/internal/app/server/hosted"
	"github.com/systemgemma/systemgemma/internal/app/server/problem"
)

// Config says how a server behaves. Zero values mean defaults.
type Config struct {
	Keys    *access.Keys // nil: none, everybody may ask
	Policy  access.Policy
	Gate    gate.Options
	TLS     *tls.Config // nil: plain HTTP
	Version Version     // of this program

	MaxBody    int64         // bytes; 0: 4 MiB
	MaxN       int           // answers to one prompt; 0: 8
	Ping       time.Duration // silence after which a stream says that it lives; 0: 10 s
	Write      time.Duration // that a client may take to read a piece; 0: 30 s
	Grace      time.Duration // that running answers have when the server stops; 0: 30 s
	Compat     bool          // --lm-eval-compat: /tokenizer_info, and prompts without <bos> get one that no answer shows
	NoMetrics  bool          // /metrics is served elsewhere, by MetricsHandler
	ShareCache bool          // requests may start from what prompts of other API keys left computed; else each of several keys has its own
	Log        *slog.Logger  // nil: none
}

// Version tells which program this is.
type Version struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"`
	Go       string `json:"go"`
	OS       string `json:"os"`
	Arch     string `json:"arch"`
}

// Server serves models. Make one by New, Add dialects, then Serve.
type Server struct {
	cfg      Config
	models   *hosted.Set
	gate     *gate.Gate
	mux      *http.ServeMux
	dialects []Dialect
	metrics  *metrics
	log      *slog.Logger
	started  time.Time
	draining atomic.Bool
	sensors  sensors

	stop context.Context // ends when running answers must end
	kill context.CancelCauseFunc
}

// New returns a server of models, with /health, /readyz, /version, /status and /metrics.
func New(models *hosted.Set, cfg Config) *Server {
	def := func(d *time.Duration, value time.Duration) {
		if *d == 0 {
			*d = value
		}
	}
	def(&cfg.Ping, 10*time.Second)
	def(&cfg.Write, 30*time.Second)
	def(&cfg.Grace, 30*time.Second)
	if cfg.MaxBody == 0 {
		cfg.MaxBody = 4 << 20
	}
	if cfg.MaxN == 0 {
		cfg.MaxN = 8
	}
	s := &Server{cfg: cfg, models: models, gate: gate.New(cfg.Gate), mux: http.NewServeMux(), log: cfg.Log, started: time.Now()}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.stop, s.kill = context.WithCancelCause(context.Background())
	s.metrics = newMetrics(s)
	s.Add(s.own())
	return s
}

// Models are those that are served.
func (s *Server) Models() *hosted.Set { return s.models }

// Config is how the server behaves, with defaults filled in.
func (s *Server) Config() Config { return s.cfg }

// errStopping ends answers that the stop's grace was too short for.
var errStopping = problem.Later(http.StatusServiceUnavailable, problem.CodeDraining, 5*time.Second, "the server is stopping; the answer was cut")

// Handler answers requests. It may be tested without a listener.
func (s *Server) Handler() http.Handler { return http.HandlerFunc(s.serve) }

// httpServer has the limits on slow clients: a head within 10 s, a body within a minute of its last byte (see ReadJSON).
func (s *Server) httpServer() *http.Server {
	return &http.Server{
		Handler: s.Handler(), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 5 * time.Minute, MaxHeaderBytes: 64 << 10, TLSConfig: s.cfg.TLS,
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
}

// Serve answers until ctx ends. It then refuses new work, and /readyz says so at once, while running answers may end; after the grace
// they are cut, with an error as their last event. When now ends, everything ends at once. Serve closes the listener, not the models.
func (s *Server) Serve(ctx, now context.Context, l net.Listener) error {
	h := s.httpServer()
	failed := make(chan error, 1)
	go func() {
		if s.cfg.TLS != nil {
			failed <- h.ServeTLS(l, "", "")
			return
		}
		failed <- h.Serve(l)
	}()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	idle := s.Drain()
	s.log.Info("stopping: running answers may end", "grace", s.cfg.Grace.String())
	grace := time.NewTimer(s.cfg.Grace)
	defer grace.Stop()
	select {
	case <-idle: // the listener stays open meanwhile: /readyz answers 503
	case <-grace.C:
	case <-now.Done():
	}
	s.kill(errStopping) // streams end with an error event
	last, cancel := context.WithTimeout(now, 2*time.Second)
	defer cancel()
	err := h.Shutdown(last)
	if err != nil {
		err = h.Close()
	}
	if serveErr := <-failed; !errors.Is(serveErr, http.ErrServerClosed) {
		err = errors.Join(err, serveErr)
	}
	return err
}

// Drain refuses new work from now on. The channel is closed when no request works or waits any more.
func (s *Server) Drain() (idle <-chan struct{}) {
	s.draining.Store(true)
	return s.gate.Close()
}
