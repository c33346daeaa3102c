package engine

import (
	"cmp"
	"errors"
	"slices"
	"time"

	"github.com/systemgemma/systemgemma/internal/gemma2"
)

// plan is what a step computes.
type plan struct {
	chunks []gemma2.Chunk
	seqs   []*sequence // of each chunk
	first  []int       // position of each chunk's first token
	order  []*sequence
}

// patience is the number of steps after which a prompt goes on before shorter ones.
const patience = 8

// makePlan gives every generating request its next token and the guesses after it, and shares what is left of the step among
// prompts: the one with the least left first, so that short prompts do not wait for long ones, but nobody more than some
// steps.
func (e *Engine) makePlan() {
	p := &e.plan
	p.chunks, p.seqs, p.first, p.order = p.chunks[:0], p.seqs[:0], p.first[:0], p.order[:0]
	rows, decoding := 0, 0
	for _, s := range e.running {
		if s.decoding() {
			decoding++
		} else if s.part() > 0 {
			p.order = append(p.order, s)
		}
	}
	spare := gemma2.MaxRows - decoding
	for _, s := range e.running {
		if !s.decoding() {
			continue
		}
		s.draft, s.certain = s.draft[:0], false
		if len(p.order) == 0 {
			spare -= e.guess(s, decoding, spare)
		}
		rows += p.add(s, 0)
	}
	budget := min(gemma2.MaxRows-rows, e.opt.ChunkTokens)
	if decoding > 0 {
		budget = min(budget, e.opt.StepTokens)
	}
	slices.SortStableFunc(p.order, func(a, b *sequence) int {
		return cmp.Or(-cmp.Compare(a.req.Priority, b.req.Priority), cmp.Compare(a.left(e.steps), b.left(e.steps)))
	})
	for _, s := range p.order {
		if budget == 0 {
			break
		}
		budget -= p.add(s, budget)
		s.progress = e.steps
	}
}

// left is what orders prompts: the tokens still to be computed, or less than any when it has waited long.
func (s *sequence) left(step uint64) int {
	if step-s.progress >= patience {
		return -int(step - s.progress)
	}
	return s.prompt - s.cache.Len()
}

// add puts the next chunk of s, of at most n prompt tokens, into the plan, and says how many tokens it has.
func (p *plan) add(s *sequence, n int) int {
	c := s.chunk(n)
	p.first = append(p.first, s.cache.Len())
	p.chunks, p.seqs = append(p.chunks, c), append(p.seqs, s)
	return len(c.Tokens)
}

// step computes one pass and handles what it gives.
func (e *Engine) step() {
	e.steps++
	start := time.Now() // what a drafter takes is a part of what guesses cost
	e.makePlan()
	if len(e.plan.chunks) == 0 {
		return
	}
	e.keepBeginnings()
	err := e.forward(e.plan.chunks, e.plan.seqs, e.plan.first)
	now := time.Now()
	switch {
	case err == nil:
		e.learn(now.Sub(start))
		e.settle(0, len(e.plan.seqs), now)
	case errors.Is(err, errAbandoned): // the caches have not grown: what is left of the plan is made anew
		e.forget()
	case len(e.plan.chunks) == 1:
		e.plan.seqs[0].run.end("", err)
	default:
		e.isolate()
	}
}

// settle takes over what chunks from to to of the plan computed. Groups that generate have all their chunks there.
func (e *Engine) settle(from, to int, now time.Time) {
	p := &e.plan
	for i, s := range p.seqs[from:to] {
		if p.first[from+i] < s.prompt {
			s.report(now)
		}
		switch {
		case !s.joint:
			s.settle(len(p.chunks[from+i].Tokens), now)
		case s.group.due:
			e.settleGroup(s.group, now)
		}
	}
}

// forward runs chunks through the model in one pass. When memory is short it evicts what no running request needs.
func (e *Engine) forward(chunks []gemma2.Chunk, seqs []*sequence, first []int) error {
	e.enter(chunks, seqs)
	defer e.leave(seqs)
	for {
		err := e.model.Forward(&e.breakOff, chunks, func(chunk, row int, logits []float32) error {
			seqs[chunk].take(first[chunk]+row, logits)
			return nil
		})
		if !errors.Is(err, gemma2.ErrKVMemory) || !e.prefix.evict() {
			return err
		}
	}
}

// enter notes whose rows a pass computes, so that abandon can break it off.
func (e *Engine) enter(chunks []gemma2.Chunk, seqs []*sequence) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.pass.rows, e.pass.abandoned = 0, 0
	for i, s := range seqs {
		s.rows = len(chunks[i].Tokens)
		e.pass.rows += s.rows
		if s.ended() {
			e.pass.abandoned += s.rows
		}
	}
	e.breakOff.Store(2*e.pass.abandoned >= e.pass.rows)
}

func (e *Engine) leave(seqs []*sequence) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, s := range seqs {
		s.rows = 0
	}
}

// isolate repeats a failed pass one request at a time, so that an error strikes only the request that it belongs to. What was
// chosen before the error stays: the same logits would give the same tokens.
func (e *Engine) isolate() {
	p := &e.plan
	for i, n := 0, 1; i < len(p.seqs); i += n {
		s := p.seqs[i]
		n = 1
		if s.joint {
			n = len(s.group.members) // they are neighbours
		}
		err := e.forward(p.chunks[i:i+n], p.seqs[i:i+n], p.first[i:i+n])
		switch {
		case err == nil:
			e.settle(i, i+n, time.Now())
		case !errors.Is(err, errAbandoned):
			s.run.end("", err)
		}
	}
}

// forget takes back guesses that were not computed.
func (e *Engine) forget() {
	for _, s := range e.plan.seqs {
		s.draft, s.certain = s.draft[:0], false
	}
}

// keepBeginnings sets a copy of a cache aside, without using memory but for a page, when its first local pages are about to
// be given back: so that other requests can still start from that beginning.
func (e *Engine) keepBeginnings() {
	for i, s := range e.plan.seqs {
		if n := s.cache.Len(); !s.kept && s.cache.Forgets(len(e.plan.chunks[i].Tokens)) {
			s.kept = true
			if n = n / gemma2.PageTokens * gemma2.PageTokens; s.cache.CanTruncate(n) {
				if f, err := s.cache.Fork(n); err == nil {
					e.prefix.add(s.all[:n], s.space, f)
				}
			}
		}
	}
}
