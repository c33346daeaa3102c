package engine

import (
	"context"
	"time"
)

// Sampler chooses tokens. It is used by one request at a time.
type Sampler interface {
	// Accept tells the sampler tokens of the prompt or the answer.
	Accept(ids ...int32)
	// Sample chooses the next token from logits, which it may change, and gives its natural log probability under the
	// model, before any option changed the distribution.
	Sample(logits []float32) (id int32, logprob float64, err error)
}

// Request is one generation.
type Request struct {
	Prompt    []int32
	Sampler   Sampler
	Stop      map[int32]bool // ids that end the answer; nil: none does
	MaxTokens int            // 0: as many as the context holds
}

// Reason says why an answer ended.
type Reason string

const (
	// ReasonStop: a stop token came, or whoever reads the answer wanted no more.
	ReasonStop Reason = "stop"
	// ReasonLength: the limit on tokens or the end of the context was reached.
	ReasonLength Reason = "length"
)

// Token is one step of an answer.
type Token struct {
	ID      int32
	Logprob float64
	Stop    bool // it is one of Request.Stop
}

// Generate runs a request and calls yield with every token, a stop token included. When yield returns false, it ends with
// ReasonStop. The statistics are right also with an error, up to where it came.
func (e *Engine) Generate(ctx context.Context, r Request, yield func(Token) bool) (reason Reason, st Stats, err error) {
	st.PromptTokens = len(r.Prompt)
	if err := e.enter(); err != nil {
		return "", st, err
	}
	defer e.active.Done()
	s, err := e.admit(r.Prompt)
	if err != nil {
		return "", st, err
	}
	defer e.release(s)
	st.CachedTokens = len(s.tokens)
	limit := e.context - len(r.Prompt)
	if r.MaxTokens > 0 {
		limit = min(limit, r.MaxTokens)
	}
	if limit == 0 {
		return ReasonLength, st, nil
	}
	r.Sampler.Accept(r.Prompt...)

	start := time.Now()
	var first time.Time // when the first logits were there
	defer func() {
		if !first.IsZero() {
			st.Decode = time.Since(first)
		}
	}()
	var tok Token
	sample := func(_ int, logits []float32) (err error) {
		if first.IsZero() {
			first = time.Now()
			st.Prefill = first.Sub(start)
		}
		tok.ID, tok.Logprob, err = r.Sampler.Sample(logits)
		return err
	}
	next := r.Prompt[len(s.tokens):]
	one := make([]int32, 1)
	for {
		if err := e.forward(ctx, s, next, 1, sample); err != nil {
			return "", st, err
		}
		st.GeneratedTokens++
		tok.Stop = r.Stop[tok.ID]
		if !yield(tok) || tok.Stop {
			return ReasonStop, st, nil
		}
		if st.GeneratedTokens == limit {
			return ReasonLength, st, nil
		}
		r.Sampler.Accept(tok.ID)
		one[0] = tok.ID
		next = one
	}
}

// Score runs ids once and calls out, in order, with the index of every id from from on (at least 1) and the logits that the
// ids before it give.
func (e *Engine) Score(ctx context.Context, ids []int32, from int, out func(i int, logits []float32) error) error {
	return e.Logits(ctx, ids, func(row int, logits []float32) error {
		if row+1 < max(from, 1) || row+1 >= len(ids) {
			return nil
		}
		return out(row+1, logits)
	})
}

// Logits runs ids once and calls out with the next-token logits of every one of them.
func (e *Engine) Logits(ctx context.Context, ids []int32, out func(row int, logits []float32) error) error {
	if err := e.enter(); err != nil {
		return err
	}
	defer e.active.Done()
	if err := e.checkLength(ids); err != nil {
		return err
	}
	s := &sequence{cache: e.pool.NewCache()}
	defer s.cache.Free()
	return e.forward(ctx, s, ids, len(ids), out)
}
