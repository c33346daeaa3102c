package engine

import (
	"errors"
	"slices"
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
		case e.store != nil && !s.recalled:
			kept = append(kept, s) // came just now
			blocked = true
		case blocked || len(e.running) > 0 && e.places()+s.width() > e.opt.Parallel:
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

// places is how many sequences the running requests are or may become.
func (e *Engine) places() (n int) {
	for _, s := range e.running {
		if s.together()[0] == s {
			n += s.width()
		}
	}
	return n
}

// worthWaiting says whether a running request is about to compute a beginning that s has in common with it, and that no
// finished one has left: waiting saves s that work. So answers to one prompt, or prompts with one long system prompt that come
// at the same time, share a prefill.
func (e *Engine) worthWaiting(s *sequence) bool {
	most := s.reusable()
	_, have := e.match(s, most)
	for _, r := range e.running {
		if r.space != s.space {
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
	from.entry, n = e.prefix.match(s.all, s.space, most)
	if from.entry >= 0 {
		from.cache = e.prefix.entries[from.entry].cache
	}
	for _, r := range e.running {
		if k := min(common(r.all[:r.cache.Len()], s.all), most); r.space == s.space && k > n && r.cache.CanTruncate(k) {
			from, n = source{r.cache, -1}, k
		}
	}
	return from, n
}

// start gives s a cache, with the longest beginning that is known, and a place among the running requests. It reports false
// when memory must be given back first, which running requests will do, or the cache that is being stored.
func (e *Engine) start(s *sequence) bool {
	members := s.together()
	for _, m := range members {
		e.fork(m)
	}
	if limit := e.pool.Limit(); limit > 0 {
		need := e.pool.Pinned()
		for _, r := range slices.Concat(e.running, members) {
			need += e.growth(r)
		}
		if need > limit && (len(e.running) > 0 || e.store != nil && e.store.busy()) {
			for _, m := range members {
				m.free()
				m.cache = nil
			}
			return false
		}
	}
	now := time.Now()
	for _, m := range members {
		m.started, m.progress, m.known, m.reported = now, e.steps, m.cache.Len(), -1
	}
	s.run.update(func(st *Stats) { st.CachedTokens = s.cache.Len(); st.Queue = now.Sub(s.created) })
	s.report(now)
	if s.generates() && s.req.Search == nil {
		s.req.Sampler.Accept(s.req.Prompt...)
	}
	e.running = append(e.running, members...)
	return true
}

// fork gives s a pinned cache, with the longest beginning that is known.
func (e *Engine) fork(s *sequence) {
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
}

// recallWaiting takes stored beginnings of the prompts of waiting requests among the known ones: before they are admitted, since e.mu
// is not held while files are read.
func (e *Engine) recallWaiting() {
	if e.store == nil {
		return
	}
	e.mu.Lock()
	var next []*sequence
	for _, s := range e.waiting[:min(len(e.waiting), max(0, e.opt.Parallel-len(e.running)))] {
		if !s.recalled {
			next = append(next, s)
		}
	}
	e.mu.Unlock()
	for _, s := range next {
		for _, m := range s.together() {
			e.recall(m)
		}
		s.recalled = true
	}
}

// recall takes a stored beginning of s's prompt among the known ones, if it is longer than those.
// Requests with adapters or a scope have none: files hold what the model alone computes, for everybody.
func (e *Engine) recall(s *sequence) {
	if s.space != "" || s.ended() {
		return
	}
	_, have := e.match(s, s.reusable())
	tokens, c, err := e.store.load(s.all, s.reusable(), have)
	if err = errors.Join(err, e.store.failed()); err != nil {
		s.run.update(func(st *Stats) { st.Warnings = append(st.Warnings, err.Error()) })
	}
	if c != nil {
		e.prefix.add(tokens, s.space, c)
	}
}

// growth is the most memory that s may still take.
func (e *Engine) growth(s *sequence) int64 {
	n := max(0, e.pool.Need(s.limit)-s.cache.Bytes())
	if s.group != nil && s.group.search != nil && s.group.members[0] == s {
		n += int64(s.width()-len(s.group.members)) * (n + e.pool.Need(1)) // those to come share whole pages with this one
	}
	return n
}
