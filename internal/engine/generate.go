package engine

import (
	"context"
	"slices"
)

// Generate runs a request to its end. Its Token is replaced by yield.
func (e *Engine) Generate(ctx context.Context, r Request, yield func(Token) bool) (Reason, Stats, error) {
	r.Token = yield
	run, err := e.Submit(ctx, &r)
	if err != nil {
		return "", Stats{PromptTokens: len(r.Prompt)}, err
	}
	return run.Wait()
}

// Score runs ids once and calls out, in order, with the index of every id from from on (at least 1) and the logits that the
// ids before it give.
func (e *Engine) Score(ctx context.Context, ids []int32, from int, out func(i int, logits []float32) error) error {
	from = max(from, 1)
	if from >= len(ids) {
		return e.read(ctx, ids, len(ids), func(int, []float32) error { return nil })
	}
	return e.read(ctx, ids, from-1, func(row int, logits []float32) error {
		if row+1 == len(ids) {
			return nil
		}
		return out(row+1, logits)
	})
}

// Logits runs ids once and calls out with the next-token logits of every one of them.
func (e *Engine) Logits(ctx context.Context, ids []int32, out func(row int, logits []float32) error) error {
	return e.read(ctx, ids, 0, out)
}

// States runs ids once and calls out with the hidden state of every one of them after the final norm.
func (e *Engine) States(ctx context.Context, ids []int32, out func(row int, state []float32) error) error {
	return e.submitRead(ctx, &Request{Prompt: slices.Clone(ids), Read: out, States: true})
}

func (e *Engine) read(ctx context.Context, ids []int32, from int, out func(row int, logits []float32) error) error {
	return e.submitRead(ctx, &Request{Prompt: slices.Clone(ids), Read: out, ReadFrom: from})
}

func (e *Engine) submitRead(ctx context.Context, r *Request) error {
	run, err := e.Submit(ctx, r)
	if err == nil {
		_, _, err = run.Wait()
	}
	return err
}
