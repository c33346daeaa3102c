// Package engine runs many conversations on one model: it admits requests as memory allows, gives each a KV cache, reuses
// what earlier requests with the same beginning computed, and mixes all of them in every step.
//
// It owns sequences, their order and their memory. It must not know text: a request is ids, an answer is ids. Its results do
// not depend on what else runs, on whether a cache was reused, nor on whether tokens were guessed. DESIGN.md has the invariants.
package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/systemgemma/systemgemma/internal/gemma2"
)

var (
	// ErrContextLength says that a prompt does not fit into the model's context.
	ErrContextLength = errors.New("context length exceeded")
	// ErrClosed says that the engine was closed.
	ErrClosed = errors.New("model is closed")
	// ErrQueueFull says that as many requests wait as may.
	ErrQueueFull = errors.New("queue is full")
)

// Options are the limits of an engine. Zero values mean defaults. None changes an answer.
type Options struct {
	ContextLength int   // positions that a request may use: prompt and answer together
	Parallel      int   // requests that run at a time, at most gemma2.MaxRows; 0: 64
	Queue         int   // requests that wait beyond those; 0: 1024
	ChunkTokens   int   // prompt tokens in a step while nothing is being generated, at most gemma2.MaxRows; 0: as many
	StepTokens    int   // prompt tokens in a step while answers are being generated: bounds the time between their tokens; 0: 32
	PrefixBytes   int64 // memory of KV pages that finished requests leave for later ones; 0: as one full context takes; -1: none

	StoreDir   string   // folder where finished requests leave theirs for later runs; empty: none
	StoreBytes int64    // of all its files for this model; 0: 2 GiB
	ModelID    [32]byte // tells models, and arithmetics, apart there
}

// Engine runs requests on one model. Safe for concurrent use.
type Engine struct {
	model *gemma2.Model
	pool  *gemma2.Pool
	opt   Options

	mu      sync.Mutex
	waiting []*sequence // guarded by mu; in the order of admission
	looping bool        // guarded by mu; the goroutine that makes steps is there
	closed  bool        // guarded by mu
	admits  int         // guarded by mu; running requests, as of the last admission
	pass    struct {    // guarded by mu; the pass under way
		rows, abandoned int // all, and those that nobody wants any more
	}
	breakOff breakOff       // ends the pass under way
	active   sync.WaitGroup // unfinished requests, the loop and files being written
	store    *store         // nil: none

	// Of the loop's goroutine alone:
	running []*sequence // in the order of admission
	prefix  prefixCache
	plan    plan
	steps   uint64
	plain   stepTimes
	account account
}

// New returns an engine on m with pages from pool.
func New(m *gemma2.Model, pool *gemma2.Pool, o Options) (*Engine, error) {
	if o.Parallel == 0 {
		o.Parallel = 64
	}
	if o.Queue == 0 {
		o.Queue = 1024
	}
	if o.ChunkTokens == 0 {
		o.ChunkTokens = gemma2.MaxRows
	}
	if o.StepTokens == 0 {
		o.StepTokens = 32
	}
	if o.Parallel < 1 || o.Parallel > gemma2.MaxRows || o.Queue < 1 || o.StepTokens < 1 || o.ContextLength < 1 || o.ChunkTokens < 1 || o.ChunkTokens > gemma2.MaxRows {
		return nil, fmt.Errorf("engine: want 1 to %d parallel requests and a queue, step tokens and context of at least 1, found %d, %d, %d, %d",
			gemma2.MaxRows, o.Parallel, o.Queue, o.StepTokens, o.ContextLength)
	}
	if limit := pool.Limit(); limit > 0 && pool.Need(o.ContextLength) > limit {
		return nil, fmt.Errorf("%w: a context of %d tokens takes %d bytes, the limit is %d; want a context of at most %d tokens, or a limit of at least %d bytes",
			gemma2.ErrKVMemory, o.ContextLength, pool.Need(o.ContextLength), limit, pool.Capacity(limit), pool.Need(o.ContextLength))
	}
	if o.PrefixBytes == 0 {
		o.PrefixBytes = pool.Need(o.ContextLength)
	}
	e := &Engine{model: m, pool: pool, opt: o}
	if o.StoreDir != "" {
		if o.StoreBytes == 0 {
			o.StoreBytes = 2 << 30
		}
		var err error
		if e.store, err = openStore(o.StoreDir, o.ModelID, o.StoreBytes, pool, o.ContextLength); err != nil {
			return nil, err
		}
	}
	return e, nil
}

// ContextLength is the number of positions that a request may use.
func (e *Engine) ContextLength() int { return e.opt.ContextLength }

// Close waits for running requests and frees all caches. Later requests fail with ErrClosed. The error is that of a cache
// that could not be stored.
func (e *Engine) Close() error {
	e.mu.Lock()
	e.closed = true
	e.mu.Unlock()
	e.active.Wait()
	e.prefix.evictAll()
	e.pool.Close()
	if e.store != nil {
		return e.store.failed()
	}
	return nil
}

// Hold makes Close wait until release is called: for uses of the model that are no requests.
func (e *Engine) Hold() (release func(), err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil, ErrClosed
	}
	e.active.Add(1)
	return e.active.Done, nil
}

// Submit queues a request, which then runs until it ends or ctx does.
func (e *Engine) Submit(ctx context.Context, r *Request) (*Running, error) {
	s, err := e.newSequence(ctx, r)
	if err != nil {
		return nil, err
	}
	if !s.generates() && r.Read == nil {
		s.run.end(ReasonLength, nil) // nothing to do
		return s.run, nil
	}
	s.unwatch = context.AfterFunc(ctx, func() { e.abandon(s) })
	e.mu.Lock()
	switch {
	case e.closed:
		err = ErrClosed
	case len(e.waiting) >= e.opt.Queue:
		err = fmt.Errorf("%w: %d requests wait already; try again later", ErrQueueFull, len(e.waiting))
	}
	if err != nil {
		e.mu.Unlock()
		s.unwatch()
		return nil, err
	}
	e.active.Add(1)
	e.enqueue(s)
	if !e.looping {
		e.looping = true
		e.active.Add(1)
		go e.loop()
	}
	e.mu.Unlock()
	return s.run, nil
}

// enqueue puts s behind all of its priority or a higher one. e.mu is held.
func (e *Engine) enqueue(s *sequence) {
	i := len(e.waiting)
	for i > 0 && e.waiting[i-1].req.Priority < s.req.Priority {
		i--
	}
	e.waiting = append(e.waiting, nil)
	copy(e.waiting[i+1:], e.waiting[i:])
	e.waiting[i] = s
}

// abandon ends a request whose context has ended, whatever the loop is doing: who asked need not wait for the step under
// way, which is broken off when at least half of it was for abandoned requests.
func (e *Engine) abandon(s *sequence) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !s.run.end("", context.Cause(s.ctx)) {
		return // it had ended before
	}
	rows := 0
	for _, m := range s.together() {
		rows += m.rows
	}
	if e.pass.abandoned += rows; rows > 0 && 2*e.pass.abandoned >= e.pass.rows {
		e.breakOff.Store(true)
	}
}

var errAbandoned = errors.New("engine: most of the step was abandoned")

// breakOff is the context of passes: it ends with errAbandoned when it is set, and starts again when it is not.
type breakOff struct{ atomic.Bool }

func (*breakOff) Deadline() (t time.Time, ok bool) { return }
func (*breakOff) Done() <-chan struct{}            { return nil } // passes ask Err between layers
func (*breakOff) Value(any) any                    { return nil }
func (b *breakOff) Err() error {
	if b.Load() {
		return errAbandoned
	}
	return nil
}

// loop makes steps until nothing is left to do.
func (e *Engine) loop() {
	defer e.active.Done()
	for {
		e.drop()
		e.recallWaiting()
		e.mu.Lock()
		e.admit()
		e.admits = len(e.running)
		if len(e.running) == 0 && len(e.waiting) == 0 {
			e.looping = false
			e.mu.Unlock()
			return
		}
		e.mu.Unlock()
		if len(e.running) == 0 && e.store != nil {
			e.store.wait() // for the memory of what is being stored
			continue
		}
		e.step()
	}
}

// drop removes running requests that have ended.
func (e *Engine) drop() {
	kept := e.running[:0]
	for _, s := range e.running {
		if s.ended() {
			e.retire(s)
		} else {
			kept = append(kept, s)
		}
	}
	clear(e.running[len(kept):])
	e.running = kept
}

// retire leaves the cache of an ended request to later ones.
func (e *Engine) retire(s *sequence) {
	if s.unwatch != nil {
		s.unwatch()
	}
	if c, ok := s.req.Drafter.(interface{ Close() }); ok {
		c.Close()
	}
	first, n := s.together()[0] == s, len(s.all)
	search := s.group != nil && s.group.search != nil
	if search {
		n = s.prompt // what its beginnings have after that was mostly wrong
	}
	if search && !first || s.cache.Len() > n && !s.cache.Truncate(n) { // guesses after the last token can always be cut
		s.free()
	} else {
		e.bequeath(s)
	}
	if first {
		e.active.Done()
	}
}

// bequeath leaves a cache to later requests.
func (e *Engine) bequeath(s *sequence) {
	if s.space == "" { // the store knows the model's own keys and values only, and no scopes
		e.keep(s.all[:s.cache.Len()], s.cache)
	}
	s.cache.Pin(false)
	e.prefix.add(s.all[:s.cache.Len()], s.space, s.cache)
	for e.pool.Idle() > max(0, e.opt.PrefixBytes) && e.prefix.evict() {
	}
}

// keep stores a copy of a cache, which shares its pages, beside what the loop goes on to do. Where memory is bounded the copy has
// whole pages only, so that it takes none, and is pinned: running requests can't evict it.
func (e *Engine) keep(tokens []int32, c *gemma2.Cache) {
	if e.store == nil {
		return
	}
	if e.pool.Limit() > 0 {
		tokens = tokens[:len(tokens)/gemma2.PageTokens*gemma2.PageTokens]
	}
	if !c.CanTruncate(len(tokens)) || !e.store.begin(tokens) {
		return
	}
	f, err := c.Fork(len(tokens))
	if err != nil {
		e.store.end(nil, err)
		return
	}
	f.Pin(true)
	tokens = slices.Clone(tokens)
	e.active.Add(1)
	go func() {
		defer e.active.Done()
		e.store.save(tokens, f)
	}()
}

// Load is what an engine is doing.
type Load struct {
	Running int   // requests that have been admitted and have not ended
	Waiting int   // requests
	KVBytes int64 // memory of all KV pages
	Pinned  int64 // of those that running requests need
	KVLimit int64 // of all KV pages; 0: none
}

// Load says what the engine is doing now.
func (e *Engine) Load() Load {
	e.mu.Lock()
	defer e.mu.Unlock()
	return Load{Running: e.admits, Waiting: len(e.waiting), KVBytes: e.pool.Bytes(), Pinned: e.pool.Pinned(), KVLimit: e.pool.Limit()}
}
