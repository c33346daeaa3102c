package parallel

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// allowedCores lists the processors that this process may use.
func allowedCores() []int {
	var set unix.CPUSet
	if unix.SchedGetaffinity(0, &set) != nil {
		return nil
	}
	var cpus []int
	for c := 0; len(cpus) < set.Count(); c++ {
		if set.IsSet(c) {
			cpus = append(cpus, c)
		}
	}
	return cpus
}

// placeOn keeps the calling goroutine's thread on the given processors, all of them: pinning to one collapses when another
// process wants that one. The thread is the goroutine's own from then on.
func placeOn(cpus []int) {
	runtime.LockOSThread()
	var set unix.CPUSet
	for _, c := range cpus {
		set.Set(c)
	}
	_ = unix.SchedSetaffinity(0, &set) // a refusal costs speed only
}
