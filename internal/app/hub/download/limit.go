package download

import (
	"context"
	"io"
	"sync"
	"time"

	"github.com/systemgemma/systemgemma/internal/app/hub/wire"
)

// Limiter holds several downloads together to a rate. A nil Limiter doesn't limit.
type Limiter struct {
	rate int64 // bytes a second

	mu   sync.Mutex
	next time.Time // when the bytes so far are paid for
}

// NewLimiter returns a limiter to so many bytes a second; nil for 0, no limit.
func NewLimiter(bytesPerSecond int64) *Limiter {
	if bytesPerSecond <= 0 {
		return nil
	}
	return &Limiter{rate: bytesPerSecond}
}

// wait pays for n bytes.
func (l *Limiter) wait(ctx context.Context, clock wire.Clock, n int) error {
	if l == nil {
		return nil
	}
	l.mu.Lock()
	now := time.Now()
	if l.next.Before(now) {
		l.next = now
	}
	l.next = l.next.Add(clock.Real(time.Duration(float64(n) / float64(l.rate) * float64(time.Second))))
	pause := l.next.Sub(now)
	l.mu.Unlock()
	const small = 20 * time.Millisecond // less is not worth a sleep
	if pause < small {
		return nil
	}
	t := time.NewTimer(pause)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Reader is r at the limiter's rate; read is told of each piece. A nil Limiter doesn't limit.
func (l *Limiter) Reader(ctx context.Context, clock wire.Clock, r io.Reader, read func(n int)) io.Reader {
	return &limited{l, ctx, clock, r, read}
}

type limited struct {
	l     *Limiter
	ctx   context.Context
	clock wire.Clock
	r     io.Reader
	read  func(int)
}

func (x *limited) Read(p []byte) (int, error) {
	n, err := x.r.Read(p)
	if n > 0 {
		if wait := x.l.wait(x.ctx, x.clock, n); wait != nil {
			return 0, wait
		}
		x.read(n)
	}
	return n, err
}
