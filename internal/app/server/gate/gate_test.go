package gate

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/systemgemma/systemgemma/internal/app/server/problem"
)

func enter(t *testing.T, g *Gate, key string) (leave func()) {
	t.Helper()
	leave, err := g.Enter(context.Background(), key)
	if err != nil {
		t.Fatal(err)
	}
	return leave
}

// wait lets goroutines get as far as a condition.
func wait(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not after 20 s", what)
		}
	}
}

func waiting(g *Gate, n int) func() bool {
	return func() bool { _, w := g.Load(); return w == n }
}

// One key that sends many requests does not hold up another one's.
func TestKeysTakeTurns(t *testing.T) {
	g := New(Options{Parallel: 1, Queue: 100})
	leave := enter(t, g, "greedy")
	var mu sync.Mutex
	var order []string
	var all sync.WaitGroup
	send := func(key string, n int) {
		_, before := g.Load()
		for range n {
			all.Go(func() {
				leave, err := g.Enter(context.Background(), key)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				order = append(order, key)
				mu.Unlock()
				leave()
			})
		}
		wait(t, key+" queued", waiting(g, before+n))
	}
	send("greedy", 5)
	send("a", 1)
	send("b", 2)
	leave()
	all.Wait()
	place := map[string]int{}
	for i, k := range order {
		place[k] = i // of its last request
	}
	if len(order) != 8 || place["a"] > 2 || place["b"] > 5 {
		t.Errorf("order %v: want a and b early", order)
	}
	if len(g.keys) != 0 || len(g.turn) != 0 {
		t.Errorf("%d keys and %d turns are left", len(g.keys), len(g.turn))
	}
}

func TestLimits(t *testing.T) {
	status := func(err error) int {
		var p *problem.Error
		if !errors.As(err, &p) || p.RetryAfter <= 0 {
			t.Errorf("%v: want a problem that says when to try again", err)
			return 0
		}
		return p.Status
	}
	g := New(Options{Parallel: 1, Queue: 2, Wait: time.Millisecond})
	leave := enter(t, g, "")
	if _, err := g.Enter(context.Background(), ""); status(err) != 503 {
		t.Errorf("a request that waits too long: %v", err)
	}
	g.opt.Wait = time.Hour
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	for range 2 {
		all.Go(func() {
			if _, err := g.Enter(ctx, ""); !errors.Is(err, context.Canceled) {
				t.Errorf("a cancelled request: %v", err)
			}
		})
	}
	wait(t, "queued", waiting(g, 2))
	if _, err := g.Enter(context.Background(), "x"); status(err) != 503 {
		t.Errorf("a full queue: %v", err)
	}
	cancel()
	all.Wait()
	leave()
	if r, w := g.Load(); r != 0 || w != 0 {
		t.Errorf("%d run and %d wait", r, w)
	}
	enter(t, g, "")()

	g = New(Options{Parallel: 4, PerKey: 1, Queue: 2})
	leave = enter(t, g, "k")
	all.Go(func() { enter(t, g, "k")() })
	wait(t, "queued behind its own key", waiting(g, 1))
	if _, err := g.Enter(context.Background(), "k"); status(err) != 429 {
		t.Errorf("one key's half of the queue: %v", err)
	}
	enter(t, g, "other")() // is not held up
	leave()
	all.Wait()

	now := time.Unix(1_700_000_000, 0)
	g = New(Options{Rate: 2})
	g.now = func() time.Time { return now }
	enter(t, g, "k")()
	enter(t, g, "k")()
	if _, err := g.Enter(context.Background(), "k"); status(err) != 429 {
		t.Errorf("the third request of a minute: %v", err)
	}
	enter(t, g, "other")()
	now = now.Add(30 * time.Second)
	enter(t, g, "k")()
}

// A closed gate lets those that wait work, and then says that it is idle.
func TestClose(t *testing.T) {
	g := New(Options{Parallel: 1})
	leave := enter(t, g, "")
	var all sync.WaitGroup
	all.Go(func() { enter(t, g, "")() })
	wait(t, "queued", waiting(g, 1))
	idle := g.Close()
	if _, err := g.Enter(context.Background(), ""); err == nil {
		t.Error("a closed gate lets a new request in")
	}
	select {
	case <-idle:
		t.Error("idle, with requests running and waiting")
	default:
	}
	leave()
	all.Wait()
	<-idle
	<-New(Options{}).Close()
}
