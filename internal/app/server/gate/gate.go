// Package gate lets a bounded number of requests work at a time, and a bounded number wait: the keys in turn, so that one that
// sends many does not hold up the others, and each key at most as often as it may.
//
// It must not know what a request is. Errors are those of package problem: 429 for what a key has too much of, 503 for what the
// server has.
package gate

import (
	"context"
	"math"
	"net/http"
	"sync"
	"time"

	"github.com/systemgemma/systemgemma/internal/app/server/problem"
)

// Options are the limits of a gate.
type Options struct {
	Parallel int           // requests that work at a time; 0: 32
	Queue    int           // requests that wait beyond those; 0: 256
	Wait     time.Duration // that a request waits at most; 0: 5 minutes
	PerKey   int           // requests of one key that work at a time; 0: Parallel
	Rate     float64       // requests of one key in a minute; 0: no limit
}

// Gate is the entrance to work. Safe for concurrent use.
type Gate struct {
	opt Options

	mu      sync.Mutex
	keys    map[string]*owner // guarded by mu
	turn    []*owner          // guarded by mu; those with waiting requests, the next one first
	running int               // guarded by mu
	waiting int               // guarded by mu
	closed  bool              // guarded by mu
	over    bool              // guarded by mu; idle is closed
	idle    chan struct{}
	now     func() time.Time
}

// owner is a key.
type owner struct {
	name    string
	running int
	waiting []chan struct{} // each is closed when its request may work
	tokens  float64         // requests that it may send at once
	filled  time.Time       // when tokens was right
}

// New returns a gate.
func New(o Options) *Gate {
	if o.Parallel == 0 {
		o.Parallel = 32
	}
	if o.Queue == 0 {
		o.Queue = 256
	}
	if o.Wait == 0 {
		o.Wait = 5 * time.Minute
	}
	if o.PerKey == 0 {
		o.PerKey = o.Parallel
	}
	return &Gate{opt: o, keys: map[string]*owner{}, idle: make(chan struct{}), now: time.Now}
}

// Enter waits until a request of that key may work. leave says that it has ended, and must be called once.
func (g *Gate) Enter(ctx context.Context, key string) (leave func(), err error) {
	g.mu.Lock()
	if g.closed {
		g.mu.Unlock()
		return nil, problem.Later(http.StatusServiceUnavailable, problem.CodeDraining, 5*time.Second, "the server is stopping; try again later")
	}
	k := g.keys[key]
	if k == nil {
		k = &owner{name: key, tokens: max(1, g.opt.Rate), filled: g.now()}
		g.keys[key] = k
	}
	if err := g.spend(k); err != nil {
		g.mu.Unlock()
		return nil, err
	}
	if g.running < g.opt.Parallel && k.running < g.opt.PerKey && len(k.waiting) == 0 {
		g.start(k)
		g.mu.Unlock()
		return func() { g.leave(k) }, nil
	}
	if err := g.full(k); err != nil {
		g.mu.Unlock()
		return nil, err
	}
	c := make(chan struct{})
	if k.waiting = append(k.waiting, c); len(k.waiting) == 1 {
		g.turn = append(g.turn, k)
	}
	g.waiting++
	g.next() // the key's own requests may have ended meanwhile
	g.mu.Unlock()

	timer := time.NewTimer(g.opt.Wait)
	defer timer.Stop()
	select {
	case <-c:
		return func() { g.leave(k) }, nil
	case <-ctx.Done():
		err = context.Cause(ctx)
	case <-timer.C:
		err = problem.Later(http.StatusServiceUnavailable, problem.CodeBusy, 10*time.Second, "the request waited %v for its turn; try again later", g.opt.Wait)
	}
	g.giveUp(k, c)
	return nil, err
}

// giveUp takes a request out of the queue, or ends it if its turn has just come.
func (g *Gate) giveUp(k *owner, c chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for i, x := range k.waiting {
		if x != c {
			continue
		}
		k.waiting = append(k.waiting[:i:i], k.waiting[i+1:]...)
		g.waiting--
		if len(k.waiting) == 0 {
			g.unturn(k)
		}
		g.tidy(k)
		g.check()
		return
	}
	g.end(k)
}

// full refuses a request that would wait behind too many: at most half of the queue is for one key, where there are several.
func (g *Gate) full(k *owner) error {
	after := time.Duration(1+g.waiting/max(1, g.opt.Parallel)) * time.Second
	if g.waiting >= g.opt.Queue {
		return problem.Later(http.StatusServiceUnavailable, problem.CodeBusy, after, "%d requests wait already; try again later", g.waiting)
	}
	if k.name != "" && len(k.waiting) >= max(1, g.opt.Queue/2) {
		return problem.Later(http.StatusTooManyRequests, problem.CodeRate, after, "%d requests of key %s wait already; try again later", len(k.waiting), k.name)
	}
	return nil
}

// spend takes a request from the key's rate.
func (g *Gate) spend(k *owner) error {
	if g.opt.Rate <= 0 {
		return nil
	}
	now := g.now()
	k.tokens = min(max(1, g.opt.Rate), k.tokens+now.Sub(k.filled).Minutes()*g.opt.Rate)
	k.filled = now
	if k.tokens < 1 {
		wait := time.Duration(math.Ceil((1 - k.tokens) / g.opt.Rate * float64(time.Minute)))
		return problem.Later(http.StatusTooManyRequests, problem.CodeRate, wait, "want at most %g requests a minute; try again later", g.opt.Rate)
	}
	k.tokens--
	return nil
}

func (g *Gate) start(k *owner) {
	g.running++
	k.running++
}

func (g *Gate) leave(k *owner) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.end(k)
}

// end frees the place of a request, and gives it to the next. g.mu is held.
func (g *Gate) end(k *owner) {
	g.running--
	k.running--
	g.tidy(k)
	g.next()
	g.check()
}

// next lets waiting requests work, one key after the other. g.mu is held.
func (g *Gate) next() {
	for skipped := 0; g.running < g.opt.Parallel && skipped < len(g.turn); {
		k := g.turn[0]
		g.turn = append(g.turn[1:], k) // to the end
		if k.running >= g.opt.PerKey {
			skipped++
			continue
		}
		skipped = 0
		close(k.waiting[0])
		k.waiting = k.waiting[1:]
		g.waiting--
		g.start(k)
		if len(k.waiting) == 0 {
			g.unturn(k)
		}
	}
}

func (g *Gate) unturn(k *owner) {
	for i, x := range g.turn {
		if x == k {
			g.turn = append(g.turn[:i:i], g.turn[i+1:]...)
			return
		}
	}
}

// tidy forgets a key that has nothing here, so that names take no memory. g.mu is held.
func (g *Gate) tidy(k *owner) {
	if k.running == 0 && len(k.waiting) == 0 && g.opt.Rate <= 0 {
		delete(g.keys, k.name)
	}
}

// Load says how many requests work and wait.
func (g *Gate) Load() (running, waiting int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.running, g.waiting
}

// Close refuses further requests. Those that wait keep their turn; the channel is closed when none works or waits any more.
func (g *Gate) Close() (idle <-chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
	g.check()
	return g.idle
}

// check notes that a closed gate has nothing to do any more. g.mu is held.
func (g *Gate) check() {
	if g.closed && !g.over && g.running == 0 && g.waiting == 0 {
		g.over = true
		close(g.idle)
	}
}
