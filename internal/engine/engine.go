// Package engine runs many conversations on one model: it admits requests, gives each a KV cache, reuses the cache of an
// earlier request with the same beginning, and takes turns between them at every step.
//
// It owns sequences and their order. It must not know text: a request is ids, an answer is ids. Its results do not depend on
// what else runs, nor on whether a cache was reused.
package engine

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/systemgemma/systemgemma/internal/gemma2"
)

// maxIdle is the number of finished requests whose caches are kept for a next turn.
const maxIdle = 4

// Engine runs requests on one model. Safe for concurrent use.
type Engine struct {
	model   *gemma2.Model
	pool    *gemma2.Pool
	context int // positions a request may use

	turn sync.Mutex // held during one forward pass

	mu     sync.Mutex
	idle   []*sequence // guarded by mu; least recently used first
	closed bool        // guarded by mu
	active sync.WaitGroup
}

// sequence is a cache and the tokens whose keys and values it holds.
type sequence struct {
	cache  *gemma2.Cache
	tokens []int32
}

var (
	// ErrContextLength says that a prompt does not fit into the model's context.
	ErrContextLength = errors.New("context length exceeded")
	// ErrClosed says that the engine was closed.
	ErrClosed = errors.New("model is closed")
)

// New returns an engine on m with pages from pool. contextLength bounds the positions of each request.
func New(m *gemma2.Model, pool *gemma2.Pool, contextLength int) *Engine {
	return &Engine{model: m, pool: pool, context: contextLength}
}

// ContextLength is the number of positions that a request may use.
func (e *Engine) ContextLength() int { return e.context }

// Close waits for running requests and frees all caches. Later requests fail with ErrClosed.
func (e *Engine) Close() {
	e.mu.Lock()
	e.closed = true
	e.mu.Unlock()
	e.active.Wait()
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, s := range e.idle {
		s.cache.Free()
	}
	e.idle = nil
	e.pool.Close()
}

// enter counts a request in; leave ends it.
func (e *Engine) enter() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return ErrClosed
	}
	e.active.Add(1)
	return nil
}

// admit checks that n tokens fit, and returns a sequence whose tokens are the longest known beginning of prompt, at least
// one token short of it: that one's logits are still to be computed.
func (e *Engine) admit(prompt []int32) (*sequence, error) {
	if err := e.checkLength(prompt); err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	best, shared := -1, 0
	for i, s := range e.idle {
		if n := common(s.tokens, prompt[:len(prompt)-1]); n > shared {
			best, shared = i, n
		}
	}
	if best >= 0 {
		s := e.idle[best]
		if s.cache.Truncate(shared) {
			e.idle = append(e.idle[:best], e.idle[best+1:]...)
			s.tokens = s.tokens[:shared]
			return s, nil
		}
	}
	return &sequence{cache: e.pool.NewCache()}, nil
}

func (e *Engine) checkLength(prompt []int32) error {
	switch n := len(prompt); {
	case n == 0:
		return errors.New("prompt is empty: want at least one token")
	case n > e.context:
		return fmt.Errorf("%w: prompt is %d tokens, context length is %d; remove at least %d tokens", ErrContextLength, n, e.context, n-e.context)
	}
	return nil
}

// common is the length of the longest common beginning.
func common(a, b []int32) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}

// release keeps a finished sequence for later requests, and frees the least recently used one beyond maxIdle.
func (e *Engine) release(s *sequence) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if s.cache.Len() == 0 {
		s.cache.Free()
		return
	}
	e.idle = append(e.idle, s)
	if len(e.idle) > maxIdle {
		e.evict()
	}
}

// evict frees the least recently used idle cache. e.mu must be held.
func (e *Engine) evict() bool {
	if len(e.idle) == 0 {
		return false
	}
	e.idle[0].cache.Free()
	e.idle = append(e.idle[:0], e.idle[1:]...)
	return true
}

// forward runs tokens of one sequence through the model in passes of at most gemma2.MaxRows, and calls out with the logits
// of the last `logits` tokens. When memory is short it frees idle caches first.
func (e *Engine) forward(ctx context.Context, s *sequence, tokens []int32, logits int, out func(row int, logits []float32) error) error {
	for first := 0; first < len(tokens); {
		n := min(gemma2.MaxRows, len(tokens)-first)
		wanted := max(0, min(n, first+n-(len(tokens)-logits)))
		err := e.pass(ctx, gemma2.Chunk{Cache: s.cache, Tokens: tokens[first : first+n], Logits: wanted}, func(row int, l []float32) error { return out(first+row, l) })
		if err != nil {
			return err
		}
		s.tokens = append(s.tokens, tokens[first:first+n]...)
		first += n
	}
	return nil
}

func (e *Engine) pass(ctx context.Context, c gemma2.Chunk, out func(row int, logits []float32) error) error {
	e.turn.Lock()
	defer e.turn.Unlock()
	for {
		err := e.model.Forward(ctx, []gemma2.Chunk{c}, func(_, row int, l []float32) error { return out(row, l) })
		if !errors.Is(err, gemma2.ErrKVMemory) {
			return err
		}
		e.mu.Lock()
		freed := e.evict()
		e.mu.Unlock()
		if !freed {
			return err
		}
	}
}

// Stats says what a request did and how long it took.
type Stats struct {
	PromptTokens    int
	CachedTokens    int // of the prompt, whose keys and values were there already
	GeneratedTokens int
	Prefill         time.Duration // from the first pass to the first logits
	Decode          time.Duration // from then to the end
}
