package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/systemgemma/systemgemma/internal/gemma2"
)

// sequence is a request on its way. Only the loop touches it, but for run, and for rows, which Engine.mu guards.
type sequence struct {
	req     *Request
	ctx     context.Context
	run     Running
	unwatch func() bool

	cache  *gemma2.Cache
	all    []int32 // the prompt, then the answer; the cache holds the first cache.Len() of them
	prompt int     // tokens of the prompt
	limit  int     // most tokens that all may have; those of the prompt when nothing is generated

	constrained Constrained // the request's sampler if it is one, else nil

	adapters string // key of the request's adapters: only caches of the same one are shared

	created, started, first time.Time
	rows                    int    // in the pass under way
	progress                uint64 // step in which the prompt last went on
	read                    int    // first row that Read has not had
	kept                    bool   // a cache of the beginning was set aside when local pages were about to go
	guess                   guessing

	// Of one step:
	draft   []int32 // guessed tokens that follow the one to be computed
	certain bool    // draft was not guessed: the sampler will choose it
	sampled []Token // chosen so far
	missed  bool    // the last of them is not what was guessed: the rows after it are of no use
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
	vocab := e.model.Config().VocabSize
	for i, id := range r.Prompt {
		if id < 0 || int(id) >= vocab {
			return nil, fmt.Errorf("prompt: token %d: want an id below %d, found %d", i, vocab, id)
		}
	}
	s := &sequence{req: r, ctx: ctx, prompt: len(r.Prompt), limit: e.opt.ContextLength, adapters: r.Adapters.Key(), created: time.Now()}
	if r.Sampler == nil || r.States {
		s.limit = s.prompt
	} else if r.MaxTokens > 0 {
		s.limit = min(s.limit, s.prompt+r.MaxTokens)
	}
	s.constrained, _ = r.Sampler.(Constrained)
	s.run.done = make(chan struct{})
	s.run.stats.PromptTokens = s.prompt
	s.all = append(make([]int32, 0, min(s.limit, s.prompt+256)), r.Prompt...)
	return s, nil
}

// pending are the tokens that are still to be computed: at least one while the request runs.
func (s *sequence) pending() []int32 { return s.all[s.cache.Len():] }

// decoding says whether the request generates: its prompt is computed.
func (s *sequence) decoding() bool { return len(s.all) > s.prompt }

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
	s.sampled, s.missed, s.done, s.err = s.sampled[:0], false, false, nil
	if s.decoding() {
		c := gemma2.Chunk{Cache: s.cache, Tokens: s.pending(), Logits: 1 + len(s.draft), Adapters: s.req.Adapters}
		if len(s.draft) > 0 {
			c.Tokens = append(append(make([]int32, 0, 1+len(s.draft)), c.Tokens...), s.draft...)
		}
		return c
	}
	at := s.cache.Len()
	n = min(n, s.prompt-at)
	c := gemma2.Chunk{Cache: s.cache, Tokens: s.all[at : at+n], States: s.req.States, Adapters: s.req.Adapters}
	if s.req.Read != nil {
		c.Logits = max(0, min(n, at+n-s.req.ReadFrom))
	}
	if at+n == s.prompt && s.generates() {
		c.Logits = max(1, c.Logits)
	}
	return c
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
	var t Token
	if t.ID, t.Logprob, s.err = s.req.Sampler.Sample(logits); s.err != nil {
		return
	}
	t.Stop = s.req.Stop[t.ID]
	s.req.Sampler.Accept(t.ID)
	s.sampled = append(s.sampled, t)
	i := len(s.sampled) - 1
	s.done = t.Stop || s.constrained != nil && s.constrained.Done()
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
