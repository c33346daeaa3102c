package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/systemgemma/systemgemma/internal/gemma2"
)

// sequence is a request on its way. Only the loop touches it, but for run, and for rows, which Engine.mu guards.
type sequence struct {
	req     *Request
	ctx     context.Context
	run     *Running
	group   *group // nil: it is alone in its request
	unwatch func() bool

	cache  *gemma2.Cache
	all    []int32 // the prompt, then the answer; the cache holds the first cache.Len() of them
	prompt int     // tokens of the prompt
	limit  int     // most tokens that all may have; those of the prompt when nothing is generated

	constrained Constrained // the request's sampler if it is one, else nil

	space string // of the request's keys and values: only caches of the same one are shared

	created, started, first time.Time
	rows                    int    // in the pass under way
	progress                uint64 // step in which the prompt last went on
	known                   int    // tokens of the prompt that the cache had when it was admitted
	reported                int    // tokens that Progress was told last
	read                    int    // first row that Read has not had
	recalled                bool   // the store was asked for a beginning of the prompt
	kept                    bool   // a cache of the beginning was set aside when local pages were about to go
	guess                   guessing

	// Of one step:
	draft   []int32 // guessed tokens that follow the one to be computed
	certain bool    // draft was not guessed: the sampler will choose it
	sampled []Token // chosen so far
	missed  bool    // the last of them is not what was guessed: the rows after it are of no use
	joint   bool    // all of its group have a token in this pass, to choose from the logits of all
	done    bool    // the answer ends with the last of them
	err     error   // of the sampler or reader
}

func (e *Engine) newSequence(ctx context.Context, r *Request) (*sequence, error) {
	switch n := len(r.Prompt); {
	case n == 0:
		return nil, errors.New("prompt is empty: want at least one token")
	case n > e.opt.ContextLength:
		return nil, fmt.Errorf("%w: prompt is %d tokens, context length is %d; remove at least %d tokens", ErrContextLength, n, e.opt.ContextLength, n-e.opt.ContextLength)
	}
	if err := e.checkIDs("prompt", r.Prompt); err != nil {
		return nil, err
	}
	s := &sequence{req: r, ctx: ctx, prompt: len(r.Prompt), limit: e.opt.ContextLength, space: spaceOf(ctx, r.Adapters), created: time.Now()}
	if r.Sampler == nil && r.Search == nil || r.States {
		s.limit = s.prompt
	} else if r.MaxTokens > 0 {
		s.limit = min(s.limit, s.prompt+r.MaxTokens)
	}
	s.run = &Running{done: make(chan struct{})}
	s.run.stats.PromptTokens = s.prompt
	if err := e.group(s); err != nil {
		return nil, err
	}
	if s.group == nil {
		s.constrained, _ = r.Sampler.(Constrained)
	}
	s.all = append(make([]int32, 0, min(s.limit, s.prompt+256)), r.Prompt...)
	return s, nil
}

// group makes what goes side by side with s, if anything does.
func (e *Engine) group(s *sequence) error {
	r := s.req
	if !s.generates() {
		return nil
	}
	switch _, guided := r.Sampler.(Guided); {
	case r.Search != nil && (r.Sampler != nil || r.Other != nil):
		return errors.New("engine: a search wants no sampler and no other prompt beside it")
	case r.Search != nil && r.Search.Width() > e.opt.Parallel:
		return fmt.Errorf("beams: want at most %d, as many sequences as run at a time, found %d", e.opt.Parallel, r.Search.Width())
	case r.Search != nil:
		s.group = &group{search: r.Search, members: []*sequence{s}}
		return nil
	case r.Other == nil:
		return nil
	case !guided || e.opt.Parallel < 2:
		return errors.New("guidance: want a sampler that knows it, and room for two sequences at a time")
	case len(r.Other) == 0 || len(r.Other) >= e.opt.ContextLength:
		return fmt.Errorf("%w: the other prompt is %d tokens, context length is %d; want 1 to %d tokens", ErrContextLength, len(r.Other), e.opt.ContextLength, e.opt.ContextLength-1)
	}
	if err := e.checkIDs("other prompt", r.Other); err != nil {
		return err
	}
	s.limit = min(s.limit, s.prompt+e.opt.ContextLength-len(r.Other))
	o := &sequence{req: &Request{Prompt: r.Other, Adapters: r.Adapters, Priority: r.Priority}, ctx: s.ctx, run: s.run, prompt: len(r.Other), space: s.space, created: s.created}
	o.limit = o.prompt + s.limit - s.prompt
	o.all = slices.Clone(r.Other)
	s.group = &group{members: []*sequence{s, o}}
	o.group = s.group
	return nil
}

// checkIDs refuses tokens that the vocabulary lacks.
func (e *Engine) checkIDs(what string, ids []int32) error {
	vocab := e.model.Config().VocabSize
	for i, id := range ids {
		if id < 0 || int(id) >= vocab {
			return fmt.Errorf("%s: token %d: want an id below %d, found %d", what, i, vocab, id)
		}
	}
	return nil
}

// pending are the tokens that are still to be computed: at least one while the request runs.
func (s *sequence) pending() []int32 { return s.all[s.cache.Len():] }

// decoding says whether the request generates: its prompt is computed, or in a group, all of each but the last token.
func (s *sequence) decoding() bool {
	if s.group != nil && s.generates() {
		return s.group.ready()
	}
	return len(s.all) > s.prompt
}

// generates says whether the request has room for an answer.
func (s *sequence) generates() bool { return s.limit > s.prompt }

// reusable is how many tokens of the prompt need not be computed when their keys and values are there: at least one must
// be, and all that Read wants.
func (s *sequence) reusable() int {
	n := s.prompt - 1
	if s.req.Read != nil {
		n = min(n, s.req.ReadFrom)
	}
	return max(n, 0)
}

// chunk is the part of the prompt, or the token and the guesses after it, that a pass computes: at most n tokens.
func (s *sequence) chunk(n int) gemma2.Chunk {
	s.sampled, s.missed, s.done, s.joint, s.err = s.sampled[:0], false, false, false, nil
	if s.decoding() {
		if s.group != nil {
			s.joint, s.group.due = true, true
		}
		c := gemma2.Chunk{Cache: s.cache, Tokens: s.pending(), Logits: 1 + len(s.draft), Adapters: s.req.Adapters}
		if len(s.draft) > 0 {
			c.Tokens = append(append(make([]int32, 0, 1+len(s.draft)), c.Tokens...), s.draft...)
		}
		return c
	}
	at := s.cache.Len()
	n = min(n, s.part())
	c := gemma2.Chunk{Cache: s.cache, Tokens: s.all[at : at+n], States: s.req.States, Adapters: s.req.Adapters}
	if s.req.Read != nil {
		c.Logits = max(0, min(n, at+n-s.req.ReadFrom))
	}
	if at+n == s.prompt && s.generates() {
		c.Logits = max(1, c.Logits)
	}
	return c
}

// part is how many tokens of the prompt may be computed now: in a group the last one waits for the others.
func (s *sequence) part() int {
	n := s.prompt - s.cache.Len()
	if s.group != nil && s.generates() {
		n--
	}
	return n
}

// take handles the logits of one row of the chunk: of the token at position pos of all and its guesses.
func (s *sequence) take(pos int, logits []float32) {
	if s.err != nil || s.missed {
		return
	}
	if s.req.Read != nil && pos < s.prompt && pos >= max(s.req.ReadFrom, s.read) {
		s.read = pos + 1
		if s.err = s.run.read(s.req, pos, logits); s.err != nil {
			return
		}
	}
	if !s.generates() || pos < s.prompt-1 || pos < len(s.all)-1+len(s.sampled) {
		return // a row of the prompt, or one that was handled before the pass was repeated
	}
	if s.group != nil {
		if err := s.group.take(s, logits); err != nil {
			s.err = err // written only then: the other's goroutine may be sampling for this one
		}
		return
	}
	s.sample(logits)
}

// sample chooses a token from the logits of the next row.
func (s *sequence) sample(logits []float32) {
	var t Token
	if t.ID, t.Logprob, s.err = s.req.Sampler.Sample(logits); s.err != nil {
		return
	}
	t.Stop = s.req.Stop[t.ID]
	s.req.Sampler.Accept(t.ID)
	s.sampled = append(s.sampled, t)
	i := len(s.sampled) - 1
	c, _ := s.req.Sampler.(Constrained)
	s.done = t.Stop || c != nil && c.Done()
	s.missed = s.done || i >= len(s.draft) || s.draft[i] != t.ID || len(s.all)+len(s.sampled) >= s.limit
}

// settle takes over what a pass of n tokens computed and chose, after which the cache holds exactly the tokens of all but
// the last.
func (s *sequence) settle(n int, now time.Time) {
	if s.err != nil {
		s.run.end("", s.err)
		return
	}
	right := max(0, len(s.sampled)-1) // guesses that came true
	if wrong := len(s.draft) - right; wrong > 0 {
		s.cache.Truncate(s.cache.Len() - wrong) // within what every cache can roll back
	}
	if len(s.sampled) == 0 {
		if s.cache.Len() == s.prompt {
			s.finish(ReasonLength, now) // read to the end
		}
		return
	}
	if s.first.IsZero() {
		s.first = now
	}
	s.run.update(func(st *Stats) {
		st.Prefill = s.first.Sub(s.started)
		if s.certain {
			st.CertainTokens += right
			return
		}
		st.DraftedTokens += len(s.draft)
		st.AcceptedTokens += right
	})
	for i, t := range s.sampled {
		s.all = append(s.all, t.ID)
		if s.ended() {
			return
		}
		if wanted := s.run.tell(s.req, t, now.Sub(s.first)); !wanted || s.done && i == len(s.sampled)-1 {
			s.finish(ReasonStop, now)
			return
		}
	}
	if len(s.all) >= s.limit {
		s.finish(ReasonLength, now)
	}
}

// report tells how far the prompts of the request are computed, if somebody wants to know.
func (s *sequence) report(now time.Time) {
	all := s.together()
	main := all[0]
	if main.req.Progress == nil {
		return
	}
	p := Progress{Took: now.Sub(main.started)}
	for _, m := range all {
		p.Total += m.prompt
		p.Done += min(m.cache.Len(), m.prompt)
		p.Cached += m.known
	}
	if p.Done != main.reported {
		main.reported = p.Done
		main.run.report(main.req, p)
	}
}

// ended says whether the request has ended, and sees to it when its context has: who watches it may not have come to it yet.
func (s *sequence) ended() bool {
	if s.ctx.Err() != nil {
		s.run.end("", context.Cause(s.ctx))
	}
	return s.run.ended()
}

func (s *sequence) finish(reason Reason, now time.Time) {
	s.run.update(func(st *Stats) {
		if s.first.IsZero() {
			st.Prefill = now.Sub(s.started)
		}
	})
	s.run.end(reason, nil)
}
