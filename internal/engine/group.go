package engine

import (
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/systemgemma/systemgemma/internal/gemma2"
)

// Guided is a Sampler that also sees what the model says after another prompt.
type Guided interface {
	Sampler
	// Against gives the logits after the other prompt and the answer so far, for the next Sample, which is called before they change.
	Against(logits []float32)
}

// Search follows several beginnings of an answer at a time.
type Search interface {
	// Width is the most beginnings at a time.
	Width() int
	// Look sees the logits after beginning i, which it may not change. It is called on any goroutine, for different beginnings at
	// the same time, and again with the same logits when a pass is repeated.
	Look(i int, logits []float32) error
	// Next is called when it has seen all, and says which come next: number i is beginning from[i] with tokens[i] after it.
	// None: the search is over. It must not block.
	Next() (from []int, tokens []int32)
}

// group is the sequences of one request that go side by side: prompt and other prompt, or the beginnings that a Search follows. All
// compute the last token of their prompt, and every token after it, in the same passes.
type group struct {
	members []*sequence // guarded by Engine.mu when written; the loop alone writes
	search  Search      // nil: guidance, of members prompt and other prompt
	due     bool        // of the loop; a pass has joint chunks of the members

	mu   sync.Mutex
	held []float32 // guarded by mu; logits of whichever of the two came first in this pass
	of   *sequence // guarded by mu; whose they are; nil: none
}

// width is the most sequences that s will be.
func (s *sequence) width() int {
	switch {
	case s.group == nil:
		return 1
	case s.group.search != nil:
		return s.group.search.Width()
	}
	return len(s.group.members)
}

// together are s and what goes side by side with it.
func (s *sequence) together() []*sequence {
	if s.group == nil {
		return []*sequence{s}
	}
	return s.group.members
}

// ready says whether each member has one token to compute, so that all logits of the next pass are of use.
func (g *group) ready() bool {
	for _, m := range g.members {
		if len(m.pending()) != 1 {
			return false
		}
	}
	return true
}

// take handles the logits after the last token of a member.
func (g *group) take(s *sequence, logits []float32) error {
	if g.search != nil {
		return g.search.Look(slices.Index(g.members, s), logits)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	main := g.members[0]
	switch {
	case len(main.sampled) > 0:
		return nil // the pass was repeated after the choice
	case g.of == nil || g.of == s:
		g.held = append(g.held[:0], logits...)
		g.of = s
		return nil
	}
	own, other := logits, g.held
	if s != main {
		own, other = other, own
	}
	g.of = nil
	main.req.Sampler.(Guided).Against(other)
	main.sample(own)
	return main.err
}

// settleGroup takes over what a pass chose for all members.
func (e *Engine) settleGroup(g *group, now time.Time) {
	main := g.members[0]
	if g.due = false; main.ended() {
		return
	}
	for _, m := range g.members {
		if m.err != nil {
			m.run.end("", m.err)
			return
		}
	}
	if g.search != nil {
		e.settleSearch(g, now)
		return
	}
	main.settle(1, now)
	for _, t := range main.sampled {
		g.members[1].all = append(g.members[1].all, t.ID)
	}
}

// settleSearch lets the search choose, and makes its beginnings the members.
func (e *Engine) settleSearch(g *group, now time.Time) {
	main := g.members[0]
	first := main.first
	if first.IsZero() {
		first = now
	}
	main.run.update(func(st *Stats) {
		st.Prefill, st.Decode = first.Sub(main.started), now.Sub(first)
		st.GeneratedTokens++
	})
	from, tokens := g.search.Next()
	switch {
	case len(from) == 0:
		main.run.end(ReasonStop, nil)
		return
	case main.cache.Len() >= main.limit:
		main.run.end(ReasonLength, nil)
		return
	}
	old := slices.Clone(g.members)
	e.replace(g, slices.DeleteFunc(slices.Clone(old), func(s *sequence) bool { return !slices.Contains(from, slices.Index(old, s)) })) // their memory serves the others
	next := make([]*sequence, len(from))
	for i, f := range from {
		s := old[f]
		if slices.Contains(from[:i], f) {
			var err error
			if s, err = e.branch(s); err != nil {
				main.run.end("", err)
				break
			}
			e.replace(g, append(slices.Clone(g.members), s))
		}
		s.first = first
		next[i] = s
	}
	if main.ended() {
		return
	}
	for i, s := range next {
		s.all = append(s.all[:s.cache.Len():s.cache.Len()], tokens[i])
	}
	e.replace(g, next)
}

// branch is a copy of a member whose cache shares its pages.
func (e *Engine) branch(s *sequence) (*sequence, error) {
	for {
		f, err := s.cache.Fork(s.cache.Len())
		if err == nil {
			f.Pin(true)
			return &sequence{
				req: s.req, ctx: s.ctx, run: s.run, unwatch: s.unwatch, group: s.group, cache: f, all: s.all, prompt: s.prompt, limit: s.limit,
				space: s.space, created: s.created, started: s.started, first: s.first, kept: true, known: s.known, reported: s.reported, read: s.read,
			}, nil
		}
		if !errors.Is(err, gemma2.ErrKVMemory) || !e.prefix.evict() {
			return nil, err
		}
	}
}

// replace makes next the members of g, and frees those that are none any more.
func (e *Engine) replace(g *group, next []*sequence) {
	at := slices.Index(e.running, g.members[0])
	e.running = slices.DeleteFunc(e.running, func(s *sequence) bool { return s.group == g })
	e.running = slices.Insert(e.running, at, next...)
	old := g.members
	e.mu.Lock()
	g.members = next
	e.mu.Unlock()
	for _, s := range old {
		if !slices.Contains(next, s) {
			s.free()
		}
	}
}

// free gives a running sequence's memory back.
func (s *sequence) free() {
	s.cache.Pin(false)
	s.cache.Free()
}
