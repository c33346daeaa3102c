package systemgemma

import "golang.org/x/sys/unix"

// lookAtMemory asks the kernel. Darwin has no simple figure for available memory.
func (m *Machine) lookAtMemory() {
	if n, err := unix.SysctlUint64("hw.memsize"); err == nil {
		m.MemoryTotal = int64(n)
	}
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err == nil {
		m.PeakMemory = u.Maxrss // bytes on Darwin
	}
}

// lookAtCPU asks the kernel.
func (m *Machine) lookAtCPU() {
	if name, err := unix.Sysctl("machdep.cpu.brand_string"); err == nil {
		m.CPU = name
	}
}

// cacheBytes is 0: not known.
func cacheBytes() int64 { return 0 }

// ResetPeakMemory makes PeakMemory count from now on, and says whether this system can do that.
func ResetPeakMemory() bool { return false }
