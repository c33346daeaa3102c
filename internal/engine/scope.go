package engine

import (
	"context"
	"strconv"

	"github.com/systemgemma/systemgemma/internal/gemma2"
)

type scopeKey struct{}

// WithScope is ctx for requests that share keys and values with those of the same scope only: by the time that a prompt takes, nobody
// can find out what was asked in another one. Requests without a scope, "", share among themselves, and alone use the store.
func WithScope(ctx context.Context, scope string) context.Context {
	return context.WithValue(ctx, scopeKey{}, scope)
}

// spaceOf names those that a request may share with: all of one scope with the same adapters, since others make other keys and values. It
// is empty without both.
func spaceOf(ctx context.Context, a *gemma2.AdapterSet) string {
	scope, _ := ctx.Value(scopeKey{}).(string)
	if scope == "" {
		return a.Key()
	}
	return strconv.Quote(scope) + a.Key() // keys of adapters begin with no quote
}
