// Package hosted owns the models that a server serves: what they are called, which are open, who uses them, how much memory they
// may take together, and when an unused one is closed.
//
// A request acquires a model by its name and gets a Lease; the model is opened by the first that wants it, once, however many come
// meanwhile. It must not know HTTP or any dialect. Errors are those of package problem.
package hosted

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/systemgemma/systemgemma"
	"github.com/systemgemma/systemgemma/internal/app/figures"
	"github.com/systemgemma/systemgemma/internal/app/models"
	"github.com/systemgemma/systemgemma/internal/app/server/meter"
	"github.com/systemgemma/systemgemma/internal/app/server/problem"
)

// Options say which models are served, and how. Zero values mean defaults.
type Options struct {
	// Models are those that were asked for, by names that Resolve knows. The first is what a request without a name means. None: "".
	Models []string
	// Resolve finds them, "" included. nil: only mini, which "" is, and names of the store.
	Resolve func(name string) (Found, error)
	// Aliases are further names: alias -> name.
	Aliases map[string]string
	// Store is where further models are, which requests may name. nil: only Models are served, and mini.
	Store *models.Store
	// Open is how each model is opened. KVMemory 0 gives each model memory for eight full contexts, at most a quarter of Memory.
	Open systemgemma.Options
	// Tuned gives Open the threads and such that are fastest for the model at a path, where it leaves them open. nil: as they are.
	Tuned func(path string, o *systemgemma.Options) *systemgemma.Options
	// Memory bounds the bytes of all open models, weights and keys and values. 0: nine tenths of what the machine has free now.
	Memory int64
	// KeepAlive is how long a model stays open after its last request. 0: 5 minutes; negative: for ever.
	KeepAlive time.Duration
	Meter     *meter.Meter // counts tokens; nil: one of its own
	Log       *slog.Logger // nil: none
}

// Found is a model that Resolve found.
type Found struct {
	Name       string // by which requests name it
	Path       string // for systemgemma.Open
	SystemMode string // that the name asks for; "": none
	Stored     *models.Model
	Carried    *models.Settings // instead of what lies beside it; nil: that
}

// DefaultKeepAlive is how long an unused model stays open.
const DefaultKeepAlive = 5 * time.Minute

// Set is the models of a server. Safe for concurrent use.
type Set struct {
	opt   Options
	names directory
	limit int64 // bytes; 0: none
	meter *meter.Meter
	log   *slog.Logger
	forecast
	open func(string, *systemgemma.Options) (*systemgemma.Model, error)

	mu      sync.Mutex
	models  map[string]*model // guarded by mu; by path: those that are open, or being opened or closed
	loaded  map[string]kept   // guarded by mu; by path: adapters of models that are closed, which get them again
	used    int64             // guarded by mu; bytes of all of them
	closed  bool              // guarded by mu
	changed chan struct{}     // guarded by mu; closed and replaced whenever a model changes its state
	busy    sync.WaitGroup    // goroutines that open or close models
}

// model is one that is open, or being opened or closed. Its fields are guarded by Set.mu.
type model struct {
	what
	need     int64
	kv       int64 // Options.KVMemory that it was opened with
	m        *systemgemma.Model
	info     systemgemma.Info
	opened   time.Time
	took     time.Duration // to open
	users    int           // leases
	waiters  int           // that want it once it is open
	done     chan struct{} // closed when opening has ended
	err      error         // of opening
	closing  bool
	removed  bool      // its file is removed: nobody gets it any more
	stamp    string    // models.Stamp of its file, from before it was opened
	expires  time.Time // zero: never, or it is in use
	timer    *time.Timer
	lastUsed time.Time
	adapters adapters
	carried  *models.Settings
}

// New makes the set, and finds the models that were asked for. None is opened yet.
func New(o Options) (*Set, error) {
	if o.KeepAlive == 0 {
		o.KeepAlive = DefaultKeepAlive
	}
	s := &Set{opt: o, limit: o.Memory, meter: o.Meter, log: o.Log, models: map[string]*model{}, loaded: map[string]kept{}, changed: make(chan struct{}), open: systemgemma.Open}
	if s.meter == nil {
		s.meter = &meter.Meter{}
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.limit == 0 {
		s.limit = freeMemory() / 10 * 9
	}
	return s, s.names.fill(&s.opt)
}

// Limit is the bytes that all open models may take; 0: not known.
func (s *Set) Limit() int64 { return s.limit }

// Meter counts what all models do.
func (s *Set) Meter() *meter.Meter { return s.meter }

// Lease is a model in use: it stays open until Release.
type Lease struct {
	Name    string // as asked for, or what an empty name means
	Model   *systemgemma.Model
	Info    systemgemma.Info
	Path    string
	Loading time.Duration // that this request waited for the model to be opened
	set     *Set
	model   *model
	keep    time.Duration
	once    sync.Once
}

// Acquire gives the model of that name, opening it if need be. keepAlive is how long it stays open after this request: nil is the
// set's own, 0 not at all, negative for ever. If ctx ends, and nobody else waits, a model that is being opened is closed again.
func (s *Set) Acquire(ctx context.Context, name string, keepAlive *time.Duration) (*Lease, error) {
	w, err := s.names.find(name)
	if err != nil {
		return nil, err
	}
	l := &Lease{Name: w.asked, set: s, keep: s.opt.KeepAlive}
	if keepAlive != nil {
		l.keep = *keepAlive
	}
	start := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		if s.closed {
			return nil, problem.Of(systemgemma.ErrClosed)
		}
		m := s.models[w.path]
		if m != nil && m.m != nil && !m.closing && !m.removed {
			m.users++
			m.stopTimer()
			l.Model, l.Info, l.Path, l.model = m.m, m.info, w.path, m
			if m.opened.After(start) {
				l.Loading = time.Since(start)
			}
			return l, nil
		}
		if m != nil && m.removed && (s.replaced(name, &w) || s.models[w.path] != m) {
			continue
		}
		if m == nil {
			m, err = s.begin(w)
		}
		if err == nil {
			err = s.wait(ctx, m)
		}
		if err != nil && (ctx.Err() != nil || !s.replaced(name, &w)) {
			return nil, err
		}
		err = nil
	}
}

// replaced says whether a name means another file than w by now, which w then is. s.mu is held, but for looking.
func (s *Set) replaced(name string, w *what) bool {
	s.mu.Unlock()
	defer s.mu.Lock()
	if _, err := os.Lstat(w.path); errors.Is(err, fs.ErrNotExist) && w.entry != nil {
		s.names.changed() // nobody has said so yet
	}
	now, err := s.names.find(name)
	if err != nil || now.path == w.path {
		return false
	}
	*w = now
	return true
}

// wait waits until m, or without one any model, has changed its state. s.mu is held, but for the waiting.
func (s *Set) wait(ctx context.Context, m *model) error {
	changed := s.changed
	if m != nil && !m.closing && !m.removed {
		changed = m.done
		m.waiters++
		defer func() { m.waiters-- }()
	}
	s.mu.Unlock()
	var err error
	select {
	case <-changed:
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	s.mu.Lock()
	if err == nil && m != nil {
		err = m.err
	}
	return err
}

// announce wakes whoever waits for a change. s.mu is held.
func (s *Set) announce() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// begin starts to open a model. nil without an error: memory is being freed for it. s.mu is held, but for looking at the file.
func (s *Set) begin(w what) (*model, error) {
	s.mu.Unlock()
	need, kv, err := s.forecast.of(w, &s.opt.Open, s.limit)
	s.mu.Lock()
	if err != nil {
		return nil, err
	}
	if s.closed || s.models[w.path] != nil {
		return s.models[w.path], nil // somebody was faster
	}
	if wait, err := s.makeRoom(w.name, need); wait || err != nil {
		return nil, err
	}
	m := &model{what: w, need: need, kv: kv, done: make(chan struct{})}
	s.models[w.path] = m
	s.used += need
	o := s.opt.Open
	o.KVMemory = kv
	if o.SystemMode == "" && o.Template == "" {
		o.SystemMode = w.mode
	}
	s.busy.Add(1)
	go s.load(m, &o)
	return m, nil
}

// load opens a model, and closes it again if nobody wants it any more.
func (s *Set) load(m *model, o *systemgemma.Options) {
	defer s.busy.Done()
	start := time.Now()
	if s.opt.Tuned != nil {
		o = s.opt.Tuned(m.path, o)
	}
	stamp := models.Stamp(m.path)
	x, carried, list, err := s.openCarrying(m.what, stamp, o)
	took := time.Since(start)
	var info systemgemma.Info
	if err == nil {
		info = brief(x.Info())
		if m.entry != nil && s.opt.Store != nil {
			s.opt.Store.SetUsed(m.path)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.announce()
	defer close(m.done)
	if err != nil {
		s.log.Warn("model not opened", "model", m.name, "error", err)
		m.err = &problem.Error{Status: http.StatusInternalServerError, Param: "model", Message: m.name + ": can't be opened; the server's log says why"}
		if errors.Is(err, systemgemma.ErrKVMemory) {
			m.err = err
		}
		s.forget(m)
		return
	}
	s.log.Info("model opened", "model", m.name, "seconds", took.Seconds(), "bytes", m.need)
	m.m, m.info, m.opened, m.took, m.lastUsed = x, info, time.Now(), took, time.Now()
	m.carried, m.adapters, m.stamp = carried, list, stamp
	if m.waiters == 0 || m.removed && m.users == 0 {
		s.shut(m)
	}
}

// forget takes a model off the books. s.mu is held.
func (s *Set) forget(m *model) {
	delete(s.models, m.path)
	if m.m != nil && !m.removed {
		s.loaded[m.path] = kept{m.adapters, m.stamp}
	}
	s.used -= m.need
}

// shut starts to close a model that nobody uses. s.mu is held.
func (s *Set) shut(m *model) {
	m.closing = true
	m.stopTimer()
	s.busy.Add(1)
	go func() {
		defer s.busy.Done()
		err := m.m.Close()
		s.log.Info("model closed", "model", m.name, "error", err)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.forget(m)
		s.announce()
	}()
}

// makeRoom closes models that nobody uses, the least recently used first, until one of that need fits beside the rest. wait: it
// will, once they are closed. s.mu is held.
func (s *Set) makeRoom(name string, need int64) (wait bool, err error) {
	if s.limit <= 0 {
		return false, nil
	}
	if need > s.limit {
		return false, problem.New(http.StatusServiceUnavailable, problem.CodeBusy,
			"model %s needs %s of memory with its keys and values, the server may use %s; want a smaller model, --kv-memory, or a higher --memory", name, figures.Size(need), figures.Size(s.limit))
	}
	free := s.limit - s.used
	closing := false
	for _, m := range s.models {
		if m.closing {
			free += m.need
			closing = true
		}
	}
	for free < need {
		var oldest *model
		for _, m := range s.models {
			if m.m != nil && m.users == 0 && m.waiters == 0 && !m.closing && (oldest == nil || m.lastUsed.Before(oldest.lastUsed)) {
				oldest = m
			}
		}
		if oldest == nil {
			return false, problem.Later(http.StatusServiceUnavailable, problem.CodeBusy, 10*time.Second,
				"model %s needs %s of memory, and %s of %s are left beside the models in use; try again later", name, figures.Size(need), figures.Size(s.limit-s.used), figures.Size(s.limit))
		}
		free += oldest.need
		s.shut(oldest)
		closing = true
	}
	return closing && s.limit-s.used < need, nil
}

// Release gives the model back. Further calls do nothing.
func (l *Lease) Release() {
	l.once.Do(func() {
		s, m := l.set, l.model
		s.mu.Lock()
		defer s.mu.Unlock()
		m.users--
		m.lastUsed = time.Now()
		if m.users > 0 {
			return
		}
		s.rest(m, l.keep)
	})
}

// rest lets an unused model be closed after a time. s.mu is held.
func (s *Set) rest(m *model, keep time.Duration) {
	m.stopTimer()
	switch {
	case m.closing || keep < 0 && !m.removed:
	case keep == 0 || s.closed || m.removed:
		if m.waiters == 0 || m.removed {
			s.shut(m)
		}
	default:
		m.expires = time.Now().Add(keep)
		at := m.expires
		m.timer = time.AfterFunc(keep, func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			if m.users == 0 && m.waiters == 0 && !m.closing && m.expires.Equal(at) {
				s.shut(m)
			}
		})
	}
}

func (m *model) stopTimer() {
	m.expires = time.Time{}
	if m.timer != nil {
		m.timer.Stop()
		m.timer = nil
	}
}

// Unload closes a model as soon as nobody uses it. One that is not open is no error.
func (s *Set) Unload(name string) error {
	w, err := s.names.find(name)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if m := s.models[w.path]; m != nil && m.m != nil && m.users == 0 {
		s.rest(m, 0)
	}
	return nil
}

// Removed tells that the file of a model is removed, or about to be: it is closed as soon as nobody uses it, and whoever wants one of its
// name gets what is there then, without the adapters that were loaded for this one.
func (s *Set) Removed(path string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.loaded, path)
	m := s.models[path]
	if m == nil {
		return
	}
	m.removed = true
	if m.m != nil && m.users == 0 {
		s.rest(m, 0)
	}
	s.announce()
}

// Replaced tells that a file of the store was made in the place of another one, which is gone, or about to go. Answers of the old one end as they
// began; whoever asks from now on gets the new one.
func (s *Set) Replaced(old string, by *models.Model) {
	s.names.replaced(old, by)
	s.forecast.changed()
	s.Removed(old)
}

// Close closes all models, those in use when they are released, and waits for that until ctx ends.
func (s *Set) Close(ctx context.Context) error {
	s.mu.Lock()
	s.closed = true
	for _, m := range s.models {
		if m.m != nil && m.users == 0 && !m.closing {
			s.shut(m)
		}
	}
	s.announce()
	s.mu.Unlock()
	for {
		s.mu.Lock()
		n, changed := len(s.models), s.changed
		s.mu.Unlock()
		if n == 0 {
			s.busy.Wait()
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return cmp.Or(context.Cause(ctx), ctx.Err())
		}
	}
}
