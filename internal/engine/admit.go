package engine

import (
	"errors"
	"time"

	"github.com/systemgemma/systemgemma/internal/gemma2"
)

// admit moves waiting requests to the running ones, in order, as long as there is room. e.mu is held.
func (e *Engine) admit() {
	kept := e.waiting[:0]
	blocked := false
	for _, s := range e.waiting {
		switch {
		case s.ended():
			s.unwatch()
			e.active.Done()
		case blocked || len(e.running) >= e.opt.Parallel:
			kept = append(kept, s)
		case e.worthWaiting(s):
			kept = append(kept, s) // does not hold up those behind it
		case !e.start(s):
			kept = append(kept, s)
			blocked = true // for its memory: nobody overtakes it
		}
	}
	clear(e.waiting[len(kept):])
	e.waiting = kept
}

// worthWaiting says whether a running request is about to compute a beginning that s has in common with it, and that no
// finished one has left: waiting saves s that work. So answers to one prompt, or prompts with one long system prompt that come
// at the same time, share a prefill.
func (e *Engine) worthWaiting(s *sequence) bool {
	most := s.reusable()
	_, have := e.match(s, most)
	for _, r := range e.running {
		if r.adapters != s.adapters {
			continue
		}
		n := min(common(r.all, s.all), most)
		if r.cache.Len() < n && n-have >= shareWorth && r.req.Priority >= s.req.Priority && r.cache.CanTruncate(r.cache.Len()) {
			return true
		}
	}
	return false
}

// shareWorth is the number of tokens that are worth waiting a step for.
const shareWorth = 16

// source is a cache that holds a beginning of a prompt.
type source struct {
	cache *gemma2.Cache
	entry int // index in the prefix cache, or -1
}

// match finds the longest beginning of s's prompt, of at most most tokens, that a running or finished request holds.
func (e *Engine) match(s *sequence, most int) (from source, n int) {
	from.entry, n = e.prefix.match(s.all, s.adapters, most)
	if from.entry >= 0 {
		from.cache = e.prefix.entries[from.entry].cache
	}
	for _, r := range e.running {
		if k := min(common(r.all[:r.cache.Len()], s.all), most); r.adapters == s.adapters && k > n && r.cache.CanTruncate(k) {
			from, n = source{r.cache, -1}, k
		}
	}
	return from, n
}

// start gives s a cache, with the longest beginning that is known, and a place among the running requests. It reports false
// when memory must be given back first, which running requests will do, or the cache that is being stored.
func (e *Engine) start(s *sequence) bool {
	e.recall(s)
	from, n := e.match(s, s.reusable())
	s.cache = e.pool.NewCache()
	if from.entry >= 0 {
		e.prefix.use(from.entry)
	}
	if n > 0 {
		f, err := from.cache.Fork(n)
		if n = n / gemma2.PageTokens * gemma2.PageTokens; err != nil && from.cache.CanTruncate(n) {
			f, err = from.cache.Fork(n) // whole pages need no new memory
		}
		if err == nil {
			s.cache = f
		}
	}
	s.cache.Pin(true)
	if limit := e.pool.Limit(); limit > 0 {
		need := e.pool.Pinned() + e.growth(s)
		for _, r := range e.running {
			need += e.growth(r)
		}
		if need > limit && (len(e.running) > 0 || e.store != nil && e.store.busy()) {
			s.cache.Pin(false)
			s.cache.Free()
			s.cache = nil
			return false
		}
	}
	now := time.Now()
	s.started = now
	s.progress = e.steps
	s.run.update(func(st *Stats) { st.CachedTokens = s.cache.Len(); st.Queue = now.Sub(s.created) })
	if s.generates() {
		s.req.Sampler.Accept(s.req.Prompt...)
	}
	e.running = append(e.running, s)
	return true
}

// recall takes a stored beginning of s's prompt among the known ones, if it is longer than those.
// Requests with adapters have none: files hold what the model alone computes.
func (e *Engine) recall(s *sequence) {
	if e.store == nil || s.adapters != "" {
		return
	}
	_, have := e.match(s, s.reusable())
	tokens, c, err := e.store.load(s.all, s.reusable(), have)
	if err = errors.Join(err, e.store.failed()); err != nil {
		s.run.update(func(st *Stats) { st.Warnings = append(st.Warnings, err.Error()) })
	}
	if c != nil {
		e.prefix.add(tokens, s.adapters, c)
	}
}

// growth is the most memory that s may still take.
func (e *Engine) growth(s *sequence) int64 { return max(0, e.pool.Need(s.limit)-s.cache.Bytes()) }
