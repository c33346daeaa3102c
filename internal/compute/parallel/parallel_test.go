package parallel

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestEveryElementOnce(t *testing.T) {
	for _, workers := range []int{1, 2, 3, 8} {
		c := New(workers)
		defer c.Close()
		busy := make([]atomic.Bool, workers)
		for _, n := range []int{0, 1, 2, 7, 64, 1000} {
			for _, grain := range []int{0, 1, 3, 64, 5000} {
				counts := make([]atomic.Int32, n)
				err := c.Run(n, grain, func(worker, lo, hi int) {
					if busy[worker].Swap(true) {
						t.Errorf("worker %d runs two bodies at once", worker)
					}
					for i := lo; i < hi; i++ {
						counts[i].Add(1)
					}
					busy[worker].Store(false)
				})
				if err != nil {
					t.Fatal(err)
				}
				for i := range counts {
					if got := counts[i].Load(); got != 1 {
						t.Fatalf("workers=%d n=%d grain=%d: element %d done %d times", workers, n, grain, i, got)
					}
				}
			}
		}
	}
}

// Parts get smaller towards the end, are multiples of the least but for the last one, and have every element once.
func TestTaperedParts(t *testing.T) {
	c := New(2)
	defer c.Close()
	for _, least := range []int{0, 1, 8} {
		for _, n := range []int{1, 7, 144, 1001} {
			var mu sync.Mutex
			parts := map[int]int{}
			if err := c.RunTapered(n, 16, least, func(_, lo, hi int) {
				mu.Lock()
				defer mu.Unlock()
				parts[lo] = hi
			}); err != nil {
				t.Fatal(err)
			}
			for lo, last := 0, 16; lo < n; lo = parts[lo] {
				size := parts[lo] - lo
				if size < 1 || size > last || parts[lo] < n && size%max(1, least) != 0 {
					t.Fatalf("n=%d least=%d: part of %d elements at %d after one of %d", n, least, size, lo, last)
				}
				last = size
			}
			if last := parts[(n-1)/max(1, least)*max(1, least)]; last != n {
				t.Errorf("n=%d least=%d: the last part ends at %d and is not the smallest", n, least, last)
			}
		}
	}
}

// Loops that begin while workers spin, are about to park, or are parked: none is lost, none is joined twice.
func TestLoopsAfterEveryKindOfPause(t *testing.T) {
	c := New(3)
	defer c.Close()
	var total atomic.Int64
	for i := range 3000 {
		if err := c.Run(8, 1, func(_, lo, hi int) { total.Add(int64(hi - lo)) }); err != nil {
			t.Fatal(err)
		}
		if i%10 == 0 {
			time.Sleep(time.Duration(i%7) * 20 * time.Microsecond)
		}
	}
	if total.Load() != 8*3000 {
		t.Errorf("did %d elements, want %d", total.Load(), 8*3000)
	}
}

func TestCallersTakeTurns(t *testing.T) {
	c := New(2)
	defer c.Close()
	var inside, total atomic.Int32
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 200 {
				mine := new(int)
				_ = c.Run(1, 1, func(_, _, _ int) { // one part: on the caller alone
					if inside.Add(1) != 1 {
						t.Error("two loops at once")
					}
					*mine++
					inside.Add(-1)
				})
				total.Add(int32(*mine))
			}
		})
	}
	wg.Wait()
	if total.Load() != 800 {
		t.Errorf("did %d loops, want 800", total.Load())
	}
}

func TestPanicOfBodyReachesCaller(t *testing.T) {
	c := New(2)
	defer c.Close()
	for range 50 {
		func() {
			defer func() {
				if v := recover(); v != "broken" {
					t.Errorf("recovered %v, want broken", v)
				}
			}()
			_ = c.Run(100, 1, func(_, lo, _ int) {
				if lo == 60 {
					panic("broken")
				}
			})
		}()
		if err := c.Run(10, 1, func(_, _, _ int) {}); err != nil { // the crew goes on
			t.Fatal(err)
		}
	}
}

func TestNilPointerIsNoFault(t *testing.T) {
	c := New(1)
	defer c.Close()
	defer func() {
		if _, ok := recover().(runtime.Error); !ok {
			t.Error("want the runtime's own error passed on")
		}
	}()
	var p *int
	_ = c.Run(1, 1, func(_, _, _ int) { *p = 1 })
}

func TestAllocatesNothing(t *testing.T) {
	c := New(2)
	defer c.Close()
	body := Body(func(_, _, _ int) {})
	if n := testing.AllocsPerRun(200, func() { _ = c.Run(8, 1, body) }); n != 0 {
		t.Errorf("Run allocates %v times", n)
	}
}

func TestFaultErrorSaysWhatHappened(t *testing.T) {
	var err error = &FaultError{Addr: 0x1000}
	var fault *FaultError
	wrapped := fmt.Errorf("load: %w", err)
	if !errors.As(wrapped, &fault) || fault.Addr != 0x1000 || !errors.Is(wrapped, ErrFault) {
		t.Errorf("errors.As, errors.Is: %v", wrapped)
	}
}

func BenchmarkRun(b *testing.B) {
	for _, workers := range []int{1, 2} {
		b.Run(fmt.Sprintf("workers=%d", workers), func(b *testing.B) {
			c := New(workers)
			defer c.Close()
			body := Body(func(_, _, _ int) {})
			for b.Loop() {
				_ = c.Run(8, 1, body)
			}
		})
	}
}
