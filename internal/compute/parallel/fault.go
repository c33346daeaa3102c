package parallel

import (
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
)

// FaultError says that a loop body touched memory that is not there any more: a mapped file was truncated or its disk failed.
type FaultError struct {
	Addr uintptr // where
}

func (e *FaultError) Error() string {
	return fmt.Sprintf("memory fault at %#x: %v", e.Addr, ErrFault)
}

// ErrFault is what every FaultError is, for errors.Is.
var ErrFault = errors.New("mapped file became unreadable (truncated, or a fault of the disk)")

// Is makes a FaultError an ErrFault.
func (e *FaultError) Is(target error) bool { return target == ErrFault }

// fault is what ended a loop early: an error, or a panic to pass on.
type fault struct {
	err   error
	panic any
}

func (f *fault) result() error {
	if f == nil {
		return nil
	}
	if f.panic != nil {
		panic(f.panic)
	}
	return f.err
}

// work takes parts of the current loop until none is left.
func (c *Crew) work(i int) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true)) // per goroutine: each worker, and the caller
	defer func() {
		if v := recover(); v != nil {
			c.next.Store(int64(c.job.n)) // the others stop at their next part
			c.job.fault.CompareAndSwap(nil, asFault(v))
		}
	}()
	for {
		lo, hi := c.take()
		if lo >= hi || c.job.fault.Load() != nil {
			return
		}
		c.job.body(i, lo, hi)
	}
}

// take returns the next part of the current loop, an empty one where none is left.
func (c *Crew) take() (lo, hi int) {
	j, shares := &c.job, 2*c.Workers()
	for {
		lo = int(c.next.Load())
		size := max(1, min(j.most, (j.n-lo)/shares)/j.least) * j.least
		hi = min(lo+size, j.n)
		if lo >= hi || c.next.CompareAndSwap(int64(lo), int64(hi)) {
			return lo, hi
		}
	}
}

// asFault tells a memory fault (which the runtime gives an address) from a programmer's mistake. An address below one page
// is a nil pointer, which is no fault of the file.
func asFault(v any) *fault {
	if e, ok := v.(interface {
		runtime.Error
		Addr() uintptr
	}); ok && e.Addr() >= 4096 {
		return &fault{err: &FaultError{Addr: e.Addr()}}
	}
	return &fault{panic: v}
}
