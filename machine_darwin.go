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
