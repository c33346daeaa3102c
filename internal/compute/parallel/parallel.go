// Package parallel runs loops on a fixed crew of workers that wait for the next loop without sleeping at once.
//
// It owns the workers, how they wait (a short bounded spin, then parking, so that an idle crew uses no CPU) and how a memory
// fault in one of them becomes an error. DESIGN.md has the invariants.
//
// It must not know what a loop computes. Which worker takes which part is left to chance: a loop body must give the same
// result for every split.
package parallel

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// Body does elements [lo, hi) of a loop. worker, 0 <= worker < Workers, is held by one running body at a time: use it to
// pick scratch memory.
type Body func(worker, lo, hi int)

// spin is how long a worker, or the caller of Run, looks for news before it parks. A parked one needs some 100 µs to come back.
const spin = 50 * time.Microsecond

// Crew is a fixed number of workers, the caller of Run being one of them. Use New.
type Crew struct {
	run     sync.Mutex // held by Run: one loop at a time
	workers []*worker  // all but the caller
	job     job        // written by Run while the gate is shut and nobody is in; read by those who are in
	gate    atomic.Uint64
	_       [64]byte     // gate is spun on: keep its cache line apart
	next    atomic.Int64 // first element that nobody has taken
	waiting atomic.Bool  // Run is parked on done
	done    chan struct{}
	cores   []int // where workers stay; nil: anywhere
}

// gate = loop number << 17 | open << 16 | workers inside.
const (
	gateOpen  = 1 << 16
	gateLoop  = 1 << 17
	gateCount = gateOpen - 1
)

type job struct {
	n, most, least int // elements; of a part
	body           Body
	fault          atomic.Pointer[fault]
}

type worker struct {
	parked atomic.Bool
	wake   chan struct{} // one token: a loop has begun, or quit
	quit   atomic.Bool
}

// Cores is the number of processors that loops should use: those of the fastest kind which this process may use, and no more
// than GOMAXPROCS (which Go sets by the limits of the control group).
func Cores() int {
	n := runtime.GOMAXPROCS(0)
	if allowed := allowedCores(); len(allowed) > 0 {
		n = min(n, len(bigCores("/sys", allowed)))
	}
	return n
}

// New returns a crew of n workers, at least 1. On a machine with several kinds of cores, workers stay on the fastest ones
// when those are enough. Close ends it.
func New(n int) *Crew {
	var cores []int
	if allowed := allowedCores(); len(allowed) > 0 {
		if big := bigCores("/sys", allowed); len(big) < len(allowed) && n <= len(big) {
			cores = big
		}
	}
	return NewOn(n, cores)
}

// NewOn is New for workers that stay on the given processors, all but the caller of Run; nil: anywhere. Systems other than Linux
// place them themselves.
func NewOn(n int, cores []int) *Crew {
	c := &Crew{done: make(chan struct{}, 1), cores: cores}
	for i := 1; i < n; i++ {
		w := &worker{wake: make(chan struct{}, 1)}
		c.workers = append(c.workers, w)
		go c.serve(i, w)
	}
	return c
}

// Workers is the number of workers, the caller of Run included.
func (c *Crew) Workers() int { return len(c.workers) + 1 }

// Close ends the workers. No Run may be under way or follow.
func (c *Crew) Close() {
	for _, w := range c.workers {
		w.quit.Store(true)
		c.rouse(w)
	}
}

// Run calls body for parts of [0, n), each of grain elements but the last, on all workers, and returns when all are done.
// A fault in mapped memory ends the loop early and is returned as a *FaultError; any other panic of body is passed on.
// Loops of one part run on the caller alone. Several goroutines may call Run: their loops take turns.
func (c *Crew) Run(n, grain int, body Body) error {
	return c.RunTapered(n, grain, grain, body)
}

// RunTapered is Run with parts of most elements that get smaller towards the end: multiples of least, but for the last one. So
// workers end together though parts are large.
func (c *Crew) RunTapered(n, most, least int, body Body) error {
	least = max(least, 1)
	if n <= 0 {
		return nil
	}
	c.run.Lock()
	defer c.run.Unlock()
	c.job.n, c.job.most, c.job.least, c.job.body = n, most, least, body
	c.job.fault.Store(nil)
	c.next.Store(0)
	shared := n > least && len(c.workers) > 0
	if shared {
		c.gate.Store(c.gate.Load()&^(gateLoop-1) + gateLoop | gateOpen)
		for _, w := range c.workers {
			c.rouse(w)
		}
	}
	c.work(0)
	if shared {
		c.shut()
	}
	c.job.body = nil
	return c.job.fault.Load().result()
}

// rouse wakes w if it is parked.
func (c *Crew) rouse(w *worker) {
	if w.parked.CompareAndSwap(true, false) {
		w.wake <- struct{}{}
	}
}

// shut lets nobody else in and waits for those who are.
func (c *Crew) shut() {
	for g := c.gate.Load(); !c.gate.CompareAndSwap(g, g&^gateOpen); g = c.gate.Load() {
	}
	empty := func() bool { return c.gate.Load()&gateCount == 0 }
	if spinUntil(empty) {
		return
	}
	c.waiting.Store(true)
	if empty() && c.waiting.CompareAndSwap(true, false) {
		return // the last one left before it could see that we wait
	}
	<-c.done
}

// serve is the life of worker i.
func (c *Crew) serve(i int, w *worker) {
	if c.cores != nil {
		placeOn(c.cores)
	}
	var last uint64 // loop number of the loop last joined
	for {
		joined := func() bool {
			g := c.gate.Load()
			return g&gateOpen != 0 && g/gateLoop != last && c.gate.CompareAndSwap(g, g+1)
		}
		if !spinUntil(func() bool { return w.quit.Load() || joined() }) {
			c.park(w, last)
			continue
		}
		if w.quit.Load() {
			return
		}
		last = c.gate.Load() / gateLoop
		c.work(i)
		if g := c.gate.Add(^uint64(0)); g&(gateOpen|gateCount) == 0 && c.waiting.CompareAndSwap(true, false) {
			c.done <- struct{}{}
		}
	}
}

// park sleeps until a loop begins that the worker has not joined, or it shall quit.
func (c *Crew) park(w *worker, last uint64) {
	w.parked.Store(true)
	g := c.gate.Load()
	news := w.quit.Load() || g&gateOpen != 0 && g/gateLoop != last
	if news && w.parked.CompareAndSwap(true, false) {
		return
	}
	<-w.wake
}

// spinUntil polls ready for up to spin and says whether it came true.
func spinUntil(ready func() bool) bool {
	var end time.Time
	for i := 1; ; i++ {
		if ready() {
			return true
		}
		if i%64 != 0 {
			continue
		}
		switch now := time.Now(); {
		case end.IsZero():
			end = now.Add(spin)
		case now.After(end):
			return false
		}
		runtime.Gosched()
	}
}
