//go:build !linux && !darwin

package systemgemma

// lookAtMemory leaves all at 0: not known.
func (m *Machine) lookAtMemory() {}

// lookAtCPU leaves the name empty: not known.
func (m *Machine) lookAtCPU() {}

// cacheBytes is 0: not known.
func cacheBytes() int64 { return 0 }

// ResetPeakMemory makes PeakMemory count from now on, and says whether this system can do that.
func ResetPeakMemory() bool { return false }
