package engine

import (
	"context"
	"slices"

	"github.com/systemgemma/systemgemma/internal/gemma2"
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
// ids before it give, with adapters (nil: none).
func (e *Engine) Score(ctx context.Context, ids []int32, from int, adapters *gemma2.AdapterSet, out func(i int, logits []float32) error) error {
	from = max(from, 1)
	if from >= len(ids) {
		return e.read(ctx, ids, len(ids), adapters, func(int, []float32) error { return nil })
	}
	return e.read(ctx, ids, from-1, adapters, func(row int, logits []float32) error {
		if row+1 == len(ids) {
			return nil
		}
		return out(row+1, logits)
	})
}

// Logits runs ids once and calls out with the next-token logits of every one of them, with adapters (nil: none).
func (e *Engine) Logits(ctx context.Context, ids []int32, adapters *gemma2.AdapterSet, out func(row int, logits []float32) error) error {
	return e.read(ctx, ids, 0, adapters, out)
}

// States runs ids once and calls out with the hidden state of every one of them after the final norm, with adapters (nil: none).
func (e *Engine) States(ctx context.Context, ids []int32, adapters *gemma2.AdapterSet, out func(row int, state []float32) error) error {
	return e.submitRead(ctx, &Request{Prompt: slices.Clone(ids), Read: out, States: true, Adapters: adapters})
}

func (e *Engine) read(ctx context.Context, ids []int32, from int, adapters *gemma2.AdapterSet, out func(row int, logits []float32) error) error {
	return e.submitRead(ctx, &Request{Prompt: slices.Clone(ids), Read: out, ReadFrom: from, Adapters: adapters})
}

func (e *Engine) submitRead(ctx context.Context, r *Request) error {
	run, err := e.Submit(ctx, r)
	if err == nil {
		_, _, err = run.Wait()
	}
	return err
}
