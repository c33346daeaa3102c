// Package memory measures what a piece of code takes from the heap, for tests that hold a parser to its bound.
//
// For tests only; it counts everything that the process allocates meanwhile, so such tests must not run in parallel.
package memory

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
)

// Allocated is the number of bytes that run allocates, freed or not.
func Allocated(run func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	run()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// PeakLive is about the largest number of bytes that were reachable at once while run ran, beyond what was before it.
// It collects garbage without pause and looks at what survives: a peak shorter than one collection may be missed.
func PeakLive(run func()) uint64 {
	runtime.GC()
	base := live()
	defer debug.SetGCPercent(debug.SetGCPercent(5))
	var peak uint64
	var wait sync.WaitGroup
	done := make(chan struct{})
	wait.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
				runtime.GC()
				peak = max(peak, live())
			}
		}
	})
	run()
	close(done)
	wait.Wait()
	return max(peak, base) - base
}

func live() uint64 {
	s := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}
