package openai

import (
	"context"
	"net/http"
	"sync"
)

// together is several parts of one request, the first error of which ends all of them.
type together struct {
	r      *http.Request // ends with the first error
	cancel context.CancelCauseFunc
	once   sync.Once
	err    error // the first; to be read when all have ended
}

func group(r *http.Request) *together {
	ctx, cancel := context.WithCancelCause(r.Context())
	return &together{r: r.WithContext(ctx), cancel: cancel}
}

// failed notes an error, if it is one.
func (g *together) failed(err error) {
	if err == nil {
		return
	}
	g.once.Do(func() {
		g.err = err
		g.cancel(err)
	})
}
