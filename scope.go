package systemgemma

import (
	"context"

	"github.com/systemgemma/systemgemma/internal/engine"
)

// WithCacheScope is ctx for answers, scores and embeddings that reuse computed beginnings of prompts from those of the same scope only.
// Somebody who measures how long prompts take can else find out whether another one has begun with the same words. Give users who must
// not learn of each other scopes of their own. "", the default, is a scope too, and the only one that uses Options.PromptCache.
// Answers are the same in every scope.
func WithCacheScope(ctx context.Context, scope string) context.Context {
	return engine.WithScope(ctx, scope)
}
