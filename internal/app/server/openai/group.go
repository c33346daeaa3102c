package openai

import (
	"context"
	"net/http"
	"sync"
)

// side is how many parts of one request are computed at a time.
const side = 32

// sideBySide does the n parts of a request, some at a time. The first error ends all of them, by their request's context.
func sideBySide(r *http.Request, n int, do func(r *http.Request, k int) error) error {
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	r = r.WithContext(ctx)
	places := make(chan struct{}, side)
	var all sync.WaitGroup
	var once sync.Once
	var first error
	for k := range n {
		places <- struct{}{}
		if ctx.Err() != nil {
			break // the rest would fail alike
		}
		all.Go(func() {
			defer func() { <-places }()
			if err := do(r, k); err != nil {
				once.Do(func() {
					first = err
					cancel(err)
				})
			}
		})
	}
	all.Wait()
	if first == nil {
		first = context.Cause(ctx)
	}
	return first
}
