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
		lo := int(c.next.Add(int64(c.job.grain))) - c.job.grain
		if lo >= c.job.n || c.job.fault.Load() != nil {
			return
		}
		c.job.body(i, lo, min(lo+c.job.grain, c.job.n))
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
